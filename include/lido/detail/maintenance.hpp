// What goes on behind the callers: the sweep over idle connections, the suspects of an outage, those who are late.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <lido/detail/leases.hpp>

namespace lido::detail {

template <class Types>
class Maintenance {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using Waiter = typename Types::Waiter;
  using Ops = typename Types::Ops;

 public:
  Maintenance(typename Types::Monitor& monitor, Ops& ops, Jobs<Types>& jobs, Workforce<Types>& workforce,
              Leaks<Types>& leaks, Leases<Types>& leases, const PoolOptions& options) noexcept
      : monitor_{monitor},
        ops_{ops},
        jobs_{jobs},
        workforce_{workforce},
        leaks_{leaks},
        leases_{leases},
        options_{options} {}

  // When the first sweep is, and each after the one before.
  void plan_sweep() noexcept {
    const Guard lock = monitor_.enter();
    monitor_.work.sweep_at(saturating_add(Platform::now(), options_.sweep_interval));
  }

  // One pass over the connections: retires the worn and the surplus, keeps idle ones alive, reports leaks, opens what
  // is missing.
  void sweep() noexcept {
    const TimePoint now = Platform::now();
    const bool look_closer = Ops::reads_clock || surplus();
    bool any_spare = false;
    monitor_.capacity.slots().each([&](Slot& slot) {
      slot.stamp(now);
      if (!look_closer || !claim_for_check(slot)) return;
      const CloseReason finding = examine(slot, Platform::now());
      const bool spare = finding == CloseReason::surplus;
      any_spare = any_spare || spare;
      conclude(slot, spare ? CloseReason::none : finding);
      if (finding == CloseReason::dead) {
        Guard lock = monitor_.enter();
        workforce_.suspect_others(lock);
      }
      let_rest(slot);
    });
    if (any_spare) retire_spares();
    leaks_.look(now);
    expire();
    Guard lock = monitor_.enter();
    monitor_.dispatcher.match(lock);
  }

  // Lets the callbacks go whose time is over, those too that wait for a worker which may be held up.
  void expire() noexcept {
    for (;;) {
      Waiter* late = nullptr;
      {
        Guard lock = monitor_.enter();
        late = monitor_.dispatcher.expire(Platform::now(), lock);
        if (late != nullptr) monitor_.take_back(*late, lock);
      }
      if (late == nullptr) return;
      late->notify(*late);  // as a worker does; it finds that it is too late
    }
  }

  // What a worker fetched is done.
  void perform(const typename Types::Work& work) noexcept {
    switch (work.task) {
      case Task::check_for_caller:
        return work.caller->notify(*work.caller);
      case Task::put_in_order:
        return leases_.put_in_order(*work.slot);
      case Task::check_suspect:
        return check(*work.slot);
      case Task::open:
        return jobs_.open(*work.slot, {});
      case Task::close:
        return jobs_.close(*work.slot, {});
      case Task::sweep:
        sweep();
        return plan_sweep();
      default:
        return;
    }
  }

 private:
  // Once it is known which are worn: one that stands before these would seem to be too many.
  void retire_spares() noexcept {
    monitor_.capacity.slots().each([&](Slot& slot) {
      if (!claim_for_check(slot)) return;
      const ConnectionInfo facts = Ops::info(slot, Moment::sweep, Platform::now(), options_.check_timeout);
      const bool trusted = slot.trust.load(std::memory_order_relaxed) != Trust::none;
      conclude(slot, !trusted ? CloseReason::invalidated : is_spare(facts) ? CloseReason::surplus : CloseReason::none);
      let_rest(slot);
    });
  }
  [[nodiscard]] bool is_spare(const ConnectionInfo& facts) noexcept {
    const Guard lock = monitor_.enter();
    return facts.idle >= monitor_.capacity.plan().idle_timeout && monitor_.waiters.servable() == 0 &&
           monitor_.capacity.can_spare_one();
  }
  void let_rest(Slot& slot) noexcept { monitor_.capacity.slots().let_rest(slot); }
  [[nodiscard]] bool claim_for_check(Slot& slot) noexcept {
    if (!is_free(slot.state.load(std::memory_order_relaxed))) return false;
    const Guard lock = monitor_.enter();
    return monitor_.capacity.slots().claim_free_for(SlotState::checking, slot);
  }
  // Lets a suspect back if it answers. If it does not, that is evidence enough against the others.
  void check(Slot& suspect) noexcept {
    const TimePoint now = Platform::now();
    ConnectionInfo facts = Ops::info(suspect, Moment::sweep, now, options_.check_timeout);
    facts.idle = Duration::max();  // no window of trust
    if (ops_.healthy(suspect, facts)) {
      note_health(suspect, now);
      return conclude(suspect, CloseReason::none);
    }
    conclude(suspect, CloseReason::dead);
    Guard lock = monitor_.enter();
    for (std::size_t count = 1; Slot* const other = monitor_.work.next_suspect(); ++count) {
      condemn(*other, CloseReason::dead, lock);
      if (count % Types::Table::slots_a_turn == 0) lock.pause();
    }
    monitor_.dispatcher.grow(lock);
    monitor_.dispatcher.end_of_look(lock);
  }

