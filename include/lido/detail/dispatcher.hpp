// Which waiter gets which slot. Decides only; opens and closes nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// The invariant, true whenever the lock is free: nobody waits but those at work on a connection of their own, or the
// dispatcher is suspended or closed, or one waiter has been woken and has yet to look, or else no slot is idle and
// every leased slot is recalled. So no waiter sleeps beside an idle connection, and whoever gives one back comes by
// here.
template <class Slot, GrowthPolicy Growth, class Platform>
class Dispatcher : public WaitList<Slot, Growth, Platform> {
  using Base = WaitList<Slot, Growth, Platform>;

 public:
  using Base::Base;
  using Base::inline_work;
  using Base::invalidate;
  using Base::retire;
  using Base::wake_watchers;
  using Base::watch;
  using typename Base::Guard;
  using typename Base::Waiter;

  [[nodiscard]] typename Platform::Mutex& mutex() noexcept { return mutex_; }

  // Everything below needs the lock.
  [[nodiscard]] PoolCounts counts() noexcept {
    PoolCounts counts = count_slots(slots_);
    counts.waiting = queue_.size();
    return counts;
  }
  // Without workers: the waiter slept for as long as it keeps time.
  void try_again(const Waiter& waiter, Guard& guard) noexcept {
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    grow(guard);
  }

  // --- waiters ----------------------------------------------------------------------------------------------------

  // `unfit`: after a connection that was not fit.
  void line_up(Waiter& waiter, bool unfit, Guard& guard) noexcept {
    unfit ? queue_.put_back(waiter) : queue_.push_back(waiter);
    if (waiter.for_look) ++for_look_;
    watch(waiter, guard);
    // Behind others that are not at work the invariant holds already, and no pass over the slots is due.
    next_in_line() == &waiter ? match(guard) : grow(guard);
    if (waiter.for_look) end_of_look(guard);
  }

  // Whether the background looks at a connection that was idle. Needs no lock.
  [[nodiscard]] bool looks() noexcept { return count_slots(slots_).checking > 0; }
  // A connection has been looked at: whoever waits for that alone goes when it was the last.
  void end_of_look(Guard& guard) noexcept {
    wake_watchers(guard);
    if (for_look_ == 0 || looks()) return;
    for (Waiter* each = queue_.front(); each != nullptr;) {
      Waiter& waiter = *std::exchange(each, each->next);
      if (waiter.for_look) leave(waiter, WaitState::abandoned, false, guard);
    }
  }

  // The waiter that was woken looks for a slot, also for those who have come back to their place before it meanwhile.
  // False: it stays where it stood, and every leased slot is recalled.
  bool compete(Waiter& waiter, Guard& guard) noexcept {
    wake_in_flight_ = false;
    waiter.state.store(WaitState::waiting, std::memory_order_relaxed);
    if (suspended_) return false;  // `resume` matches again
    for (;;) {
      Slot* const slot = slots_.claim_idle_or_recall();
      if (slot == nullptr) return false;
      Waiter& head = *next_in_line();
      if (&head == &waiter) {
        assign(waiter, *slot, guard);
        waiter.state.store(WaitState::granted, std::memory_order_relaxed);
        match(guard);  // others may be idle: the next one is woken
        return true;
      }
      assign(head, *slot, guard);
      complete(head, WaitState::granted, guard);
    }
  }

  // Lets those go whose time is over. The first of them that waits elsewhere than in the queue is returned instead, and
  // there may be more.
  Waiter* expire(TimePoint now, Guard& guard) noexcept {
    while (deadlines_.first() != nullptr && deadlines_.next() <= now) {
      auto& late = static_cast<Waiter&>(*deadlines_.first());
      if (!late.queued) return &late;
      leave(late, WaitState::abandoned, false, guard);
    }
    return nullptr;
  }

