// The slots, in one piece or in few, and what is known of where to look among them.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include <lido/detail/slot.hpp>
#include <lido/detail/slot_map.hpp>
#include <lido/detail/slot_set.hpp>

namespace lido::detail {

template <class Slot, class Platform>
struct SlotSegment {
  SlotSegment(std::size_t count, UseTotals<Platform>& totals)
      : slots{std::make_unique<Slot[]>(count)}, size{count}, listed{count}, rested{count}, swift{count} {
    for (std::size_t index = 0; index < size; ++index) slots[index].use.belong_to(totals);
  }

  [[nodiscard]] bool has(const Slot& slot) const noexcept {
    return !std::less<>{}(&slot, slots.get()) && std::less<>{}(&slot, slots.get() + size);
  }
  [[nodiscard]] std::size_t index_of(const Slot& slot) const noexcept {
    return static_cast<std::size_t>(&slot - slots.get());
  }

  // Read by all, written once.
  const std::unique_ptr<Slot[]> slots;
  const std::size_t size;
  SlotMap<Platform> listed;  // what is or may be idle, offered, leased or barging
  SlotMap<Platform> rested;  // what is or may be resting
  typename Platform::template Atomic<SlotSegment*> next{nullptr};

  // Owned by the lock, on a line of its own.
  alignas(cache_line) SlotSet swift;  // what may change its state without the lock
  std::atomic<std::size_t> used{0};   // the slots from here on never had a connection; read by all who look at each
};

// All of them: a first segment, and another one for each time that there were to be more.
template <class Slot, class Platform>
class SlotSegments {
 public:
  using Segment = SlotSegment<Slot, Platform>;

  explicit SlotSegments(std::size_t size) : first_{size, uses_} {}
  ~SlotSegments() {
    // A loop, so that a table that grew often needs no deep stack.
    for (Segment* segment = first_.next.load(std::memory_order_relaxed); segment != nullptr;)
      delete std::exchange(segment, segment->next.load(std::memory_order_relaxed));
  }
  SlotSegments(const SlotSegments&) = delete;
  SlotSegments& operator=(const SlotSegments&) = delete;

  [[nodiscard]] Segment& first() noexcept { return first_; }
  [[nodiscard]] Segment& of(const Slot& slot) noexcept {
    Segment* segment = &first_;
    while (!segment->has(slot)) segment = next(*segment);
    return *segment;
  }
  // Acquire: who finds a segment finds its slots made.
  [[nodiscard]] static Segment* next(Segment& segment) noexcept { return segment.next.load(std::memory_order_acquire); }

  // One call at a time. Throws std::bad_alloc and leaves all as it was.
  void grow_to(std::size_t size) {
    Segment* last = &first_;
    std::size_t present = first_.size;
    while (Segment* next = last->next.load(std::memory_order_relaxed)) {
      present += next->size;
      last = next;
    }
    // Release: a thread that finds the segment sees its slots made.
    if (size > present) last->next.store(new Segment{size - present, uses_}, std::memory_order_release);
  }

  // Needs the lock: the first slot that never was in use, and is from now on; or null.
  [[nodiscard]] Slot* unused() noexcept {
    for (Segment* segment = &first_; segment != nullptr; segment = next(*segment)) {
      const std::size_t used = segment->used.load(std::memory_order_relaxed);
      if (used == segment->size) continue;
      segment->used.store(used + 1, std::memory_order_relaxed);
      return &segment->slots[used];
    }
    return nullptr;
  }
  // Calls `function` with each that ever was.
  template <class Function>
  void each(Function&& function) {
    for (Segment* segment = &first_; segment != nullptr; segment = next(*segment)) {
      const std::size_t used = segment->used.load(std::memory_order_relaxed);
      for (std::size_t index = 0; index < used; ++index) function(segment->slots[index]);
    }
  }
  // Needs the lock. Calls `function` with each that may change without it, until one returns false.
  template <class Function>
  void each_swift(Function&& function) {
    for (Segment* segment = &first_; segment != nullptr; segment = next(*segment))
      if (!segment->swift.each([&](std::size_t index) { return function(*segment, index); })) return;
  }

  [[nodiscard]] UseTotals<Platform>& uses() noexcept { return uses_; }

 private:
  UseTotals<Platform> uses_;
  Segment first_;
};

}  // namespace lido::detail
