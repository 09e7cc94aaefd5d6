// Whether a queue stands, so that those who have waited longest are refused and the others are served in time.
#pragma once

#include <cstddef>

#include <lido/facts.hpp>

namespace lido::detail {

// A burst makes a queue that shrinks; an overload makes one that stands, and everybody waits for as long as it is long.
// Told apart as CoDel does (Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012): by the shortest
// wait of a while. Other than there a queue that is shorter after that while does not stand, so that a burst of any
// size drains; and while one stands all go who have waited beyond the limit, as they would be answered too late. In
// first come, first served they are those in front. It ends when somebody is served in half the limit.
//
// Plain values; owned by the pool's lock.
class StandingQueue {
 public:
  // `limit`: `PoolOptions::max_standing_wait`.
  explicit StandingQueue(Duration limit) noexcept : limit_{limit} {}

  [[nodiscard]] bool watched() const noexcept { return limit_ != Duration::max(); }
  [[nodiscard]] bool stands() const noexcept { return stands_; }
  // Whether one who has waited for so long is to go.
  [[nodiscard]] bool refuses(Duration waited) const noexcept { return stands_ && waited > limit_; }

  // Somebody was served after `waited`, and so many wait still.
  void served(Duration waited, std::size_t waiting, TimePoint now) noexcept {
    waiting == 0 || waited <= (stands_ ? limit_ / 2 : limit_) ? clear() : note(waiting, now);
  }
  // Somebody came, and the oldest of so many has waited for `oldest`. So a queue that nobody serves is seen, too.
  void joined(Duration oldest, std::size_t waiting, TimePoint now) noexcept {
    if (oldest > limit_) note(waiting, now);
  }
  // Nobody waits.
  void clear() noexcept { stands_ = false, noted_ = 0; }

 private:
  // A while is as long as both: fewer waits than that say nothing where each hold takes longer than the limit.
  static constexpr int limits_of_a_while = 5;
  static constexpr std::size_t notes_of_a_while = 10;

  void note(std::size_t waiting, TimePoint now) noexcept {
    if (stands_) return;
    if (noted_ == 0) {
      since_ = now;
      length_ = waiting;
    }
    ++noted_;
    if ((now - since_) / limits_of_a_while < limit_ || noted_ < notes_of_a_while) return;
    stands_ = waiting >= length_;
    noted_ = 0;
  }

  Duration limit_;
  TimePoint since_{};       // when the while began, with a wait above the limit
  std::size_t length_ = 0;  // and how many waited then
  std::size_t noted_ = 0;   // waits in it, all above the limit
  bool stands_ = false;
};

}  // namespace lido::detail
