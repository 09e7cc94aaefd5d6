// Acquiring without blocking: `co_await pool.async_acquire()`. Part of pool.hpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <lido/detail/resumption.hpp>
#include <lido/facts.hpp>

namespace lido {

/// Runs a coroutine that has its result: called with its handle, in any thread, and has to see that it is resumed once.
/// Must not throw (`std::terminate`). One that has stopped may drop the handle; whoever destroys the coroutine then
/// gives its connection back.
template <class Executor>
concept ExecutorType = std::copy_constructible<Executor> && std::invocable<Executor&, std::coroutine_handle<>>;

/// The executor that resumes where the result is found: in the thread that gives the connection back, a worker, or the
/// one that cancels. Such a coroutine must not block, nor throw out of its body. Coroutines that serve each other in
/// turn are resumed one after the other, not one inside the other.
struct InLine {
  void operator()(std::coroutine_handle<> handle) const { handle.resume(); }
};
static_assert(ExecutorType<InLine>);

/// What `Pool::async_acquire` returns: to be awaited once, at once. The coroutine may be destroyed while it waits,
/// which takes it out of the queue, but not any more once its handle has been given to the executor and before that
/// resumed it. Allocates nothing.
template <class Core, class Lease, ExecutorType Executor>
class [[nodiscard]] AsyncAcquire {
  using Request = typename Core::Request;
  using StopToken = typename Core::StopToken;

 public:
  AsyncAcquire(Core& core, Duration timeout, StopToken stop, Executor executor, std::source_location where)
      : core_{core}, timeout_{timeout}, stop_{std::move(stop)}, executor_{std::move(executor)}, where_{where} {}

  class Awaiter : private detail::Resumption {
   public:
    explicit Awaiter(AsyncAcquire&& asked)
        : core_{asked.core_},
          executor_{std::move(asked.executor_)},
          request_{core_, asked.timeout_, std::move(asked.stop_), asked.where_, *this} {}

    bool await_ready() { return request_.try_now(); }
    bool await_suspend(std::coroutine_handle<> waiting) {
      this->handle = waiting;
      return request_.wait();
    }
    Lease await_resume() { return {core_, request_.result()}; }

   private:
    struct Asked : Request {
      Asked(Core& core, Duration timeout, StopToken stop, std::source_location where, Awaiter& awaiter)
          : Request{core, timeout, std::move(stop), where, &Asked::done}, owner{awaiter} {}
      static void done(Request& request) noexcept { static_cast<Asked&>(request).owner.resume(); }
      Awaiter& owner;
    };

    void resume() noexcept {
      if constexpr (std::same_as<Executor, InLine>) {
        this->resume_in_turn();
      } else {
        // Copies: once the executor has the handle, the coroutine may end.
        Executor executor = std::move(executor_);
        std::invoke(executor, std::exchange(this->handle, nullptr));
      }
    }

    Core& core_;
    [[no_unique_address]] Executor executor_;
    Asked request_;
  };

  /// Awaiting it a second time does not compile: it is used up.
  Awaiter operator co_await() && { return Awaiter{std::move(*this)}; }

 private:
  Core& core_;
  Duration timeout_;
  StopToken stop_;
  [[no_unique_address]] Executor executor_;
  std::source_location where_;
};

}  // namespace lido
