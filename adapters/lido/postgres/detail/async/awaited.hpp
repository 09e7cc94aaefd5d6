// What a coroutine of any type awaits.
#pragma once

#include <coroutine>
#include <optional>
#include <source_location>
#include <stop_token>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>
#include <lido/postgres/detail/async/drive.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// An operation.
template <class Make, Reactor R>
class [[nodiscard]] Awaited : private Drive<Make, R> {
  using Base = Drive<Make, R>;

 public:
  Awaited(R& reactor, Until until, Make make) : Base{reactor, std::move(until), std::move(make), &Awaited::resume} {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  [[nodiscard]] bool await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    return this->begin();
  }
  auto await_resume() { return this->take(); }

 private:
  static void resume(Base& self) noexcept { static_cast<Awaited&>(self).waiting_.resume(); }

  std::coroutine_handle<> waiting_;
};

/// A lease. The coroutine may be destroyed while it waits, also once its pool has served it and before its loop has
/// resumed it; not while another thread is about to post it to the loop.
template <class AnyPool, Reactor R>
class [[nodiscard]] AwaitedLease : private Waiter {
  // Has the loop resume the coroutine.
  struct Post {
    void operator()(std::coroutine_handle<> /*known*/) const noexcept { owner->reactor_.post(*owner); }
    AwaitedLease* owner;
  };
  using Acquire = decltype(std::declval<AnyPool&>().async_acquire(Duration{}, std::stop_token{}, Post{}));

 public:
  AwaitedLease(AnyPool& pool, Duration timeout, std::stop_token stop, R& reactor, std::source_location where)
      : reactor_{reactor}, awaiter_{std::in_place, pool.async_acquire(timeout, std::move(stop), Post{this}, where)} {}
  ~AwaitedLease() {
    if (!waiting_) return;
    awaiter_.reset();  // first: up to here the pool may have the loop resume the coroutine
    reactor_.cancel(*this);
  }

  [[nodiscard]] bool await_ready() { return awaiter_->await_ready(); }
  auto await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    return awaiter_->await_suspend(waiting);
  }
  typename AnyPool::Lease await_resume() { return awaiter_->await_resume(); }

 private:
  void wake(Wake) noexcept override { std::exchange(waiting_, nullptr).resume(); }

  R& reactor_;
  std::coroutine_handle<> waiting_;  // while it waits
  std::optional<typename Acquire::Awaiter> awaiter_;
};

}  // namespace lido::postgres::detail
