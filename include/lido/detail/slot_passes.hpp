// Passes over the slots that may change without the lock: for one who waits, and for one who is on its way.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

#include <lido/detail/barging_limit.hpp>
#include <lido/detail/slot_census.hpp>
#include <lido/detail/slot_segment.hpp>

namespace lido::detail {

// Everything needs the lock.
template <class Slot, class Platform>
class SlotPasses {
 public:
  using Segments = SlotSegments<Slot, Platform>;
  using Segment = typename Segments::Segment;
  using Census = SlotCensus<Slot, Platform>;

  SlotPasses(Segments& segments, Census& census, BargingLimit<Platform>& barging_limit) noexcept
      : segments_{segments}, census_{census}, barging_limit_{barging_limit} {}

  // Claims an idle slot, or else leaves every leased one recalled.
  //
  // This is where a waiter and a releaser meet, and all that orders them is the state of each slot: its modifications
  // have one order. If the releaser's leased -> idle comes first, this pass finds the slot idle and claims it; if the
  // pass's leased -> recalled comes first, the releaser's exchange fails and it comes by the lock, where it finds the
  // waiter. The same is true of barging -> offered and barging -> recalled. No slot that was passed can slip back to
  // one of these states behind the pass: out of every other state it changes under the lock only. So after a pass that
  // returned null a waiter may sleep.
  //
  // It passes those that may change without the lock. A slot that was recalled is none of them until it is published
  // again, so that all passes together take as long as what was published between them.
  Slot* claim_idle_or_recall() noexcept {
    Slot* found = nullptr;
    each_swift([&](Segment& segment, std::size_t index) {
      Slot& slot = segment.slots[index];
      while (!recall(segment, index)) {
        const SlotState seen = slot.state.load(std::memory_order_relaxed);
        if (!is_free(seen) || !claim(slot, seen, SlotState::leased)) continue;
        if (seen == SlotState::resting) segment.listed.set(index);
        census_.moves(segment, index, seen, SlotState::leased);
        found = &slot;
        return false;
      }
      return true;
    });
    if (found == nullptr) offering_ = false;  // nothing is offered or barging any more
    return found;
  }
  // The first part of such a pass, in a large table: for one who is about to wait and gives up the lock between the
  // parts. False: the rest is short, or there is an idle one.
  bool recall_some() noexcept {
    if (!many()) return false;
    std::size_t left = slots_a_turn;
    segments_.each_swift([&](Segment& segment, std::size_t index) { return recall(segment, index) && --left > 0; });
    return left == 0;
  }
  // Whether more may change without the lock than one pass should come by.
  [[nodiscard]] bool many() const noexcept { return census_.tally().swift() >= 2 * slots_a_turn; }
  [[nodiscard]] bool is_large() noexcept {
    return segments_.first().size >= 2 * slots_a_turn || Segments::next(segments_.first()) != nullptr;
  }
  // Makes a leased slot come back by the lock; false when it is not leased.
  bool recall(Slot& slot) noexcept {
    Segment& segment = segments_.of(slot);
    return recall(segment, segment.index_of(slot)) || slot.state.load(std::memory_order_relaxed) == SlotState::recalled;
  }

  // A waiter is on its way: others get what is idle, or comes back, until `until` alone.
  //
  // As above, each slot is passed by one exchange: a claim or a release comes before it, and is seen, or after it, and
  // fails. Behind the pass a slot is offered or barging or changes under the lock only. Nor can one who saw a slot idle
  // long ago lease it past the waiter: it is idle no more before the waiter has looked.
  void offer(TimePoint until) noexcept {
    limit_barging(until);
    rename(SlotState::offered, SlotState::barging);
  }
  // The same where none is idle and all that are leased are recalled: for the one that is published next.
  void limit_barging(TimePoint until) noexcept {
    offering_ = true;
    barging_limit_.set(until);
  }
  // Nobody who may have one waits any more.
  void end_offer() noexcept {
    if (std::exchange(offering_, false)) rename(SlotState::idle, SlotState::leased);
  }
  // The same of many, with the lock given up between. False: `goes_on` was false after that. Until it is done nobody
  // may be offered anything anew.
  template <class Guard, class GoesOn>
  bool end_offer_in_turns(Guard& guard, GoesOn goes_on) noexcept {
    if (!offering_ || !many()) return true;
    for (Segment* segment = &segments_.first(); segment != nullptr; segment = Segments::next(*segment))
      for (std::size_t word = 0; word < segment->swift.words(); ++word) {
        segment->swift.each_of(
            word, [&](std::size_t index) { return rename(*segment, index, SlotState::idle, SlotState::leased); });
        guard.pause();
        if (!goes_on()) return false;
      }
    offering_ = false;
    return true;
  }
  [[nodiscard]] bool offering() const noexcept { return offering_; }

 private:
  static constexpr std::size_t slots_a_turn = Census::slots_a_turn;

  static bool claim(Slot& slot, SlotState from, SlotState to) noexcept { return slot.claim(from, to); }

  bool recall(Segment& segment, std::size_t index) noexcept {
    Slot& slot = segment.slots[index];
    for (;;) {
      const SlotState seen = slot.state.load(std::memory_order_relaxed);
      if (!is_swift(seen)) return false;
      if (!claim(slot, seen, SlotState::recalled)) continue;
      census_.moves(segment, index, SlotState::leased, SlotState::recalled);
      if constexpr (!Slot::is_timed) slot.stamp(Platform::now());
      return true;
    }
  }

  // Gives all that change without the lock the states of a pool in which somebody waits, or nobody does.
  void rename(SlotState free, SlotState swift) noexcept {
    each_swift([&](Segment& segment, std::size_t index) { return rename(segment, index, free, swift); });
  }
  // One of them. True: the pass goes on.
  bool rename(Segment& segment, std::size_t index, SlotState free, SlotState swift) noexcept {
    Slot& slot = segment.slots[index];
    for (;;) {
      SlotState seen = slot.state.load(std::memory_order_relaxed);
      // What rests, or is unlisted, goes on so where nobody waits.
      const bool stays = free == SlotState::idle && (seen == SlotState::resting || seen == SlotState::unlisted);
      const SlotState wanted = is_free(seen) ? free : swift;
      if (stays || seen == wanted) return true;
      // Release: whoever sees it offered sees until when.
      if (!slot.state.compare_exchange_strong(seen, wanted, std::memory_order_acq_rel, std::memory_order_relaxed))
        continue;
      if (seen == SlotState::resting || seen == SlotState::unlisted) segment.listed.set(index);
      return true;
    }
  }

  // Until `function` returns false.
  template <class Function>
  void each_swift(Function&& function) {
    if (census_.tally().swift() == 0) return;
    segments_.each_swift(std::forward<Function>(function));
  }

  Segments& segments_;
  Census& census_;
  BargingLimit<Platform>& barging_limit_;
  bool offering_ = false;  // something may be offered or barging
};

}  // namespace lido::detail
