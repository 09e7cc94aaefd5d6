// How many slots are in which state, without a look at each.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#include <lido/detail/slot.hpp>
#include <lido/facts.hpp>

namespace lido::detail {

// Plain numbers, all but one owned by the lock. What changes under the lock is counted with the change. Of the slots
// that change without it the sum is known, and how many of them are leased as far as anybody has looked.
class SlotTally {
 public:
  // Of one slot. `expiring`: its connection is about to be replaced.
  void leaves(SlotState state, bool expiring) noexcept {
    if (is_swift(state)) leased_ -= std::min<std::size_t>(leased_, 1);
    if (is_free(state) && expiring) worn_ -= std::min<std::size_t>(worn_, 1);
    add(state, -1);
  }
  void enters(SlotState state, bool expiring) noexcept {
    if (is_swift(state)) ++leased_;
    if (is_free(state) && expiring) ++worn_;
    add(state, 1);
  }

  // A connection is to be closed when it comes back; or not, after all.
  void marked() noexcept { ++marked_; }
  void unmarked() noexcept { --marked_; }
  // Those that are not vacant.
  [[nodiscard]] std::size_t total() const noexcept { return total_; }
  [[nodiscard]] std::size_t not_closing() const noexcept { return total_ - closing_; }
  // Those that are there to stay.
  [[nodiscard]] std::size_t staying() const noexcept { return not_closing() - marked_; }

  // What is known of those that change without the lock may be old. The more there are, the more often it will do: so
  // that to look at all of them takes, in the mean, as long as to look at 64.
  [[nodiscard]] bool is_old() noexcept { return ++asked_ * 64 >= swift_; }
  void begin_look() noexcept { asked_ = leased_ = worn_ = 0; }
  void look(SlotState state, bool expiring) noexcept {
    if (is_swift(state)) ++leased_;
    if (is_free(state) && expiring) ++worn_;
  }

  [[nodiscard]] PoolCounts counts() const noexcept {
    PoolCounts counts;
    const std::size_t leased = std::min(leased_, swift_);
    counts.idle = swift_ - leased;
    counts.leased = recalled_ + leased;
    counts.opening = opening_;
    counts.checking = checking_.load(std::memory_order_relaxed);
    counts.closing = closing_;
    return counts;
  }
  // Of those that are idle, how many are about to be replaced.
  [[nodiscard]] std::size_t worn() const noexcept { return worn_; }
  [[nodiscard]] std::size_t swift() const noexcept { return swift_; }
  // Needs no lock.
  [[nodiscard]] bool any_checking() const noexcept { return checking_.load(std::memory_order_relaxed) > 0; }

 private:
  void add(SlotState state, int by) noexcept {
    const auto change = static_cast<std::size_t>(by);  // modulo the largest number
    switch (state) {
      case SlotState::vacant:
        total_ -= change;
        break;
      case SlotState::opening:
        opening_ += change;
        break;
      case SlotState::recalled:
        recalled_ += change;
        break;
      case SlotState::checking:
        checking_.store(checking_.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
        break;
      case SlotState::closing:
        closing_ += change;
        break;
      default:
        swift_ += change;
    }
  }

  std::size_t total_ = 0;  // all but those that are vacant
  std::size_t opening_ = 0;
  std::size_t recalled_ = 0;
  std::size_t closing_ = 0;
  std::size_t swift_ = 0;   // idle, resting, offered, leased, unlisted or barging
  std::size_t leased_ = 0;  // of those; as it was, with what has changed under the lock since
  std::size_t worn_ = 0;    // the same of those that are free and expiring
  std::size_t marked_ = 0;  // of all but those that are closing
  std::size_t asked_ = 0;   // how often since the last look
  std::atomic<std::size_t> checking_{0};
};

}  // namespace lido::detail
