// The table of slots. Its size is the bound of the pool: there is nowhere to put one connection more.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <lido/detail/slot.hpp>

namespace lido::detail {

// SlotTable never move and never go away while the table lives, so that a lease may point at one. A table that grows
// gets another segment; usually there is one.
template <class Slot, class Platform>
class SlotTable {
 public:
  explicit SlotTable(std::size_t size) : first_{size} {}
  ~SlotTable() {
    // A loop, so that a table that grew often needs no deep stack.
    for (Segment* segment = first_.next.load(std::memory_order_relaxed); segment != nullptr;)
      delete std::exchange(segment, segment->next.load(std::memory_order_relaxed));
  }
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // The fast path: any idle slot, now the caller's, or else one that rests; null where there is none. Starts at the
  // slot that this thread used last, so that threads keep to lines they own. Acquire: the caller sees what the last
  // holder did to the connection.
  Slot* claim_idle() noexcept {
    std::size_t& hint = last_used();
    for (;;) {
      Slot* resting = nullptr;
      std::size_t resting_index = 0;
      for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
        const std::size_t start = hint < segment->size ? hint : 0;
        for (std::size_t step = 0, index = start; step < segment->size; ++step) {
          Slot& slot = segment->slots[index];
          const SlotState seen = slot.state.load(std::memory_order_relaxed);
          if (seen == SlotState::idle && claim(slot, seen, SlotState::leased)) {
            hint = index;
            return &slot;
          }
          if (seen == SlotState::resting && resting == nullptr) {
            resting = &slot;
            resting_index = index;
          }
          if (++index == segment->size) index = 0;
        }
      }
      if (resting == nullptr) return nullptr;
      if (claim(*resting, SlotState::resting, SlotState::leased)) {
        hint = resting_index;
        return resting;
      }
    }
  }

  // Call with the lock held. Claims an idle slot, or else leaves every leased one recalled.
  //
  // This is where a waiter and a releaser meet, and all that orders them is the state of each slot: its modifications
  // have one order. If the releaser's leased -> idle comes first, this pass finds the slot idle and claims it; if the
  // pass's leased -> recalled comes first, the releaser's exchange fails and it comes by the lock, where it finds the
  // waiter. No slot that was passed can slip to idle, resting or leased behind the pass: out of every other state it
  // changes under the lock only. So after a pass that returned null a waiter may sleep.
  Slot* claim_idle_or_recall() noexcept {
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      for (std::size_t index = 0; index < segment->size; ++index) {
        Slot& slot = segment->slots[index];
        for (;;) {
          const SlotState seen = slot.state.load(std::memory_order_relaxed);
          if (is_free(seen) && claim(slot, seen, SlotState::leased)) return &slot;
          if (seen == SlotState::leased && claim(slot, seen, SlotState::recalled)) break;
          if (!is_free(seen) && seen != SlotState::leased) break;
        }
      }
    }
    return nullptr;
  }

  // Call with the lock held: the first vacant slot, or null.
  Slot* vacant() noexcept {
    Slot* found = nullptr;
    each([&](Slot& slot) {
      if (found == nullptr && slot.state.load(std::memory_order_relaxed) == SlotState::vacant) found = &slot;
    });
    return found;
  }

  // One call at a time. Throws std::bad_alloc and leaves the table as it was.
  void grow_to(std::size_t size) {
    Segment* last = &first_;
    std::size_t present = first_.size;
    while (Segment* next = last->next.load(std::memory_order_relaxed)) {
      present += next->size;
      last = next;
    }
    // Release: a thread that finds the segment sees its slots made.
    if (size > present) last->next.store(new Segment{size - present}, std::memory_order_release);
  }

  template <class Function>
  void each(Function&& function) {
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire))
      for (std::size_t index = 0; index < segment->size; ++index) function(segment->slots[index]);
  }

  [[nodiscard]] static constexpr bool is_free(SlotState state) noexcept {
    return state == SlotState::idle || state == SlotState::resting;
  }
  static bool claim(Slot& slot, SlotState from, SlotState to) noexcept {
    // The load first: a failed exchange would take the line from whoever works on it.
    return slot.state.load(std::memory_order_relaxed) == from &&
           slot.state.compare_exchange_strong(from, to, std::memory_order_acquire, std::memory_order_relaxed);
  }

 private:
  struct Segment {
    explicit Segment(std::size_t count) : slots{std::make_unique<Slot[]>(count)}, size{count} {}
    std::unique_ptr<Slot[]> slots;
    std::size_t size;
    typename Platform::template Atomic<Segment*> next{nullptr};
  };

  // A hint, shared by all pools of this type in this thread; any value is right.
  static std::size_t& last_used() noexcept {
    thread_local std::size_t index = 0;
    return index;
  }

  Segment first_;
};

// Each slot is counted in one state, so that the sum is right also while others acquire and release.
template <class SlotTable>
[[nodiscard]] PoolCounts count_slots(SlotTable& slots) noexcept {
  PoolCounts counts;
  slots.each([&](auto& slot) {
    switch (slot.state.load(std::memory_order_relaxed)) {
      case SlotState::opening:
        ++counts.opening;
        break;
      case SlotState::idle:
      case SlotState::resting:
        ++counts.idle;
        break;
      case SlotState::leased:
      case SlotState::recalled:
        ++counts.leased;
        break;
      case SlotState::checking:
        ++counts.checking;
        break;
      case SlotState::closing:
        ++counts.closing;
        break;
      case SlotState::vacant:
      default:
        break;
    }
  });
  return counts;
}

}  // namespace lido::detail
