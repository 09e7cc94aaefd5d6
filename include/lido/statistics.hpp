// The figures of a pool, as one snapshot.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ratio>
#include <string>
#include <vector>

#include <lido/facts.hpp>

namespace lido {

/// How often a span fell into which bucket. Bounds double from 16 microseconds to 35 minutes, beyond any usual
/// acquire time-out; the last bucket has no bound.
struct Histogram {
  static constexpr std::size_t finite_buckets = 28;
  static constexpr Duration first_bound = std::chrono::microseconds{16};

  std::array<std::uint64_t, finite_buckets + 1> counts{};  ///< not cumulative
  /// Of all spans recorded. Many callers wait at once, so that their times together outgrow what counts time for one.
  std::chrono::duration<double, std::nano> sum{};

  /// The inclusive upper bound of bucket `index`; `Duration::max()` for the last.
  [[nodiscard]] static constexpr Duration bound(std::size_t index) noexcept {
    return index < finite_buckets ? first_bound * (std::int64_t{1} << index) : Duration::max();
  }
  /// The bucket that `span` belongs to.
  [[nodiscard]] static constexpr std::size_t bucket(Duration span) noexcept {
    if (span <= first_bound) return 0;
    const auto multiple = static_cast<std::uint64_t>((span - Duration{1}) / first_bound);  // rounded up, less one
    const auto index = std::size_t{static_cast<unsigned>(std::bit_width(multiple))};
    return index < finite_buckets ? index : finite_buckets;
  }
  /// How many spans were recorded.
  [[nodiscard]] constexpr std::uint64_t count() const noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t one : counts) total += one;
    return total;
  }
  /// Their mean; zero where there are none.
  [[nodiscard]] constexpr Duration mean() const noexcept {
    const std::uint64_t total = count();
    return total == 0 ? Duration::zero() : std::chrono::duration_cast<Duration>(sum / static_cast<double>(total));
  }
  constexpr void record(Duration span) noexcept {
    ++counts[bucket(span)];
    sum += span;
  }
  constexpr Histogram& operator+=(const Histogram& other) noexcept {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

/// What one `Share` of a pool has now, and what its callers have done. Counters only grow.
struct ShareStatistics {
  std::string name;            ///< what it was made with
  std::size_t guaranteed = 0;  ///< `ShareOptions::guaranteed`
  std::size_t at_most = 0;     ///< `ShareOptions::at_most`, or the pool's maximum where that is less
  std::size_t leased = 0;      ///< connections that its callers have, or that are put in order behind them
  std::size_t waiting = 0;     ///< of its callers in the queue

  std::uint64_t acquired = 0;  ///< connections given to its callers, those included that were then found unfit
  std::uint64_t waited = 0;    ///< acquires that had to queue, whatever came of it
  std::uint64_t full = 0;      ///< those of them that came when the share had all it may have
  std::uint64_t timeouts = 0;  ///< acquires that ran out of time
  std::uint64_t rejected = 0;  ///< acquires refused because its queue was full, or would wait for themselves
  std::uint64_t shed = 0;      ///< acquires refused because the queue stood

  Histogram wait;  ///< how long acquires that had to queue and got a connection waited
};

/// What a pool looks like now, and what it has done since it was made. Counters only grow.
struct Statistics {
  std::string name;           ///< `PoolOptions::name`
  PoolCounts now;             ///< the connections by what they are doing; their sum is `now.total()`
  std::size_t pool_size = 0;  ///< connections kept open though idle, by the growth policy
  std::size_t max_size = 0;   ///< never more connections than this
  Duration oldest_wait{};     ///< how long the caller at the head of the queue has waited

  std::uint64_t acquired = 0;         ///< leases handed out
  std::uint64_t at_once = 0;          ///< those of them that did not have to queue; the rest is in `wait`
  std::uint64_t released = 0;         ///< leases that ended; `acquired - released` is `now.leased` at rest
  std::uint64_t waited = 0;           ///< acquires that had to queue, whatever came of it
  std::uint64_t timeouts = 0;         ///< acquires that ran out of time
  std::uint64_t cancelled = 0;        ///< acquires ended by their stop token
  std::uint64_t rejected = 0;         ///< acquires refused because the queue was full, or would wait for themselves
  std::uint64_t shed = 0;             ///< acquires refused because the queue stood (`max_standing_wait`)
  std::uint64_t hopeless = 0;         ///< acquires refused as their turn would come too late (`refuse_hopeless`)
  std::uint64_t failed_fast = 0;      ///< acquires told why none can be opened (`fail_fast_after`, `PermanentFailure`)
  std::uint64_t opened = 0;           ///< connections opened
  std::uint64_t open_failures = 0;    ///< attempts to open that failed
  std::uint64_t closed = 0;           ///< connections closed or detached
  std::uint64_t found_dead = 0;       ///< connections that failed a health check
  std::uint64_t recycled = 0;         ///< connections that a recycle policy discarded, or more than are kept
  std::uint64_t discarded = 0;        ///< connections that a holder discarded
  std::uint64_t invalidated = 0;      ///< connections closed because of `invalidate`, by a caller or a policy
  std::uint64_t leaks = 0;            ///< leases that were held longer than `PoolOptions::leak_after`
  std::uint64_t listener_errors = 0;  ///< listeners and destructors that threw

  Histogram wait;  ///< how long acquires that had to queue and got a connection waited
  Histogram use;   ///< how long holders had a connection; empty where no policy needs a clock
  Histogram open;  ///< how long successful opens took

  std::vector<ShareStatistics> shares;  ///< of each share, in the order in which they were made

  /// Connections beyond `pool_size`.
  [[nodiscard]] std::size_t overflow() const noexcept { return now.total() > pool_size ? now.total() - pool_size : 0; }
  /// Of `now.waiting` those who would have a connection if there were more: not those whose share has all it may have.
  [[nodiscard]] std::size_t waiting_for_more() const noexcept {
    std::size_t at_their_limit = 0;
    for (const ShareStatistics& share : shares)
      if (share.at_most < max_size && share.leased >= share.at_most) at_their_limit += share.waiting;
    return now.waiting - std::min(now.waiting, at_their_limit);
  }
};

}  // namespace lido
