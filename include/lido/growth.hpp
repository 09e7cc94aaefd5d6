// How many connections a pool opens and keeps:
//   FixedSize  a set number, opened at once and kept         - a known, steady load
//   Elastic    a few kept idle, more while they are needed   - a load that varies
//   Overflow   a kept size and a short-lived excess          - SQLAlchemy's pool_size and max_overflow
//   NullPool   no pooling: opened on acquire, closed after   - tests, or a pooler behind a pooler
#pragma once

#include <algorithm>
#include <cstddef>

#include <lido/error.hpp>
#include <lido/policy.hpp>

namespace lido {

/// `size` connections, opened eagerly and kept.
struct FixedSize {
  std::size_t size = 10;  ///< Range: 1 and more.

  GrowthPlan plan(const PoolCounts& counts) const noexcept {
    const std::size_t missing = size > counts.total() ? size - counts.total() : 0;
    return {.max_size = size, .pool_size = size, .open = missing, .idle_timeout = {}, .reuse = true};
  }
};

/// At least `min_idle` connections ready, opened eagerly; more while callers wait, up to `max_size`.
struct Elastic {
  std::size_t min_idle = 0;                          ///< Range: 0 to `max_size`.
  std::size_t max_size = 10;                         ///< Range: 1 and more.
  Duration idle_timeout = std::chrono::minutes{10};  ///< how long the excess over `min_idle` stays idle; 0 and more

  GrowthPlan plan(const PoolCounts& counts) const noexcept {
    const std::size_t ready = counts.idle + counts.checking + counts.opening;
    const std::size_t wanted = min_idle + counts.waiting;
    return {.max_size = max_size,
            .pool_size = min_idle,
            .open = wanted > ready ? wanted - ready : 0,
            .idle_timeout = idle_timeout,
            .reuse = true};
  }
};

/// Opens on demand; `pool_size` connections are kept, up to `max_overflow` more live while they are needed. Up to
/// `min_idle` of the kept ones are opened before anybody asks.
struct Overflow {
  std::size_t pool_size = 5;                        ///< Range: 0 and more; at least 1 with `max_overflow`.
  std::size_t max_overflow = 10;                    ///< Range: 0 and more.
  Duration idle_timeout = std::chrono::seconds{5};  ///< how long the excess stays when nobody waits; 0 and more
  std::size_t min_idle = 0;                         ///< Range: 0 to `pool_size`.

  GrowthPlan plan(const PoolCounts& counts) const noexcept {
    const std::size_t ready = counts.idle + counts.checking + counts.opening;
    const auto missing = [ready](std::size_t wanted) { return wanted > ready ? wanted - ready : 0; };
    // What is opened ahead is kept: the excess would be closed again, and again opened.
    const std::size_t room = pool_size > counts.total() ? pool_size - counts.total() : 0;
    return {.max_size = pool_size + max_overflow,
            .pool_size = pool_size,
            .open = std::max(missing(counts.waiting), std::min(missing(counts.waiting + min_idle), room)),
            .idle_timeout = idle_timeout,
            .reuse = true};
  }
};

/// No pooling: every acquire opens, every release closes. Still never more than `max_size` at once, and callers beyond
/// it wait their turn.
struct NullPool {
  std::size_t max_size = 100;  ///< Range: 1 and more.

  GrowthPlan plan(const PoolCounts& counts) const noexcept {
    return {.max_size = max_size,
            .pool_size = 0,
            .open = counts.waiting > counts.opening ? counts.waiting - counts.opening : 0,
            .idle_timeout = {},
            .reuse = false};
  }
};

inline void lido_validate(const FixedSize& policy) {
  if (policy.size == 0) throw InvalidOption{"FixedSize::size", "at least 1"};
}

inline void lido_validate(const Elastic& policy) {
  if (policy.max_size == 0) throw InvalidOption{"Elastic::max_size", "at least 1"};
  if (policy.min_idle > policy.max_size) throw InvalidOption{"Elastic::min_idle", "at most max_size"};
  detail::require_not_negative(policy.idle_timeout, "Elastic::idle_timeout");
}

inline void lido_validate(const Overflow& policy) {
  if (policy.pool_size + policy.max_overflow == 0)
    throw InvalidOption{"Overflow::pool_size", "at least 1 together with max_overflow"};
  if (policy.pool_size + policy.max_overflow < policy.pool_size)
    throw InvalidOption{"Overflow::max_overflow", "a sum with pool_size that fits std::size_t"};
  if (policy.min_idle > policy.pool_size) throw InvalidOption{"Overflow::min_idle", "at most pool_size"};
  detail::require_not_negative(policy.idle_timeout, "Overflow::idle_timeout");
}

inline void lido_validate(const NullPool& policy) {
  if (policy.max_size == 0) throw InvalidOption{"NullPool::max_size", "at least 1"};
}

static_assert(GrowthPolicy<FixedSize> && GrowthPolicy<Elastic> && GrowthPolicy<Overflow> && GrowthPolicy<NullPool>);

}  // namespace lido
