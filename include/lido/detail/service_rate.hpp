// How fast those who wait are served at the most, from how fast they were.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <lido/facts.hpp>

namespace lido::detail {

// Counts those who leave the queue while there is one, in windows that end when a sixteenth of those who wait have
// left, eight at least. What is used is the fastest of the last windows, and a quarter more. So it is known only after
// as many; and where holds are of two kinds or have a heavy tail it is far above the mean, as a window with many of
// the long ones does not count. Plain values; owned by the pool's lock.
class ServiceRate {
 public:
  static constexpr std::size_t windows = 8;

  explicit ServiceRate(std::size_t shortest_window = 8) noexcept : shortest_window_{shortest_window} {}

  // One has left the queue, and so many wait still. `now()` is asked where a window ends. True if one does.
  template <class Now>
  bool left(std::size_t waiting, Now now) noexcept {
    if (waiting == 0) return clear(), false;  // how fast more would have been served nobody knows
    if (counted_++ < length_) return false;
    const TimePoint at = now();
    const bool ends = length_ > 0;
    if (ends) spans_[ended_++ % windows] = (at - begun_) / static_cast<Duration::rep>(length_);
    begun_ = at;
    length_ = std::max(shortest_window_, waiting / 16);
    counted_ = 1;
    return ends;
  }
  // Nobody waits, or what is known is true no more.
  void clear() noexcept { length_ = counted_ = ended_ = 0; }

  [[nodiscard]] bool known() const noexcept { return ended_ >= windows; }
  // From one who is served to the next, at the least. Of a rate that is known.
  [[nodiscard]] Duration least_gap() const noexcept {
    const Duration fastest = *std::ranges::min_element(spans_);
    return fastest - fastest / 5;
  }

 private:
  std::size_t shortest_window_;
  std::array<Duration, windows> spans_{};  // from one to the next, in each of the last windows
  std::size_t ended_ = 0;                  // windows
  TimePoint begun_{};                      // when the window that goes on began
  std::size_t length_ = 0;                 // how many leave in it; 0: none goes on
  std::size_t counted_ = 0;                // and have left
};

}  // namespace lido::detail
