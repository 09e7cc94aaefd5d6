// Every figure of a pool that only grows, one way to write them, and one snapshot of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <lido/facts.hpp>
#include <lido/statistics.hpp>

namespace lido::detail {

// Written under the pool's lock, which the guard proves; each figure together with the change that it counts. So a
// snapshot adds up: `opened - closed` is the number of connections, whatever others do meanwhile. Leases begin and end
// without the lock, and are counted where they are, in their slots.
class Metrics {
 public:
  using Counter = std::uint64_t Statistics::*;
  using Spans = Histogram Statistics::*;

  template <class Guard>
  void count(Counter counter, const Guard&, std::uint64_t times = 1) noexcept {
    totals_.*counter += times;
  }
  template <class Guard>
  void record(Spans spans, Duration span, const Guard&) noexcept {
    (totals_.*spans).record(span);
  }
  // A connection that may not stay; what others end is counted by them.
  template <class Guard>
  void count_removal(CloseReason why, const Guard& guard) noexcept {
    if (const Counter counter = counter_of(why)) count(counter, guard);
  }

  // What was counted here; allocates nothing, as its name is empty.
  template <class Guard>
  [[nodiscard]] Statistics totals(const Guard&) const noexcept {
    return totals_;
  }

  // Of `figures.acquired`, counted since without the lock, those that did not queue. A lease begins a moment before its
  // wait is recorded, and the two are looked at one after the other: so the greatest difference that was ever told, as
  // no figure may fall; but no more than what this reader has counted, who may have begun before another that was told.
  // It is too great by those at most who were between the two at that moment.
  template <class Guard>
  void tell_at_once(Statistics& figures, const Guard&) noexcept {
    const std::uint64_t queued = totals_.wait.count();
    if (figures.acquired > queued) totals_.at_once = std::max(totals_.at_once, figures.acquired - queued);
    figures.at_once = std::min(totals_.at_once, figures.acquired);
  }

  // The leases of one slot. One look tells how many began and how many ended.
  template <class Slot>
  static void add_leases(const Slot& slot, Statistics& figures) noexcept {
    const std::uint64_t changes = slot.holder_changes.load(std::memory_order_relaxed);
    figures.acquired += (changes + 1) / 2;
    figures.released += changes / 2;
    slot.use.add_to(figures.use);
  }

  [[nodiscard]] static constexpr Counter counter_of(CloseReason why) noexcept {
    switch (why) {
      case CloseReason::dead:
        return &Statistics::found_dead;
      case CloseReason::recycled:
      case CloseReason::surplus:
        return &Statistics::recycled;
      case CloseReason::discarded:
        return &Statistics::discarded;
      case CloseReason::invalidated:
        return &Statistics::invalidated;
      default:
        return nullptr;
    }
  }

 private:
  Statistics totals_;
};

}  // namespace lido::detail
