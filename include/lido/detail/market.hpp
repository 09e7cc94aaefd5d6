// Where supply meets demand: which waiter gets which slot. Decides only; opens and closes nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include <lido/detail/demand.hpp>

namespace lido::detail {

// The invariant, true whenever the lock is free: nobody waits but those at work on a connection of their own, or the
// market is suspended or closed, or one waiter has been woken and has yet to look, or else no slot is idle and every
// lent slot is recalled. So no waiter sleeps beside an idle connection, and whoever gives one back comes by here.
template <class Slot, GrowthPolicy Growth, class Platform>
class Market : public Demand<Slot, Growth, Platform> {
  using Base = Demand<Slot, Growth, Platform>;

 public:
  using Base::Base;
  using Base::inline_work;
  using Base::invalidate;
  using Base::retire;
  using Base::wake_watchers;
  using Base::watch;
  using typename Base::Turn;
  using typename Base::Waiter;

  [[nodiscard]] typename Platform::Mutex& mutex() noexcept { return mutex_; }

  // Everything below needs the lock.
  [[nodiscard]] PoolCounts counts() noexcept {
    PoolCounts counts = count_slots(slots_);
    counts.waiting = queue_.size();
    return counts;
  }
  // Without workers: the waiter slept for as long as it keeps time.
  void try_again(const Waiter& waiter, Turn& turn) noexcept {
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    grow(turn);
  }

  // --- demand -----------------------------------------------------------------------------------------------------

  // `unfit`: after a connection that was not fit.
  void line_up(Waiter& waiter, bool unfit, Turn& turn) noexcept {
    unfit ? queue_.put_back(waiter) : queue_.push_back(waiter);
    if (waiter.for_look) ++for_look_;
    watch(waiter, turn);
    // Behind others that are not at work the invariant holds already, and no pass over the slots is due.
    next_in_line() == &waiter ? match(turn) : grow(turn);
    if (waiter.for_look) end_of_look(turn);
  }

  // Whether the background looks at a connection that was idle. Needs no lock.
  [[nodiscard]] bool looks() noexcept { return count_slots(slots_).checking > 0; }
  // A connection has been looked at: whoever waits for that alone goes when it was the last.
  void end_of_look(Turn& turn) noexcept {
    wake_watchers(turn);
    if (for_look_ == 0 || looks()) return;
    for (Waiter* each = queue_.front(); each != nullptr;) {
      Waiter& waiter = *std::exchange(each, each->next);
      if (waiter.for_look) leave(waiter, Fate::abandoned, false, turn);
    }
  }

  // The waiter that was woken looks for a slot, also for those who have come back to their place before it meanwhile.
  // False: it stays where it stood, and every lent slot is recalled.
  bool compete(Waiter& waiter, Turn& turn) noexcept {
    wake_in_flight_ = false;
    waiter.fate.store(Fate::waiting, std::memory_order_relaxed);
    if (suspended_) return false;  // `resume` matches again
    for (;;) {
      Slot* const slot = slots_.claim_idle_or_recall();
      if (slot == nullptr) return false;
      Waiter& head = *next_in_line();
      if (&head == &waiter) {
        assign(waiter, *slot, turn);
        waiter.fate.store(Fate::granted, std::memory_order_relaxed);
        match(turn);  // others may be idle: the next one is woken
        return true;
      }
      assign(head, *slot, turn);
      settle(head, Fate::granted, turn);
    }
  }

  // Lets those go whose time is over. The first of them that waits elsewhere than in the queue is returned instead, and
  // there may be more.
  Waiter* expire(TimePoint now, Turn& turn) noexcept {
    while (deadlines_.first() != nullptr && deadlines_.next() <= now) {
      auto& late = static_cast<Waiter&>(*deadlines_.first());
      if (!late.queued) return &late;
      leave(late, Fate::abandoned, false, turn);
    }
    return nullptr;
  }

