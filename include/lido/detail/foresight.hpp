// Whether a newcomer's turn would come too late.
#pragma once

#include <cstddef>

#include <lido/detail/capacity.hpp>
#include <lido/detail/service_rate.hpp>
#include <lido/detail/turn_bound.hpp>
#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// What a bound says of a long queue is too little after a while, as those in front are slower than foreseen. So with
// each fourth window of the rate it is made anew, a few waiters each time that one leaves: with each, a look at waiters
// that are in no cache would be most of what a long queue costs. Everything needs the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class Foresight {
 public:
  using Capacity = detail::Capacity<Slot, Growth, Platform>;
  using WaitList = detail::WaitList<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  // `watches`: `PoolOptions::refuse_hopeless`.
  Foresight(Capacity& capacity, WaitList& waiters, bool watches) noexcept
      : capacity_{capacity}, waiters_{waiters}, watches_{watches} {}

  // Nobody is served for a while, or by others than before.
  void clear() noexcept {
    rate_.clear();
    next_ = nullptr;
    known_ = false;
  }

  // For tests, in which few wait.
  void measure_in(std::size_t shortest_window) noexcept {
    clear();
    rate_ = ServiceRate{shortest_window};
  }
  [[nodiscard]] const Waiter* passes_next() const noexcept { return next_; }

  // Before then it is not the turn of one who joins now; the beginning of time where that is not known well.
  [[nodiscard]] TimePoint turn(TimePoint now) const noexcept {
    return known_ && !bound_.over(now) && !unsettled() ? bound_.next(gap_) : TimePoint::min();
  }

  // One has joined the queue, behind the others.
  void joined(const Waiter& waiter) noexcept {
    if (!known_) return;
    const TimePoint now = Platform::now();
    if (bound_.over(now)) bound_.start(now);
    bound_.join(waiter.until, gap_);
  }
  // One is about to leave it.
  void leaves(const Waiter& waiter) noexcept {
    if (next_ == &waiter) next_ = waiter.next;
  }
  // One has left it before its time was over, so that all behind it have come forward.
  void left() noexcept {
    if (!watches_) return;
    if (unsettled() || capacity_.staying() != connections_) {
      clear();
      connections_ = capacity_.staying();
    }
    if (rate_.left(waiters_.queue().size(), &Platform::now) && rate_.known()) measured();
    for (std::size_t more = waiters_a_turn; more > 0 && next_ != nullptr; --more) {
      passing_.join(next_->until, passing_gap_);
      next_ = next_->next;
      if (next_ != nullptr) continue;
      bound_ = passing_;
      gap_ = passing_gap_;
      known_ = true;
      age_ = 0;
    }
  }

 private:
  static constexpr std::size_t waiters_a_turn = 16;
  static constexpr std::size_t windows_of_a_bound = 4;

  // Connections are being opened, or may not be opened: what was measured is not what will be. Or those who wait do not
  // stand in one queue.
  [[nodiscard]] bool unsettled() const noexcept {
    return waiters_.shares().any() || capacity_.suspended() || capacity_.backoff().failing() ||
           capacity_.limiter().under_way() > 0;
  }
  // A window of the rate has ended.
  void measured() noexcept {
    const Duration gap = rate_.least_gap();
    ++age_;
    // Beyond what is allowed for: what was foreseen may come sooner.
    const auto too_fast_for = [gap](Duration foreseen) { return gap + gap / 4 < foreseen; };
    known_ = known_ && !too_fast_for(gap_);
    if (next_ != nullptr && !too_fast_for(passing_gap_)) return;
    const TimePoint now = Platform::now();
    if (next_ == nullptr && known_ && age_ < windows_of_a_bound && !bound_.over(now)) return;
    passing_gap_ = gap;
    passing_.start(now);
    next_ = waiters_.queue().front();
  }

  Capacity& capacity_;
  WaitList& waiters_;
  const bool watches_;
  std::size_t connections_ = 0;  // while the rate was measured
  ServiceRate rate_;
  TurnBound bound_;               // of whoever joins now
  Duration gap_{};                // that it is made with
  bool known_ = false;            // it may be asked
  std::size_t age_ = 0;           // windows since it was made
  TurnBound passing_;             // of those in front of `next_`
  Duration passing_gap_{};        // that it is made with
  const Waiter* next_ = nullptr;  // whom to pass next; null: all were
};

}  // namespace lido::detail
