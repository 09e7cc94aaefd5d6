// Whether a connection is kept, and what is done to it in between:
//   KeepAlways     keeps it as it is                                     - stateless connections
//   RetireAfter    closes it after an age, an idle time or some uses     - behind load balancers, fail-overs, leaks
//   ResetOnReturn  asks it to clear its session when it comes back       - connections with session state
//   AllOf          several of these, in order; the first that does not keep it decides
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>

#include <lido/error.hpp>
#include <lido/policy.hpp>

namespace lido {

/// A connection that can clear what a holder left behind: `true` means it is as good as new. Blocks until `deadline`
/// at most. One that knows when it has nothing to wait for says so by `bool reset_may_block() const`, which must not
/// throw (`std::terminate`).
template <class Connection>
concept Resettable = requires(Connection& connection, TimePoint deadline) {
  { connection.reset(deadline) } -> std::convertible_to<bool>;
};

/// Keeps every connection as it is.
struct KeepAlways {
  template <class Connection>
  Verdict recycle(Connection&, const ConnectionInfo&) const noexcept {
    return Verdict::keep;
  }
};

template <>
inline constexpr bool always_keeps<KeepAlways> = true;

/// Closes a connection past `age`, `idle` or `uses`; never under its holder, but when it comes back.
struct RetireAfter {
  Duration age = Duration::max();                                  ///< since it was opened. Range: more than 0.
  Duration idle = Duration::max();                                 ///< since it was last used. Range: more than 0.
  std::uint64_t uses = std::numeric_limits<std::uint64_t>::max();  ///< how often it is leased. Range: 1 and more.
  double jitter = 0.1;  ///< ages are shortened by up to this share, each connection by its own. Range: 0 to 1.

  template <class Connection>
  Verdict recycle(Connection&, const ConnectionInfo& info) const noexcept {
    // At release the present lease counts, so that a connection is leased exactly `uses` times.
    const bool worn = info.moment == Moment::release && info.uses >= uses;
    const bool old = age != Duration::max() && info.age >= shortened(info.spread);
    return worn || old || info.idle >= idle ? Verdict::discard : Verdict::keep;
  }

 private:
  friend Duration keeps_for(const RetireAfter&, const ConnectionInfo&) noexcept;
  [[nodiscard]] Duration shortened(double spread) const noexcept {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, Duration::period>{age} *
                                                (1.0 - jitter * spread));
  }
};

/// Asks the connection to clear its session when it comes back; one that cannot is closed.
struct ResetOnReturn {
  template <Resettable Connection>
  Verdict recycle(Connection& connection, const ConnectionInfo& info) const {
    if (info.moment != Moment::release) return Verdict::keep;
    return connection.reset(info.deadline) ? Verdict::keep : Verdict::discard;
  }
};

/// Asks each of `Policies` in order until one says something else than keep, which is the answer. Put the cheap ones
/// first.
template <class... Policies>
struct AllOf {
  std::tuple<Policies...> policies{};

  AllOf() = default;
  explicit(sizeof...(Policies) == 1) AllOf(Policies... each) : policies{std::move(each)...} {}

  template <class Connection>
    requires(RecyclePolicyFor<Policies, Connection> && ...)
  Verdict recycle(Connection& connection, const ConnectionInfo& info) const {
    Verdict verdict = Verdict::keep;
    const auto keeps = [&](const auto& policy) {
      verdict = policy.recycle(connection, info);
      return verdict == Verdict::keep;
    };
    std::apply([&](const auto&... each) { static_cast<void>((keeps(each) && ...)); }, policies);
    return verdict;
  }
};

template <class... Policies>
inline constexpr bool always_keeps<AllOf<Policies...>> = (always_keeps<Policies> && ...);

// Uses come without time.
inline Duration keeps_for(const RetireAfter& policy, const ConnectionInfo& info) noexcept {
  if (policy.uses != std::numeric_limits<std::uint64_t>::max()) return Duration::zero();
  const bool ages = policy.age != Duration::max();
  return ages ? std::min(policy.idle, policy.shortened(info.spread) - info.age) : policy.idle;
}
template <class... Policies>
constexpr Duration keeps_for(const AllOf<Policies...>& policy, const ConnectionInfo& info) noexcept {
  return std::apply([&](const auto&... each) { return std::min({Duration::max(), keeps_for(each, info)...}); },
                    policy.policies);
}

constexpr bool may_block(const RetireAfter&, const ConnectionInfo&) noexcept { return false; }
template <class Connection>
constexpr bool may_block(const ResetOnReturn&, const Connection& connection, const ConnectionInfo& info) noexcept {
  if (info.moment != Moment::release) return false;
  if constexpr (requires { static_cast<bool>(connection.reset_may_block()); })
    return static_cast<bool>(connection.reset_may_block());
  else
    return true;
}
template <class Connection, class... Policies>
constexpr bool may_block(const AllOf<Policies...>& policy, const Connection& connection,
                         const ConnectionInfo& info) noexcept {
  return std::apply([&](const auto&... each) { return (may_block(each, connection, info) || ...); }, policy.policies);
}

inline void lido_validate(const RetireAfter& policy) {
  detail::require_positive(policy.age, "RetireAfter::age");
  detail::require_positive(policy.idle, "RetireAfter::idle");
  if (policy.uses == 0) throw InvalidOption{"RetireAfter::uses", "at least 1"};
  if (!(policy.jitter >= 0 && policy.jitter <= 1)) throw InvalidOption{"RetireAfter::jitter", "a share from 0 to 1"};
}

template <class... Policies>
void lido_validate(const AllOf<Policies...>& policy) {
  // A policy without settings to check has no `lido_validate`.
  const auto check = [](const auto& each) {
    if constexpr (requires { lido_validate(each); }) lido_validate(each);
  };
  std::apply([&](const auto&... each) { (check(each), ...); }, policy.policies);
}

}  // namespace lido
