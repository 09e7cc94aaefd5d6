// A transaction that cannot be forgotten: it leases, begins, and rolls back unless it was committed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// How far transactions are kept apart.
enum class Isolation : std::uint8_t {
  server_default,   ///< `default_transaction_isolation`, usually read committed
  read_committed,   ///< each statement sees what was committed before it
  repeatable_read,  ///< all see the same; may fail with 40001
  serializable,     ///< as if one ran after the other; may fail with 40001
};

/// How a transaction begins; whatever is left out has the default given here.
struct TransactionOptions {
  Isolation isolation = Isolation::server_default;
  bool read_only = false;
  bool deferrable = false;                    ///< with serializable and read-only: waits, then cannot fail
  std::optional<Duration> acquire_timeout{};  ///< unset: the pool's
};

/// A transaction on a leased connection; for one thread at a time. Whatever happens, the connection goes back to its
/// pool, or is discarded when it is not known to be clean.
template <class Lease>
class BasicSession {
 public:
  /// Leases and begins. Blocks as `pool.acquire()` does and for one round trip. Throws what `acquire` throws and what
  /// `exec` throws; a connection that turns out to be lost is replaced once.
  template <class AnyPool>
  explicit BasicSession(AnyPool& pool, const TransactionOptions& options = {},
                        std::source_location where = std::source_location::current()) {
    const std::string begin = begin_statement(options);
    for (bool again = true;; again = false) {
      lease_ = options.acquire_timeout ? pool.acquire(*options.acquire_timeout, where) : pool.acquire(where);
      try {
        lease_->exec_script(begin);
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

  /// As `Connection::exec`.
  template <detail::Parameter... T>
  Result exec(std::string_view sql, const T&... parameters) {
    return connection().exec(sql, parameters...);
  }
  /// As `Connection::exec_until`.
  template <detail::Parameter... T>
  Result exec_until(const Until& until, std::string_view sql, const T&... parameters) {
    return connection().exec_until(until, sql, parameters...);
  }

  /// The connection, for what a session does not offer; throws `Error` when the session has ended.
  [[nodiscard]] Connection& connection() {
    if (!lease_) throw Error{"the session has ended: it was committed or rolled back"};
    return *lease_;
  }
  /// Neither committed nor rolled back.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(lease_); }

  /// Commits, ends the session and gives the connection back. Blocks for at most the `statement_timeout`. When this
  /// throws, the session has ended too: `QueryError` (rolled back: a statement had failed, SQLSTATE 25P02, or the
  /// server refused, for instance 40001), `ConnectionLost` (rolled back), or `CommitUnknown`.
  void commit() {
    Connection& session = connection();
    if (!session.is_alive() || !session.is_usable()) {
      lease_.discard();
      throw ConnectionLost{"the connection was lost before COMMIT; nothing is committed"};
    }
    if (!session.in_transaction()) {
      lease_.release();
      throw QueryError{"COMMIT without a transaction: a statement of the session has ended it"};
    }
    const bool committed = send_commit(session);
    lease_.release();
    if (!committed) throw failed_transaction();
  }

  /// Rolls back, ends the session and gives the connection back; harmless when it has ended. Blocks for at most five
  /// seconds; a connection that does not answer by then is discarded, and the server rolls back by itself.
  void rollback() noexcept {
    if (!lease_) return;
    try {
      if (lease_->roll_back(saturating_add(Clock::now(), std::chrono::seconds{5}))) return lease_.release();
    } catch (...) {  // out of memory
    }
    lease_.discard();
  }

 private:
  [[nodiscard]] static std::string begin_statement(const TransactionOptions& options) {
    std::string begin = "BEGIN";
    if (options.isolation == Isolation::read_committed) begin += " ISOLATION LEVEL READ COMMITTED";
    if (options.isolation == Isolation::repeatable_read) begin += " ISOLATION LEVEL REPEATABLE READ";
    if (options.isolation == Isolation::serializable) begin += " ISOLATION LEVEL SERIALIZABLE";
    if (options.read_only) begin += " READ ONLY";
    if (options.deferrable) begin += " DEFERRABLE";
    return begin;
  }

  // False: the server answered ROLLBACK, as it does in a failed transaction.
  bool send_commit(Connection& session) {
    try {
      return session.exec_script("COMMIT").command_tag() == "COMMIT";
    } catch (const QueryError&) {
      lease_.release();
      throw;
    } catch (const Error& error) {
      const Diagnostics& diagnostics = error.diagnostics();
      CommitUnknown unknown{"COMMIT was sent and not answered: " + diagnostics.message, diagnostics};
      lease_.discard();
      throw unknown;
    } catch (...) {
      lease_.discard();
      throw;
    }
  }

  [[nodiscard]] static QueryError failed_transaction() {
    const std::string message = "COMMIT of a failed transaction: the server rolled it back";
    return {message,
            {.sqlstate = "25P02",
             .severity = "ERROR",
             .message = message,
             .hint = "a statement failed before and its error was not heeded",
             .statement = "COMMIT"}};
  }

  Lease lease_;
};

/// A session of a `Pool` or `TestPool`; `BasicSession` deduces those of other pools of `Connection`.
using Session = BasicSession<Pool::Lease>;

template <class AnyPool>
explicit BasicSession(AnyPool&) -> BasicSession<typename AnyPool::Lease>;
template <class AnyPool>
explicit BasicSession(AnyPool&, const TransactionOptions&) -> BasicSession<typename AnyPool::Lease>;

}  // namespace lido::postgres