  // It has answered, which says more than that it is new.
  static void note_health(Slot& slot, TimePoint now) noexcept {
    slot.checked_at.store(now, std::memory_order_relaxed);
    slot.end_freshness();
  }

  // Looks at a connection that the sweep holds. Asks what the policy says of the age that it will have soon, so that it
  // is replaced before it is worn. What the policy gives up today goes at once, and that alone may end a generation.
  CloseReason examine(Slot& slot, TimePoint now) noexcept {
    if (slot.trust.load(std::memory_order_relaxed) == Trust::none) return CloseReason::invalidated;
    const ConnectionInfo facts = Ops::info(slot, Moment::sweep, now, options_.check_timeout);
    ConnectionInfo soon = facts;
    soon.age += workforce_.foresight(facts.age);
    const bool worn = ops_.recycle(slot, soon) != Verdict::keep;
    if (worn && !leases_.recycles(slot, facts)) return CloseReason::recycled;
    {
      const Guard lock = monitor_.enter();
      if (worn && !workforce_.replaces_first(slot)) return CloseReason::recycled;
      monitor_.capacity.note_wear(slot, worn);
    }
    if (is_spare(facts)) return CloseReason::surplus;
    if constexpr (!always_keeps<typename Types::Health>) {
      const TimePoint proof =
          std::max(slot.checked_at.load(std::memory_order_relaxed), slot.since.load(std::memory_order_relaxed));
      if (now - proof < options_.keep_alive) return CloseReason::none;
      soon = facts;
      soon.idle = Duration::max();  // no window of trust: the point is to ask
      if (!ops_.healthy(slot, soon)) return CloseReason::dead;
      note_health(slot, now);
    }
    return CloseReason::none;
  }

  // What it found; none where the connection may stay.
  [[gnu::noinline]] void conclude(Slot& slot, CloseReason finding) noexcept {
    Guard lock = monitor_.enter();
    if (finding == CloseReason::none) {
      monitor_.dispatcher.supply(slot, lock);
    } else {
      condemn(slot, finding, lock);
      monitor_.dispatcher.grow(lock);  // whoever counted on it need not wait until it is closed
    }
    monitor_.dispatcher.end_of_look(lock);
  }

  // Closes one that the background has, and counts it unless that was done when it was marked.
  void condemn(Slot& slot, CloseReason why, Guard& lock) noexcept {
    if (!slot.retire) monitor_.metrics.count_removal(why, lock);
    monitor_.capacity.retire(slot, slot.retire ? slot.close_reason : why, lock);
  }

  [[nodiscard]] bool surplus() noexcept {
    const Guard lock = monitor_.enter();
    return monitor_.capacity.staying() > monitor_.capacity.plan().pool_size;
  }

  typename Types::Monitor& monitor_;
  Ops& ops_;
  Jobs<Types>& jobs_;
  Workforce<Types>& workforce_;
  Leaks<Types>& leaks_;
  Leases<Types>& leases_;
  const PoolOptions& options_;
};

}  // namespace lido::detail
