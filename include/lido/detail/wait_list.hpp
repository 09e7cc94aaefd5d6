// Who waits: the queue, the deadlines of those in it, and, without workers, who of them does what there is to do.
#pragma once

#include <atomic>
#include <cstddef>

#include <lido/detail/guard.hpp>
#include <lido/detail/shares.hpp>
#include <lido/detail/waiter.hpp>

namespace lido::detail {

// Knows waiters, not slots. Everything needs the lock.
template <class Slot, class Platform>
class WaitList {
 public:
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  // How many are told under the lock at a stretch.
  static constexpr std::size_t waiters_a_turn = 64;

  explicit WaitList(Duration barging_limit) noexcept : barging_limit_{barging_limit} {}

  [[nodiscard]] const WaitQueue<Slot>& queue() const noexcept { return queue_; }
  [[nodiscard]] Shares<Slot>& shares() noexcept { return shares_; }
  [[nodiscard]] const Shares<Slot>& shares() const noexcept { return shares_; }
  // The oldest waiter who is not at work, or null. Where there are shares the one of them whose turn it is.
  [[nodiscard]] Waiter* next_in_line() noexcept {
    if (shares_.any()) return shares_.next_in_line();
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && waiter->busy) waiter = waiter->next;
    return waiter;
  }
  [[nodiscard]] Duration barging_limit() const noexcept { return barging_limit_; }
  // From when on nobody may overtake the head.
  [[nodiscard]] TimePoint limit_of(const Waiter& head) const noexcept {
    return saturating_add(head.since, barging_limit_);
  }
  [[nodiscard]] bool overdue(const Waiter& head) const noexcept {
    return barging_limit_ == Duration::zero() || Platform::now() - head.since >= barging_limit_;
  }
  // Whether somebody waits only while a connection is looked at.
  [[nodiscard]] bool any_for_look() const noexcept { return for_look_ > 0; }

  // How many of those who wait could be served, if there were enough connections.
  [[nodiscard]] std::size_t servable() noexcept { return shares_.any() ? shares_.servable() : queue_.size(); }
  // Whether so many wait already that this one may not.
  [[nodiscard]] bool full_for(const Waiter& waiter, std::size_t max_waiting) noexcept {
    if (!shares_.any()) return queue_.size() >= max_waiting;
    const ShareAccount<Slot>& share = shares_.of(waiter.share);
    return share.waiting >= max_waiting || share.waiting >= share.options.max_waiting;
  }
  // From now on those who wait already are callers of the pool itself, beside those of shares.
  void begin_shares() noexcept {
    for (Waiter* waiter = queue_.front(); waiter != nullptr; waiter = waiter->next) shares_.add(*waiter, false);
  }

  // `unfit`: after a connection that was not fit.
  void add(Waiter& waiter, bool unfit, Guard& guard) noexcept {
    unfit ? queue_.put_back(waiter) : queue_.push_back(waiter);
    if (shares_.any()) shares_.add(waiter, unfit);
    if (waiter.for_look) ++for_look_;
    watch(waiter, guard);
  }
  void remove(Waiter& waiter) noexcept {
    if (waiter.queued && waiter.for_look) --for_look_;
    if (waiter.queued && shares_.any()) shares_.remove(waiter);
    queue_.remove(waiter);
    deadlines_.remove(waiter);
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
  }

  // --- what a waiter is told --------------------------------------------------------------------------------------

  // Changes the state of a waiter, and tells it unless a call is on its way already.
  void complete(Waiter& waiter, WaitState state, Guard& guard) noexcept {
    const WaitState before = waiter.state.load(std::memory_order_relaxed);
    complete_untold(waiter, state);
    if (before == WaitState::waiting) guard.notify_later(waiter);
  }
  // The same for one that knows.
  void complete_untold(Waiter& waiter, WaitState state) noexcept {
    if (waiter.state.load(std::memory_order_relaxed) == WaitState::woken) wake_in_flight_ = false;
    waiter.state.store(state, std::memory_order_release);
  }
  // At most one wake is in flight: told to compete, and has yet to look.
  [[nodiscard]] bool wake_in_flight() const noexcept { return wake_in_flight_; }
  void wake(Waiter& waiter, Guard& guard) noexcept {
    complete(waiter, WaitState::woken, guard);
    wake_in_flight_ = true;
  }
  // The one that was woken looks.
  void arrived(Waiter& waiter) noexcept {
    wake_in_flight_ = false;
    waiter.state.store(WaitState::waiting, std::memory_order_relaxed);
  }

