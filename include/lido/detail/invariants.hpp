// What must hold of slots, counts and waiters whenever the lock is free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <lido/detail/capacity.hpp>
#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// The same as `SlotTable::exact_counts`, by a look at each slot: to compare the two.
template <class SlotTable>
[[nodiscard]] PoolCounts count_slots(SlotTable& slots) noexcept {
  PoolCounts counts;
  slots.each([&](auto& slot) {
    const SlotState state = slot.state.load(std::memory_order_relaxed);
    if (is_free(state)) ++counts.idle;
    if (is_leased(state)) ++counts.leased;
    if (state == SlotState::opening) ++counts.opening;
    if (state == SlotState::checking) ++counts.checking;
    if (state == SlotState::closing) ++counts.closing;
  });
  return counts;
}

// Needs the lock. Other threads acquire and release meanwhile: what they may change is not looked at, or twice.
template <class Slot, GrowthPolicy Growth, class Platform>
class Invariants {
 public:
  Invariants(Capacity<Slot, Growth, Platform>& capacity, WaitList<Slot, Platform>& waiters) noexcept
      : capacity_{capacity}, waiters_{waiters} {}

  // Whether a look takes no longer than the lock may be held.
  [[nodiscard]] bool quickly_seen() const noexcept {
    constexpr std::size_t most = 256;
    return capacity_.plan().max_size <= most && waiters_.queue().size() <= most;
  }

  // What does not hold, or null.
  [[nodiscard]] const char* broken() noexcept {
    if (const char* const found = broken_sum()) return found;
    if (const char* const found = broken_queue()) return found;
    if (const char* const found = broken_holder()) return found;
    if (const char* const found = broken_shares()) return found;
    return broken_match();
  }

 private:
  [[nodiscard]] const char* broken_sum() noexcept {
    const PoolCounts counts = count_slots(capacity_.slots());
    if (counts.total() != capacity_.total()) return "the slots in use are miscounted";
    if (counts.opening != capacity_.limiter().under_way()) return "the attempts to open are miscounted";
    if ((counts.checking > 0) != capacity_.slots().any_checking()) return "the checks are miscounted";
    if (counts.closing != capacity_.total() - capacity_.staying()) return "the closes are miscounted";
    std::size_t worn = 0;
    std::size_t replacements = 0;
    capacity_.slots().each([&](const Slot& slot) {
      if (slot.wear == Wear::worn) ++worn;
      if (slot.wear == Wear::replacement) ++replacements;
    });
    if (worn != capacity_.replacements().worn()) return "the worn are miscounted";
    if (replacements != capacity_.replacements().under_way()) return "the replacements are miscounted";
    return nullptr;
  }

  [[nodiscard]] const char* broken_queue() noexcept {
    std::size_t size = 0;
    woken_ = 0;
    asleep_ = 0;
    for (const auto* waiter = waiters_.queue().front(); waiter != nullptr; waiter = waiter->next, ++size) {
      const WaitState state = waiter->state.load(std::memory_order_relaxed);
      if (state == WaitState::woken) ++woken_;
      // Who opens for itself looks when it is done, and whose share has all it may have waits for one of its own.
      if (!waiter->busy && (!waiters_.shares().any() || waiters_.shares().may_have_more(waiter->share))) ++asleep_;
      if (state != WaitState::waiting && state != WaitState::woken && state != WaitState::called)
        return "one whose wait is complete stands in the queue";
    }
    if (size != waiters_.queue().size()) return "the waiters are miscounted";
    if (woken_ != (waiters_.wake_in_flight() ? 1U : 0U)) return "the wake in flight is not that of one waiter";
    return nullptr;
  }

  // A lease that goes on keeps its slot leased.
  [[nodiscard]] const char* broken_holder() noexcept {
    const char* found = nullptr;
    capacity_.slots().each([&](const Slot& slot) {
      const std::uint64_t before = slot.holder_changes.load(std::memory_order_acquire);
      // Acquire: who sees a slot that was given back sees that its lease had ended.
      const SlotState state = slot.state.load(std::memory_order_acquire);
      const bool goes_on = before % 2 != 0 && slot.holder_changes.load(std::memory_order_relaxed) == before;
      if (goes_on && !is_leased(state)) found = "somebody holds a connection that is not leased";
    });
    return found;
  }

  // What is counted comes back by the lock.
  [[nodiscard]] const char* broken_shares() noexcept {
    const char* found = nullptr;
    std::size_t leased = 0;
    if (!waiters_.shares().any()) return found;
    capacity_.slots().each([&](const Slot& slot) {
      if (slot.share == 0) return;
      ++leased;
      if (slot.state.load(std::memory_order_relaxed) != SlotState::recalled) found = "a share has what is not leased";
    });
    if (leased != waiters_.shares().leased()) found = "what the shares have is miscounted";
    waiters_.shares().each(waiters_.shares().count(), [&](const ShareAccount<Slot>& share) {
      if (share.counts.leased > share.counts.at_most) found = "a share has more than it may have";
    });
    return found;
  }

  // See `Dispatcher`. Out of these states no slot changes without the lock while somebody waits.
  [[nodiscard]] const char* broken_match() noexcept {
    const char* found = nullptr;
    if (capacity_.suspended() || capacity_.closed()) return found;
    // Then it ends with a pass over few: see `FreedSlot::plenty`.
    if (woken_ == 0 && capacity_.slots().offering()) return "an offer goes on though nobody is on the way";
    capacity_.slots().each([&](const Slot& slot) {
      const SlotState state = slot.state.load(std::memory_order_relaxed);
      const bool for_woken = state == SlotState::offered || state == SlotState::barging;
      if (woken_ == 0 && for_woken) found = "a slot is offered to nobody";
      if (asleep_ == 0) return;
      if (woken_ == 0 && is_free(state)) found = "somebody sleeps beside an idle connection";
      if (state == SlotState::leased || state == SlotState::unlisted)
        found = "somebody sleeps beside a lease that will not come by";
      if (state == SlotState::idle || state == SlotState::resting) found = "somebody may be overtaken for ever";
    });
    return found;
  }

  Capacity<Slot, Growth, Platform>& capacity_;
  WaitList<Slot, Platform>& waiters_;
  std::size_t woken_ = 0;
  std::size_t asleep_ = 0;
};

}  // namespace lido::detail
