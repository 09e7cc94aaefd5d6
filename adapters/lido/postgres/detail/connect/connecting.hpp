// Connecting to one host without blocking.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/encoding.hpp>
#include <lido/postgres/detail/connect/remote.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/held_back.hpp>
#include <lido/postgres/detail/wire/noticing.hpp>
#include <lido/postgres/detail/wire/openssl.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notice.hpp>

namespace lido::postgres::detail {

/// Where `connection` goes to, for messages.
[[nodiscard]] inline std::string whereabouts(const PGconn* connection) {
  const auto text = [](const char* part) { return std::string_view{part == nullptr ? "" : part}; };
  const std::string_view host = text(PQhost(connection));
  return lido::detail::concat(
      {"connection to ", host.empty() ? "the server" : host, ", port ", text(PQport(connection))});
}

/// Whether `message`, of a connect that failed without an answer of the server, says that TLS is to blame or a setting:
/// then trying again is in vain, unless it says why a file could not be read just now. libpq tells it by words alone;
/// where these are translated, it counts as transient.
[[nodiscard]] inline bool blames_settings(std::string_view message) {
  for (const int passing : {EMFILE, ENFILE, ENOMEM, EIO, ESTALE})
    if (message.ends_with(std::generic_category().message(passing))) return false;
  constexpr std::string_view words[] = {"certificate verify failed",
                                        "does not match host name",
                                        "server does not support SSL",
                                        "could not get server's host name",
                                        "root certificate file",
                                        "host name must be specified",
                                        "certificate file",
                                        "private key file",
                                        "invalid sslmode value",
                                        "definition of service"};
  for (const std::string_view each : words)
    if (message.find(each) != std::string_view::npos) return true;
  return false;
}

/// Whether no file can be opened just now: one that libpq could not read may be in order. Not all of its versions say
/// why they could not.
[[nodiscard]] inline bool is_out_of_files() noexcept {
  const int file = ::open("/", O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  ::close(file);
  return false;
}

/// The error of a connection whose connect failed, while it still has its socket.
[[noreturn]] inline void throw_connect_error(PGconn* connection, const ConnectionString& target, bool verifies) {
  const char* const password = PQpass(connection);  // wherever libpq has it from
  const std::string said = without_secret(PQerrorMessage(connection), password == nullptr ? "" : password);
  Diagnostics diagnostics = connect_diagnostics(target.redacted(said));
  const bool unanswered = diagnostics.sqlstate.empty();
  const bool misconfigured = unanswered && blames_settings(diagnostics.message) && !is_out_of_files();
  if (misconfigured && verifies) diagnostics.message.append("; ").append(how_to_choose_tls);
  const std::string message = diagnostics.message;
  const bool hopeless =
      is_permanent(diagnostics.sqlstate) || misconfigured || (unanswered && PQconnectionNeedsPassword(connection) != 0);
  if (hopeless) throw PermanentConnectError{message, std::move(diagnostics)};
  throw ConnectError{message, std::move(diagnostics)};
}

/// `application_name`: where neither the string, PGAPPNAME nor a service file has one. Throws `PermanentConnectError`
/// when `connection_string` is malformed.
[[nodiscard]] inline ConnectionString session_target(const std::string& connection_string,
                                                     const std::string& application_name) {
  ConnectionString target{connection_string};
  const Effective effective{target};  // with the environment's, too
  ConnectionString::refuse_pasted(effective.options());
  ConnectionString::refuse_user_in(effective.value("host"));
  begin_openssl();  // also for a password; whoever keeps the target is not made yet
  if (!application_name.empty() && effective.value("application_name").empty())
    target.set("application_name", application_name);
  // Either alone misses a network that swallows everything: keep-alives wait while data is unacknowledged.
  target.set_default("keepalives_idle", "30");
  target.set_default("keepalives_interval", "10");
  target.set_default("keepalives_count", "3");
  target.set_default("tcp_user_timeout", "60000");
  return target;
}

/// A connection that is being opened.
class Connecting {
 public:
  /// `listener` has to outlive it.
  Connecting(ConnectionString target, const NoticeListener& listener)
      : target_{std::move(target)}, verifies_{verify_remote(target_)} {
    prefer_utf8(target_);
    const ConnectionString::Arrays arrays = target_.arrays();
    connection_.reset(PQconnectStartParams(arrays.keys.data(), arrays.values.data(), 0));
    if (!connection_) throw std::bad_alloc{};
    // Without one they go to stderr.
    PQsetNoticeReceiver(
        raw(),
        [](void* told, const PGresult* notice) { tell(*static_cast<const NoticeListener*>(told), notice, {}, 0); },
        const_cast<NoticeListener*>(&listener));
    // The only verbosity that tells both the SQLSTATE and the message of a failed connect.
    PQsetErrorVerbosity(raw(), PQERRORS_VERBOSE);
  }

  [[nodiscard]] Socket socket() const noexcept { return PQsocket(raw()); }

  /// Throws `ConnectError` or `PermanentConnectError`.
  [[nodiscard]] Need step() {
    // As libpq wants it: as if the socket had been found writable at first.
    wanted_ = PQstatus(raw()) == CONNECTION_BAD ? PGRES_POLLING_FAILED
              : started_                        ? PQconnectPoll(raw())
                                                : PGRES_POLLING_WRITING;
    started_ = true;
    if (wanted_ == PGRES_POLLING_FAILED) throw_connect_error(raw(), target_, verifies_);
    if (wanted_ == PGRES_POLLING_READING) return held_back_.by(raw()) ? Need::at_once : Need::readable;
    if (wanted_ == PGRES_POLLING_WRITING) return Need::writable;
    PQsetErrorVerbosity(raw(), PQERRORS_DEFAULT);
    return Need::nothing;
  }

  [[noreturn]] void give_up(Wake why) const {
    throw ConnectError{lido::detail::concat(
        {target_.redacted(whereabouts(raw())), why == Wake::stopped ? " was given up" : " failed: no answer in time"})};
  }

  /// The connection, once a step has returned `Need::nothing`.
  [[nodiscard]] ConnectionHandle take() noexcept { return std::move(connection_); }

 private:
  [[nodiscard]] PGconn* raw() const noexcept { return connection_.get(); }

  ConnectionString target_;
  bool verifies_;  // TLS by our default, not by anybody's choice
  ConnectionHandle connection_;
  HeldBack held_back_;
  PostgresPollingStatusType wanted_ = PGRES_POLLING_WRITING;
  bool started_ = false;
};

}  // namespace lido::postgres::detail
