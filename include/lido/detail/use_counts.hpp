// How long the holders of connections had them, counted without the lock and in little memory.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include <lido/facts.hpp>
#include <lido/statistics.hpp>

namespace lido::detail {

// What the slots of a pool have counted together, as far as it did not fit in there.
template <class Platform>
class UseTotals {
 public:
  static constexpr std::size_t buckets = Histogram::finite_buckets + 1;

  // Release: whoever finds this here finds the slot's count taken back, so that nothing is found twice.
  void add(std::size_t bucket, std::uint64_t times) noexcept {
    counts_[bucket].fetch_add(times, std::memory_order_release);
  }

  // All there is in `histogram`: what is here, and what `add_slots` adds after it. What moves from a slot to here
  // meanwhile is missed, but it was told before: no figure ever falls.
  template <class AddSlots>
  void read(Histogram& histogram, AddSlots add_slots) noexcept {
    for (std::size_t i = 0; i < buckets; ++i) histogram.counts[i] += counts_[i].load(std::memory_order_acquire);
    add_slots();
    const std::scoped_lock one_at_a_time{telling_};
    for (std::size_t i = 0; i < buckets; ++i) histogram.counts[i] = told_[i] = std::max(told_[i], histogram.counts[i]);
  }

 private:
  std::array<std::atomic<std::uint64_t>, buckets> counts_{};
  typename Platform::Mutex telling_;
  std::array<std::uint64_t, buckets> told_{};
};

// The uses of one slot. Its holder writes, one at a time; anybody reads.
template <class Platform, bool counted>
class UseCounts {
 public:
  void belong_to(UseTotals<Platform>& totals) noexcept { totals_ = &totals; }

  void record(Duration held) noexcept {
    const auto relaxed = std::memory_order_relaxed;
    sum_.store(sum_.load(relaxed) + held, relaxed);
    const std::size_t bucket = Histogram::bucket(held);
    const std::uint8_t before = counts_[bucket].load(relaxed);
    counts_[bucket].store(static_cast<std::uint8_t>(before + 1U), relaxed);  // the 256th takes it to zero
    if (before == most) spill(bucket);
  }
  void add_to(Histogram& histogram) const noexcept {
    histogram.sum += sum_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < counts_.size(); ++i) histogram.counts[i] += counts_[i].load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint8_t most = 255;

  // Once in 256 uses, so that the line it writes is nobody's concern.
  [[gnu::noinline]] void spill(std::size_t bucket) noexcept {
    if (totals_ != nullptr) totals_->add(bucket, most + 1U);
  }

  UseTotals<Platform>* totals_ = nullptr;
  std::atomic<Duration> sum_{};
  std::array<std::atomic<std::uint8_t>, UseTotals<Platform>::buckets> counts_{};
};

// Where no policy needs a clock nobody knows how long a use was.
template <class Platform>
class UseCounts<Platform, false> {
 public:
  static void belong_to(UseTotals<Platform>&) noexcept {}
  static void record(Duration) noexcept {}
  static void add_to(Histogram&) noexcept {}
};

}  // namespace lido::detail
