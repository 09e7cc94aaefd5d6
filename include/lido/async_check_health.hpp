// The same as check_health.hpp for those who may not block: for coroutines of any type, and for callbacks.
#pragma once

#include <atomic>
#include <concepts>
#include <exception>
#include <functional>
#include <source_location>
#include <utility>

#include <lido/check_health.hpp>
#include <lido/pool.hpp>

namespace lido {

namespace detail {

// A coroutine of the type `Coroutine`. What `acquire(timeout)` and `ping(connection, deadline)` return is awaited.
template <class Coroutine, Checkable AnyPool, class Acquire, class Ping>
Coroutine checking_health(AnyPool& pool, Duration timeout, Acquire acquire, Ping ping) {
  using Platform = PlatformOf<AnyPool>;
  HealthCheck check{Platform::now(), timeout};
  try {
    auto lease = co_await acquire(timeout);
    if (check.may_ask(pool, Platform::now())) {
      bool answer = false;
      std::exception_ptr error;
      try {
        answer = co_await ping(*lease, check.deadline());
      } catch (...) {
        error = std::current_exception();
      }
      if (!check.answered(answer, error, Platform::now())) lease.discard();
    }
  } catch (...) {
    check.refused(std::current_exception());
  }
  co_return check.report(pool);
}

// A check with callbacks, which frees itself before it calls the last one.
template <Checkable AnyPool, class Ping, class Done>
class HealthProbe {
  using Platform = PlatformOf<AnyPool>;
  using Lease = typename AnyPool::Lease;

 public:
  HealthProbe(AnyPool& pool, Duration timeout, Ping ping, Done done, std::source_location where)
      : pool_{pool},
        check_{Platform::now(), timeout},
        ping_{std::move(ping)},
        done_{std::move(done)},
        acquire_{pool.async_acquire(timeout, where).connect(Acquired{this})} {}
  HealthProbe(const HealthProbe&) = delete;
  HealthProbe& operator=(const HealthProbe&) = delete;
  ~HealthProbe() = default;

  void start() noexcept { acquire_.start(); }

 private:
  struct Acquired {
    void operator()(const std::exception_ptr& failure, Lease lease) const {
      probe->acquired(failure, std::move(lease));
    }
    HealthProbe* probe;
  };

  void acquired(const std::exception_ptr& failure, Lease lease) noexcept {
    if (failure != nullptr) {
      unless_out_of_memory([&] { check_.refused(failure); });
      return finish();
    }
    bool may_ask = false;
    unless_out_of_memory([&] { may_ask = check_.may_ask(pool_, Platform::now()); });
    if (!may_ask) {
      lease.release();
      return finish();
    }
    lease_ = std::move(lease);
    try {
      std::invoke(ping_, *lease_, check_.deadline(), [this](bool answer) { answered(answer, nullptr); });
    } catch (...) {
      answered(false, std::current_exception());
    }
    end_part();
  }
  void answered(bool answer, const std::exception_ptr& error) noexcept {
    unless_out_of_memory([&] { answer = check_.answered(answer, error, Platform::now()); });
    answer ? lease_.release() : lease_.discard();
    end_part();
  }
  // The call of the ping and its answer end in either order, in two threads perhaps. The last one may free the ping.
  void end_part() noexcept {
    if (parts_.fetch_sub(1, std::memory_order_acq_rel) == 1) finish();
  }
  void finish() noexcept {
    HealthReport report = check_.bare_report();
    unless_out_of_memory([&] { report = check_.report(pool_); });
    Done done = std::move(done_);
    delete this;
    std::invoke(std::move(done), std::move(report));
  }
  // What the words of a report have no memory for is left out of it.
  template <class Step>
  static void unless_out_of_memory(Step step) noexcept {
    try {
      step();
    } catch (...) {
      return;
    }
  }

  AnyPool& pool_;
  HealthCheck check_;
  Ping ping_;
  Done done_;
  std::atomic<int> parts_{2};
  Lease lease_;
  decltype(std::declval<AnyPool&>().async_acquire(Duration{}, std::source_location{}).connect(std::declval<Acquired>()))
      acquire_;
};

}  // namespace detail

/// As `check_health`, and blocks no thread. `Coroutine` is a coroutine type of yours that gives a `HealthReport`:
/// `co_await lido::async_check_health<Task<lido::HealthReport>>(pool, 1s, ping)`. `ping(connection, deadline)` is
/// awaited; it gives whether the connection answered by then, and may throw. It goes on where `InLine` does. Throws
/// `InvalidOption` and `std::bad_alloc`. The pool, or the share that you give in its place, has to outlive it.
template <class Coroutine, detail::Checkable AnyPool, class Ping>
Coroutine async_check_health(AnyPool& pool, Duration timeout, Ping ping,
                             std::source_location where = std::source_location::current()) {
  const auto acquire = [&pool, where](Duration patience) { return pool.async_acquire(patience, where); };
  return detail::checking_health<Coroutine>(pool, timeout, acquire, std::move(ping));
}

/// The same with callbacks. `ping(connection, deadline, answered)` begins a round trip and has `answered(bool)` called
/// once, by that deadline, in any thread; or it throws, and does not. `done(report)` is called once: in this call where
/// all is known at once, or else in whatever thread finds it. It must neither block nor throw (`std::terminate`).
template <detail::Checkable AnyPool, class Ping, std::invocable<HealthReport> Done>
void async_check_health(AnyPool& pool, Duration timeout, Ping ping, Done done,
                        std::source_location where = std::source_location::current()) {
  using Probe = detail::HealthProbe<AnyPool, Ping, Done>;
  (new Probe{pool, timeout, std::move(ping), std::move(done), where})->start();
}

}  // namespace lido
