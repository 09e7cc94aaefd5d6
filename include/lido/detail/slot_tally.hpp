// How many slots are in which state, without a look at each.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <lido/detail/slot.hpp>
#include <lido/detail/slot_set.hpp>
#include <lido/facts.hpp>

namespace lido::detail {

// States that are counted together; `unseen` are those that change without the lock.
enum class SlotGroup : std::uint8_t { vacant, opening, recalled, checking, closing, unseen };
inline constexpr std::size_t slot_group_count = 6;

// Asked at each change.
inline constexpr auto slot_groups = [] {
  std::array<SlotGroup, slot_states> groups{};
  groups.fill(SlotGroup::unseen);
  const auto set = [&](SlotState state, SlotGroup group) { groups[static_cast<std::size_t>(state)] = group; };
  set(SlotState::vacant, SlotGroup::vacant);
  set(SlotState::opening, SlotGroup::opening);
  set(SlotState::recalled, SlotGroup::recalled);
  set(SlotState::checking, SlotGroup::checking);
  set(SlotState::closing, SlotGroup::closing);
  return groups;
}();
[[nodiscard]] constexpr SlotGroup group_of(SlotState state) noexcept {
  return slot_groups[static_cast<std::size_t>(state)];
}

// Plain numbers, all but one owned by the lock. What changes under the lock is counted with the change. Of the slots
// that change without it the sum is known, and how many of them are leased as far as anybody has looked.
class SlotTally {
 public:
  // One slot changes its state.
  void moves(SlotGroup from, SlotGroup to) noexcept {
    add(from, ~std::size_t{0});  // one less, modulo the largest number
    add(to, 1);
  }
  // What somebody has seen of those that change without the lock.
  void looked(SlotSet::Change change) noexcept {
    leased_ += static_cast<std::size_t>(change.leased);  // modulo the largest number
    worn_ += static_cast<std::size_t>(change.worn);
  }

  // A connection is to be closed when it comes back; or not, after all.
  void marked() noexcept { ++marked_; }
  void unmarked() noexcept { --marked_; }
  // Those that are not vacant: nobody counts which are, but each that is so no more is one less than none.
  [[nodiscard]] std::size_t total() const noexcept { return 0 - count(SlotGroup::vacant); }
  [[nodiscard]] std::size_t not_closing() const noexcept { return total() - count(SlotGroup::closing); }
  // Those that are there to stay.
  [[nodiscard]] std::size_t staying() const noexcept { return not_closing() - marked_; }

  [[nodiscard]] PoolCounts counts() const noexcept {
    PoolCounts counts;
    counts.idle = count(SlotGroup::unseen) - leased_;
    counts.leased = count(SlotGroup::recalled) + leased_;
    counts.opening = count(SlotGroup::opening);
    counts.checking = count(SlotGroup::checking);
    counts.closing = count(SlotGroup::closing);
    return counts;
  }
  [[nodiscard]] std::size_t recalled() const noexcept { return count(SlotGroup::recalled); }
  // Of those that are idle, how many are about to be replaced.
  [[nodiscard]] std::size_t worn() const noexcept { return worn_; }
  [[nodiscard]] std::size_t swift() const noexcept { return count(SlotGroup::unseen); }
  // Needs no lock.
  [[nodiscard]] bool any_checking() const noexcept { return count(SlotGroup::checking) > 0; }

 private:
  // One is looked at without the lock; the others are atomic so that no case need be made of it. One thread writes.
  [[nodiscard]] std::size_t count(SlotGroup which) const noexcept {
    return counts_[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
  }
  void add(SlotGroup group, std::size_t by) noexcept {
    auto& count = counts_[static_cast<std::size_t>(group)];
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::size_t>, slot_group_count> counts_{};
  std::size_t leased_ = 0;  // of those that change without the lock; as far as anybody has looked
  std::size_t worn_ = 0;    // the same of those that are free and about to be replaced
  std::size_t marked_ = 0;  // of all but those that are closing
};

}  // namespace lido::detail
