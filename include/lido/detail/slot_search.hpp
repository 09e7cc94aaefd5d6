// How a slot is found without the lock, and without a look at each.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <lido/detail/slot_segment.hpp>

namespace lido::detail {

// The bits of a segment's maps follow the states of its slots, so that neither an acquire nor a release of the slot
// that a thread used last has to touch them:
//
//   idle, offered, leased, barging   the bit in `listed` is set
//   resting                          a bit in `listed` or in `rested` is set
//   unlisted                         either; whoever gives it back lists it before
//   all others                       either; whoever publishes it lists it afterwards
//
// A search that comes by many leased slots makes them unlisted and takes their bits away. So each is passed by once a
// lease, and the release of that lease pays for it, not the next search. It leaves the first as it is: where few
// are leased their releases need not pay.
template <class Slot, class Platform>
struct SlotSearch {
  using Segment = SlotSegment<Slot, Platform>;

  // Of a search: the slot that was claimed, or else one that is offered.
  struct Found {
    Slot* slot = nullptr;
    std::size_t index = 0;
  };

  // Claims one that is idle. False: there is none, or else `found` is offered, and while one is nobody finds one idle.
  static bool claim_idle(Segment& segment, std::size_t start, Found& found) noexcept {
    std::size_t passed = 0;
    return segment.listed.walk(start, [&](std::size_t index, std::uint64_t& word) {
      Slot& slot = segment.slots[index];
      SlotState seen = slot.state.load(std::memory_order_relaxed);
      switch (seen) {
        case SlotState::idle:
          if (!slot.claim(seen, SlotState::leased)) return Walk::on;
          found = {&slot, index};
          return Walk::found;
        case SlotState::offered:
          found = {&slot, index};
          return Walk::home;
        case SlotState::leased:
          if (++passed <= left_alone) return Walk::on;
          // Relaxed: it tells its holder to list it again, and nothing else. The word was read before, with acquire, so
          // that a holder who lists it does so after that, and the bit stays.
          if (slot.state.compare_exchange_strong(seen, SlotState::unlisted, std::memory_order_relaxed,
                                                 std::memory_order_relaxed))
            segment.listed.clear(index, word);
          return Walk::on;
        case SlotState::resting:
          move_to_rested(segment, index, word);
          return Walk::on;
        case SlotState::barging:
        case SlotState::unlisted:  // its holder may be about to give it back, and have listed it
          return Walk::on;
        default:
          segment.listed.clear(index, word);
          return Walk::on;
      }
    });
  }

  // Claims one that rests.
  static bool claim_resting(Segment& segment, std::size_t start, Found& found) noexcept {
    return segment.rested.walk(start, [&](std::size_t index, std::uint64_t& word) {
      Slot& slot = segment.slots[index];
      if (slot.state.load(std::memory_order_relaxed) != SlotState::resting) {
        segment.rested.clear(index, word);
      } else if (slot.claim(SlotState::resting, SlotState::leased)) {
        segment.listed.set(index);
        found = {&slot, index};
        return Walk::found;
      }
      return Walk::on;
    });
  }

  // A slot that rests is found where one looks last. `word`: of `listed`, read before it was seen to rest.
  [[gnu::noinline]] static void move_to_rested(Segment& segment, std::size_t index, std::uint64_t& word) noexcept {
    segment.rested.set(index);
    segment.listed.clear(index, word);
  }

 private:
  static constexpr std::size_t left_alone = 1;
};

}  // namespace lido::detail
