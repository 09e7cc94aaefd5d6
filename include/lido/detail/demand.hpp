// Who wants a connection: the queue, the deadlines of those in it, and, without workers, who does what there is to do.
#pragma once

#include <atomic>
#include <cstddef>

#include <lido/detail/stock.hpp>
#include <lido/detail/wait_queue.hpp>

namespace lido::detail {

// Everything needs the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class Demand : public Stock<Slot, Growth, Platform> {
  using Base = Stock<Slot, Growth, Platform>;

 public:
  using typename Base::Turn;
  using Waiter = detail::Waiter<Slot>;
  using Base::Base;
  using Base::inline_work;
  using Base::retry_at;

  [[nodiscard]] const WaitQueue<Slot>& queue() const noexcept { return queue_; }
  // Without workers: until when this waiter may sleep before it has to look at the back-off.
  [[nodiscard]] TimePoint keeps_time_until(const Waiter& waiter) const noexcept {
    return timekeeper_ == &waiter ? retry_at() : TimePoint::max();
  }

  // Has an eye on the deadline of one that is not a thread, until it is dequeued or `unwatch`.
  void watch(Waiter& waiter, Turn& turn) noexcept {
    if (waiter.at == TimePoint::max()) return;
    deadlines_.add(waiter);
    if (waiter.at < alarm_due_)
      if (Sleeper<Platform>* const alarm = alarm_.pop()) turn.wake_later(*alarm);
  }
  void unwatch(Waiter& waiter) noexcept { deadlines_.remove(waiter); }
  // Whoever lets those go whose time is over rests until then, or until an earlier deadline comes.
  TimePoint set_alarm(Sleeper<Platform>& sleeper) noexcept {
    alarm_.push(sleeper);
    return alarm_due_ = deadlines_.next();
  }
  [[nodiscard]] Sleepers<Platform>& alarm() noexcept { return alarm_; }

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

 protected:
  friend struct Inspection;

  // The oldest waiter who is not at work, or null.
  [[nodiscard]] Waiter* next_in_line() const noexcept {
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && waiter->busy) waiter = waiter->next;
    return waiter;
  }

  // Changes a fate, and tells the waiter unless a call is on its way to it already.
  void settle(Waiter& waiter, Fate fate, Turn& turn) noexcept {
    const Fate before = waiter.fate.load(std::memory_order_relaxed);
    waiter.fate.store(fate, std::memory_order_release);
    if (before == Fate::woken) wake_in_flight_ = false;
    if (before == Fate::waiting) turn.notify_later(waiter);
  }

  [[nodiscard]] bool overdue(const Waiter& head) const noexcept {
    return barging_limit_ == Duration::zero() || Platform::now() - head.since >= barging_limit_;
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
    if (waiter.queued && waiter.for_look) --for_look_;
    queue_.remove(waiter);
    deadlines_.remove(waiter);
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    if (nobody_opens()) this->drop_queued_opens(turn);
  }

  using Base::barging_limit_;

  WaitQueue<Slot> queue_;
  Deadlines deadlines_;           // of those that wait and are not threads
  Sleepers<Platform> alarm_;      // who lets them go, if it is asleep
  TimePoint alarm_due_{};         // and until when
  Waiter* timekeeper_ = nullptr;  // without workers: who tries again after the back-off
  std::size_t helpers_ = 0;
  std::size_t for_look_ = 0;  // how many wait only while a connection is looked at
  bool wake_in_flight_ = false;
};

}  // namespace lido::detail