  // Takes a waiter out of the queue unless its fate is settled. `by_itself`: it is not told, since it knows.
  bool leave(Waiter& waiter, Fate fate, bool by_itself, Turn& turn) noexcept {
    const Fate before = waiter.fate.load(std::memory_order_relaxed);
    if (before != Fate::waiting && before != Fate::woken && before != Fate::called) return false;
    const bool kept_time = &waiter == timekeeper_;
    dequeue(waiter, turn);
    if (by_itself) {
      waiter.fate.store(fate, std::memory_order_release);
      if (before == Fate::woken) wake_in_flight_ = false;
    } else {
      settle(waiter, fate, turn);
    }
    // A wake that was on its way is passed on, and so are a call to open and the keeping of time.
    if (before != Fate::waiting || kept_time) match(turn);
    return true;
  }

  // --- supply -----------------------------------------------------------------------------------------------------

  // A connection is free: its slot is the caller's, and goes to a waiter, to the idle ones, or to be closed.
  void supply(Slot& slot, Turn& turn) noexcept {
    if (closed_ || slot.retire) return retire(slot, closed_ ? CloseReason::shut_down : slot.close_reason, turn);
    if (!queue_.empty() && !suspended_) return hand(slot, turn);
    if (!plan_.reuse) return retire(slot, CloseReason::not_pooled, turn);
    publish(slot);
  }

  // The caller's slot has no connection any more.
  void vacate(Slot& slot, Turn& turn) noexcept {
    this->empty(slot, turn);
    match(turn);
  }

  // `begun`: when the attempt began.
  void opened(Slot& slot, TimePoint begun, Turn& turn) noexcept {
    turn.drop_later(attempts_.succeeded(std::exchange(slot.hung, false), begun));
    // While the pool is suspended it may lie idle for as long as a server takes to restart.
    slot.trust.store(!queue_.empty() && !suspended_ ? Trust::fresh : Trust::usual, std::memory_order_relaxed);
    supply(slot, turn);
    match(turn);  // whoever opened it looks for another now, if this one is to go already
    wake_watchers(turn);
  }

  // `permanent`: trying again cannot help, so that callers who have nothing else to
  // wait for are told at once.
  void open_failed(Slot& slot, const std::exception_ptr& error, bool permanent, TimePoint begun, Turn& turn) noexcept {
    if (!permanent && attempts_.outdated(slot.hung)) return vacate(slot, turn);
    turn.drop_later(attempts_.backoff().failed(error, permanent, begun));
    this->empty(slot, turn);
    if (permanent && !this->any_live()) {
      while (Waiter* const waiter = queue_.front()) {
        dequeue(*waiter, turn);
        waiter->error = error;
        settle(*waiter, Fate::refused, turn);
      }
    }
    match(turn);
  }

  // Whoever opened it for itself gave up, which tells little about the server.
  void open_given_up(Slot& slot, const std::exception_ptr& error, Turn& turn) noexcept {
    // Nor does it make what fails for good look as if it might pass.
    if (!attempts_.backoff().permanent()) turn.drop_later(attempts_.backoff().note(error));
    vacate(slot, turn);
  }

  // Why a newcomer need not line up: the last attempt to open failed for good just now, and there is nothing else to
  // wait for. Null where there is.
  [[nodiscard]] std::exception_ptr refusal(TimePoint now) noexcept {
    const Backoff& backoff = attempts_.backoff();
    const bool hopeless = backoff.permanent() && now < backoff.until() && !suspended_ && !this->any_live();
    return hopeless ? backoff.cause() : nullptr;
  }

  // --- the match --------------------------------------------------------------------------------------------------

  // Pairs waiters with idle slots while there are both, and opens where there are too few. Everything that raises
  // demand or supply ends here, in `hand` or in `grow`.
  void match(Turn& turn) noexcept {
    while (!closed_ && !suspended_ && !wake_in_flight_ && next_in_line() != nullptr) {
      Slot* const slot = slots_.claim_idle_or_recall();
      if (slot == nullptr) break;
      hand(*slot, turn);
    }
    grow(turn);
  }

