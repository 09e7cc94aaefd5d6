// Whether a connection is fit to be leased:
//   AssumeHealthy  never asks                                     - in-process resources
//   PingOnAcquire  asks the connection before every lease          - correctness before speed
//   PingIfIdle     asks only after it lay idle for a while        - the usual choice
#pragma once

#include <concepts>

#include <lido/error.hpp>
#include <lido/policy.hpp>

namespace lido {

/// A connection that can be asked whether its peer still answers: `true` means it does. Blocks until `deadline` at
/// most.
template <class Connection>
concept Pingable = requires(Connection& connection, TimePoint deadline) {
  { connection.ping(deadline) } -> std::convertible_to<bool>;
};

/// Leases every connection unasked.
struct AssumeHealthy {
  template <class Connection>
  Verdict check(Connection&, const ConnectionInfo&) const noexcept {
    return Verdict::keep;
  }
};

template <>
inline constexpr bool always_keeps<AssumeHealthy> = true;

/// Pings before every lease: the holder gets a connection that answered just now.
struct PingOnAcquire {
  template <Pingable Connection>
  Verdict check(Connection& connection, const ConnectionInfo& info) const {
    return connection.ping(info.deadline) ? Verdict::keep : Verdict::discard;
  }
};

/// Pings a connection that was idle for `after` or longer, and trusts one that was used more recently.
struct PingIfIdle {
  Duration after = std::chrono::seconds{1};  ///< the bypass window; zero pings always. Range: 0 and more.

  template <Pingable Connection>
  Verdict check(Connection& connection, const ConnectionInfo& info) const {
    if (info.idle < after) return Verdict::keep;
    return connection.ping(info.deadline) ? Verdict::keep : Verdict::discard;
  }
};

constexpr bool may_block(const PingIfIdle& policy, const ConnectionInfo& info) noexcept {
  return info.idle >= policy.after;
}

// What is leased now lies idle from now on at the earliest.
constexpr Duration keeps_for(const PingIfIdle& policy, const ConnectionInfo&) noexcept { return policy.after; }

inline void lido_validate(const PingIfIdle& policy) { detail::require_not_negative(policy.after, "PingIfIdle::after"); }

}  // namespace lido
