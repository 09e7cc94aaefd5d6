// How many slots are in which state, also of those that change it without a word.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#include <lido/detail/slot_segment.hpp>
#include <lido/detail/slot_tally.hpp>

namespace lido::detail {

// Owned by the pool's lock. Leases begin and end without it, and to ask each slot takes time: so few are asked at a
// time, and of each is known what it was when it was asked last.
template <class Slot, class Platform>
class SlotCensus {
 public:
  using Segments = SlotSegments<Slot, Platform>;
  using Segment = typename Segments::Segment;

  // How many are asked under the lock at a stretch; or one word of them more.
  static constexpr std::size_t slots_a_turn = 64;

  explicit SlotCensus(Segments& segments) noexcept : segments_{segments}, next_{&segments.first(), 0} {}

  [[nodiscard]] SlotTally& tally() noexcept { return tally_; }
  [[nodiscard]] const SlotTally& tally() const noexcept { return tally_; }

  // Not inline, as all that is called from many places here: what each acquire passes would lose its room for it.

  // A slot changes its state under the lock.
  [[gnu::noinline]] void moves(Segment& segment, std::size_t index, SlotState from, SlotState to) noexcept {
    const SlotGroup before = group_of(from);
    const SlotGroup after = group_of(to);
    tally_.moves(before, after);
    if (before == SlotGroup::opening) segment.swift.end_opening(index);
    if (after == SlotGroup::opening) segment.swift.begin_opening(index);
    if (after == SlotGroup::unseen)
      tally_.looked(segment.swift.add(index, look_of(to, segment.slots[index])));
    else if (before == SlotGroup::unseen)
      tally_.looked(segment.swift.remove(index));
  }

  // Asks some of them, and at the next call the next, round and round.
  [[gnu::noinline]] void ask_next() noexcept {
    const std::size_t wanted = std::min(slots_a_turn, tally_.swift());
    const Place begun = next_;
    for (std::size_t asked = 0; asked < wanted;) {
      ask(*next_.segment, next_.word, asked);
      if (++next_.word == next_.segment->swift.words()) {
        Segment* const next = Segments::next(*next_.segment);
        next_ = {next != nullptr ? next : &segments_.first(), 0};
      }
      if (next_ == begun) return;
    }
  }
  // Asks all of them, and gives up the lock between.
  template <class Guard>
  [[gnu::noinline]] void ask_all(Guard& guard) noexcept {
    std::size_t asked = 0;
    for (Segment* segment = &segments_.first(); segment != nullptr; segment = Segments::next(*segment))
      for (std::size_t word = 0; word < segment->swift.words(); ++word) {
        if (asked >= slots_a_turn) guard.pause(), asked = 0;
        ask(*segment, word, asked);
      }
  }

 private:
  struct Place {
    Segment* segment;
    std::size_t word;
    friend bool operator==(const Place&, const Place&) = default;
  };

  [[nodiscard]] static SlotLook look_of(SlotState state, const Slot& slot) noexcept {
    return is_swift(state)                             ? SlotLook::leased
           : slot.wear == Wear::worn && is_free(state) ? SlotLook::worn
                                                       : SlotLook::idle;
  }
  void ask(Segment& segment, std::size_t word, std::size_t& asked) noexcept {
    tally_.looked(segment.swift.look(word, asked, [&](std::size_t index) {
      const Slot& slot = segment.slots[index];
      return look_of(slot.state.load(std::memory_order_relaxed), slot);
    }));
  }

  Segments& segments_;
  SlotTally tally_;
  Place next_;
};

}  // namespace lido::detail
