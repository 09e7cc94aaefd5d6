// The way to a connection: the fast path, the check before a lease, and the wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <stop_token>
#include <thread>

#include <lido/detail/admission.hpp>
#include <lido/detail/leases.hpp>
#include <lido/detail/probes.hpp>
#include <lido/detail/tracing.hpp>

namespace lido::detail {

template <class Types>
class Acquire {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using Ops = typename Types::Ops;
  using StopToken = typename Types::StopToken;
  static constexpr bool reads_clock = Ops::reads_clock;

 public:
  Acquire(Lifetime& lifetime, typename Types::Monitor& monitor, Ops& ops, Jobs<Types>& jobs,
          Workforce<Types>& workforce, Leases<Types>& leases, Admission<Types>& admission,
          const PoolOptions& options) noexcept
      : slots_{monitor.capacity.slots()},
        lifetime_{lifetime},
        monitor_{monitor},
        ops_{ops},
        jobs_{jobs},
        workforce_{workforce},
        leases_{leases},
        admission_{admission},
        options_{options} {
    if (!ops.signals().trace_acquire.empty()) trace();  // in the child of a fork
  }

  // A slot with a fit connection, now the caller's. Throws what `Pool::acquire` throws.
  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where) {
    if (timeout < Duration::zero()) throw InvalidOption{"acquire(timeout)", "a duration of zero or more"};
    if (stop.stop_requested()) return detour(timeout, stop, where);
    const TimePoint begun = reads_clock ? Platform::now() : TimePoint{};
    bool unfit = false;
    if (Slot* const slot = claim(begun, timeout, where, unfit, timeout == Duration::zero())) {
      Probes::acquire(slot);
      return *slot;
    }
    return traced() ? detour(timeout, stop, where) : wait(begun, timeout, stop, where, unfit);
  }

  // The same for a connection that is idle now; null where none is. Lets the pool grow for the next try.
  Slot* try_acquire(Duration limit, std::source_location where) {
    Slot* const slot = try_claim(limit, where);
    if (slot != nullptr) Probes::acquire(slot);
    return slot;
  }

  // Callers wait from now on, or no longer. Read by every acquire, written by few calls. Relaxed, as an acquire that
  // overlaps a suspension may come before it. A closed pool has nothing idle; while it closes it is suspended here.
  void suspend(bool suspended) noexcept {
    const std::uint8_t others = detours_.load(std::memory_order_relaxed) & Detour::traced;
    detours_.store(suspended ? others | Detour::suspended : others, std::memory_order_relaxed);
  }
  [[nodiscard]] bool suspended() const noexcept { return goes(Detour::suspended); }
  // Tracers are told from now on. Both need the lock.
  void trace() noexcept {
    detours_.store(detours_.load(std::memory_order_relaxed) | Detour::traced, std::memory_order_relaxed);
  }
  [[nodiscard]] bool traced() const noexcept { return goes(Detour::traced); }

  // Asks the policies about a slot that is the caller's. False: it was unfit, and is the caller's no more.
  [[gnu::always_inline]] bool lease_if_fit(Slot& slot, TimePoint now, TimePoint deadline, std::source_location where,
                                           std::thread::id holder_thread) {
    if constexpr (reads_clock) {
      if (slot.trust.load(std::memory_order_relaxed) == Trust::none)
        return leases_.give_back(slot, CloseReason::invalidated), false;
      ConnectionInfo facts = Ops::info(slot, Moment::acquire, now, options_.check_timeout);
      const bool hurried = deadline < facts.deadline;
      facts.deadline = std::min(facts.deadline, deadline);
      const bool fresh = slot.is_fresh(now);
      const bool takes_time = ops_.check_may_block(slot, facts, fresh);
      if (!leases_.recycles(slot, facts)) return leases_.give_back(slot, CloseReason::recycled), false;
      if (!fresh && !ops_.healthy(slot, facts)) {
        // Running out of a caller's short time is no evidence against others.
        const bool proven = !hurried || Platform::now() < facts.deadline;
        return leases_.give_back(slot, CloseReason::dead, proven), false;
      }
      slot.trust.store(Trust::usual, std::memory_order_relaxed);
      if (takes_time) now = Platform::now();  // which is not the holder's
    }
    slot.count_use();
    if (!ops_.signals().acquire.empty()) {
      slot.begin_use(now);  // it is not idle any more
      leases_.tell(ops_.signals().acquire, slot, Moment::acquire);
      if constexpr (reads_clock) now = Platform::now();
    }
    slot.begin_lease(where, holder_thread, now);
    return true;
  }

 private:
  struct ThreadWaiter : Types::Waiter {
    ThreadWaiter() noexcept : Types::Waiter{&wake, true} {}
    static void wake(typename Types::Waiter& waiter) noexcept { static_cast<ThreadWaiter&>(waiter).parker.unpark(); }
    typename Platform::Parker parker;
  };

  // What keeps acquires from their short way, as bits of one number, so that it looks once.
  struct Detour {
    static constexpr std::uint8_t suspended = 1;
    static constexpr std::uint8_t traced = 2;
    static constexpr std::uint8_t any = 0xFF;
  };
  [[nodiscard]] bool goes(std::uint8_t detour) const noexcept {
    return (detours_.load(std::memory_order_relaxed) & detour) != 0;
  }

