// A transaction as a function: commits on return, rolls back on a throw, tries again where that may help.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/detail/transaction/retry.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transaction.hpp>

namespace lido::postgres {

/// How `transact` begins and tries again.
struct TransactOptions {
  TransactionOptions transaction{};                ///< its `until` ends all attempts, and has the stop token
  std::size_t attempts = 5;                        ///< the first included; 1: never again. Range: 1 and more.
  Duration pause = std::chrono::milliseconds{10};  ///< the longest first pause, doubled each time. Range: 0 and more.
  Duration longest_pause = std::chrono::milliseconds{500};  ///< Range: 0 and more.
  /// How long all attempts and pauses may take together: no attempt begins later, and acquiring, statements and COMMIT
  /// give up at that time. `Duration::max()`: no limit but `transaction.until`. Range: 0 and more.
  Duration timeout = Duration::max();
  /// Tries again when the connection was lost before COMMIT was sent: the server has rolled back. For a `body` that can
  /// do with more than one call where another server may answer.
  bool retry_lost = false;
};

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const TransactOptions& options) {
  if (options.attempts == 0) throw InvalidOption{"TransactOptions::attempts", "at least 1"};
  lido::detail::require_not_negative(options.pause, "TransactOptions::pause");
  lido::detail::require_not_negative(options.longest_pause, "TransactOptions::longest_pause");
  lido::detail::require_not_negative(options.timeout, "TransactOptions::timeout");
}

/// Calls `body(session)` in a transaction of `pool` and returns what it returns. Commits when `body` returns, unless it
/// ended the session itself; rolls back when it throws. On 40001 (serialization failure) and 40P01 (deadlock) calls
/// `body` again, after a pause in which no connection is held; so `body` must do nothing outside the transaction that
/// may not happen twice. Not so when `body` has committed by itself, or has ended the transaction by a statement, also
/// where another one has begun since, as with COMMIT AND CHAIN. Where a statement failed that was prepared before, and
/// that may be why (see `Options::statement_cache`), calls `body` once more, at once, with nothing prepared; so that a
/// migration is not noticed. Blocks as `Session` and `body` do. Throws what they
/// throw, of failed attempts the last one; `AcquireCancelled` when stopped in a pause. `CommitUnknown` is never tried
/// again, `ConnectionLost` only if asked for.
template <class AnyPool, std::invocable<BasicSession<typename AnyPool::Lease>&> Body>
auto transact(AnyPool& pool, Body&& body, const TransactOptions& options = {},
              std::source_location where = std::source_location::current()) {
  using OwnSession = BasicSession<typename AnyPool::Lease>;
  using Returned = std::invoke_result_t<Body&, OwnSession&>;
  validate(options);
  TransactionOptions transaction = options.transaction;
  transaction.until = transaction.until.within(options.timeout);
  detail::Attempts attempts{options};
  for (;;) {
    std::optional<OwnSession> session;
    try {
      session.emplace(pool, transaction, where);
      attempts.begun(*session);
      if constexpr (std::is_void_v<Returned>) {
        std::invoke(body, *session);
        if (session->is_open()) session->commit(where);
        return;
      } else {
        std::decay_t<Returned> value = std::invoke(body, *session);
        if (session->is_open()) session->commit(where);
        return value;
      }
    } catch (const Error& error) {
      const TimePoint next = attempts.after(session, error, transaction.until);
      session.reset();
      if (next == TimePoint::max()) throw;
      detail::pause_until({next, transaction.until.stop});
    }
  }
}

}  // namespace lido::postgres

#if __has_include(<lido_postgres_compiled.hpp>)
namespace lido::postgres::detail {
extern template TimePoint Attempts<TransactOptions>::after(std::optional<Session>&, const Error&, const Until&);
extern template void Attempts<TransactOptions>::begun(Session&) const;
}  // namespace lido::postgres::detail
#endif
