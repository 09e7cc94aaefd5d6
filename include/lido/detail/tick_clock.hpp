// The clock as a thread that looks at it often knows it: the last look, and the ticks since.
#pragma once

#include <chrono>
#include <cstdint>

#include <lido/facts.hpp>

namespace lido::detail {

// How far what `TickClock` says may lie behind the clock. It is never ahead of it.
inline constexpr Duration tick_clock_lag = std::chrono::microseconds{100};

// The clock for those who ask it in each lease: half the price of a look at it, which takes longer than the lease. One
// for each thread. `Machine` has `now`, `ticks` and `has_ticks`.
//
// How much time a tick is was found between the last two looks, and is believed for `believed` ticks: 1 ms at 4 GHz and
// 17 ms at the slowest. Whatever the ticks do, it is wrong for no longer than this and by no more; then the clock is
// looked at. Three things are not exact, and all of them together take less than the 1/512 that is left away from each
// tick:
//
// - The ticks of a look are not those of its moment. They differ by less than `most_apart`, of the `fewest` that a rate
//   is found by: 1/2,000. What is put beside the time is the count after it, so that it lies behind.
// - A clock that is set right by the network goes up to 1/2,000 faster or slower, and may change that in between.
// - A rate is rounded down.
//
// So it goes 1/512 too slowly for 17 ms at most, and lies behind by less than `tick_clock_lag`.
template <class Machine>
class TickClock {
 public:
  [[nodiscard]] TimePoint now() noexcept {
    const std::uint64_t gone = Machine::ticks() - tick_;  // huge where they were set back
    if (gone >= believed_) [[unlikely]]
      return look(gone);
    return time_ + Duration{static_cast<Duration::rep>(gone * rate_ >> 32U)};
  }

 private:
  static constexpr std::uint64_t believed = std::uint64_t{1} << 22U;
  static constexpr std::uint64_t fewest = std::uint64_t{1} << 20U;  // ticks between two looks that tell a rate
  static constexpr std::uint64_t most = std::uint64_t{1} << 30U;    // and the most: the machine may have slept
  static constexpr std::uint64_t most_apart = std::uint64_t{1} << 9U;
  static constexpr std::int64_t slowest_tick = 4;  // ns, see ticks.hpp

  [[gnu::noinline]] TimePoint look(std::uint64_t gone) noexcept {
    const bool known = tick_ != 0;
    if (!Machine::has_ticks() || (known && gone < fewest)) return Machine::now();  // too soon to tell a rate
    const std::uint64_t before = Machine::ticks();
    const TimePoint now = Machine::now();
    const std::uint64_t tick = Machine::ticks();
    if (tick - before >= most_apart) return now;  // the thread was interrupted: it is tried again
    gone = tick - tick_;
    const std::int64_t span = (now - time_).count();
    // Who has rested begins anew, and so does one whose ticks cannot be true.
    const bool told = known && gone < most && span > 0 && span <= static_cast<std::int64_t>(gone) * slowest_tick;
    rate_ = told ? (static_cast<std::uint64_t>(span) << 31U) / gone * 2 / 512 * 511 : 0;
    believed_ = told ? believed : 0;
    tick_ = tick;
    time_ = now;
    return now;
  }

  std::uint64_t tick_ = 0;  // of the last look; 0: there was none
  TimePoint time_{};
  std::uint64_t rate_ = 0;  // ns a tick, in parts of 2^32
  std::uint64_t believed_ = 0;
};

}  // namespace lido::detail
