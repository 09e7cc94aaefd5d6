// Connecting without blocking beyond a deadline.
#pragma once

#include <poll.h>

#include <algorithm>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/connection_string.hpp>
#include <lido/postgres/detail/diagnose.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Where `connection` goes to, for messages.
[[nodiscard]] inline std::string whereabouts(const PGconn* connection) {
  const auto text = [](const char* part) { return part == nullptr ? std::string{} : std::string{part}; };
  const std::string host = text(PQhost(connection));
  return "connection to " + (host.empty() ? std::string{"the server"} : host) + ", port " + text(PQport(connection));
}

/// The error of a connection whose connect failed.
[[noreturn]] inline void throw_connect_error(PGconn* connection, const ConnectionString& target) {
  Diagnostics diagnostics = connect_diagnostics(target.redacted(PQerrorMessage(connection)));
  const std::string message = diagnostics.message;
  const bool hopeless = is_permanent(diagnostics.sqlstate) ||
                        (diagnostics.sqlstate.empty() && PQconnectionNeedsPassword(connection) != 0);
  if (hopeless) throw PermanentConnectError{message, std::move(diagnostics)};
  throw ConnectError{message, std::move(diagnostics)};
}

/// Opens a connection. Blocks until `deadline`, except that libpq resolves host names without a time limit of its own.
/// Throws `ConnectError` (also at the deadline and when stopped) or `PermanentConnectError`.
[[nodiscard]] inline ConnectionHandle open_connection(const ConnectionString& target, TimePoint deadline,
                                                      const std::stop_token& stop) {
  if (const std::optional<Duration> limit = target.connect_timeout())
    deadline = std::min(deadline, saturating_add(Clock::now(), *limit));
  const ConnectionString::Arrays arrays = target.arrays();
  ConnectionHandle connection{PQconnectStartParams(arrays.keys.data(), arrays.values.data(), 0)};
  if (!connection) throw std::bad_alloc{};
  PQsetNoticeReceiver(connection.get(), [](void*, const PGresult*) {}, nullptr);  // else they go to stderr
  // The only verbosity that tells both the SQLSTATE and the message of a failed connect.
  PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  if (PQstatus(connection.get()) == CONNECTION_BAD) wanted = PGRES_POLLING_FAILED;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) throw_connect_error(connection.get(), target);
    const short events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    // The socket changes from one address to the next, so it is asked for each time.
    switch (wait_for(PQsocket(connection.get()), events, deadline, stop)) {
      case Wake::ready:
        wanted = PQconnectPoll(connection.get());
        break;
      case Wake::timed_out:
        throw ConnectError{target.redacted(whereabouts(connection.get())) + " failed: no answer in time"};
      case Wake::stopped:
        throw ConnectError{target.redacted(whereabouts(connection.get())) + " was given up"};
    }
  }
  PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
  return connection;
}

}  // namespace lido::postgres::detail
