// The three questions that a pool asks, each a concept under the table that documents it.
//
// A policy is a plain struct: data members are its settings, one `const` member function is its answer. It derives from
// nothing and reads no clock, so that its tests pass literals. Copies of it must be cheap and independent.
//
// Where the settings have ranges, `void lido_validate(const YourPolicy&)` beside the policy, found by its argument, is
// called before a pool is made with it or resized to it, and throws `InvalidOption` for what is out of range. It has
// the library's name in its own, so that no function of yours is taken for it.
#pragma once

#include <concepts>
#include <type_traits>

#include <lido/facts.hpp>

namespace lido {

/// How many connections to open, and how many to keep?
///
/// | expression  | result       | asked                             | may block | when it throws     |
/// |-------------|--------------|-----------------------------------|-----------|--------------------|
/// | `p.plan(c)` | `GrowthPlan` | under the queue's lock, and often | no        | must be `noexcept` |
///
/// `p` is a const policy, `c` a `const PoolCounts&`. The answer may depend on nothing but the settings and `c`; its
/// `max_size` and `pool_size` must not depend on `c`. Opens beyond `max_size` or beyond what the workers can do at a
/// time are not begun. Smallest model: `FixedSize` in growth.hpp.
template <class Policy>
concept GrowthPolicy = std::copyable<Policy> && requires(const Policy policy, const PoolCounts& counts) {
  { policy.plan(counts) } noexcept -> std::same_as<GrowthPlan>;
};

/// Is this connection fit to be leased?
///
/// | expression      | result    | asked                       | may block          | when it throws        |
/// |-----------------|-----------|-----------------------------|--------------------|-----------------------|
/// | `p.check(x, i)` | `Verdict` | at acquire and in a sweep   | until `i.deadline` | as `Verdict::discard` |
///
/// `p` is a const policy, `x` a `Connection&`, `i` a `const ConnectionInfo&`. No lock is held, and `x` is the hook's
/// alone. Not asked about a connection that was opened for a caller less than a second ago. One that is not fit makes
/// suspects of the others anyway, so that `Verdict::invalidate` is as `discard` here. Smallest model: `AssumeHealthy`
/// in health.hpp.
template <class Policy, class Connection>
concept HealthPolicyFor =
    std::copyable<Policy> && requires(const Policy policy, Connection& connection, const ConnectionInfo& info) {
      { policy.check(connection, info) } -> std::same_as<Verdict>;
    };

/// Keep it or discard it? (And put it back in order.)
///
/// | expression        | result    | asked            | may block          | when it throws        |
/// |-------------------|-----------|------------------|--------------------|-----------------------|
/// | `p.recycle(x, i)` | `Verdict` | at each `Moment` | until `i.deadline` | as `Verdict::discard` |
///
/// `p` is a const policy, `x` a `Connection&`, `i` a `const ConnectionInfo&`, whose `moment` says which it is. No lock
/// is held, and `x` is the hook's alone. A sweep asks about an `age` a little ahead of the clock, so that a connection
/// is replaced before it is worn; that alone ends no generation. `Verdict::invalidate` says that what is wrong with `x`
/// is wrong with all that are open: a new generation begins, unless that of `x` has ended before. Smallest model:
/// `KeepAlways` in recycle.hpp.
template <class Policy, class Connection>
concept RecyclePolicyFor =
    std::copyable<Policy> && requires(const Policy policy, Connection& connection, const ConnectionInfo& info) {
      { policy.recycle(connection, info) } -> std::same_as<Verdict>;
    };

/// True for a policy that answers `Verdict::keep` whatever it is told: the pool then neither asks it nor reads a clock
/// for it. Specialise it for a policy of your own of which that is so.
template <class Policy>
inline constexpr bool always_keeps = false;

/// Whether a hook may block when it is told this. Where a caller must not be held up, because it acquired
/// asynchronously, a worker then asks the hook in its place, at acquire and at release. Overload it beside a policy of
/// your own, with the connection or without; without an overload the answer is yes. An overload must not throw
/// (`std::terminate`): it is asked where nobody could be told.
template <class Policy>
constexpr bool may_block(const Policy&, const ConnectionInfo&) noexcept {
  return !always_keeps<Policy>;
}
/// The same of one connection, exclusively the asker's: for policies that can tell by looking at it. Must neither block
/// nor throw.
template <class Policy, class Connection>
constexpr bool may_block(const Policy& policy, const Connection&, const ConnectionInfo& info) noexcept {
  return may_block(policy, info);
}

/// For how long a policy surely goes on to answer `Verdict::keep`, once it has answered so to `info` when a connection
/// was about to be leased; whatever becomes of the connection meanwhile, and however often it is leased. The pool then
/// neither asks it nor looks at the clock. Overload it beside a policy of your own; without an overload it is asked
/// each time. An overload must not throw (`std::terminate`).
template <class Policy>
constexpr Duration keeps_for(const Policy&, const ConnectionInfo&) noexcept {
  return always_keeps<Policy> ? Duration::max() : Duration::zero();
}

namespace detail {

// For what asks a pool how long its connections are held.
template <class Health, class Recycle>
constexpr void require_clock() {
  static_assert(!always_keeps<Health> || !always_keeps<Recycle>,
                "lido: a pool without a health or recycle policy reads no clock, and cannot tell how long its "
                "connections are held: give it `RetireAfter{}`");
}

}  // namespace detail

}  // namespace lido
