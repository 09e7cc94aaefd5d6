// The table of slots. Its size is the bound of the pool: there is nowhere to put one connection more.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

#include <lido/detail/barging_limit.hpp>
#include <lido/detail/slot_census.hpp>
#include <lido/detail/slot_passes.hpp>
#include <lido/detail/slot_search.hpp>
#include <lido/detail/slot_segment.hpp>

namespace lido::detail {

// Slots never move and never go away while the table lives, so that a lease may point at one. A table that grows
// gets another segment; usually there is one.
template <class Slot, class Platform>
class SlotTable {
 public:
  explicit SlotTable(std::size_t size) : segments_{size} {}
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  // --- without the lock -------------------------------------------------------------------------------------------

  // The fast path: the slot that this thread used last, so that threads keep to lines they own, or else any that is
  // idle, or else one that rests; null where there is none. Acquire: the caller sees what the last holder did to the
  // connection.
  //
  // What is offered to a waiter on its way goes to others as well, but only while that one has waited less than its
  // limit: whoever takes it asks `BargingLimit` first. Who took it gives it back without the lock, and it is offered
  // again; so who begins to acquire after the limit finds nothing, and stands in the queue behind the waiter. `came`:
  // when the caller began, where that is known.
  Slot* claim_idle(TimePoint came = {}) noexcept {
    const std::size_t hint = last_used();
    Segment& first = segments_.first();
    if (hint < first.size && claim(first.slots[hint], SlotState::idle, SlotState::leased)) return &first.slots[hint];
    return claim_other(came);
  }

  // The fast path of a release: the caller's slot is idle, or offered, and not the caller's any more. False: somebody
  // wants it to come back by the lock, and it still is.
  bool give_back(Slot& slot) noexcept {
    // The load first: an exchange that fails costs as much as one that does not. Release: whoever claims the slot sees
    // what was done to the connection.
    auto held = slot.state.load(std::memory_order_relaxed);
    if (held == SlotState::leased &&
        slot.state.compare_exchange_strong(held, SlotState::idle, std::memory_order_release, std::memory_order_relaxed))
      return true;
    if (held == SlotState::barging &&
        slot.state.compare_exchange_strong(held, SlotState::offered, std::memory_order_release,
                                           std::memory_order_relaxed))
      return true;
    return is_swift(held) && give_back_otherwise(slot, held);
  }

  // From here on it is leased only when the others do not suffice. Relaxed would do: the exchange passes on what the
  // slot was published with.
  void let_rest(Slot& slot) noexcept {
    Segment& segment = segments_.of(slot);
    const std::size_t index = segment.index_of(slot);
    std::uint64_t word = segment.listed.read(index);
    if (claim(slot, SlotState::idle, SlotState::resting)) Search::move_to_rested(segment, index, word);
  }

  // --- with the lock held -----------------------------------------------------------------------------------------

  // See `SlotPasses`.
  Slot* claim_idle_or_recall() noexcept { return passes_.claim_idle_or_recall(); }
  bool recall_some() noexcept { return passes_.recall_some(); }
  [[nodiscard]] bool is_large() noexcept { return passes_.is_large(); }
  bool recall(Slot& slot) noexcept { return passes_.recall(slot); }
  void offer(TimePoint until) noexcept { passes_.offer(until); }
  void limit_barging(TimePoint until) noexcept { passes_.limit_barging(until); }
  void end_offer() noexcept { passes_.end_offer(); }
  [[nodiscard]] bool offering() const noexcept { return passes_.offering(); }
  // How many may change without the lock; and whether that is more than one pass should come by.
  [[nodiscard]] std::size_t swift() const noexcept { return census_.tally().swift(); }
  [[nodiscard]] bool many() const noexcept { return passes_.many(); }
  template <class Guard, class GoesOn>
  bool end_offer_in_turns(Guard& guard, GoesOn goes_on) noexcept {
    return passes_.end_offer_in_turns(guard, goes_on);
  }

