// Which waiter gets which slot. Decides only; opens and closes nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include <lido/detail/capacity.hpp>
#include <lido/detail/destination.hpp>
#include <lido/detail/foresight.hpp>
#include <lido/detail/openers.hpp>
#include <lido/detail/shedding.hpp>

namespace lido::detail {

// The invariant, true whenever the lock is free: nobody waits but those at work on a connection of their own, or the
// pool is suspended or closed, or one waiter has been woken and has yet to look, or else no slot is idle and
// every leased slot is recalled. So no waiter sleeps beside an idle connection, and whoever gives one back comes by
// here. Where there are shares "nobody" and "no waiter" are those who may have one more.
//
// While the woken one has yet to look no slot is idle, resting or leased either: what is free is offered, and who takes
// it before the head of the queue has waited its limit is barging. Nobody takes it after that
// (`SlotTable::claim_idle`), so nobody who comes then overtakes, however long the thread that was woken takes to run.
template <class Slot, GrowthPolicy Growth, class Platform>
class Dispatcher {
 public:
  using Capacity = detail::Capacity<Slot, Growth, Platform>;
  using WaitList = detail::WaitList<Slot, Platform>;
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  static constexpr std::size_t waiters_a_turn = WaitList::waiters_a_turn;
  // And of those who are late: to take the earliest deadline of many out of a heap is to touch some that nobody has
  // looked at for long.
  static constexpr std::size_t late_a_turn = 16;

  // `by_callers`: there are no workers.
  Dispatcher(Capacity& capacity, WaitList& waiters, Duration max_standing_wait, bool refuse_hopeless,
             bool by_callers) noexcept
      : capacity_{capacity},
        waiters_{waiters},
        shedding_{capacity, waiters, max_standing_wait},
        foresight_{capacity, waiters, refuse_hopeless},
        openers_{waiters, by_callers} {}

  // May give up the lock meanwhile.
  [[nodiscard]] PoolCounts counts(Guard& guard) noexcept {
    PoolCounts counts = capacity_.slots().exact_counts(guard);
    counts.waiting = waiters_.queue().size();
    return counts;
  }
  // Without workers: until when this waiter may sleep before it has to look at the back-off.
  [[nodiscard]] TimePoint keeps_time_until(const Waiter& waiter) const noexcept {
    return waiters_.keeps_time(waiter) ? capacity_.retry_at() : TimePoint::max();
  }
  // Without workers: the waiter slept for as long as it keeps time.
  void try_again(const Waiter& waiter, Guard& guard) noexcept {
    if (waiters_.keeps_time(waiter)) waiters_.dismiss_timekeeper();
    grow(guard);
  }
  // Without workers: a thread that does not wait for a connection does what is queued until `end_help`.
  void begin_help() noexcept { waiters_.begin_help(); }
  void end_help(Guard& guard) noexcept {
    waiters_.end_help();
    if (openers_.nobody()) capacity_.drop_queued_opens(guard);
  }

  // --- waiters ----------------------------------------------------------------------------------------------------

  // `unfit`: after a connection that was not fit.
  void line_up(Waiter& waiter, bool unfit, Guard& guard) noexcept {
    waiters_.add(waiter, unfit, guard);
    if (!unfit) foresight_.joined(waiter);
    const bool passed_on = shedding_.watched() && shedding_.joined(guard, leaves(guard));
    // Behind others that are not at work the invariant holds already, and no pass over the slots is due.
    // But one who was woken and has waited its limit need not come for what is offered to it.
    const Waiter* const head = waiters_.next_in_line();
    const bool is_due = head == &waiter || (head != nullptr && waiters_.wake_in_flight() && waiters_.overdue(*head));
    passed_on || is_due ? match(guard) : grow(guard);
    if (waiter.for_look) end_of_look(guard);
  }

  // When it is the turn of one who would line up now.
  [[nodiscard]] Foresight<Slot, Growth, Platform>& foresight() noexcept { return foresight_; }

  // Whether the background looks at a connection that was idle. Needs no lock.
  [[nodiscard]] bool looks() noexcept { return capacity_.slots().any_checking(); }
  // A connection has been looked at: whoever waits for that alone goes when it was the last.
  [[gnu::noinline]] void end_of_look(Guard& guard) noexcept {
    capacity_.wake_watchers(guard);
    if (!waiters_.any_for_look() || looks()) return;
    for (Waiter* each = waiters_.queue().front(); each != nullptr;) {
      Waiter& waiter = *std::exchange(each, each->next);
      if (waiter.for_look) leave(waiter, WaitState::abandoned, false, guard);
    }
  }

