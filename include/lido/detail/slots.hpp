// The table of slots. Its size is the bound of the pool: there is nowhere to put one connection more.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <lido/detail/slot.hpp>

namespace lido::detail {

// Slots never move and never go away while the table lives, so that a lease may point at one. A table that grows gets
// another segment; usually there is one.
template <class Slot, class Platform>
class Slots {
 public:
  explicit Slots(std::size_t size) : first_{size} {}
  ~Slots() {
    // A loop, so that a table that grew often needs no deep stack.
    for (Segment* segment = first_.next.load(std::memory_order_relaxed); segment != nullptr;)
      delete std::exchange(segment, segment->next.load(std::memory_order_relaxed));
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // The fast path: any idle slot, now the caller's; null where there is none. Starts at the slot that this thread used
  // last, so that threads keep to lines they own. Acquire: the caller sees what the last holder did to the connection.
  Slot* claim_idle() noexcept {
    std::size_t& hint = last_used();
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      const std::size_t start = hint < segment->size ? hint : 0;
      for (std::size_t step = 0, index = start; step < segment->size; ++step) {
        if (claim(segment->slots[index], SlotState::idle, SlotState::leased)) {
          hint = index;
          return &segment->slots[index];
        }
        if (++index == segment->size) index = 0;
      }
    }
    return nullptr;
  }

  // Call with the lock held. Claims an idle slot, or else leaves every lent one recalled.
  //
  // This is where a waiter and a releaser meet, and all that orders them is the state of each slot: its modifications
  // have one order. If the releaser's leased -> idle comes first, this pass finds the slot idle and claims it; if the
  // pass's leased -> recalled comes first, the releaser's exchange fails and it comes by the lock, where it finds the
  // waiter. No slot that was passed can slip to idle or leased behind the pass: every other state changes under the
  // lock only. So after a pass that returned null a waiter may sleep.
  Slot* claim_idle_or_recall() noexcept {
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      for (std::size_t index = 0; index < segment->size; ++index) {
        Slot& slot = segment->slots[index];
        for (;;) {
          const SlotState seen = slot.state.load(std::memory_order_relaxed);
          if (seen == SlotState::idle && claim(slot, SlotState::idle, SlotState::leased)) return &slot;
          if (seen == SlotState::leased && claim(slot, SlotState::leased, SlotState::recalled)) break;
          if (seen != SlotState::idle && seen != SlotState::leased) break;
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

  // Call with the lock held. Throws std::bad_alloc and leaves the table as it was.
  void grow_to(std::size_t size) {
    Segment* last = &first_;
    std::size_t present = first_.size;
    while (Segment* next = last->next.load(std::memory_order_relaxed)) {
      present += next->size;
      last = next;
    }
    // Release: a thread that finds the segment on the fast path sees its slots made.
    if (size > present) last->next.store(new Segment{size - present}, std::memory_order_release);
  }

  template <class Function>
  void each(Function&& function) {
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire))
      for (std::size_t index = 0; index < segment->size; ++index) function(segment->slots[index]);
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

}  // namespace lido::detail