  // Claims what is free. False: it is not.
  bool claim_free_for(SlotState to, Slot& slot) noexcept {
    if (!claim_free(slot, to)) return false;
    Segment& segment = segments_.of(slot);
    census_.moves(segment, segment.index_of(slot), SlotState::idle, to);
    return true;
  }

  // The caller's slot changes its state. Release: whoever claims it by compare-exchange sees what was done to the
  // connection. Where the new state is owned by the lock, that orders it.
  void put(Slot& slot, SlotState to) noexcept {
    Segment& segment = segments_.of(slot);
    const std::size_t index = segment.index_of(slot);
    const SlotState from = slot.state.load(std::memory_order_relaxed);
    census_.moves(segment, index, from, to);
    if (slot.retire && !is_over(from) && is_over(to)) census_.tally().unmarked();
    slot.state.store(to, std::memory_order_release);
    if (group_of(to) == SlotGroup::unseen) segment.listed.set(index);
    if (to == SlotState::vacant) slot.next_job = std::exchange(vacant_, &slot);
  }

  // The connection is to be closed when it comes back; or not, after all.
  void mark(Slot& slot, CloseReason reason) noexcept {
    if (!std::exchange(slot.retire, true)) census_.tally().marked();
    slot.close_reason = reason;
  }
  void unmark(Slot& slot) noexcept {
    if (std::exchange(slot.retire, false)) census_.tally().unmarked();
  }
  // How many are leased and come back by the lock.
  [[nodiscard]] std::size_t recalled() const noexcept { return census_.tally().recalled(); }
  // How many connections there are, or are being opened or closed.
  [[nodiscard]] std::size_t total() const noexcept { return census_.tally().total(); }
  // Those of them that do not close.
  [[nodiscard]] std::size_t not_closing() const noexcept { return census_.tally().not_closing(); }
  // And are not marked either.
  [[nodiscard]] std::size_t staying() const noexcept { return census_.tally().staying(); }

  // A vacant slot, to be `put` to use, or null: the one that was last in use, or else the first that never was.
  Slot* vacant() noexcept {
    if (Slot* const slot = vacant_) return vacant_ = slot->next_job, slot;
    return segments_.unused();
  }

  // By state. Leases begin and end without the lock and without a word, and to ask each slot takes time. So each call
  // asks 64 of them, the next one the next 64, and the others are taken to be as they were when they were asked. What
  // the lock owns is always right, and so is the sum. Of a pool of 64 all are asked each time.
  [[nodiscard]] PoolCounts counts() noexcept {
    census_.ask_next();
    return census_.tally().counts();
  }
  // The same for those who can wait: all are asked, and the lock is given up between so many.
  template <class Guard>
  [[nodiscard]] PoolCounts exact_counts(Guard& guard) noexcept {
    census_.ask_all(guard);
    return census_.tally().counts();
  }
  // The same without those that are about to be replaced.
  [[nodiscard]] PoolCounts lasting() noexcept {
    PoolCounts counts = this->counts();
    counts.idle -= std::min(counts.idle, census_.tally().worn());
    return counts;
  }
  // Needs no lock.
  [[nodiscard]] bool any_checking() const noexcept { return census_.tally().any_checking(); }

  // One call at a time, without the lock. Throws std::bad_alloc and leaves the table as it was.
  void grow_to(std::size_t size) { segments_.grow_to(size); }
  // Calls `function` with each slot that ever had a connection.
  template <class Function>
  void each(Function&& function) {
    segments_.each(std::forward<Function>(function));
  }
  // The same with the lock held, which is given up between so many.
  template <class Guard, class Function>
  void each_in_turns(Guard& guard, Function&& function) {
    segments_.each([&, count = std::size_t{0}](Slot& slot) mutable {
      if (++count % slots_a_turn == 0) guard.pause();
      function(slot);
    });
  }
  static constexpr std::size_t slots_a_turn = SlotCensus<Slot, Platform>::slots_a_turn;
  // With the lock held: each slot that is opening.
  template <class Function>
  void each_opening(Function&& function) {
    for (Segment* segment = &segments_.first(); segment != nullptr; segment = Segments::next(*segment))
      segment->swift.each_opening([&](std::size_t index) { function(segment->slots[index]); });
  }
  [[nodiscard]] UseTotals<Platform>& uses() noexcept { return segments_.uses(); }