  // --- deadlines of those that are not threads --------------------------------------------------------------------

  // Has an eye on one, until it is removed or `unwatch`.
  void watch(Waiter& waiter, Guard& guard) noexcept {
    if (waiter.at == TimePoint::max()) return;
    deadlines_.add(waiter);
    if (waiter.at < alarm_due_)
      if (Sleeper<Platform>* const alarm = alarm_.pop()) guard.wake_later(*alarm);
  }
  void unwatch(Waiter& waiter) noexcept { deadlines_.remove(waiter); }
  // One whose time is over, or null.
  [[nodiscard]] Waiter* late(TimePoint now) const noexcept {
    return deadlines_.next() <= now ? static_cast<Waiter*>(deadlines_.first()) : nullptr;
  }
  // Whoever lets those go whose time is over rests until then, or until an earlier deadline comes.
  TimePoint set_alarm(Sleeper<Platform>& sleeper) noexcept {
    alarm_.push(sleeper);
    return alarm_due_ = deadlines_.next();
  }
  [[nodiscard]] Sleepers<Platform>& alarm() noexcept { return alarm_; }

  // --- without workers --------------------------------------------------------------------------------------------

  // A waiter is about to do a job. False: its wait is complete, so that it has no need to.
  bool begin_work(Waiter& waiter) noexcept {
    waiter.busy = waiter.state.load(std::memory_order_relaxed) == WaitState::waiting;
    return waiter.busy;
  }
  // A thread that does not wait for a connection does what is queued.
  void begin_help() noexcept { ++helpers_; }
  void end_help() noexcept { --helpers_; }
  // How many wait or help.
  [[nodiscard]] std::size_t hands() const noexcept { return queue_.size() + helpers_; }

  // Waiting threads open for themselves: one is called for each open that is queued, so that none waits for another's.
  // Where there are shares those come first who may have what is opened: they have the time for it.
  void call_openers(std::size_t missing, Guard& guard) noexcept {
    const auto call_those = [&](auto who) {
      for (Waiter* waiter = queue_.front(); waiter != nullptr && missing > 0; waiter = waiter->next)
        if (who(*waiter) && call(*waiter, guard)) --missing;
    };
    if (!shares_.any()) return call_those([](const Waiter&) { return true; });
    const auto may_have_more = shares_.who_may_have_more();
    call_those([&](const Waiter& waiter) { return may_have_more(waiter.share); });
    call_those([&](const Waiter& waiter) { return !may_have_more(waiter.share); });
  }
  // One of them tries again after the back-off.
  [[nodiscard]] bool keeps_time(const Waiter& waiter) const noexcept { return timekeeper_ == &waiter; }
  void call_timekeeper(Guard& guard) noexcept {
    if (timekeeper_ != nullptr) return;
    Waiter* waiter = queue_.front();
    while (waiter != nullptr && !call(*waiter, guard)) waiter = waiter->next;
    timekeeper_ = waiter;
  }
  // It may sleep without a limit now, and has to be called for the next.
  void dismiss_timekeeper() noexcept { timekeeper_ = nullptr; }

 private:
  // Whether it is called now, or was before.
  bool call(Waiter& waiter, Guard& guard) noexcept {
    if (waiter.state.load(std::memory_order_relaxed) == WaitState::called) return true;
    if (!waiter.thread || waiter.busy) return false;
    complete(waiter, WaitState::called, guard);
    return true;
  }

  const Duration barging_limit_;
  WaitQueue<Slot> queue_;
  Shares<Slot> shares_;
  Deadlines deadlines_;
  Sleepers<Platform> alarm_;      // who lets those go whose time is over, if it is asleep
  TimePoint alarm_due_{};         // and until when
  Waiter* timekeeper_ = nullptr;  // without workers: who tries again after the back-off
  std::size_t helpers_ = 0;
  std::size_t for_look_ = 0;
  bool wake_in_flight_ = false;
};

}  // namespace lido::detail
