// Where supply meets demand: which waiter gets which slot. Decides only; opens and closes nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <utility>

#include <lido/detail/stock.hpp>
#include <lido/detail/wait_queue.hpp>

namespace lido::detail {

// The invariant, true whenever the lock is free: nobody waits, or the market is suspended or closed, or one waiter has
// been woken and has yet to look, or else no slot is idle and every lent slot is recalled. So no waiter sleeps beside
// an idle connection, and whoever gives one back comes by here.
template <class Slot, GrowthPolicy Growth, class Platform>
class Market : public Stock<Slot, Growth, Platform> {
  using Base = Stock<Slot, Growth, Platform>;

 public:
  using typename Base::Turn;
  using Waiter = detail::Waiter<Slot>;
  using Base::Base;
  using Base::inline_work;
  using Base::invalidate;
  using Base::retire;
  using Base::retry_at;
  using Base::wake_watchers;

  [[nodiscard]] typename Platform::Mutex& mutex() noexcept { return mutex_; }

  // Everything below needs the lock.
  [[nodiscard]] const WaitQueue<Slot>& queue() const noexcept { return queue_; }
  [[nodiscard]] PoolCounts counts() noexcept {
    PoolCounts counts = count_slots(slots_);
    counts.waiting = queue_.size();
    return counts;
  }
  // Without workers: until when this waiter may sleep before it has to look at the back-off.
  [[nodiscard]] TimePoint keeps_time_until(const Waiter& waiter) const noexcept {
    return timekeeper_ == &waiter ? retry_at() : TimePoint::max();
  }
  // Without workers: the waiter slept until then.
  void try_again(const Waiter& waiter, Turn& turn) noexcept {
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    grow(turn);
  }

  // --- demand -----------------------------------------------------------------------------------------------------

  void line_up(Waiter& waiter, bool in_front, Turn& turn) noexcept {
    const bool first = queue_.empty();
    in_front ? queue_.push_front(waiter) : queue_.push_back(waiter);
    watch(waiter, turn);
    // Behind others the invariant holds already, and no pass over the slots is due.
    first ? match(turn) : grow(turn);
  }

  // The waiter that was woken looks for a slot. False: it stays where it stood, and every lent slot is recalled.
  bool compete(Waiter& waiter, Turn& turn) noexcept {
    wake_in_flight_ = false;
    waiter.fate.store(Fate::waiting, std::memory_order_relaxed);
    if (suspended_) return false;  // `resume` matches again
    Slot* const slot = slots_.claim_idle_or_recall();
    if (slot == nullptr) return false;
    dequeue(waiter, turn);
    take(waiter, *slot);
    waiter.fate.store(Fate::granted, std::memory_order_relaxed);
    match(turn);  // others may be idle: the next one is woken
    return true;
  }

  // Has an eye on the deadline of one that is not a thread, until it is dequeued or `unwatch`.
  void watch(Waiter& waiter, Turn& turn) noexcept {
    if (waiter.at == TimePoint::max()) return;
    deadlines_.add(waiter);
    if (waiter.at < alarm_due_)
      if (Sleeper<Platform>* const alarm = alarm_.pop()) turn.wake_later(*alarm);
  }
  void unwatch(Waiter& waiter) noexcept { deadlines_.remove(waiter); }
  // Lets those go whose time is over. The first of them that waits elsewhere than in the queue is returned instead, and
  // there may be more.
  Waiter* expire(TimePoint now, Turn& turn) noexcept {
    while (deadlines_.first() != nullptr && deadlines_.next() <= now) {
      Waiter& late = static_cast<Waiter&>(*deadlines_.first());
      if (!late.queued) return &late;
      leave(late, Fate::abandoned, false, turn);
    }
    return nullptr;
  }
  // Whoever calls `expire` rests until then, or until an earlier deadline comes.
  TimePoint set_alarm(Sleeper<Platform>& sleeper) noexcept {
    alarm_.push(sleeper);
    return alarm_due_ = deadlines_.next();
  }
  [[nodiscard]] Sleepers<Platform>& alarm() noexcept { return alarm_; }

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
    if (closed_ || slot.retire) return retire(slot, turn);
    if (!queue_.empty() && !suspended_) return hand(slot, turn);
    if (!plan_.reuse) return retire(slot, turn);
    publish(slot);
  }

  // The caller's slot has no connection any more.
  void vacate(Slot& slot, Turn& turn) noexcept {
    this->empty(slot, turn);
    match(turn);
  }

  void opened(Slot& slot, Turn& turn) noexcept {
    --opening_;
    turn.drop_later(backoff_.succeeded());
    // While the pool is suspended it may lie idle for as long as a server takes to restart.
    slot.fresh.store(!queue_.empty() && !suspended_, std::memory_order_relaxed);
    supply(slot, turn);
    grow(turn);
    wake_watchers(turn);
  }

  // `begun`: when the attempt began. `permanent`: trying again cannot help, so that callers who have nothing else to
  // wait for are told at once.
  void open_failed(Slot& slot, const std::exception_ptr& error, bool permanent, TimePoint begun, Turn& turn) noexcept {
    turn.drop_later(backoff_.failed(error, permanent, begun));
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
    turn.drop_later(backoff_.note(error));
    vacate(slot, turn);
  }

