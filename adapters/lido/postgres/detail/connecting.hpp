// Connecting to one host without blocking.
#pragma once

#include <new>
#include <string>
#include <utility>

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

/// A connection that is being opened.
class Connecting {
 public:
  explicit Connecting(const ConnectionString& target) : target_{target} {
    const ConnectionString::Arrays arrays = target.arrays();
    connection_.reset(PQconnectStartParams(arrays.keys.data(), arrays.values.data(), 0));
    if (!connection_) throw std::bad_alloc{};
    PQsetNoticeReceiver(raw(), [](void*, const PGresult*) {}, nullptr);  // else they go to stderr
    // The only verbosity that tells both the SQLSTATE and the message of a failed connect.
    PQsetErrorVerbosity(raw(), PQERRORS_VERBOSE);
  }

  [[nodiscard]] int socket() const noexcept { return PQsocket(raw()); }

  /// Throws `ConnectError` or `PermanentConnectError`.
  [[nodiscard]] Need step() {
    // As libpq wants it: as if the socket had been found writable at first.
    wanted_ = PQstatus(raw()) == CONNECTION_BAD ? PGRES_POLLING_FAILED
              : started_                        ? PQconnectPoll(raw())
                                                : PGRES_POLLING_WRITING;
    started_ = true;
    if (wanted_ == PGRES_POLLING_FAILED) throw_connect_error(raw(), target_);
    if (wanted_ != PGRES_POLLING_OK) return wanted_ == PGRES_POLLING_READING ? Need::readable : Need::writable;
    PQsetErrorVerbosity(raw(), PQERRORS_DEFAULT);
    return Need::nothing;
  }

  [[noreturn]] void give_up(Wake why) const {
    throw ConnectError{target_.redacted(whereabouts(raw())) +
                       (why == Wake::stopped ? " was given up" : " failed: no answer in time")};
  }

  /// The connection, once a step has returned `Need::nothing`.
  [[nodiscard]] ConnectionHandle take() noexcept { return std::move(connection_); }

 private:
  [[nodiscard]] PGconn* raw() const noexcept { return connection_.get(); }

  const ConnectionString& target_;
  ConnectionHandle connection_;
  PostgresPollingStatusType wanted_ = PGRES_POLLING_WRITING;
  bool started_ = false;
};

}  // namespace lido::postgres::detail
