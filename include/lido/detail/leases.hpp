// How a lease ends, and what the recycle policy says of its connection.
#pragma once

#include <atomic>
#include <optional>
#include <utility>

#include <lido/detail/leaks.hpp>
#include <lido/detail/lifetime.hpp>
#include <lido/detail/probes.hpp>
#include <lido/detail/workforce.hpp>

namespace lido::detail {

template <class Types>
class Leases {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using Ops = typename Types::Ops;
  static constexpr bool reads_clock = Ops::reads_clock;

 public:
  Leases(Lifetime& lifetime, typename Types::Monitor& monitor, Ops& ops, Jobs<Types>& jobs, Workforce<Types>& workforce,
         Leaks<Types>& leaks, Duration reset_timeout) noexcept
      : lifetime_{lifetime},
        monitor_{monitor},
        ops_{ops},
        jobs_{jobs},
        workforce_{workforce},
        leaks_{leaks},
        reset_timeout_{reset_timeout} {}

  // --- by its holder ------------------------------------------------------------------------------------------------

  void release(Slot& slot) noexcept {
    Probes::release(&slot);
    if constexpr (reads_clock) {
      if (release_if_sure(slot)) return;
    }
    release_asking(slot);
  }
  void release_asking(Slot& slot) noexcept {
    TimePoint now{};
    bool keep = true;
    if constexpr (reads_clock) {
      now = Platform::now();
      const ConnectionInfo facts = Ops::info(slot, Moment::release, now, reset_timeout_);
      slot.end_lease(now);  // what follows is not the holder's time
      if (slot.hurried && ops_.recycle_may_block(slot, facts) && leave_to_worker(slot)) return;
      keep = recycles(slot, facts);
    } else {
      slot.end_lease(now);
    }
    if (!ops_.signals().release.empty()) tell(ops_.signals().release, slot, Moment::release, now);
    slot.since.store(now, std::memory_order_release);  // see `Slot::begin_lease`
    if (!keep) return give_back(slot, CloseReason::recycled);
    if (monitor_.capacity.slots().give_back(slot)) return;
    give_back(slot, CloseReason::none);
  }

  void discard(Slot& slot) noexcept {
    Probes::release(&slot);
    const TimePoint now = reads_clock ? Platform::now() : TimePoint{};
    slot.end_lease(now);
    if constexpr (!always_keeps<typename Types::Recycle>) {  // what it is closed for may be true of others, too
      const ConnectionInfo facts = Ops::info(slot, Moment::discard, now, reset_timeout_);
      if (!slot.hurried || !ops_.recycle_may_block(slot, facts)) static_cast<void>(recycles(slot, facts));
    }
    slot.since.store(now, std::memory_order_release);  // as in a release
    give_back(slot, CloseReason::discarded);
  }

  // Moves the connection out; its slot is free at once.
  typename Types::Connection detach(Slot& slot) {
    Probes::release(&slot);
    slot.end_lease(reads_clock ? Platform::now() : TimePoint{});
    const Reference keep{lifetime_};
    typename Types::Connection connection = std::move(slot.connection);
    std::optional<LeakReport> leak;
    bool orphan = false;
    const bool destroyed = Ops::destroy(slot);
    {
      Guard lock = monitor_.enter();
      monitor_.metrics.count(&Statistics::closed, lock);
      if (!destroyed) monitor_.metrics.count(&Statistics::listener_errors, lock);
      leak = leaks_.end_of_lease(slot, lock);
      monitor_.waiters.shares().end_lease(slot);
      monitor_.dispatcher.vacate(slot, lock);
      orphan = orphans_;
    }
    if (leak) leaks_.report(*leak);
    if (orphan) lifetime_.drop_reference();
    return connection;
  }

  // --- by the pool --------------------------------------------------------------------------------------------------

  // Ends the caller's hold on a slot under the lock: it is supplied, or closed and counted where there is a reason to.
  // `suspect_others`: what is wrong with it may be wrong with them.
  void give_back(Slot& slot, CloseReason why, bool suspect_others = false) noexcept {
    const Reference keep{lifetime_};
    std::optional<LeakReport> leak;
    bool orphan = false;
    {
      Guard lock = monitor_.enter();
      // First: the others are looked at before anybody is given one of them, as another of a share may be below.
      if (suspect_others) workforce_.suspect_others(lock);
      const bool counted = slot.retire && why == CloseReason::invalidated;
      if (why != CloseReason::none && !counted) monitor_.metrics.count_removal(why, lock);
      leak = leaks_.end_of_lease(slot, lock);
      if (why != CloseReason::none) monitor_.capacity.suspect_outage();
      const bool shared = monitor_.waiters.shares().end_lease(slot);
      const bool goes = why != CloseReason::none || slot.retire;
      why != CloseReason::none ? monitor_.capacity.retire(slot, why, lock) : monitor_.dispatcher.supply(slot, lock);
      if (shared && goes) monitor_.dispatcher.match(lock);  // another of its share may have what is idle
      orphan = orphans_;
    }
    if (leak) leaks_.report(*leak);
    orphan ? jobs_.close_now(slot) : workforce_.close_retired();
    if (orphan) lifetime_.drop_reference();
  }