  // Takes a waiter out of the queue unless its wait is complete. `by_itself`: it is not told, since it knows.
  bool leave(Waiter& waiter, WaitState state, bool by_itself, Guard& guard) noexcept {
    const WaitState before = waiter.state.load(std::memory_order_relaxed);
    if (before != WaitState::waiting && before != WaitState::woken && before != WaitState::called) return false;
    const bool kept_time = &waiter == timekeeper_;
    dequeue(waiter, guard);
    if (by_itself) {
      waiter.state.store(state, std::memory_order_release);
      if (before == WaitState::woken) wake_in_flight_ = false;
    } else {
      complete(waiter, state, guard);
    }
    // A wake that was on its way is passed on, and so are a call to open and the keeping of time.
    if (before != WaitState::waiting || kept_time) match(guard);
    return true;
  }

  // --- supply -----------------------------------------------------------------------------------------------------

  // A connection is free: its slot is the caller's, and goes to a waiter, to the idle ones, or to be closed.
  void supply(Slot& slot, Guard& guard) noexcept {
    if (closed_ || slot.retire) return retire(slot, closed_ ? CloseReason::shut_down : slot.close_reason, guard);
    if (!queue_.empty() && !suspended_) return hand_off(slot, guard);
    if (!plan_.reuse) return retire(slot, CloseReason::not_pooled, guard);
    publish(slot);
  }

  // The caller's slot has no connection any more.
  void vacate(Slot& slot, Guard& guard) noexcept {
    this->empty(slot, guard);
    match(guard);
  }

  // `begun`: when the attempt began.
  void opened(Slot& slot, TimePoint begun, Guard& guard) noexcept {
    guard.drop_later(limiter_.succeeded(std::exchange(slot.stalled, false), begun));
    // While the pool is suspended it may lie idle for as long as a server takes to restart.
    slot.trust.store(!queue_.empty() && !suspended_ ? Trust::fresh : Trust::usual, std::memory_order_relaxed);
    supply(slot, guard);
    match(guard);  // whoever opened it looks for another now, if this one is to go already
    wake_watchers(guard);
  }

  // `permanent`: trying again cannot help, so that callers who have nothing else to
  // wait for are told at once.
  void open_failed(Slot& slot, const std::exception_ptr& error, bool permanent, TimePoint begun,
                   Guard& guard) noexcept {
    if (!permanent && limiter_.outdated(slot.stalled)) return vacate(slot, guard);
    guard.drop_later(limiter_.backoff().failed(error, permanent, begun));
    this->empty(slot, guard);
    if (permanent && !this->any_live()) {
      while (Waiter* const waiter = queue_.front()) {
        dequeue(*waiter, guard);
        waiter->error = error;
        complete(*waiter, WaitState::refused, guard);
      }
    }
    match(guard);
  }

  // Whoever opened it for itself gave up, which tells little about the server.
  void open_given_up(Slot& slot, const std::exception_ptr& error, Guard& guard) noexcept {
    // Nor does it make what fails for good look as if it might pass.
    if (!limiter_.backoff().permanent()) guard.drop_later(limiter_.backoff().note(error));
    vacate(slot, guard);
  }

  // Why a newcomer need not line up: the last attempt to open failed for good just now, and there is nothing else to
  // wait for. Null where there is.
  [[nodiscard]] std::exception_ptr refusal(TimePoint now) noexcept {
    const Backoff& backoff = limiter_.backoff();
    const bool hopeless = backoff.permanent() && now < backoff.until() && !suspended_ && !this->any_live();
    return hopeless ? backoff.cause() : nullptr;
  }

  // --- the match --------------------------------------------------------------------------------------------------

  // Pairs waiters with idle slots while there are both, and opens where there are too few. Everything that raises
  // demand or supply ends here, in `hand_off` or in `grow`.
  void match(Guard& guard) noexcept {
    while (!closed_ && !suspended_ && !wake_in_flight_ && next_in_line() != nullptr) {
      Slot* const slot = slots_.claim_idle_or_recall();
      if (slot == nullptr) break;
      hand_off(*slot, guard);
    }
    grow(guard);
  }

