// One acquire whose result goes to a completion handler.
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <lido/asio/detail/cancellation.hpp>
#include <lido/asio/detail/initiate.hpp>
#include <lido/asio/detail/owned.hpp>
#include <lido/asio/detail/plain_loop.hpp>
#include <lido/asio/detail/waiting_room.hpp>
#include <lido/facts.hpp>

namespace lido::asio::detail {

template <class AnyPool, class Handler>
class Acquiring final : public WaitingRoom::Guest {
 public:
  using Executor = boost::asio::associated_executor_t<Handler>;
  using Lease = typename AnyPool::Lease;

  static void start(AnyPool& pool, Duration timeout, std::stop_token stop, std::source_location where,
                    Handler handler) {
    Owned<Acquiring> self = make_owned<Acquiring>(std::move(handler));
    self->begin(pool, timeout, std::move(stop), where, self);
  }

  explicit Acquiring(Handler handler)
      : handler_{std::move(handler)},
        executor_{boost::asio::get_associated_executor(handler_)},
        work_{executor_},
        room_{WaitingRoom::of(context_of(executor_))} {}

  [[nodiscard]] auto memory() const noexcept { return memory_of(handler_); }

 private:
  // What the core takes for an executor: the coroutine that it shall resume is the handler.
  struct Tell {
    void operator()(std::coroutine_handle<> /*none*/) const noexcept { owner->room_.settle(*owner); }
    Acquiring* owner;
  };
  using Acquire = decltype(std::declval<AnyPool&>().async_acquire(Duration{}, std::stop_token{}, Tell{}));
  using Awaiter = typename Acquire::Awaiter;

  // Passes a stop on. Touches nothing afterwards: what it belongs to may be gone.
  struct PassOn {
    void operator()() const noexcept {
      std::stop_source source = stop;
      source.request_stop();
    }
    std::stop_source stop;
  };

  struct Completion {
    using allocator_type = decltype(memory_of(std::declval<const Handler&>()));
    [[nodiscard]] allocator_type get_allocator() const noexcept { return self->memory(); }
    void operator()() { complete(std::move(self)); }
    Owned<Acquiring> self;
  };

  // The executor of `use_future` has no properties in Boost 1.74.
  static boost::asio::execution_context& context_of(const Executor& executor) {
    if constexpr (requires { boost::asio::query(executor, boost::asio::execution::context); })
      return boost::asio::query(executor, boost::asio::execution::context);
    else
      return executor.context();
  }

  // `self` owns this; once it waits, whoever settles it takes over.
  void begin(AnyPool& pool, Duration timeout, std::stop_token stop, std::source_location where,
             Owned<Acquiring>& self) {
    if (!room_.enter(*this)) return;
    static_cast<void>(self.release());
    try {
      if (can_cancel(handler_)) {  // else nobody needs what costs an allocation
        own_ = std::stop_source{};
        if (stop.stop_possible()) on_stop_.emplace(std::move(stop), PassOn{own_});
        stop = own_.get_token();
      }
      awaiter_.emplace(pool.async_acquire(timeout, std::move(stop), Tell{this}, where));
      if (awaiter_->await_ready()) {
        lease_ = awaiter_->await_resume();
      } else {
        if (own_.stop_possible()) on_cancel(handler_, PassOn{own_});
        return awaiter_->await_suspend(nullptr);  // and may be gone
      }
    } catch (...) {
      error_ = std::current_exception();
      awaiter_.reset();  // now, while there is a pool: it may have a connection in hand
    }
    room_.settle(*this);
  }

  void give_up() noexcept override {
    if (awaiter_) awaiter_->cancel();
  }
  void deliver() noexcept override { post_to(executor_, Completion{Owned<Acquiring>{this}}); }
  void destroy() noexcept override { Owned<Acquiring>{this}; }

  static void complete(Owned<Acquiring> self) {
    std::exception_ptr error = std::move(self->error_);
    Lease lease = std::move(self->lease_);
    if (std::optional<Awaiter>& awaiter = self->awaiter_; awaiter && error == nullptr && !lease) {
      try {
        lease = awaiter->await_resume();
      } catch (...) {
        error = std::current_exception();
      }
    }
    forget_cancel(self->handler_);
    Handler handler = std::move(self->handler_);
    self.reset();  // its memory is the handler's to use again
    invoke_handler(std::move(handler), std::move(error), std::move(lease));
  }

  Handler handler_;
  Executor executor_;
  LoopWork<Executor> work_;  // the loop goes on while somebody waits
  WaitingRoom& room_;
  std::exception_ptr error_;  // of what never began to wait
  Lease lease_;               // of what need not wait
  std::optional<Awaiter> awaiter_;
  std::stop_source own_{std::nostopstate};  // where its handler can be cancelled
  std::optional<std::stop_callback<PassOn>> on_stop_;
};

template <class AnyPool>
struct InitiateAcquire {
  template <class Handler>
  void operator()(Handler&& handler) const {
    Acquiring<AnyPool, std::decay_t<Handler>>::start(*pool, timeout, stop, where, std::forward<Handler>(handler));
  }
  AnyPool* pool;
  Duration timeout;
  std::stop_token stop;
  std::source_location where;
};

}  // namespace lido::asio::detail
