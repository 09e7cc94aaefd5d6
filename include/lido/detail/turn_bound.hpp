// When the turn comes, at the soonest, of whoever joins a queue now.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <lido/facts.hpp>

namespace lido::detail {

// Made by going through the queue from its front, with `join` for each, and with each who comes later. Those in front
// leave when they are served, or when their own time is over: that is why the length of the queue says little. Where
// all have the same time-out and more come than are served each one's turn comes just before its time is over, or not
// at all, and nobody can tell which. So this is careful. From `since_`, when all before were gone at the soonest,
// `count_` have to be served of whom none gives up before `first_to_go_`; that many are, in a hundredth of all cases,
// in less time than `needed` says. What would be later than `first_to_go_` is not claimed: there it begins anew.
//
// `gap`: from one who is served to the next, at the least. Plain values; owned by the pool's lock.
class TurnBound {
 public:
  // An empty queue.
  void start(TimePoint now) noexcept { *this = TurnBound{now}; }
  TurnBound() = default;

  // Before then it is not the turn of one who joins now.
  [[nodiscard]] TimePoint next(Duration gap) const noexcept {
    const TimePoint at = turn(gap);
    return at <= first_to_go_ ? at : saturating_add(std::max(gone_, first_to_go_), hundredth(gap));
  }
  // Whether those who were passed may all be gone by now.
  [[nodiscard]] bool over(TimePoint now) const noexcept { return gone_ < now; }

  // One is passed, or joins, that gives up at `deadline`.
  void join(TimePoint deadline, Duration gap) noexcept {
    if (deadline <= gone_) return;  // it will not be in the way
    const TimePoint at = turn(gap);
    first_to_go_ = std::min(first_to_go_, deadline);
    if (first_to_go_ <= at) return *this = TurnBound{std::max(gone_, first_to_go_)}, void();
    ++count_;
    gone_ = at;
  }

 private:
  explicit TurnBound(TimePoint since) noexcept : gone_{since}, since_{since} {}

  [[nodiscard]] static Duration hundredth(Duration gap) noexcept { return gap / 100; }
  // How long `count` take to be served, in all but a hundredth of all cases: of a Poisson process, whose gaps are as
  // irregular as those of many connections are.
  [[nodiscard]] static Duration needed(std::size_t count, Duration gap) noexcept {
    constexpr double deviations = 2.33;
    constexpr double most = 9e17;  // 28 years
    const auto exact = static_cast<double>(count);
    const double gaps = std::max(exact - deviations * std::sqrt(exact), 0.0);
    return std::max(Duration{static_cast<Duration::rep>(std::min(gaps * static_cast<double>(gap.count()), most))},
                    hundredth(gap));
  }
  [[nodiscard]] TimePoint turn(Duration gap) const noexcept {
    return std::max(gone_, saturating_add(since_, needed(count_ + 1, gap)));
  }

  TimePoint gone_{};   // by when all who were passed are gone, at the soonest
  TimePoint since_{};  // by when those are before the last `count_`
  TimePoint first_to_go_ = TimePoint::max();
  std::size_t count_ = 0;
};

}  // namespace lido::detail
