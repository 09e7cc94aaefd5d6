// Who wants a connection: the queue, the deadlines of those in it, and, without workers, who does what there is to do.
#pragma once

#include <atomic>
#include <cstddef>

#include <lido/detail/capacity.hpp>
#include <lido/detail/waiter.hpp>

namespace lido::detail {

// Everything needs the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class WaitList : public Capacity<Slot, Growth, Platform> {
  using Base = Capacity<Slot, Growth, Platform>;

 public:
  using typename Base::Guard;
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
  void watch(Waiter& waiter, Guard& guard) noexcept {
    if (waiter.at == TimePoint::max()) return;
    deadlines_.add(waiter);
    if (waiter.at < alarm_due_)
      if (Sleeper<Platform>* const alarm = alarm_.pop()) guard.wake_later(*alarm);
  }
  void unwatch(Waiter& waiter) noexcept { deadlines_.remove(waiter); }
  // Whoever lets those go whose time is over rests until then, or until an earlier deadline comes.
  TimePoint set_alarm(Sleeper<Platform>& sleeper) noexcept {
    alarm_.push(sleeper);
    return alarm_due_ = deadlines_.next();
  }
  [[nodiscard]] Sleepers<Platform>& alarm() noexcept { return alarm_; }

  // Without workers: a waiter is about to do a job. False: its wait is complete, so that it has no need to.
  bool begin_work(Waiter& waiter) noexcept {
    waiter.busy = waiter.state.load(std::memory_order_relaxed) == WaitState::waiting;
    return waiter.busy;
  }

  // Without workers: a thread that does not wait for a connection does what is queued until `end_help`.
  void begin_help() noexcept { ++helpers_; }
  void end_help(Guard& guard) noexcept {
    --helpers_;
    if (nobody_opens()) this->drop_queued_opens(guard);
  }

 protected:
  friend struct Inspection;

  // The oldest waiter who is not at work, or null.
  [[nodiscard]] Waiter* next_in_line() const noexcept {
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && waiter->busy) waiter = waiter->next;
    return waiter;
  }

  // Changes the state of a waiter, and tells it unless a call is on its way already.
  void complete(Waiter& waiter, WaitState state, Guard& guard) noexcept {
    const WaitState before = waiter.state.load(std::memory_order_relaxed);
    waiter.state.store(state, std::memory_order_release);
    if (before == WaitState::woken) wake_in_flight_ = false;
    if (before == WaitState::waiting) guard.notify_later(waiter);
  }

  [[nodiscard]] bool overdue(const Waiter& head) const noexcept {
    return barging_limit_ == Duration::zero() || Platform::now() - head.since >= barging_limit_;
  }

  // Without workers waiting threads open for themselves: one is called for each open that is queued, so that none waits
  // for another's.
  void call_openers(Guard& guard) noexcept {
    std::size_t missing = this->opens().size();
    for (Waiter* waiter = queue_.front(); waiter != nullptr && missing > 0; waiter = waiter->next)
      if (call(*waiter, guard)) --missing;
  }
  // One of them keeps time for the back-off: who was called.
  Waiter* call_one(Guard& guard) noexcept {
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && !call(*waiter, guard)) waiter = waiter->next;
    return waiter;
  }
  // Whether it is called now, or was before.
  bool call(Waiter& waiter, Guard& guard) noexcept {
    if (waiter.state.load(std::memory_order_relaxed) == WaitState::called) return true;
    if (!waiter.thread || waiter.busy) return false;
    complete(waiter, WaitState::called, guard);
    return true;
  }

  // Without workers an open that is queued while nobody waits or helps would stay queued, and count.
  [[nodiscard]] bool nobody_opens() const noexcept { return inline_work() && queue_.empty() && helpers_ == 0; }

  void dequeue(Waiter& waiter, Guard& guard) noexcept {
    if (waiter.queued && waiter.for_look) --for_look_;
    queue_.remove(waiter);
    deadlines_.remove(waiter);
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    if (nobody_opens()) this->drop_queued_opens(guard);
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
