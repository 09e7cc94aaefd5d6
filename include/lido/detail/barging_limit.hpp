// Until when newcomers may overtake a waiter that is on its way.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <lido/facts.hpp>

namespace lido::detail {

// Asked at every acquire of what is offered, where a look at the clock would cost more than all the rest. So whoever
// looks leaves behind up to which tick the limit has surely not passed, and until then the ticks answer.
//
// What it leaves behind assumes the slowest ticks that there may be. So it ends early, and the next one looks and
// leaves behind more: some dozens of looks in a limit of a millisecond.
template <class Platform>
class BargingLimit {
 public:
  // Call with the lock held, before anything is offered.
  void set(TimePoint until) noexcept {
    until_.store(until, std::memory_order_relaxed);
    // No tick, in a version of its own: who looked at the clock for the limit before cannot speak for this one.
    // Release: who sees the version sees the limit.
    version_ = (version_ + 1) & versions;
    sure_.store(version_, std::memory_order_release);
  }

  // Whether who comes now is too late; or who came at `came`, where that is known.
  [[nodiscard]] bool passed(TimePoint came) noexcept {
    if (came != TimePoint{}) return came >= until_.load(std::memory_order_relaxed);
    std::uint64_t sure = sure_.load(std::memory_order_acquire);
    const std::uint64_t tick = Platform::ticks();
    // No further ahead than anybody has left behind: a count that was set back would be believed for ever.
    if ((sure & ~versions) - tick - 1 < most_ticks) return false;
    const TimePoint until = until_.load(std::memory_order_relaxed);
    const TimePoint now = Platform::now();  // after the tick: what lies between is lost, not gained
    if (now >= until) return true;
    const auto left = static_cast<std::uint64_t>(std::min(until - now, longest).count() / slowest_tick.count());
    if (has_ticks_ && left > versions)
      sure_.compare_exchange_strong(sure, ((tick + left) & ~versions) | (sure & versions), std::memory_order_relaxed);
    return false;
  }

 private:
  static constexpr std::chrono::nanoseconds slowest_tick{4};
  static constexpr std::chrono::nanoseconds longest = std::chrono::seconds{1};
  static constexpr std::uint64_t most_ticks = longest / slowest_tick;
  static constexpr std::uint64_t versions = 255;  // in the low bits of `sure_`, which is up to so many ticks too early

  typename Platform::template Atomic<TimePoint> until_{TimePoint::max()};
  typename Platform::template Atomic<std::uint64_t> sure_{0};
  std::uint64_t version_ = 0;  // owned by the lock
  const bool has_ticks_ = Platform::has_ticks();
};

}  // namespace lido::detail
