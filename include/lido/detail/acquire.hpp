// The way to a connection: the fast path, the check before a lease, and the wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <source_location>
#include <utility>

#include <lido/detail/admission.hpp>
#include <lido/detail/blocking_wait.hpp>
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
  using Share = typename Types::Share;
  static constexpr bool reads_clock = Ops::reads_clock;

 public:
  Acquire(Lifetime& lifetime, typename Types::Monitor& monitor, Ops& ops, Workforce<Types>& workforce,
          Leases<Types>& leases, Admission<Types>& admission, BlockingWait<Types>& blocking_wait,
          const PoolOptions& options) noexcept
      : slots_{monitor.capacity.slots()},
        lifetime_{lifetime},
        monitor_{monitor},
        ops_{ops},
        workforce_{workforce},
        leases_{leases},
        admission_{admission},
        blocking_wait_{blocking_wait},
        options_{options} {
    if (!ops.signals().trace_acquire.empty()) trace();  // in the child of a fork
  }

  // A slot with a fit connection, now the caller's. Throws what `Pool::acquire` throws.
  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where) {
    if (timeout < Duration::zero()) throw InvalidOption{"acquire(timeout)", "a duration of zero or more"};
    if (stop.stop_requested()) return detour(timeout, stop, where, nullptr);
    if constexpr (reads_clock) {
      Slot* const slot = goes(Detour::any) ? nullptr : slots_.claim_idle();
      if (slot == nullptr || !lease_if_sure(*slot, where, self())) return acquire_asking(slot, timeout, stop, where);
      Probes::acquire(slot);
      return *slot;
    } else {
      return acquire_any(nullptr, timeout, stop, where);
    }
  }
  // The same for a caller of this share.
  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where, Share& share) {
    require_not_negative(timeout, "acquire(timeout)");
    return detour(timeout, stop, where, &share);
  }

  // The same for a connection that is idle now; null where none is. Lets the pool grow for the next try.
  Slot* try_acquire(Duration limit, std::source_location where, Share* share = nullptr) {
    Slot* const slot = try_claim(limit, where, share);
    if (slot != nullptr) Probes::acquire(slot);
    return slot;
  }

  // Callers wait from now on, or no longer. Read by every acquire, written by few calls. Relaxed, as an acquire that
  // overlaps a suspension may come before it. A closed pool has nothing idle; while it closes it is suspended here.
  void suspend(bool suspended) noexcept {
    const std::uint8_t others = detours_.load(std::memory_order_relaxed) & Detour::aside;
    detours_.store(suspended ? others | Detour::suspended : others, std::memory_order_relaxed);
  }
  [[nodiscard]] bool suspended() const noexcept { return goes(Detour::suspended); }
  // Tracers are told from now on. Both need the lock.
  void trace() noexcept {
    detours_.store(detours_.load(std::memory_order_relaxed) | Detour::traced, std::memory_order_relaxed);
  }
  [[nodiscard]] bool traced() const noexcept { return goes(Detour::traced); }
  // The pool has shares from now on.
  void begin_shares() noexcept {
    detours_.store(detours_.load(std::memory_order_relaxed) | Detour::shared, std::memory_order_relaxed);
  }

  // What is idle now, and this caller's; or null.
  Slot* find(TimePoint now, Share* share) noexcept {
    if (!goes(Detour::shared)) return slots_.claim_idle(now);
    const Guard lock = monitor_.enter();
    return monitor_.share_claims.claim(share);
  }

  // Asks the policies about a slot that is the caller's. False: it was unfit, and is the caller's no more.
  [[gnu::always_inline]] bool lease_if_fit(Slot& slot, TimePoint now, TimePoint deadline, std::source_location where,
                                           ThreadMark holder) {
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
      slot.kept.until = fresh ? TimePoint{} : ops_.kept_until(facts, now);
      if (takes_time) now = Platform::now();  // which is not the holder's
    }
    slot.count_use();
    if (!ops_.signals().acquire.empty()) {
      slot.begin_use(now);  // it is not idle any more
      leases_.tell(ops_.signals().acquire, slot, Moment::acquire);
      if constexpr (reads_clock) now = Platform::now();
    }
    slot.begin_lease(where, holder, now);
    return true;
  }

 private:
  // Leases a slot that is the caller's where the policies surely keep it, and nobody will be told of it. False: they
  // have to be asked.
  //
  // It is as if they were asked, at the right time: `now` lies behind by less than what `ConnectionOps::kept_until`
  // left away from their promise. And `since` is early by so little, and never late: a connection is not taken to lie
  // idle for less than it does.
  [[gnu::always_inline]] bool lease_if_sure(Slot& slot, std::source_location where, ThreadMark holder) noexcept {
    if (slot.kept.until == TimePoint{} || slot.trust.load(std::memory_order_relaxed) != Trust::usual ||
        !ops_.signals().acquire.empty() || !ops_.signals().release.empty())
      return false;
    const TimePoint now = Platform::quick_now();
    if (now >= slot.kept.until) return false;
    slot.count_use();
    slot.begin_lease(where, holder, now);
    return true;
  }

  [[nodiscard]] static ThreadMark self() noexcept { return {.number = thread_notes<Slot>().number, .id = {}}; }

  // What keeps acquires from their short way, as bits of one number, so that it looks once.
  struct Detour {
    static constexpr std::uint8_t suspended = 1;
    static constexpr std::uint8_t traced = 2;
    static constexpr std::uint8_t shared = 4;
    static constexpr std::uint8_t aside = traced | shared;
    static constexpr std::uint8_t any = 0xFF;
  };
  [[nodiscard]] bool goes(std::uint8_t detour) const noexcept {
    return (detours_.load(std::memory_order_relaxed) & detour) != 0;
  }

  // Apart, so that an acquire which asks nobody makes no room for it.
  [[gnu::noinline]] Slot& acquire_asking(Slot* slot, Duration timeout, const StopToken& stop,
                                         std::source_location where) {
    return acquire_any(slot, timeout, stop, where);
  }
  // `slot`: what it has claimed already, or null.
  [[gnu::always_inline]] Slot& acquire_any(Slot* slot, Duration timeout, const StopToken& stop,
                                           std::source_location where) {
    if (reads_clock && timeout == Duration::zero()) return detour(timeout, stop, where, nullptr, slot);
    TimePoint begun{};
    bool unfit = false;
    slot = claim(begun, slot, timeout, where, unfit);
    if (slot == nullptr)
      return timeout == Duration::zero() || goes(Detour::aside) ? detour(timeout, stop, where, nullptr)
                                                                : wait(begun, timeout, stop, where, unfit);
    Probes::acquire(slot);
    return *slot;
  }

  Slot* try_claim(Duration limit, std::source_location where, Share* share) {
    if (limit < Duration::zero()) throw InvalidOption{"try_acquire(limit)", "a duration of zero or more"};
    Slot* const slot = goes(Detour::any) ? nullptr : slots_.claim_idle();
    if constexpr (reads_clock) {
      if (slot != nullptr && lease_if_sure(*slot, where, self())) return slot;
    } else if (slot != nullptr) {
      lease_if_fit(*slot, {}, TimePoint::max(), where, self());  // it is: there is no policy to ask
      return slot;
    }
    return try_detour(slot, limit, where, share);
  }
  // `slot`: what it has claimed already, or null.
  [[gnu::noinline]] Slot* try_detour(Slot* slot, Duration limit, std::source_location where, Share* share) {
    const Reference keep{lifetime_};  // as below
    Spans<AcquireEnd> spans;
    begin_trace(monitor_, ops_, spans, limit, where);
    TimePoint begun = spans.begun;
    bool unfit = false;
    slot = claim_aside(begun, slot, limit, where, unfit, true, share);
    end_trace(monitor_, ops_, spans, slot, nullptr);
    if (slot != nullptr) return slot;
    Guard lock = monitor_.enter();
    if (!monitor_.capacity.closed() && monitor_.share_claims.may_have_more(share)) workforce_.want_one_more(lock);
    return nullptr;
  }

  // An acquire that is traced, in a pool with shares, may wait for a look, or was stopped before it began. `first`:
  // what it has claimed already, or null.
  [[gnu::cold, gnu::noinline]] Slot& detour(Duration timeout, const StopToken& stop, std::source_location where,
                                            Share* share, Slot* first = nullptr) {
    const Reference keep{lifetime_};  // the pool may be destroyed while it waits, and is asked after that
    Spans<AcquireEnd> spans;
    begin_trace(monitor_, ops_, spans, timeout, where);
    try {
      if (first == nullptr && stop.stop_requested()) admission_.throw_cancelled();
      TimePoint begun = spans.begun;
      bool unfit = false;
      Slot* slot = claim_aside(begun, first, timeout, where, unfit, timeout == Duration::zero(), share);
      slot == nullptr ? static_cast<void>(slot = &wait(begun, timeout, stop, where, unfit, share))
                      : Probes::acquire(slot);
      end_trace(monitor_, ops_, spans, slot, nullptr);
      return *slot;
    } catch (...) {
      end_trace(monitor_, ops_, spans, nullptr, std::current_exception());
      throw;
    }
  }

  // Any idle connection that passes the check. `unfit` tells that one did not. `last`: the caller does not queue, and
  // so waits for those that are looked at just now. `unless`: none where these are.
  [[gnu::always_inline]] Slot* claim(TimePoint& begun, Slot* first, Duration timeout, std::source_location where,
                                     bool& unfit) {
    return claim(begun, first, timeout, where, unfit, false, Detour::any,
                 [this](TimePoint at) { return slots_.claim_idle(at); });
  }
  // The same of a detour.
  Slot* claim_aside(TimePoint& begun, Slot* first, Duration timeout, std::source_location where, bool& unfit, bool last,
                    Share* share) {
    return claim(
        begun, first, timeout, where, unfit, last, Detour::suspended,
        [this, share](TimePoint at) { return find(at, share); }, share);
  }
  template <class Find>
  [[gnu::always_inline]] Slot* claim(TimePoint& begun, Slot* first, Duration timeout, std::source_location where,
                                     bool& unfit, bool last, std::uint8_t unless, Find find, Share* share = nullptr) {
    // A caller that does not wait still gives the check its time.
    const Duration allowed = timeout == Duration::zero() ? options_.check_timeout : timeout;
    TimePoint now = begun;
    TimePoint deadline = TimePoint::max();
    while (first != nullptr || !goes(unless)) {
      Slot* slot = first != nullptr ? std::exchange(first, nullptr) : find(now);
      if constexpr (reads_clock) {
        if (slot != nullptr && lease_if_sure(*slot, where, self())) return slot;
        if (now == TimePoint{}) begun = now = Platform::now();
        deadline = saturating_add(begun, allowed);
      }
      if (slot == nullptr && last) {
        slot =
            claim_after_look(reads_clock ? deadline : saturating_add(Platform::now(), options_.check_timeout), share);
        if (reads_clock) now = Platform::now();
        if (slot != nullptr && now >= deadline) {  // too late to be checked
          slot->end_freshness();
          leases_.give_back(*slot, CloseReason::none);
          return nullptr;
        }
      }
      if (slot == nullptr) return nullptr;
      if (lease_if_fit(*slot, now, deadline, where, self())) return slot;
      unfit = true;
      now = Platform::now();
      if (now >= deadline) return nullptr;
    }
    return nullptr;
  }

  // A connection that the background looks at is idle to a caller, after the look. Null where none is looked at, or
  // the deadline comes first. Not where this thread may be the one that has to look.
  Slot* claim_after_look(TimePoint deadline, Share* share) noexcept {
    Slot* slot = nullptr;
    if (options_.start_worker) return slot;
    monitor_.watch(deadline, [&] {  // with the lock
      if (!monitor_.capacity.suspended())
        slot = goes(Detour::shared) ? monitor_.share_claims.claim(share) : slots_.claim_idle();
      return slot != nullptr || monitor_.capacity.closed() || monitor_.capacity.suspended() ||
             !monitor_.dispatcher.looks() || !monitor_.share_claims.may_have_more(share) || workforce_.is_only_worker();
    });
    return slot;
  }

  // Not inline: an acquire that finds a slot makes no room for it.
  [[gnu::noinline]] Slot& wait(TimePoint begun, Duration timeout, const StopToken& stop, std::source_location where,
                               bool unfit, Share* share = nullptr) {
    return blocking_wait_.wait(begun, timeout, stop, unfit, share, [&](Slot& slot, TimePoint now, TimePoint deadline) {
      return lease_if_fit(slot, now, deadline, where, self());
    });
  }

  SlotTable<Slot, Platform>& slots_;
  typename Platform::template Atomic<std::uint8_t> detours_{0};
  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  Ops& ops_;
  Workforce<Types>& workforce_;
  Leases<Types>& leases_;
  Admission<Types>& admission_;
  BlockingWait<Types>& blocking_wait_;
  const PoolOptions& options_;
};

}  // namespace lido::detail