  // Asks the growth policy. `extra`: callers that want a connection and do not wait for it.
  void grow(Turn& turn, std::size_t extra = 0) noexcept {
    if (nobody_opens()) {
      retry_ = false;
      return;
    }
    this->begin_opens(queue_.size() + extra, turn);
    if (!inline_work()) return;
    call_openers(turn);
    if (!retry_)
      timekeeper_ = nullptr;  // it may sleep without a limit now, and has to be called for the next
    else if (timekeeper_ == nullptr)
      timekeeper_ = call_one(turn);
  }

  // --- administration ---------------------------------------------------------------------------------------------

  // The slots that `growth` needs must have been added (`slots().grow_to`). What was the policy stands there
  // afterwards.
  void resize(std::unique_ptr<const Growth>& growth, Turn& turn) noexcept {
    growth_.swap(growth);
    plan_ = growth_->plan({});
    if (const std::size_t excess = this->excess(); excess > 0) invalidate(CloseReason::surplus, turn, excess);
    match(turn);
  }

  void suspend() noexcept { suspended_ = true; }
  void resume(Turn& turn) noexcept {
    suspended_ = false;
    match(turn);
  }

  void close(Turn& turn) noexcept {
    closed_ = true;
    retry_ = false;
    while (Waiter* const waiter = queue_.front()) {
      dequeue(*waiter, turn);
      settle(*waiter, Fate::closed, turn);
    }
    this->drop_queued_opens(turn);
    invalidate(CloseReason::shut_down, turn);
    wake_watchers(turn);
  }

 private:
  // Gives the caller's slot to the head of the queue, or publishes it and wakes the head to compete for it. Handing it
  // over keeps the order; publishing it keeps it busy while the head wakes up. At most one wake is in flight. The head
  // is the first who is not at work on a connection of its own, which may hang.
  void hand(Slot& slot, Turn& turn) noexcept {
    Waiter* const first = next_in_line();
    if (first == nullptr)
      return plan_.reuse ? publish(slot) : retire(slot, CloseReason::not_pooled, turn);  // they look when they are done
    Waiter& head = *first;
    const bool at_once = !plan_.reuse || !head.thread || inline_work() || overdue(head);
    if (at_once) {
      const Fate before = head.fate.load(std::memory_order_relaxed);
      const bool kept_time = &head == timekeeper_;
      assign(head, slot, turn);
      settle(head, Fate::granted, turn);
      // No wake is in flight any more, so that the invariant has to be made true again; or nobody follows the call to
      // open, or keeps time any more.
      if (before != Fate::waiting || kept_time) match(turn);
      return;
    }
    publish(slot);
    if (wake_in_flight_) return;  // whoever was woken looks at the slots after this
    wake_in_flight_ = true;
    settle(head, Fate::woken, turn);
  }

  // The caller's slot is the waiter's, who leaves the queue.
  void assign(Waiter& waiter, Slot& slot, Turn& turn) noexcept {
    if (!plan_.reuse) {
      slot.retire = true;
      slot.close_reason = CloseReason::not_pooled;
    }
    dequeue(waiter, turn);
    waiter.slot = &slot;
    // While others wait this slot has to come back by the lock. Relaxed: the notification orders it for the new owner.
    const bool last = queue_.empty() && !slot.retire;
    slot.state.store(last ? SlotState::leased : SlotState::recalled, std::memory_order_relaxed);
  }

  // Release: whoever claims it by compare-exchange sees what was done to the connection.
  static void publish(Slot& slot) noexcept { slot.state.store(SlotState::idle, std::memory_order_release); }

  using Base::call_one;
  using Base::call_openers;
  using Base::dequeue;
  using Base::next_in_line;
  using Base::nobody_opens;
  using Base::overdue;
  using Base::settle;

  using Base::attempts_;
  using Base::closed_;
  using Base::deadlines_;
  using Base::for_look_;
  using Base::growth_;
  using Base::plan_;
  using Base::queue_;
  using Base::retry_;
  using Base::slots_;
  using Base::suspended_;
  using Base::timekeeper_;
  using Base::wake_in_flight_;

  typename Platform::Mutex mutex_;
};

}  // namespace lido::detail