  // A connection that came back is put in order by a worker. The policy's time begins now, all else is as it was when
  // the holder let go.
  void put_in_order(Slot& slot) noexcept {
    const TimePoint deadline = saturating_add(Platform::now(), reset_timeout_);
    const bool keep = recycles(slot, slot.info(Moment::release, slot.last_use.ended, deadline));
    tell(ops_.signals().release, slot, Moment::release, slot.last_use.ended);
    slot.since.store(slot.last_use.ended, std::memory_order_release);  // see `Slot::begin_lease`
    give_back(slot, keep ? CloseReason::none : CloseReason::recycled);
  }

  // Whether the recycle policy keeps a connection that the caller has. Ends its generation if the policy says so.
  [[nodiscard]] bool recycles(Slot& slot, const ConnectionInfo& facts) noexcept {
    const Verdict verdict = ops_.recycle(slot, facts);
    if (verdict == Verdict::invalidate) end_generation(slot, facts.moment);
    return verdict == Verdict::keep;
  }

  // Tells listeners of a connection that the caller has, as it was at `at`; now where nobody read the clock.
  void tell(const typename Ops::OnConnection& signal, Slot& slot, Moment moment, TimePoint at = {}) noexcept {
    if (signal.empty()) return;
    if (!ops_.tell_of(signal, slot, moment, at != TimePoint{} ? at : Platform::now()))
      monitor_.count(&Statistics::listener_errors);
  }

  // The pool is about to go: whoever still has a connection keeps what it needs to close it, and does so itself. Before
  // the workers end, so that nothing is left to them when they have.
  void leave_to_holders() noexcept {
    const Guard lock = monitor_.enter();
    orphans_ = true;
    lifetime_.add_references(monitor_.capacity.slots().recalled());  // whoever has one comes by the lock
  }

 private:
  // The release of a connection that the policies surely keep, with nobody to be told. False: it is still leased.
  [[nodiscard]] bool release_if_sure(Slot& slot) noexcept {
    if (slot.kept.until == TimePoint{} || !ops_.signals().release.empty()) return false;
    const TimePoint now = Platform::quick_now();
    if (now >= slot.kept.until) return false;
    slot.end_lease(now);
    slot.since.store(now, std::memory_order_release);  // see `Slot::begin_lease`
    if (!monitor_.capacity.slots().give_back(slot)) give_back(slot, CloseReason::none);
    return true;
  }

  // Leaves a connection that comes back to a worker, since the recycle policy may block; the lease is over. False where
  // no worker will come.
  [[nodiscard]] bool leave_to_worker(Slot& slot) noexcept {
    const Reference keep{lifetime_};
    std::optional<LeakReport> leak;
    {
      Guard lock = monitor_.enter();
      if (!workforce_.will_come(lock)) return false;
      leak = leaks_.end_of_lease(slot, lock);
      monitor_.work.put_in_order(slot, lock);
    }
    if (leak) leaks_.report(*leak);
    return true;
  }

  // Of the connection that the caller has and is about to close.
  [[gnu::cold]] void end_generation(Slot& slot, Moment moment) noexcept {
    Guard lock = monitor_.enter();
    if (slot.retire) return;  // it has ended: what was opened since knows nothing of this one's trouble
    auto& slots = monitor_.capacity.slots();
    // Whoever ends the pool while the lock is given up below passes over what is marked, and counts the recalled.
    slots.recall(slot);
    slots.mark(slot, CloseReason::invalidated);  // the caller closes this one, and counts it
    const std::size_t retired = monitor_.capacity.invalidate(CloseReason::invalidated, lock, workforce_.spares(moment));
    monitor_.metrics.count(&Statistics::invalidated, lock, retired);
    slots.unmark(slot);
    monitor_.recorder.record(EventKind::invalidated, Platform::now(), lock);
    monitor_.capacity.suspect_outage();
    monitor_.dispatcher.match(lock);
  }

  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  Ops& ops_;
  Jobs<Types>& jobs_;
  Workforce<Types>& workforce_;
  Leaks<Types>& leaks_;
  const Duration reset_timeout_;
  bool orphans_ = false;  // the pool is gone, and each lease that is out has a reference; owned by the lock
};

}  // namespace lido::detail