  // Why a newcomer need not line up: the last attempt to open failed for good just now, and there is nothing else to
  // wait for. Null where there is.
  [[nodiscard]] std::exception_ptr refusal(TimePoint now) noexcept {
    const bool hopeless = backoff_.permanent() && now < backoff_.until() && !suspended_ && !this->any_live();
    return hopeless ? backoff_.cause() : nullptr;
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

  // Without workers: a waiter is about to do a job. False: its fate is settled, so that it has no need to.
  bool begin_work(Waiter& waiter) noexcept {
    waiter.busy = waiter.fate.load(std::memory_order_relaxed) == Fate::waiting;
    return waiter.busy;
  }

  // Without workers: a thread that does not wait for a connection does what is queued until `end_help`.
  void begin_help() noexcept { ++helpers_; }
  void end_help(Turn& turn) noexcept {
    --helpers_;
    if (nobody_opens()) this->drop_queued_opens(turn);
  }

  // --- administration ---------------------------------------------------------------------------------------------

  // The slots that `growth` needs must have been added (`slots().grow_to`).
  void resize(Growth growth, Turn& turn) noexcept {
    growth_ = std::move(growth);
    plan_ = growth_.plan({});
    if (const std::size_t excess = this->excess(); excess > 0) invalidate(turn, excess);
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
    invalidate(turn);
    wake_watchers(turn);
  }

 private:
  friend struct Inspection;
  // Gives the caller's slot to the head of the queue, or publishes it and wakes the head to compete for it. Handing it
  // over keeps the order; publishing it keeps it busy while the head wakes up. At most one wake is in flight. The head
  // is the first who is not at work on a connection of its own, which may hang.
  void hand(Slot& slot, Turn& turn) noexcept {
    Waiter* const first = next_in_line();
    if (first == nullptr) return plan_.reuse ? publish(slot) : retire(slot, turn);  // they look when they are done
    Waiter& head = *first;
    const bool at_once = !plan_.reuse || !head.thread || inline_work() || overdue(head);
    if (at_once) {
      const Fate before = head.fate.load(std::memory_order_relaxed);
      if (!plan_.reuse) slot.retire = true;
      const bool kept_time = &head == timekeeper_;
      dequeue(head, turn);
      take(head, slot);
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

  // The oldest waiter who is not at work, or null.
  [[nodiscard]] Waiter* next_in_line() const noexcept {
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && waiter->busy) waiter = waiter->next;
    return waiter;
  }

  void take(Waiter& waiter, Slot& slot) noexcept {
    waiter.slot = &slot;
    // While others wait this slot has to come back by the lock. Relaxed: the notification orders it for the new owner.
    const bool last = queue_.empty() && !slot.retire;
    slot.state.store(last ? SlotState::leased : SlotState::recalled, std::memory_order_relaxed);
  }

  // Release: whoever claims it by compare-exchange sees what was done to the connection.
  static void publish(Slot& slot) noexcept { slot.state.store(SlotState::idle, std::memory_order_release); }

  // Changes a fate, and tells the waiter unless a call is on its way to it already.
  void settle(Waiter& waiter, Fate fate, Turn& turn) noexcept {
    const Fate before = waiter.fate.load(std::memory_order_relaxed);
    waiter.fate.store(fate, std::memory_order_release);
    if (before == Fate::woken) wake_in_flight_ = false;
    if (before == Fate::waiting) turn.notify_later(waiter);
  }

  [[nodiscard]] bool overdue(const Waiter& head) const noexcept {
    return rules_.barging_limit == Duration::zero() || Platform::now() - head.since >= rules_.barging_limit;
  }

  // Without workers waiting threads open for themselves: one is called for each open that is queued, so that none waits
  // for another's.
  void call_openers(Turn& turn) noexcept {
    std::size_t missing = this->opens().size();
    for (Waiter* waiter = queue_.front(); waiter != nullptr && missing > 0; waiter = waiter->next)
      if (call(*waiter, turn)) --missing;
  }
  // One of them keeps time for the back-off: who was called.
  Waiter* call_one(Turn& turn) noexcept {
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && !call(*waiter, turn)) waiter = waiter->next;
    return waiter;
  }
  // Whether it is called now, or was before.
  bool call(Waiter& waiter, Turn& turn) noexcept {
    if (waiter.fate.load(std::memory_order_relaxed) == Fate::called) return true;
    if (!waiter.thread || waiter.busy) return false;
    settle(waiter, Fate::called, turn);
    return true;
  }

  // Without workers an open that is queued while nobody waits or helps would stay queued, and count.
  [[nodiscard]] bool nobody_opens() const noexcept { return inline_work() && queue_.empty() && helpers_ == 0; }

  void dequeue(Waiter& waiter, Turn& turn) noexcept {
    queue_.remove(waiter);
    deadlines_.remove(waiter);
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    if (nobody_opens()) this->drop_queued_opens(turn);
  }

  using Base::backoff_;
  using Base::closed_;
  using Base::growth_;
  using Base::opening_;
  using Base::plan_;
  using Base::retry_;
  using Base::rules_;
  using Base::slots_;
  using Base::suspended_;

  typename Platform::Mutex mutex_;
  WaitQueue<Slot> queue_;
  Deadlines deadlines_;           // of those that wait and are not threads
  Sleepers<Platform> alarm_;      // who calls `expire`, if it is asleep
  TimePoint alarm_due_{};         // and until when
  Waiter* timekeeper_ = nullptr;  // without workers: who tries again after the back-off
  std::size_t helpers_ = 0;
  bool wake_in_flight_ = false;
};

}  // namespace lido::detail
