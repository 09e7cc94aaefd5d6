// How a transaction begins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// How far transactions are kept apart.
enum class Isolation : std::uint8_t {
  server_default,   ///< `default_transaction_isolation`, usually read committed
  read_committed,   ///< each statement sees what was committed before it
  repeatable_read,  ///< all see the same; may fail with 40001
  serializable,     ///< as if one ran after the other; may fail with 40001
};

/// One of the server's settings, with its value as in postgresql.conf without the quotes around it: `{"work_mem",
/// "64MB"}`, `{"search_path", "tenant_7, public"}`. It is quoted as it has to be, and shown in no error and no echo.
struct Setting {
  std::string name;
  std::string value;
};

/// How a transaction begins; whatever is left out has the default given here. All of it takes one round trip.
struct TransactionOptions {
  Isolation isolation = Isolation::server_default;
  bool read_only = false;
  bool deferrable = false;                    ///< with serializable and read-only: waits, then cannot fail
  std::optional<Duration> acquire_timeout{};  ///< unset: the pool's
  /// When every call of the session gives up, whatever limit it has of its own: acquiring, statements, COMMIT.
  Until until{};

  /// The server's own `statement_timeout` in this transaction: QueryError 57014, which keeps the connection. Zero and
  /// `Duration::max()`: none. Range: 0 to 24 days, rounded up to milliseconds. Unset: the session's.
  std::optional<Duration> statement_timeout{};
  /// How long a statement may wait for a lock: QueryError 55P03. The rest as in `statement_timeout`.
  std::optional<Duration> lock_timeout{};
  /// What pg_stat_activity shows during this transaction; unset: the connection's.
  std::optional<std::string> application_name{};
  /// Other settings for this transaction alone, in this order. A name that is malformed is an `InvalidOption`, one that
  /// the server does not know or may not set is its `QueryError`; neither costs the connection.
  std::vector<Setting> set_local{};

  /// Asks for the transaction's id while it begins, so that `transaction_status` can tell what became of a COMMIT
  /// without an answer. Costs no round trip, but an id, as if the transaction wrote; so it is for those that write.
  /// With `repeatable_read` and `serializable`, what the transaction sees is fixed when it begins, not by its first
  /// statement.
  bool track_commit = false;
};

}  // namespace lido::postgres
