// The policies of the PostgreSQL pool; they serve any `lido::Pool` of `Connection`.
//   Growth                Overflow, or no pooling, as a setting says  - one type for both: the environment may decide
//   CheckSession          looks at the socket, pings what lay idle    - before every lease and in a sweep
//   InvalidateOnFailover  ends the generation with its server         - several servers, restarts
//   Recycle               InvalidateOnFailover, RetireAfter, ResetOnReturn
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <lido/error.hpp>
#include <lido/growth.hpp>
#include <lido/health.hpp>
#include <lido/policy.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/options.hpp>
#include <lido/recycle.hpp>

namespace lido::postgres {

/// `Overflow`, or a `NullPool` of the same maximum.
struct Growth {
  Overflow overflow{};
  bool pooling = true;  ///< false: every connection is leased once

  GrowthPlan plan(const PoolCounts& counts) const noexcept {
    if (pooling) return overflow.plan(counts);
    return NullPool{.max_size = overflow.pool_size + overflow.max_overflow}.plan(counts);
  }
};

/// What a pool made with `options` has.
[[nodiscard]] inline Growth growth_of(const Options& options) {
  return {.overflow = {.pool_size = options.pool_size,
                       .max_overflow = options.max_overflow,
                       .idle_timeout = options.idle_timeout,
                       .min_idle = options.min_idle},
          .pooling = options.pooling};
}
/// The same with `size` connections at most, for `AdaptiveSize` and `Pool::resize`. Of what `options` keep idle, and of
/// whether they pool at all, nothing changes.
[[nodiscard]] inline Growth growth_of(const Options& options, std::size_t size) {
  Growth growth = growth_of(options);
  growth.overflow.pool_size = size;
  growth.overflow.max_overflow = 0;
  growth.overflow.min_idle = std::min(growth.overflow.min_idle, size);
  return growth;
}

/// Discards a session that the server ended, which is free to see (`Statements::seems_alive`), pings one that was idle
/// for `after` or longer, and discards one on a standby that lags (`ConnectionSettings::max_lag`).
struct CheckSession {
  bool ping = true;                          ///< false: only looks at the socket
  Duration after = std::chrono::seconds{1};  ///< the bypass window; zero pings always. Range: 0 and more.

  Verdict check(Connection& connection, const ConnectionInfo& info) const {
    const bool asked = ping && info.idle >= after;
    const bool fit = asked ? connection.ping(info.deadline) : connection.seems_alive();
    return fit && connection.keeps_up(info.deadline) ? Verdict::keep : Verdict::discard;
  }
};

/// Ends the generation of a connection that comes back from a server that is lost, so that what is leased next is
/// opened anew, at the server which is there now. See `Connection::has_lost_server`.
struct InvalidateOnFailover {
  Verdict recycle(Connection& connection, const ConnectionInfo& info) const {
    const bool back = info.moment == Moment::release || info.moment == Moment::discard;
    return back && connection.has_lost_server(info.deadline) ? Verdict::invalidate : Verdict::keep;
  }
};

inline bool may_block(const InvalidateOnFailover&, const Connection& connection, const ConnectionInfo&) noexcept {
  return connection.has_lost_server_may_block();
}

/// Notices a lost server; retires by age; puts the session in order when it comes back, as `ConnectionSettings::reset`
/// says.
using Recycle = AllOf<InvalidateOnFailover, RetireAfter, ResetOnReturn>;

inline bool may_block(const CheckSession& policy, const Connection& connection, const ConnectionInfo& info) noexcept {
  return (policy.ping && info.idle >= policy.after) || connection.keeps_up_may_block();
}

inline void lido_validate(const Growth& policy) { lido::lido_validate(policy.overflow); }

inline void lido_validate(const CheckSession& policy) {
  lido::detail::require_not_negative(policy.after, "CheckSession::after");
}

static_assert(Pingable<Connection> && Resettable<Connection>);
static_assert(GrowthPolicy<Growth>);
static_assert(HealthPolicyFor<CheckSession, Connection> && HealthPolicyFor<PingIfIdle, Connection>);
static_assert(RecyclePolicyFor<Recycle, Connection>);

}  // namespace lido::postgres