  // The waiter that was woken looks for a slot, also for those who have come back to their place before it meanwhile.
  // False: it stays where it stood, and every leased slot is recalled, or what is idle is guaranteed to others.
  bool compete(Waiter& waiter, Guard& guard) noexcept {
    waiters_.arrived(waiter);
    if (capacity_.suspended()) return false;  // `resume` matches again
    for (;;) {
      Slot* const slot = capacity_.slots().claim_idle_or_recall();
      if (slot == nullptr) return false;
      Waiter* const next = waiters_.next_in_line();
      if (next == nullptr) {  // there are shares since it was woken, and what is left is guaranteed to others
        publish(*slot, SlotState::idle);
        mark_idle();
        return false;
      }
      Waiter& head = *next;
      if (&head == &waiter) {
        assign(waiter, *slot, guard);
        waiter.state.store(WaitState::granted, std::memory_order_relaxed);
        match(guard);  // others may be idle: the next one is woken
        return true;
      }
      grant(head, *slot, guard);
    }
  }

  // The caller's slot is this waiter's. What it was woken or called for has to be passed on, by a match.
  void grant(Waiter& waiter, Slot& slot, Guard& guard) noexcept {
    assign(waiter, slot, guard);
    waiters_.complete(waiter, WaitState::granted, guard);
  }

  // Lets those go whose time is over. The first of them that waits elsewhere than in the queue is returned instead, and
  // there may be more.
  Waiter* expire(TimePoint now, Guard& guard) noexcept {
    for (std::size_t count = 1; Waiter* const late = waiters_.late(now); ++count) {
      if (!late->queued) return late;
      leave(*late, WaitState::abandoned, false, guard);
      if (count % late_a_turn == 0) guard.pause();
    }
    return nullptr;
  }

  // Takes a waiter out of the queue unless its wait is complete. `by_itself`: it is not told, since it knows.
  [[gnu::noinline]] bool leave(Waiter& waiter, WaitState state, bool by_itself, Guard& guard) noexcept {
    const WaitState before = waiter.state.load(std::memory_order_relaxed);
    if (before != WaitState::waiting && before != WaitState::woken && before != WaitState::called) return false;
    const bool kept_time = waiters_.keeps_time(waiter);
    dequeue(waiter, guard, state == WaitState::abandoned);
    by_itself ? waiters_.complete_untold(waiter, state) : waiters_.complete(waiter, state, guard);
    // A wake that was on its way is passed on, and so are a call to open and the keeping of time.
    if (before != WaitState::waiting || kept_time) match(guard);
    return true;
  }

  // Takes one out of the queue whose wait is complete.
  void end_wait(Waiter& waiter, WaitState state, Guard& guard) noexcept {
    dequeue(waiter, guard);
    waiters_.complete(waiter, state, guard);
  }

  // Nobody is served from now on: a queue that stood stands no more, and nobody knows when a turn comes.
  void rest() noexcept {
    shedding_.clear();
    foresight_.clear();
  }

  // --- supply -----------------------------------------------------------------------------------------------------

  // A connection is free: its slot is the caller's, and goes to a waiter, to the idle ones, or to be closed.
  void supply(Slot& slot, Guard& guard) noexcept {
    capacity_.verify_owner(slot);
    const bool awaited = !capacity_.closed() && !slot.retire && !capacity_.suspended() && !waiters_.queue().empty();
    // Whom it was the turn of may have been woken, or had to open: then it is matched again.
    const bool passed_on = awaited && shedding_.watched() && shedding_.shed(Platform::now(), guard, leaves(guard));
    place(slot, guard);
    if (passed_on) match(guard);
  }

  // The caller's slot has no connection any more.
  void vacate(Slot& slot, Guard& guard) noexcept {
    capacity_.empty(slot, guard);
    match(guard);
  }

  // --- the match --------------------------------------------------------------------------------------------------

  // Pairs waiters with idle slots while there are both, and opens where there are too few. Everything that raises
  // demand or supply ends here, in `supply` or in `grow`.
  void match(Guard& guard) noexcept {
    while (!capacity_.closed() && !capacity_.suspended() && waiters_.next_in_line() != nullptr) {
      if (waiters_.wake_in_flight() && !waiters_.overdue(*waiters_.next_in_line())) break;  // whoever was woken looks
      Slot* const slot = capacity_.slots().claim_idle_or_recall();
      if (slot == nullptr) break;
      supply(*slot, guard);
    }
    mark_idle();
    grow(guard);
  }