  Slot* try_claim(Duration limit, std::source_location where) {
    if (limit < Duration::zero()) throw InvalidOption{"try_acquire(limit)", "a duration of zero or more"};
    bool unfit = false;
    if (Slot* const slot = claim(reads_clock ? Platform::now() : TimePoint{}, limit, where, unfit, true)) return slot;
    if (traced()) {
      Spans<AcquireEnd> spans;
      begin_trace(monitor_, ops_, spans, limit, where);
      Slot* const slot = claim(spans.begun, limit, where, unfit, true, Detour::suspended);
      end_trace(monitor_, ops_, spans, slot, nullptr);
      if (slot != nullptr) return slot;
    }
    Guard lock = monitor_.enter();
    if (!monitor_.capacity.closed()) workforce_.want_one_more(lock);
    return nullptr;
  }

  // An acquire that is traced, or was stopped before it began.
  [[gnu::cold, gnu::noinline]] Slot& detour(Duration timeout, const StopToken& stop, std::source_location where) {
    Spans<AcquireEnd> spans;
    if (traced()) begin_trace(monitor_, ops_, spans, timeout, where);
    try {
      if (stop.stop_requested()) admission_.throw_cancelled();
      const TimePoint begun = reads_clock ? spans.begun : TimePoint{};
      bool unfit = false;
      Slot* slot = claim(begun, timeout, where, unfit, timeout == Duration::zero(), Detour::suspended);
      slot == nullptr ? static_cast<void>(slot = &wait(begun, timeout, stop, where, unfit)) : Probes::acquire(slot);
      end_trace(monitor_, ops_, spans, slot, nullptr);
      return *slot;
    } catch (...) {
      end_trace(monitor_, ops_, spans, nullptr, std::current_exception());
      throw;
    }
  }

  // Any idle connection that passes the check. `unfit` tells that one did not. `last`: the caller does not queue, and
  // so waits for those that are looked at just now. `unless`: none where these are.
  [[gnu::always_inline]] Slot* claim(TimePoint now, Duration timeout, std::source_location where, bool& unfit,
                                     bool last, std::uint8_t unless = Detour::any) {
    // A caller that does not wait still gives the check its time.
    const Duration allowed = timeout == Duration::zero() ? options_.check_timeout : timeout;
    const TimePoint deadline = reads_clock ? saturating_add(now, allowed) : TimePoint::max();
    while (!goes(unless)) {
      Slot* slot = slots_.claim_idle(now);
      if (slot == nullptr && last) {
        slot = claim_after_look(reads_clock ? deadline : saturating_add(Platform::now(), options_.check_timeout));
        if (reads_clock) now = Platform::now();
        if (slot != nullptr && now >= deadline) {  // too late to be checked
          slot->end_freshness();
          leases_.give_back(*slot, CloseReason::none);
          return nullptr;
        }
      }
      if (slot == nullptr) return nullptr;
      if (lease_if_fit(*slot, now, deadline, where, Platform::this_thread())) return slot;
      unfit = true;
      now = Platform::now();
      if (now >= deadline) return nullptr;
    }
    return nullptr;
  }

  // A connection that the background looks at is idle to a caller, after the look. Null where none is looked at, or
  // the deadline comes first. Not where this thread may be the one that has to look.
  Slot* claim_after_look(TimePoint deadline) noexcept {
    Slot* slot = nullptr;
    if (options_.start_worker) return slot;
    monitor_.watch(deadline, [&] {
      if (!monitor_.capacity.suspended()) slot = slots_.claim_idle();
      return slot != nullptr || monitor_.capacity.suspended() || !monitor_.dispatcher.looks();
    });
    return slot;
  }

  // The slow path: a place in the queue until a slot is granted or the time is up.
  Slot& wait(TimePoint begun, Duration timeout, const StopToken& stop, std::source_location where, bool unfit) {
    const Reference keep{lifetime_};
    ThreadWaiter waiter;
    waiter.since = reads_clock ? begun : Platform::now();
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
          admission_.throw_overloaded(waiter.since);
        case WaitState::closed:
          admission_.throw_closed();
        case WaitState::cancelled:
          admission_.throw_cancelled();
        default:
          admission_.throw_timeout(waiter.since, deadline, unfit);
      }
      const TimePoint now = Platform::now();
      if (reads_clock && now > deadline) {
        // Granted too late to be checked: it is passed on, and not condemned for the lack of time.
        waiter.slot->end_freshness();
        leases_.give_back(*waiter.slot, CloseReason::none);
        admission_.throw_timeout(waiter.since, deadline, unfit);
      }
      if (lease_if_fit(*waiter.slot, now, deadline, where, Platform::this_thread())) {
        const Guard lock = monitor_.enter();
        monitor_.metrics.record(&Statistics::wait, now - waiter.since, lock);
        Probes::acquire(waiter.slot);
        return *waiter.slot;
      }
      unfit = true;  // and once more, at its old place
      waiter.state.store(WaitState::waiting, std::memory_order_relaxed);
    }
  }

  struct Cancel {
    void operator()() const noexcept {
      Guard lock = pool.monitor_.enter();
      pool.monitor_.dispatcher.leave(waiter, WaitState::cancelled, false, lock);
    }
    Acquire& pool;
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

  SlotTable<Slot, Platform>& slots_;
  typename Platform::template Atomic<std::uint8_t> detours_{0};
  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  Ops& ops_;
  Jobs<Types>& jobs_;
  Workforce<Types>& workforce_;
  Leases<Types>& leases_;
  Admission<Types>& admission_;
  const PoolOptions& options_;
};

}  // namespace lido::detail
