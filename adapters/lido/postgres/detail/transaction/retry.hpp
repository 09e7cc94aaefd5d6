// Whether and when a transaction is tried again, as decisions. No I/O.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <random>

#include <lido/facts.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Whether what `session` did may be there already: it has committed, a statement of it has, or has ended the
/// transaction, perhaps with a COMMIT that nobody saw; whether it is still open or not. To be asked before it is rolled
/// back.
template <class AnySession>
[[nodiscard]] bool may_have_committed(AnySession& session) {
  if (session.transaction().may_be_committed) return true;
  if (!session.is_open()) return false;
  auto& connection = session.connection();
  return connection.channel().held().may_be_committed() || (connection.is_usable() && !connection.in_transaction());
}

/// Whether the transaction of `session` failed with `error` of a statement that was prepared before, perhaps because it
/// was, so that sending it as it is may help. To be asked before it is rolled back.
template <class AnySession>
[[nodiscard]] bool may_be_stale(AnySession& session, const Error& error) {
  return session.is_open() && session.connection().channel().held().is_stale(error.sqlstate());
}

/// The attempts of one call. `Options` has `attempts`, `pause`, `longest_pause` and `retry_lost`.
template <class Options>
class Attempts {
 public:
  explicit Attempts(const Options& options) : options_{options} {}

  /// When the attempt of `session` that ended with `error` is followed by another one, if that is before `until`; to be
  /// asked before it is rolled back. `TimePoint::max()`: by none.
  template <class AnySession>
  [[nodiscard]] TimePoint after(std::optional<AnySession>& session, const Error& error, const Until& until);
  /// The session of the next one has begun.
  template <class AnySession>
  void begun(AnySession& session) const;

 private:
  // Whether an attempt that ended with `error` and committed nothing is followed by another one.
  [[nodiscard]] bool may_follow(const Error& error) const noexcept {
    if (made_ >= options_.attempts) return false;
    if (dynamic_cast<const QueryError*>(&error) != nullptr) return is_retryable(error.sqlstate());
    return options_.retry_lost && dynamic_cast<const ConnectionLost*>(&error) != nullptr;
  }

  // When to begin the next attempt, if that is before `until`: anywhere between now and twice the last bound, so that
  // those who collided do not do so again. `TimePoint::max()`: not at all.
  [[nodiscard]] TimePoint next(const Until& until) {
    std::random_device seed;
    std::uniform_int_distribution<Duration::rep> any{0, bound(++made_).count()};
    const TimePoint at = saturating_add(Clock::now(), Duration{any(seed)});
    return at < until.deadline ? at : TimePoint::max();
  }

  // Of the pause after that many attempts.
  [[nodiscard]] Duration bound(std::size_t attempts) const noexcept {
    Duration longest = std::min(options_.pause, options_.longest_pause);
    for (std::size_t i = 2; i < attempts && longest < options_.longest_pause; ++i)
      longest = longest > options_.longest_pause / 2 ? options_.longest_pause : longest * 2;
    return longest;
  }

  const Options& options_;
  std::size_t made_ = 1;  // or being made
  bool prepared_ = true;  // statements may be
};

template <class Options>
template <class AnySession>
TimePoint Attempts<Options>::after(std::optional<AnySession>& session, const Error& error, const Until& until) {
  const bool committed = session && may_have_committed(*session);
  if (committed) return TimePoint::max();
  if (prepared_ && options_.attempts > 1 && session && may_be_stale(*session, error)) {
    const TimePoint now = Clock::now();
    if (now >= until.deadline) return TimePoint::max();
    prepared_ = false;
    return now;
  }
  return may_follow(error) ? next(until) : TimePoint::max();
}

template <class Options>
template <class AnySession>
void Attempts<Options>::begun(AnySession& session) const {
  if (!prepared_) session.connection().channel().held().avoid_prepared();
}

}  // namespace lido::postgres::detail
