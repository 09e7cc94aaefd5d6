// A transaction that cannot be forgotten: it leases, begins, and rolls back unless it was committed.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string_view>

#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/transaction/begin.hpp>
#include <lido/postgres/detail/transaction/ending.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A transaction on a leased connection; for one thread at a time. Whatever happens, the connection goes back to its
/// pool, or is discarded when it is not known to be clean.
///
/// Nothing is committed unless `commit` is called. Where a statement ends the transaction by itself (`commit`,
/// `rollback`, `prepare transaction`), every later one on this connection throws `QueryError` (25P01) and is not sent:
/// it would commit by itself. Only what stands behind such a statement in one script or one pipeline is not seen.
template <class Lease>
class BasicSession {
 public:
  /// Leases and begins. Blocks as `pool.acquire()` does and for one round trip. Throws what `acquire` throws, what
  /// `exec` throws, and `InvalidOption` for a malformed setting; a connection that turns out to be lost is replaced
  /// once.
  template <class AnyPool>
  explicit BasicSession(AnyPool& pool, const TransactionOptions& options = {},
                        std::source_location where = std::source_location::current())
      : until_{options.until} {
    const Duration patience = options.acquire_timeout.value_or(pool.options().acquire_timeout);
    for (bool again = true;; again = false) {
      // An `until` that is over is no patience of zero, which would leave a check its whole time.
      lease_ = pool.acquire(std::min(patience, std::max(until_.left(), Duration{1})), until_.stop, where);
      try {
        const Result answer = lease_->begin(limit(), options);
        if (options.track_commit) id_ = detail::transaction_id_of(answer);
        lease_->channel().held().hold();
        return;
      } catch (const ConnectionLost&) {
        lease_.discard();
        if (!again) throw;
      }
    }
  }
  BasicSession(const BasicSession&) = delete;
  BasicSession& operator=(const BasicSession&) = delete;
  /// Rolls back unless it has ended, as `rollback` does.
  ~BasicSession() { rollback(); }

  /// As `Connection::exec`, and no later than `TransactionOptions::until`: once that is over, `QueryTimeout` and
  /// `QueryCancelled` are thrown without sending anything, and the connection stays good.
  template <detail::Parameter... T>
  Result exec(const Sql& sql, const T&... parameters) {
    Connection& session = connection();
    return session.exec_until(limit(), sql, parameters...);
  }
  /// As `Connection::exec_until`, and no later than `TransactionOptions::until`; of two stop tokens, that of `until`.
  template <detail::Parameter... T>
  Result exec_until(const Until& until, const Sql& sql, const T&... parameters) {
    Connection& session = connection();
    detail::check_time(until_);
    const std::stop_token& stop = until.stop.stop_possible() ? until.stop : until_.stop;
    return session.exec_until({std::min(until.deadline, until_.deadline), stop}, sql, parameters...);
  }

  /// The connection, for what a session does not offer; knows nothing of `TransactionOptions::until`. Throws `Error`
  /// when the session has ended.
  [[nodiscard]] Connection& connection() & {
    if (!lease_) throw Error{"the session has ended: it was committed or rolled back"};
    return *lease_;
  }
  /// Would dangle: the connection goes back with the temporary.
  Connection& connection() && = delete;
  /// Neither committed nor rolled back.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(lease_); }
  /// `commit` has returned.
  [[nodiscard]] bool is_committed() const noexcept { return committed_; }
  /// Set if it began with `TransactionOptions::track_commit`; also when the session has ended.
  [[nodiscard]] const std::optional<TransactionId>& transaction_id() const noexcept { return id_; }

  /// Commits, ends the session and gives the connection back. Blocks for at most the `statement_timeout`. When this
  /// throws, the session has ended too: `QueryError` (rolled back: a statement had failed, SQLSTATE 25P02, or the
  /// server refused, for instance 40001), `ConnectionLost` (rolled back), `QueryTimeout` or `QueryCancelled` (rolled
  /// back: the time was over before COMMIT was sent), or `CommitUnknown`. Only while a `Savepoint` is open it throws
  /// `Error` and changes nothing.
  void commit() {
    Connection& session = connection();
    if (!session.is_alive() || !session.is_usable()) {
      discard();
      throw detail::lost_before_commit();
    }
    if (!session.in_transaction()) {
      release();
      throw detail::no_transaction();
    }
    savepoints_.check_none_open();
    try {
      send_commit(session, limit());
    } catch (const Error&) {
      rollback();
      throw;
    }
    committed_ = true;
    release();
  }

  /// Rolls back, ends the session and gives the connection back; harmless when it has ended. Blocks for at most five
  /// seconds; a connection that does not answer by then is discarded, and the server rolls back by itself.
  void rollback() noexcept {
    if (!lease_) return;
    try {
      if (lease_->roll_back(saturating_add(Clock::now(), std::chrono::seconds{5}))) return release();
    } catch (...) {  // out of memory
    }
    discard();
  }

 private:
  template <class>
  friend class Savepoint;

  // What puts the connection in order is no statement of the session's.
  void release() noexcept {
    lease_->channel().held().let_go();
    lease_.release();
  }
  void discard() noexcept {
    lease_->channel().held().let_go();
    lease_.discard();
  }

  // Of the next statement.
  [[nodiscard]] Until limit() {
    detail::check_time(until_);
    return until_.within(lease_->settings().statement_timeout);
  }

  void send_commit(Connection& session, const Until& until) {
    try {
      session.exec_script("COMMIT", until);
    } catch (const QueryError&) {  // an answer
      throw;
    } catch (const Error& error) {
      discard();
      throw detail::unknown_commit(error, id_);
    } catch (...) {
      discard();
      throw;
    }
  }

  Until until_;
  Lease lease_;
  std::optional<TransactionId> id_;
  detail::Savepoints savepoints_;
  bool committed_ = false;
};

/// A session of a `Pool` or `TestPool`; `BasicSession` deduces those of other pools of `Connection`.
using Session = BasicSession<Pool::Lease>;

template <class AnyPool>
explicit BasicSession(AnyPool&) -> BasicSession<typename AnyPool::Lease>;
template <class AnyPool>
explicit BasicSession(AnyPool&, const TransactionOptions&) -> BasicSession<typename AnyPool::Lease>;

}  // namespace lido::postgres