  // Asks the growth policy. `extra`: callers that want a connection and do not wait for it.
  void grow(Guard& guard, std::size_t extra = 0) noexcept {
    if (nobody_opens()) {
      retry_ = false;
      return;
    }
    this->begin_opens(queue_.size() + extra, guard);
    if (!inline_work()) return;
    call_openers(guard);
    if (!retry_)
      timekeeper_ = nullptr;  // it may sleep without a limit now, and has to be called for the next
    else if (timekeeper_ == nullptr)
      timekeeper_ = call_one(guard);
  }

  // --- administration ---------------------------------------------------------------------------------------------

  // The slots that `growth` needs must have been added (`slots().grow_to`). What was the policy stands there
  // afterwards.
  void resize(std::unique_ptr<const Growth>& growth, Guard& guard) noexcept {
    growth_.swap(growth);
    plan_ = growth_->plan({});
    if (const std::size_t excess = this->excess(); excess > 0) invalidate(CloseReason::surplus, guard, excess);
    match(guard);
  }

  void suspend() noexcept { suspended_ = true; }
  void resume(Guard& guard) noexcept {
    suspended_ = false;
    match(guard);
  }

  void close(Guard& guard) noexcept {
    closed_ = true;
    retry_ = false;
    while (Waiter* const waiter = queue_.front()) {
      dequeue(*waiter, guard);
      complete(*waiter, WaitState::closed, guard);
    }
    this->drop_queued_opens(guard);
    invalidate(CloseReason::shut_down, guard);
    wake_watchers(guard);
  }

 private:
  // Gives the caller's slot to the head of the queue, or publishes it and wakes the head to compete for it. Handing it
  // over keeps the order; publishing it keeps it busy while the head wakes up. At most one wake is in flight. The head
  // is the first who is not at work on a connection of its own, which may hang.
  void hand_off(Slot& slot, Guard& guard) noexcept {
    Waiter* const first = next_in_line();
    if (first == nullptr)
      return plan_.reuse ? publish(slot)
                         : retire(slot, CloseReason::not_pooled, guard);  // they look when they are done
    Waiter& head = *first;
    const bool at_once = !plan_.reuse || !head.thread || inline_work() || overdue(head);
    if (at_once) {
      const WaitState before = head.state.load(std::memory_order_relaxed);
      const bool kept_time = &head == timekeeper_;
      assign(head, slot, guard);
      complete(head, WaitState::granted, guard);
      // No wake is in flight any more, so that the invariant has to be made true again; or nobody follows the call to
      // open, or keeps time any more.
      if (before != WaitState::waiting || kept_time) match(guard);
      return;
    }
    publish(slot);
    if (wake_in_flight_) return;  // whoever was woken looks at the slots after this
    wake_in_flight_ = true;
    complete(head, WaitState::woken, guard);
  }

  // The caller's slot is the waiter's, who leaves the queue.
  void assign(Waiter& waiter, Slot& slot, Guard& guard) noexcept {
    if (!plan_.reuse) {
      slot.retire = true;
      slot.close_reason = CloseReason::not_pooled;
    }
    dequeue(waiter, guard);
    waiter.slot = &slot;
    // While others wait this slot has to come back by the lock. Relaxed: the notification orders it for the new owner.
    const bool last = queue_.empty() && !slot.retire;
    slot.state.store(last ? SlotState::leased : SlotState::recalled, std::memory_order_relaxed);
  }

  // Release: whoever claims it by compare-exchange sees what was done to the connection.
  static void publish(Slot& slot) noexcept { slot.state.store(SlotState::idle, std::memory_order_release); }

  using Base::call_one;
  using Base::call_openers;
  using Base::complete;
  using Base::dequeue;
  using Base::next_in_line;
  using Base::nobody_opens;
  using Base::overdue;

  using Base::closed_;
  using Base::deadlines_;
  using Base::for_look_;
  using Base::growth_;
  using Base::limiter_;
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