  // Whatever is free, for the caller. By itself only in the child of a fork, where nobody counts any more.
  static bool claim_free(Slot& slot, SlotState to) noexcept {
    return claim(slot, SlotState::idle, to) || claim(slot, SlotState::resting, to) ||
           claim(slot, SlotState::offered, to);
  }
  static bool claim(Slot& slot, SlotState from, SlotState to) noexcept { return slot.claim(from, to); }

 private:
  using Segments = SlotSegments<Slot, Platform>;
  using Segment = typename Segments::Segment;
  static_assert(alignof(Slot) >= cache_line && alignof(Segment) >= cache_line);

  using Search = SlotSearch<Slot, Platform>;

  // What no thread has to itself. Not inline: an acquire that finds its own slot idle need not make room for this.
  [[gnu::noinline]] Slot* claim_other(TimePoint came) noexcept {
    std::size_t& hint = last_used();
    for (typename Search::Found found;;) {
      for (Segment* segment = &segments_.first(); segment != nullptr; segment = Segments::next(*segment)) {
        if (Search::claim_idle(*segment, hint < segment->size ? hint : 0, found)) return hint = found.index, found.slot;
        if (found.slot != nullptr) break;
      }
      if (found.slot == nullptr) break;
      // Acquire: the limit is the one that the slot was offered with, or a later one.
      const SlotState seen = found.slot->state.load(std::memory_order_acquire);
      const bool offered = seen == SlotState::offered;
      if (offered && barging_limit_.passed(came)) return nullptr;
      if (offered && claim(*found.slot, seen, SlotState::barging)) return hint = found.index, found.slot;
      found = {};
    }
    typename Search::Found found;
    for (Segment* segment = &segments_.first(); segment != nullptr; segment = Segments::next(*segment))
      if (Search::claim_resting(*segment, hint < segment->size ? hint : 0, found))
        return hint = found.index, found.slot;
    return nullptr;
  }

  // What changes meanwhile, or is unlisted. What is unlisted is listed first: once the slot is free the pool may be
  // gone.
  [[gnu::noinline]] bool give_back_otherwise(Slot& slot, SlotState held) noexcept {
    for (;;) {
      if (held == SlotState::unlisted) {
        Segment& segment = segments_.of(slot);
        const std::size_t index = segment.index_of(slot);
        segment.listed.set(index);
        last_used() = index;  // this thread finds it at once, and no search has to come by the others
      } else if (held != SlotState::leased && held != SlotState::barging) {
        return false;
      }
      const SlotState free = held == SlotState::barging ? SlotState::offered : SlotState::idle;
      // Release: as above.
      if (slot.state.compare_exchange_strong(held, free, std::memory_order_release, std::memory_order_relaxed))
        return true;
    }
  }

  // Whoever puts a slot into one of these states has ended its connection, or is about to.
  static constexpr bool is_over(SlotState state) noexcept {
    return state == SlotState::closing || state == SlotState::vacant;
  }

  static std::size_t& last_used() noexcept { return thread_notes<Slot>().last_used; }

  Segments segments_;
  // On a line of its own: the one above is read by every acquire.
  alignas(cache_line) BargingLimit<Platform> barging_limit_;

  // Owned by the lock.
  alignas(cache_line) SlotCensus<Slot, Platform> census_{segments_};
  SlotPasses<Slot, Platform> passes_{segments_, census_, barging_limit_};
  Slot* vacant_ = nullptr;  // linked by `next_job`
};

}  // namespace lido::detail
