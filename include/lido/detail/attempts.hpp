// What becomes of an attempt to open, and what those are told who wait for one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#include <lido/detail/dispatcher.hpp>
#include <lido/detail/fail_fast.hpp>

namespace lido::detail {

// Everything needs the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class Attempts {
 public:
  using Capacity = detail::Capacity<Slot, Growth, Platform>;
  using Dispatcher = detail::Dispatcher<Slot, Growth, Platform>;
  using WaitList = detail::WaitList<Slot, Platform>;
  using Guard = detail::Guard<Slot, Platform>;

  // `by_callers`: there are no workers.
  Attempts(Capacity& capacity, WaitList& waiters, Dispatcher& dispatcher, Duration fail_fast_after,
           bool by_callers) noexcept
      : capacity_{capacity},
        waiters_{waiters},
        dispatcher_{dispatcher},
        fail_fast_{fail_fast_after},
        by_callers_{by_callers} {}

  // `begun`: when the attempt began.
  void opened(Slot& slot, TimePoint begun, Guard& guard) noexcept {
    guard.drop_later(capacity_.opened(slot, begun));
    fail_fast_.succeeded();
    // While the pool is suspended it may lie idle for as long as a server takes to restart.
    slot.trust.store(!waiters_.queue().empty() && !capacity_.suspended() ? Trust::fresh : Trust::usual,
                     std::memory_order_relaxed);
    dispatcher_.supply(slot, guard);
    dispatcher_.match(guard);  // whoever opened it looks for another now, if this one is to go already
    capacity_.wake_watchers(guard);
  }

  // `permanent`: trying again cannot help, so that callers who have nothing else to wait for are told at once. Others
  // are told because opening has failed for long (`FailFast`). `count` hears how many. May give up the lock meanwhile.
  template <class Count>
  void open_failed(Slot& slot, const std::exception_ptr& error, bool permanent, TimePoint begun, Guard& guard,
                   Count count) noexcept {
    if (!permanent && capacity_.limiter().outdated(slot.stalled)) return dispatcher_.vacate(slot, guard);
    guard.drop_later(capacity_.limiter().backoff().failed(error, permanent, begun));
    fail_fast_.failed(Platform::now());
    capacity_.empty(slot, guard);
    if (permanent) refuse_while([&] { return !capacity_.suspended() && !capacity_.any_live(); }, error, guard, count);
    end_attempt(guard, count);
  }

  // Whoever opened it for itself gave up, which tells little about the server. `telling`: it had a fair time. Where all
  // who try have no more than that, nothing else says that the server is away. So it counts for `FailFast`, which any
  // success sets back; but not for the back-off, by which others would wait whose own time might do.
  template <class Count>
  void open_given_up(Slot& slot, const std::exception_ptr& error, bool telling, Guard& guard, Count count) noexcept {
    if (telling) fail_fast_.failed(Platform::now());
    // Nor does it make what fails for good look as if it might pass.
    Backoff& backoff = capacity_.limiter().backoff();
    if (!backoff.permanent()) guard.drop_later(backoff.note(error));
    capacity_.empty(slot, guard);
    end_attempt(guard, count);
  }

  // Why a newcomer need not line up: the last attempt to open failed for good just now, and there is nothing else to
  // wait for. Null where there is.
  [[nodiscard]] std::exception_ptr refusal(TimePoint now) noexcept {
    const Backoff& backoff = capacity_.limiter().backoff();
    const bool hopeless =
        backoff.permanent() && now < backoff.until() && !capacity_.suspended() && !capacity_.any_live();
    return hopeless ? backoff.cause() : nullptr;
  }
  // The same where the server has been away for long; somebody has to see to it that another attempt begins.
  [[nodiscard]] std::exception_ptr outage(TimePoint now) noexcept {
    const bool due = fail_fast_.due(now);
    const OutageFacts facts{.due = due,
                            .any_live = due && capacity_.any_live(),
                            .suspended = capacity_.suspended(),
                            .by_callers = by_callers_ || !capacity_.plan().reuse,
                            .under_way = capacity_.limiter().under_way() > 0,
                            .backing_off = now < capacity_.backoff().until()};
    return fails_fast(facts) ? capacity_.backoff().cause() : nullptr;
  }

 private:
  // After an attempt to open that came to nothing.
  template <class Count>
  void end_attempt(Guard& guard, Count count) noexcept {
    const auto away = [&] {
      return fail_fast_.due(Platform::now()) && !capacity_.suspended() && !capacity_.any_live();
    };
    refuse_while(away, capacity_.backoff().cause(), guard, count);
    dispatcher_.match(guard);
  }

  // Tells those who wait by now, in turns: the lock is given up between, and there may be a connection after it. Who
  // comes meanwhile has found that it is worth to wait. `count` hears of each turn before its waiters do.
  template <class Hopeless, class Count>
  void refuse_while(Hopeless hopeless, std::exception_ptr error, Guard& guard, Count count) noexcept {
    const std::uint64_t last = waiters_.queue().last_number();
    bool paused = false;
    for (; hopeless(); paused = true) {
      std::size_t told = 0;
      for (; told < Dispatcher::waiters_a_turn; ++told) {
        auto* const waiter = waiters_.queue().front();
        if (waiter == nullptr || waiter->number > last) break;
        waiter->error = error;
        dispatcher_.end_wait(*waiter, WaitState::refused, guard);
      }
      count(told);
      if (told < Dispatcher::waiters_a_turn) break;
      dispatcher_.match(guard);
      guard.pause();
    }
    // By now it may be nobody else's. Nothing else is to be dropped, as that was done at the pause.
    if (paused) guard.drop_later(std::move(error));
  }

  Capacity& capacity_;
  WaitList& waiters_;
  Dispatcher& dispatcher_;
  FailFast fail_fast_;
  const bool by_callers_;
};

}  // namespace lido::detail
