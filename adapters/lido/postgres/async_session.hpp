// A transaction that blocks no thread, and cannot be forgotten either.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async_connection.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/async_ending.hpp>
#include <lido/postgres/detail/async_operations.hpp>
#include <lido/postgres/detail/begin.hpp>
#include <lido/postgres/detail/parameters.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A transaction on a leased connection, whose members return what is to be awaited once, at once: `begin`, statements,
/// then `commit`. Destroyed before that, it gives the connection back as it is: the pool's workers roll back, and one
/// on which a statement was given up is discarded. For one coroutine at a time; stays where it is.
template <class Lease, class Runner>
class AsyncSession {
 public:
  /// Does nothing yet; the lease comes from `async_acquire`. Of `options`, `acquire_timeout` plays no part.
  AsyncSession(Lease lease, Runner runner, TransactionOptions options = {})
      : options_{std::move(options)}, runner_{std::move(runner)}, transaction_{std::move(lease), {}, false} {}
  AsyncSession(const AsyncSession&) = delete;
  AsyncSession& operator=(const AsyncSession&) = delete;
  ~AsyncSession() = default;

  /// Begins, in one round trip. Throws what `Connection::begin` throws.
  auto begin() {
    return runner_.run(limit(), [this] { return Beginning{*this, connection()}; });
  }

  /// As `Connection::exec`, and no later than `TransactionOptions::until`.
  template <detail::Parameter... T>
  auto exec(std::string_view sql, const T&... parameters) {
    return async_connection().exec_until(limit(), sql, parameters...);
  }
  /// As `Connection::exec_until`, and no later than `TransactionOptions::until`; of two stop tokens, that of `until`.
  template <detail::Parameter... T>
  auto exec_until(const Until& until, std::string_view sql, const T&... parameters) {
    const std::stop_token& stop = until.stop.stop_possible() ? until.stop : options_.until.stop;
    return async_connection().exec_until({std::min(until.deadline, options_.until.deadline), stop}, sql, parameters...);
  }

  /// The connection, for what a session does not offer; throws `Error` when the session has ended.
  [[nodiscard]] Connection& connection() {
    if (!transaction_.lease) throw Error{"the session has ended: it was committed or rolled back"};
    return *transaction_.lease;
  }
  [[nodiscard]] AsyncConnection<Runner> async_connection() { return {connection(), runner_}; }
  /// Neither committed nor rolled back.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(transaction_.lease); }
  /// `commit` has returned.
  [[nodiscard]] bool is_committed() const noexcept { return transaction_.committed; }
  /// Set if it began with `TransactionOptions::track_commit`; also when the session has ended.
  [[nodiscard]] const std::optional<TransactionId>& transaction_id() const noexcept { return transaction_.id; }

  /// Commits, ends the session and gives the connection back. Throws what `BasicSession::commit` throws, and then the
  /// session has ended too; given up while it waits for the answer, that is `CommitUnknown`.
  auto commit() {
    static_cast<void>(connection());
    const Until until = limit();
    return runner_.run(until, [this, until] { return detail::Committing<Lease>{transaction_, until}; });
  }
  /// Rolls back, ends the session and gives the connection back; harmless when it has ended. A connection that does not
  /// answer within five seconds is discarded, also when this is cancelled: the server rolls back by itself.
  auto rollback() {
    return runner_.run(saturating_add(Clock::now(), std::chrono::seconds{5}),
                       [this] { return detail::RollingBack<Lease>{transaction_}; });
  }

 private:
  class Beginning : public detail::Scripting {
   public:
    Beginning(AsyncSession& session, Connection& connection)
        : Beginning{session, connection, detail::begin_script(connection.channel().raw(), session.options_)} {}
    void outcome() {
      const Result answer = detail::Scripting::outcome();
      if (session_.options_.track_commit) session_.transaction_.id = detail::transaction_id_of(answer);
    }

   private:
    Beginning(AsyncSession& session, Connection& connection, detail::Begin script)
        : detail::Scripting{connection.channel(), std::move(script.sql), std::move(script.shown)}, session_{session} {}
    AsyncSession& session_;
  };

  [[nodiscard]] Until limit() { return options_.until.within(connection().settings().statement_timeout); }

  TransactionOptions options_;
  Runner runner_;
  detail::Transaction<Lease> transaction_;
};

}  // namespace lido::postgres
