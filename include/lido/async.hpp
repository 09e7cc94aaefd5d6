// Acquiring without blocking: `co_await pool.async_acquire()`, and its callback form. Part of pool.hpp.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <lido/detail/resumption.hpp>
#include <lido/facts.hpp>

namespace lido {

/// Runs a coroutine that has its result: called with its handle, in any thread, and has to see that it is resumed once,
/// after it has returned: `InLine` is the one that resumes in place, since the pool may have others to tell first. Must
/// not throw (`std::terminate`). One that has stopped may drop the handle; whoever destroys the coroutine then
/// gives its connection back. The same holds for a loop that ends: close the pool and turn the loop once more, or
/// destroy the coroutines that still wait.
template <class Executor>
concept ExecutorType = std::copy_constructible<Executor> && std::invocable<Executor&, std::coroutine_handle<>>;

/// The executor that resumes where the result is found: in the thread that gives the connection back, a worker, or the
/// one that cancels. Such a coroutine must not block, nor throw out of its body (`std::terminate`). Coroutines that
/// serve each other in turn are resumed one after the other, not one inside the other.
struct InLine {
  void operator()(std::coroutine_handle<> handle) const { handle.resume(); }
};
static_assert(ExecutorType<InLine>);

/// Takes the result of an `AcquireOperation`.
template <class Callback, class Lease>
concept AcquireCallback = std::move_constructible<Callback> && std::invocable<Callback, std::exception_ptr, Lease>;

/// One acquire in callback form; what `AsyncAcquire::connect` makes. Neither copied nor moved: it is kept where it is
/// until its callback is called. Destroyed before that, it leaves the queue, or gives back what it was granted, and
/// waits for a worker that looks at that connection just now; not while another thread may be about to call the
/// callback. Allocates nothing.
template <class Core, class Lease, AcquireCallback<Lease> Callback>
class AcquireOperation : private Core::Request, private detail::Resumption {
  using Request = typename Core::Request;

 public:
  /// For the pool.
  AcquireOperation(Core& core, Duration timeout, typename Core::StopToken stop, std::source_location where,
                   Callback callback, typename Core::Share* account = nullptr)
      : Request{core.requests(), timeout, std::move(stop), where, &AcquireOperation::done, account},
        Resumption{&AcquireOperation::finish},
        core_{core},
        callback_{std::move(callback)} {}

  /// Begins; once. The callback is called once, with null and a connection, or with what `acquire` would have thrown
  /// and an empty lease: here where there is something at once, or else in whatever thread finds it, one after the
  /// other as with `InLine`. It must neither block nor throw (`std::terminate`). It may destroy the operation.
  void start() noexcept {
    try {
      if (!this->try_now()) return this->wait();
    } catch (...) {
      return call(std::current_exception(), {});
    }
    finish(*this);
  }

  /// Ends it with `AcquireCancelled`, unless it ends otherwise just now. From any thread, as soon as `start` has
  /// returned and while the operation lives; harmless when it is over.
  void cancel() noexcept { Request::cancel(); }

 private:
  static void done(Request& request) noexcept { static_cast<AcquireOperation&>(request).go_on_in_turn(); }
  static void finish(Resumption& resumption) noexcept {
    auto& self = static_cast<AcquireOperation&>(resumption);
    std::exception_ptr failure;
    Lease lease;
    try {
      lease = {self.core_, self.result()};
    } catch (...) {
      failure = std::current_exception();
    }
    self.call(std::move(failure), std::move(lease));
  }
  // Out of the operation, which may end meanwhile.
  void call(std::exception_ptr&& failure, Lease&& lease) noexcept {
    Callback callback = std::move(callback_);
    std::invoke(std::move(callback), std::move(failure), std::move(lease));
  }

  Core& core_;
  [[no_unique_address]] Callback callback_;
};

/// What `Pool::async_acquire` returns: to be awaited once, at once, while the pool lives. A pool that is destroyed
/// meanwhile ends its wait with `PoolClosed`. The coroutine may be destroyed while it waits, which takes it out of the
/// queue, or gives back what it was granted, and waits for a worker that looks at its connection just now. Not so once
/// its handle has been given to the executor and before that resumed it, nor while another thread may be about to do
/// so: there ask the stop token. Allocates nothing.
template <class Core, class Lease, ExecutorType Executor>
class [[nodiscard]] AsyncAcquire {
  using Request = typename Core::Request;
  using StopToken = typename Core::StopToken;

 public:
  /// For the pool.
  AsyncAcquire(Core& core, Duration timeout, StopToken stop, Executor executor, std::source_location where,
               typename Core::Share* account = nullptr)
      : core_{core},
        timeout_{timeout},
        stop_{std::move(stop)},
        executor_{std::move(executor)},
        where_{where},
        account_{account} {}

  class Awaiter : private Request, private detail::Resumption {
   public:
    explicit Awaiter(AsyncAcquire&& asked)
        : Request{asked.core_.requests(), asked.timeout_, std::move(asked.stop_),
                  asked.where_,           &Awaiter::done, asked.account_},
          Resumption{&Awaiter::resume},
          core_{asked.core_},
          executor_{std::move(asked.executor_)} {}

    bool await_ready() { return this->try_now(); }
    void await_suspend(std::coroutine_handle<> waiting) {
      handle_ = waiting;
      this->wait();
    }
    Lease await_resume() { return {core_, this->result()}; }
    /// Ends the wait with `AcquireCancelled`, unless it ends otherwise just now. From any thread, once `await_suspend`
    /// has returned and before the coroutine is resumed; harmless when it is over.
    void cancel() noexcept { Request::cancel(); }

   private:
    static void done(Request& request) noexcept {
      auto& self = static_cast<Awaiter&>(request);
      if constexpr (std::same_as<Executor, InLine>) {
        self.go_on_in_turn();
      } else {
        // Copies: once the executor has the handle, the coroutine may end.
        Executor executor = std::move(self.executor_);
        std::invoke(executor, std::exchange(self.handle_, nullptr));
      }
    }
    static void resume(Resumption& resumption) noexcept { static_cast<Awaiter&>(resumption).handle_.resume(); }

    Core& core_;
    std::coroutine_handle<> handle_;
    [[no_unique_address]] Executor executor_;
  };

  /// Awaiting it a second time does not compile: it is used up.
  Awaiter operator co_await() && { return Awaiter{std::move(*this)}; }

  /// The same for a callback: `auto operation = pool.async_acquire(2s).connect(callback); operation.start();`. The
  /// shape is that of a sender (P2300).
  template <AcquireCallback<Lease> Callback>
    requires std::same_as<Executor, InLine>
  [[nodiscard]] AcquireOperation<Core, Lease, Callback> connect(Callback callback) && {
    return {core_, timeout_, std::move(stop_), where_, std::move(callback), account_};
  }

 private:
  Core& core_;
  Duration timeout_;
  StopToken stop_;
  [[no_unique_address]] Executor executor_;
  std::source_location where_;
  typename Core::Share* account_;
};

}  // namespace lido
