// How a thread waits for a connection: in the queue, until a slot is granted or its time is up.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>

#include <lido/detail/admission.hpp>
#include <lido/detail/leases.hpp>
#include <lido/detail/probes.hpp>

namespace lido::detail {

// The slow path of an acquire.
template <class Types>
class BlockingWait {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using StopToken = typename Types::StopToken;
  static constexpr bool reads_clock = Types::Ops::reads_clock;

 public:
  BlockingWait(Lifetime& lifetime, typename Types::Monitor& monitor, Jobs<Types>& jobs, Leases<Types>& leases,
               Admission<Types>& admission) noexcept
      : lifetime_{lifetime}, monitor_{monitor}, jobs_{jobs}, leases_{leases}, admission_{admission} {}

  // A slot that `lease_if_fit(slot, now, deadline)` says yes to, or throws what an acquire throws. `unfit`: the caller
  // had one in hand that was not fit.
  template <class LeaseIfFit>
  Slot& wait(TimePoint begun, Duration timeout, const StopToken& stop, bool unfit, typename Types::Share* share,
             LeaseIfFit lease_if_fit) {
    const Reference keep{lifetime_};
    ThreadWaiter waiter;
    waiter.since = begun != TimePoint{} ? begun : Platform::now();  // nobody had to look at the clock before
    waiter.share = share;
    const TimePoint deadline = saturating_add(waiter.since, timeout);
    for (bool again = false;; again = true) {
      admission_.line_up(waiter, deadline, again, unfit);
      {
        std::optional<typename Platform::template StopCallback<Cancel>> on_stop;
        if (stop.stop_possible()) on_stop.emplace(stop, Cancel{*this, waiter});
        sleep(waiter, deadline, stop);
      }
      switch (waiter.state.load(std::memory_order_relaxed)) {
        case WaitState::granted:
          break;
        case WaitState::refused:
          admission_.refuse(waiter.error);
        case WaitState::shed:
          admission_.throw_overloaded(waiter.since, share);
        case WaitState::closed:
          admission_.throw_closed();
        case WaitState::cancelled:
          admission_.throw_cancelled();
        default:
          admission_.throw_timeout(waiter.since, deadline, unfit, share);
      }
      const TimePoint now = Platform::now();
      if (reads_clock && now > deadline) {
        // Granted too late to be checked: it is passed on, and not condemned for the lack of time.
        waiter.slot->end_freshness();
        leases_.give_back(*waiter.slot, CloseReason::none);
        admission_.throw_timeout(waiter.since, deadline, unfit, share);
      }
      if (lease_if_fit(*waiter.slot, now, deadline)) {
        const Guard lock = monitor_.enter();
        monitor_.record_wait(waiter, now, lock);
        Probes::acquire(waiter.slot);
        return *waiter.slot;
      }
      unfit = true;  // and once more, at its old place
      waiter.state.store(WaitState::waiting, std::memory_order_relaxed);
    }
  }

 private:
  struct ThreadWaiter : Types::Waiter {
    ThreadWaiter() noexcept : Types::Waiter{&wake, true} {}
    static void wake(typename Types::Waiter& waiter) noexcept { static_cast<ThreadWaiter&>(waiter).parker.unpark(); }
    typename Platform::Parker parker;
  };

  struct Cancel {
    void operator()() const noexcept {
      Guard lock = pool.monitor_.enter();
      pool.monitor_.dispatcher.leave(waiter, WaitState::cancelled, false, lock);
    }
    BlockingWait& pool;
    ThreadWaiter& waiter;
  };

  // Until the wait is complete.
  void sleep(ThreadWaiter& waiter, TimePoint deadline, const StopToken& stop) noexcept {
    for (TimePoint retry = TimePoint::max();;) {
      const bool told = waiter.parker.park_until(std::min(deadline, retry));
      Guard lock = monitor_.enter();
      const WaitState state = waiter.state.load(std::memory_order_relaxed);
      if (!told && (state == WaitState::waiting || state == WaitState::woken || state == WaitState::called)) {
        if (Platform::now() < deadline) {
          monitor_.dispatcher.try_again(waiter, lock);
          retry = monitor_.dispatcher.keeps_time_until(waiter);
          continue;
        }
        monitor_.dispatcher.leave(waiter, WaitState::abandoned, true, lock);
        if (state == WaitState::waiting) return;
      }
      if (!told) {  // the call is on its way, and may not find the waiter gone
        lock.end();
        return waiter.parker.park();
      }
      if (state == WaitState::woken) {
        if (monitor_.dispatcher.compete(waiter, lock)) return;
      } else if (state == WaitState::called && Platform::now() >= deadline) {
        monitor_.dispatcher.leave(waiter, WaitState::abandoned, true, lock);
        return;
      } else if (state == WaitState::called) {
        retry = open_for_itself(waiter, {.deadline = deadline, .waiter = &waiter, .stop = &stop}, lock);
      } else if (state != WaitState::waiting) {
        return;
      }
    }
  }

  // In a pool without workers. May be granted a slot meanwhile: then its parker holds the token. Until when it may
  // sleep.
  TimePoint open_for_itself(ThreadWaiter& waiter, const typename Jobs<Types>::Caller& caller, Guard& lock) noexcept {
    waiter.state.store(WaitState::waiting,
                       std::memory_order_relaxed);  // whoever completes it owes it a notification again
    lock.end();
    jobs_.do_one(true, caller);
    jobs_.run_closes();  // an invalidation during the open retires what it opened
    Guard relock = monitor_.enter();
    monitor_.dispatcher.grow(relock);
    return monitor_.dispatcher.keeps_time_until(waiter);
  }

  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  Jobs<Types>& jobs_;
  Leases<Types>& leases_;
  Admission<Types>& admission_;
};

}  // namespace lido::detail
