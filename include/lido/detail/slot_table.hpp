// The table of slots. Its size is the bound of the pool: there is nowhere to put one connection more.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <lido/detail/barging_limit.hpp>
#include <lido/detail/slot.hpp>

namespace lido::detail {

// Slots never move and never go away while the table lives, so that a lease may point at one. A table that grows
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
  //
  // What is offered to a waiter on its way goes to others as well, but only while that one has waited less than its
  // limit: whoever takes it asks `BargingLimit` first. Who took it gives it back without the lock, and it is offered
  // again; so who begins to acquire after the limit finds nothing, and stands in the queue behind the waiter. `came`:
  // when the caller began, where that is known.
  Slot* claim_idle(TimePoint came = {}) noexcept {
    const std::size_t hint = last_used();
    if (hint < first_.size && claim(first_.slots[hint], SlotState::idle, SlotState::leased)) return &first_.slots[hint];
    return claim_other(came);
  }

  // The fast path of a release: the caller's slot is idle, or offered, and not the caller's any more. False: somebody
  // wants it to come back by the lock, and it still is.
  static bool give_back(Slot& slot) noexcept {
    // The load first: an exchange that fails costs as much as one that does not. Release: whoever claims the slot sees
    // what was done to the connection.
    auto held = slot.state.load(std::memory_order_relaxed);
    if (held == SlotState::leased &&
        slot.state.compare_exchange_strong(held, SlotState::idle, std::memory_order_release, std::memory_order_relaxed))
      return true;
    return held == SlotState::barging &&
           slot.state.compare_exchange_strong(held, SlotState::offered, std::memory_order_release,
                                              std::memory_order_relaxed);
  }

  // Call with the lock held. Claims an idle slot, or else leaves every leased one recalled.
  //
  // This is where a waiter and a releaser meet, and all that orders them is the state of each slot: its modifications
  // have one order. If the releaser's leased -> idle comes first, this pass finds the slot idle and claims it; if the
  // pass's leased -> recalled comes first, the releaser's exchange fails and it comes by the lock, where it finds the
  // waiter. The same is true of barging -> offered and barging -> recalled. No slot that was passed can slip back to
  // one of these states behind the pass: out of every other state it changes under the lock only. So after a pass that
  // returned null a waiter may sleep.
  Slot* claim_idle_or_recall() noexcept {
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      for (std::size_t index = 0; index < segment->size; ++index) {
        Slot& slot = segment->slots[index];
        for (;;) {
          const SlotState seen = slot.state.load(std::memory_order_relaxed);
          if (is_free(seen) && claim(slot, seen, SlotState::leased)) return &slot;
          if (is_swift(seen) && claim(slot, seen, SlotState::recalled)) break;
          if (!is_free(seen) && !is_swift(seen)) break;
        }
      }
    }
    return nullptr;
  }

  // Call with the lock held. A waiter is on its way: others get what is idle, or comes back, until `until` alone.
  //
  // As above, each slot is passed by one exchange: a claim or a release comes before it, and is seen, or after it, and
  // fails. Behind the pass a slot is offered or barging or changes under the lock only. Nor can one who saw a slot idle
  // long ago lease it past the waiter: it is idle no more before the waiter has looked.
  void offer(TimePoint until) noexcept {
    limit_barging(until);
    rename(SlotState::offered, SlotState::barging);
  }
  // The same where none is idle and all that are leased are recalled: for the one that is published next.
  void limit_barging(TimePoint until) noexcept { barging_limit_.set(until); }
  // Call with the lock held: nobody waits any more.
  void end_offer() noexcept { rename(SlotState::idle, SlotState::leased); }

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
    return state == SlotState::idle || state == SlotState::resting || state == SlotState::offered;
  }
  // Leased, and given back without the lock.
  [[nodiscard]] static constexpr bool is_swift(SlotState state) noexcept {
    return state == SlotState::leased || state == SlotState::barging;
  }
  [[nodiscard]] static constexpr bool is_leased(SlotState state) noexcept {
    return is_swift(state) || state == SlotState::recalled;
  }
  // Whatever is free, for the caller.
  static bool claim_free(Slot& slot, SlotState to) noexcept {
    return claim(slot, SlotState::idle, to) || claim(slot, SlotState::resting, to) ||
           claim(slot, SlotState::offered, to);
  }
  static bool claim(Slot& slot, SlotState from, SlotState to) noexcept {
    // The load first: a failed exchange would take the line from whoever works on it.
    return slot.state.load(std::memory_order_relaxed) == from &&
           slot.state.compare_exchange_strong(from, to, std::memory_order_acquire, std::memory_order_relaxed);
  }

 private:
  // What no thread has to itself: any idle slot, or one that rests or is offered. Not inline: an acquire that finds its
  // own slot idle need not make room for a search and a look at the clock.
  [[gnu::noinline]] Slot* claim_other(TimePoint came) noexcept {
    for (;;) {
      Found found;
      if (claim_idle_or_find(found)) return found.slot;
      if (found.slot == nullptr) return nullptr;
      // Acquire: the limit is the one that the slot was offered with, or a later one.
      const SlotState seen = found.slot->state.load(std::memory_order_acquire);
      const bool offered = seen == SlotState::offered;
      if (offered && barging_limit_.passed(came)) return nullptr;
      if (is_free(seen) && claim(*found.slot, seen, offered ? SlotState::barging : SlotState::leased)) {
        last_used() = found.index;
        return found.slot;
      }
    }
  }

  // Of a pass: the slot that was claimed, or else the first that rests or is offered.
  struct Found {
    Slot* slot = nullptr;
    std::size_t index = 0;
  };
  bool claim_idle_or_find(Found& found) noexcept {
    std::size_t& hint = last_used();
    for (Segment* segment = &first_; segment != nullptr; segment = segment->next.load(std::memory_order_acquire)) {
      const std::size_t start = hint < segment->size ? hint : 0;
      for (std::size_t step = 0, index = start; step < segment->size; ++step) {
        Slot& slot = segment->slots[index];
        const SlotState seen = slot.state.load(std::memory_order_relaxed);
        if (seen == SlotState::idle && claim(slot, seen, SlotState::leased)) {
          hint = index;
          found.slot = &slot;
          return true;
        }
        if ((seen == SlotState::resting || seen == SlotState::offered) && found.slot == nullptr) found = {&slot, index};
        // While one is offered none is idle, so that the search may end here.
        if (seen == SlotState::offered) return false;
        if (++index == segment->size) index = 0;
      }
    }
    return false;
  }

  // Gives all that change without the lock the states of a pool in which somebody waits, or nobody does.
  void rename(SlotState free, SlotState swift) noexcept {
    each([&](Slot& slot) {
      for (;;) {
        SlotState seen = slot.state.load(std::memory_order_relaxed);
        // What rests goes on resting where nobody waits.
        if (!is_free(seen) && !is_swift(seen)) return;
        if (seen == SlotState::resting && free == SlotState::idle) return;
        const SlotState wanted = is_free(seen) ? free : swift;
        if (seen == wanted) return;
        // Release: whoever sees it offered sees until when.
        if (slot.state.compare_exchange_strong(seen, wanted, std::memory_order_acq_rel, std::memory_order_relaxed))
          return;
      }
    });
  }

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
  // On a line of its own: the one above is read by every acquire.
  alignas(64) BargingLimit<Platform> barging_limit_;
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
      case SlotState::offered:
        ++counts.idle;
        break;
      case SlotState::leased:
      case SlotState::barging:
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
