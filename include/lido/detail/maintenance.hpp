// What goes on behind the callers: the sweep over idle connections, the suspects of an outage, and the workers' life.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include <lido/detail/leases.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Maintenance : public Leases<Connection, Growth, Health, Recycle, Platform> {
  using Base = Leases<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::reads_clock;
  using typename Base::Guard;
  using typename Base::Slot;

  template <class... Args>
  explicit Maintenance(Args&&... args) : Base{std::forward<Args>(args)...} {
    if (this->worker_count_ == 0) return;
    const Guard lock = this->guard();
    monitor_.work.sweep_at(saturating_add(Platform::now(), options_.sweep_interval));
  }

  // One pass over the connections: retires the worn and the surplus, keeps idle ones alive, reports leaks, opens what
  // is missing.
  void sweep() noexcept {
    const TimePoint now = Platform::now();
    const bool look_closer = reads_clock || surplus();
    monitor_.capacity.slots().each([&](Slot& slot) {
      Base::stamp(slot, now);
      if (!look_closer || !claim_for_check(slot)) return;
      const CloseReason finding = examine(slot, Platform::now());
      conclude(slot, finding);
      if (finding == CloseReason::dead) suspect_others();
      // From here on it is leased only when the others do not suffice. Relaxed would do: the exchange passes on what
      // the slot was published with.
      SlotTable<Slot, Platform>::claim(slot, SlotState::idle, SlotState::resting);
    });
    this->report_leaks(now);
    expire();
    Guard lock = this->guard();
    monitor_.dispatcher.match(lock);
  }

  // Lets the callbacks go whose time is over, those too that wait for a worker which may be held up.
  void expire() noexcept {
    for (;;) {
      Waiter<Slot>* late = nullptr;
      {
        Guard lock = this->guard();
        late = monitor_.dispatcher.expire(Platform::now(), lock);
        if (late != nullptr) take_back(*late);
      }
      if (late == nullptr) return;
      late->notify(*late);  // as a worker does; it finds that it is too late
    }
  }

 protected:
  using Base::metrics_;
  using Base::monitor_;
  using Base::options_;

  // A connection was found dead, and others of its generation may be: they are looked at before they are leased, so
  // that an outage costs its callers one failed check, and not one a connection.
  void suspect_others() noexcept {
    Guard lock = this->guard();
    monitor_.capacity.suspect_outage();
    // Without workers nobody would check them meanwhile: they are closed, and opened anew on demand.
    if (monitor_.capacity.inline_work()) return monitor_.capacity.distrust_idle();
    monitor_.capacity.slots().each([&](Slot& slot) {
      if (claim_for_check(slot)) monitor_.work.check_suspect(slot);
    });
    monitor_.work.wake_worker(lock);
  }

  // Needs the lock. Has a caller's connection checked by a worker. False for `take_back`: one is at it, or it was.
  void ask(Waiter<Slot>& caller, bool has_timeout, Guard& lock) noexcept {
    monitor_.work.check_for(caller, lock);
    if (has_timeout) monitor_.waiters.watch(caller, lock);
  }
  bool take_back(Waiter<Slot>& caller) noexcept {
    if (!monitor_.work.take_back(caller)) return false;
    monitor_.waiters.unwatch(caller);
    return true;
  }

  // The life of a worker.
  void work(Sleeper<Platform>& self) noexcept {
    for (typename WorkQueue<Slot, Platform>::Work next;;) {
      {
        Guard lock = this->guard();
        const TimePoint now = Platform::now();
        if (monitor_.capacity.retry_at() <= now) monitor_.dispatcher.grow(lock);
        next = monitor_.work.next(now, next.task);
        if (next.task == Task::end) return;
        if (next.task == Task::check_for_caller) monitor_.waiters.unwatch(*next.caller);
        if (next.task != Task::rest) {
          monitor_.capacity.keep_watch(lock);
        } else {
          self.due = std::min(monitor_.work.next_sweep(saturating_add(now, options_.sweep_interval)),
                              monitor_.capacity.retry_at());
          monitor_.work.workers().push(self);
        }
      }
      switch (next.task) {
        case Task::check_for_caller:
          next.caller->notify(*next.caller);
          break;
        case Task::put_in_order:
          finish_release(*next.slot);
          break;
        case Task::check_suspect:
          check(*next.slot);
          break;
        case Task::open:
          this->open(*next.slot, {});
          break;
        case Task::close:
          this->close(*next.slot, {});
          break;
        case Task::sweep:
          sweep_in_turn();
          break;
        default:
          this->rest(self, monitor_.work.workers(), self.due);
      }
    }
  }

  // Leaves a connection that comes back to a worker, since the recycle policy may block; the lease is over. False where
  // no worker will come.
  bool leave_to_worker(Slot& slot) noexcept {
    const Reference keep{*this};
    std::optional<LeakReport> leak;
    {
      Guard lock = this->guard();
      if (monitor_.work.stopping() || monitor_.capacity.inline_work()) return false;
      leak = this->end_of_leak(slot);
      monitor_.work.put_in_order(slot, lock);
    }
    if (leak) this->report(*leak);
    return true;
  }

 private:
  void sweep_in_turn() noexcept {
    sweep();
    const Guard lock = this->guard();
    monitor_.work.sweep_at(saturating_add(Platform::now(), options_.sweep_interval));
  }

  // Its deadline begins now, all else is as it was when the holder let go.
  void finish_release(Slot& slot) noexcept {
    const TimePoint deadline = saturating_add(Platform::now(), options_.reset_timeout);
    const bool keep = this->recycles(slot, slot.info(Moment::release, slot.returned_at, deadline));
    if (!this->signals_.release.empty()) this->tell(this->signals_.release, slot, Moment::release, slot.returned_at);
    slot.since.store(slot.returned_at, std::memory_order_release);  // see `Slot::begin_lease`
    this->give_back(slot, keep ? CloseReason::none : CloseReason::recycled);
  }

  static bool claim_for_check(Slot& slot) noexcept {
    return SlotTable<Slot, Platform>::claim_free(slot, SlotState::checking);
  }

  // Lets a suspect back if it answers. If it does not, that is evidence enough against the others.
  void check(Slot& suspect) noexcept {
    const TimePoint now = Platform::now();
    ConnectionInfo facts = this->info(suspect, Moment::sweep, now, options_.check_timeout);
    facts.idle = Duration::max();  // no window of trust
    if (this->healthy(suspect, facts)) {
      suspect.checked_at.store(now, std::memory_order_relaxed);
      return conclude(suspect, CloseReason::none);
    }
    conclude(suspect, CloseReason::dead);
    Guard lock = this->guard();
    while (Slot* const other = monitor_.work.next_suspect()) {
      if (!other->retire) metrics_.count_removal(CloseReason::dead, lock);
      monitor_.capacity.retire(*other, other->retire ? other->close_reason : CloseReason::dead, lock);
    }
    monitor_.dispatcher.grow(lock);
    monitor_.dispatcher.end_of_look(lock);
  }

  // Looks at a connection that the sweep holds. Asks how old it will be soon, so that it is replaced before it is worn:
  // two sweeps, one to be looked at in and one to open the other, but never more than a sixteenth of its life.
  CloseReason examine(Slot& slot, TimePoint now) noexcept {
    if (slot.trust.load(std::memory_order_relaxed) == Trust::none) return CloseReason::invalidated;
    const ConnectionInfo facts = this->info(slot, Moment::sweep, now, options_.check_timeout);
    ConnectionInfo soon = facts;
    if (!monitor_.capacity.inline_work()) soon.age += 2 * std::min(options_.sweep_interval, facts.age / 32);
    const bool worn = !this->recycles(slot, soon);
    {
      const Guard lock = this->guard();
      if (worn && !monitor_.capacity.can_replace_first(slot)) return CloseReason::recycled;
      slot.expiring = worn;
      if (facts.idle >= monitor_.capacity.plan().idle_timeout && monitor_.waiters.queue().empty() &&
          monitor_.capacity.can_spare_one())
        return CloseReason::surplus;
    }
    if constexpr (!always_keeps<Health>) {
      const TimePoint proof =
          std::max(slot.checked_at.load(std::memory_order_relaxed), slot.since.load(std::memory_order_relaxed));
      if (now - proof < options_.keep_alive) return CloseReason::none;
      soon = facts;
      soon.idle = Duration::max();  // no window of trust: the point is to ask
      if (!this->healthy(slot, soon)) return CloseReason::dead;
      slot.checked_at.store(now, std::memory_order_relaxed);
    }
    return CloseReason::none;
  }

  // What it found; none where the connection may stay.
  void conclude(Slot& slot, CloseReason finding) noexcept {
    slot.trust.store(Trust::usual, std::memory_order_relaxed);
    Guard lock = this->guard();
    if (finding == CloseReason::none) {
      monitor_.dispatcher.supply(slot, lock);
    } else {
      if (!slot.retire) metrics_.count_removal(finding, lock);
      monitor_.capacity.retire(slot, slot.retire ? slot.close_reason : finding, lock);
      monitor_.dispatcher.grow(lock);  // whoever counted on it need not wait until it is closed
    }
    monitor_.dispatcher.end_of_look(lock);
  }

  [[nodiscard]] bool surplus() noexcept {
    const Guard lock = this->guard();
    return monitor_.capacity.staying() > monitor_.capacity.plan().pool_size;
  }
};

}  // namespace lido::detail
