// A transaction as a function: commits on return, rolls back on a throw, tries again where that may help.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <random>
#include <source_location>
#include <type_traits>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/session.hpp>

namespace lido::postgres {

/// How `transact` begins and tries again.
struct TransactOptions {
  TransactionOptions transaction{};
  std::size_t attempts = 5;                        ///< the first included. Range: 1 and more.
  Duration pause = std::chrono::milliseconds{10};  ///< the longest first pause, doubled each time. Range: 0 and more.
  Duration longest_pause = std::chrono::milliseconds{500};  ///< Range: 0 and more.
};

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const TransactOptions& options) {
  if (options.attempts == 0) throw InvalidOption{"TransactOptions::attempts", "at least 1"};
  if (options.pause < Duration::zero()) throw InvalidOption{"TransactOptions::pause", "a duration of zero or more"};
  if (options.longest_pause < Duration::zero())
    throw InvalidOption{"TransactOptions::longest_pause", "a duration of zero or more"};
}

namespace detail {

/// Anywhere between nothing and twice the last bound, so that those who collided do not do so again.
inline void pause_before_attempt(const TransactOptions& options, std::size_t attempt) {
  Duration bound = std::min(options.pause, options.longest_pause);
  for (std::size_t i = 2; i < attempt && bound < options.longest_pause; ++i)
    bound = bound > options.longest_pause / 2 ? options.longest_pause : bound * 2;
  std::random_device seed;
  std::uniform_int_distribution<Duration::rep> any{0, bound.count()};
  pause_until(saturating_add(Clock::now(), Duration{any(seed)}));
}

}  // namespace detail

/// Calls `body(session)` in a transaction of `pool` and returns what it returns. Commits when `body` returns, unless it
/// ended the session itself; rolls back when it throws. On 40001 (serialization failure) and 40P01 (deadlock) calls
/// `body` again, after a pause in which no connection is held; so `body` must do nothing outside the transaction that
/// may not happen twice. Blocks as `Session` and `body` do. Throws what they throw: of failed attempts the last one;
/// `CommitUnknown` and `ConnectionLost` are never tried again.
template <class AnyPool, std::invocable<BasicSession<typename AnyPool::Lease>&> Body>
auto transact(AnyPool& pool, Body&& body, const TransactOptions& options = {},
              std::source_location where = std::source_location::current()) {
  using Returned = std::invoke_result_t<Body&, BasicSession<typename AnyPool::Lease>&>;
  validate(options);
  for (std::size_t attempt = 1;; ++attempt) {
    if (attempt > 1) detail::pause_before_attempt(options, attempt);
    try {
      BasicSession<typename AnyPool::Lease> session{pool, options.transaction, where};
      if constexpr (std::is_void_v<Returned>) {
        std::invoke(body, session);
        if (session.is_open()) session.commit();
        return;
      } else {
        std::decay_t<Returned> value = std::invoke(body, session);
        if (session.is_open()) session.commit();
        return value;
      }
    } catch (const QueryError& error) {
      if (!is_retryable(error.sqlstate()) || attempt >= options.attempts) throw;
    }
  }
}

}  // namespace lido::postgres