  // Asks the growth policy. `extra`: callers that want a connection and do not wait for it.
  void grow(Guard& guard, std::size_t extra = 0) noexcept {
    if (openers_.nobody()) return capacity_.end_retries();
    capacity_.begin_opens(waiters_.servable() + extra, openers_.most(), guard);
    openers_.call(capacity_.queued_opens(), capacity_.retries(), guard);
  }

 private:
  void place(Slot& slot, Guard& guard) noexcept {
    // The first who is not at work on a connection of its own, which may hang.
    Waiter* const head = capacity_.suspended() ? nullptr : waiters_.next_in_line();
    // Among shares it is handed over, as their order is not that in which they are quick.
    const bool competes = head != nullptr && !waiters_.shares().any() && openers_.competes(*head);
    switch (destination_of({.unwanted = capacity_.closed() || slot.retire,
                            .reuse = capacity_.plan().reuse,
                            .awaited = head != nullptr,
                            .competes = competes,
                            .overdue = competes && waiters_.overdue(*head),
                            .wake_in_flight = waiters_.wake_in_flight(),
                            .plenty = capacity_.slots().many()})) {
      case Destination::close:
        return capacity_.retire(slot, reason_to_close(slot), guard);
      case Destination::idle:
        return publish(slot, SlotState::idle);
      case Destination::head:
        return hand_over(*head, slot, guard);
      case Destination::offered:
        return offer(*head, slot);
      case Destination::offered_to_head:
      default:
        offer(*head, slot);
        return waiters_.wake(*head, guard);
    }
  }

  [[nodiscard]] CloseReason reason_to_close(const Slot& slot) const noexcept {
    return capacity_.closed() ? CloseReason::shut_down : slot.retire ? slot.close_reason : CloseReason::not_pooled;
  }

  void hand_over(Waiter& head, Slot& slot, Guard& guard) noexcept {
    const WaitState before = head.state.load(std::memory_order_relaxed);
    const bool kept_time = waiters_.keeps_time(head);
    grant(head, slot, guard);
    // No wake is in flight any more, so that the invariant has to be made true again; or nobody follows the call to
    // open, or keeps time any more.
    if (before != WaitState::waiting || kept_time) match(guard);
  }
  void offer(const Waiter& head, Slot& slot) noexcept {
    capacity_.slots().limit_barging(waiters_.limit_of(head));
    publish(slot, SlotState::offered);
  }

  // The caller's slot is the waiter's, who leaves the queue.
  [[gnu::noinline]] void assign(Waiter& waiter, Slot& slot, Guard& guard) noexcept {
    if (!capacity_.plan().reuse) capacity_.slots().mark(slot, CloseReason::not_pooled);
    dequeue(waiter, guard);
    shedding_.served(waiter);
    waiter.slot = &slot;
    const bool shared = waiters_.shares().any();
    if (shared) waiters_.shares().lease(slot, waiter.share);
    // While others wait this slot has to come back by the lock.
    const bool last = waiters_.queue().empty() && !slot.retire && !shared;
    capacity_.slots().put(slot, last ? SlotState::leased : SlotState::recalled);
  }

  void publish(Slot& slot, SlotState free) noexcept { capacity_.slots().put(slot, free); }

  // Makes the second half of the invariant true: after `match` has paired what it could, since a wake may have begun or
  // ended. Where somebody waits and none is in flight all that are leased are recalled already.
  void mark_idle() noexcept {
    if (capacity_.closed() || capacity_.suspended()) return;  // nobody acquires
    Waiter* const next = waiters_.next_in_line();
    if (next == nullptr && !waiters_.wake_in_flight()) capacity_.slots().end_offer();
    if (next != nullptr && waiters_.wake_in_flight()) capacity_.slots().offer(waiters_.limit_of(*next));
  }

  // For one that is refused.
  [[nodiscard]] auto leaves(Guard& guard) noexcept {
    return [this, &guard](Waiter& waiter) { dequeue(waiter, guard); };
  }
  // `late`: its own time is over.
  [[gnu::noinline]] void dequeue(Waiter& waiter, Guard& guard, bool late = false) noexcept {
    foresight_.leaves(waiter);
    waiters_.remove(waiter);
    if (!late) foresight_.left();
    if (waiters_.queue().empty()) rest();
    if (openers_.nobody()) capacity_.drop_queued_opens(guard);
  }

  Capacity& capacity_;
  WaitList& waiters_;
  Shedding<Slot, Growth, Platform> shedding_;
  Foresight<Slot, Growth, Platform> foresight_;
  Openers<Slot, Platform> openers_;
};

}  // namespace lido::detail
