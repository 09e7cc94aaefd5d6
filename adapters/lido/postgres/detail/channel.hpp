// One libpq connection: sends a statement, collects its answer until a deadline, and knows whether it can be used
// again.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/diagnose.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Stays where it is, as libpq keeps a pointer to it.
class Channel {
 public:
  explicit Channel(ConnectionHandle connection) : connection_{std::move(connection)}, owner_{::getpid()} {
    PQsetNoticeReceiver(raw(), &Channel::take_notice, this);
    if (PQsetnonblocking(raw(), 1) != 0) throw ConnectError{one_line(PQerrorMessage(raw()))};
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ~Channel() {
    const int socket = PQsocket(raw());
    if (socket < 0) return;
    if (!is_ours()) {
      // After fork() the session is the parent's: the goodbye that PQfinish sends must not reach the server.
      const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
      if (nowhere < 0 || ::dup2(nowhere, socket) < 0) static_cast<void>(connection_.release());
      if (nowhere >= 0) ::close(nowhere);
    } else if (!usable()) {
      ::shutdown(socket, SHUT_RDWR);  // so that the goodbye cannot wait for a peer that is gone
    }
  }

  [[nodiscard]] PGconn* raw() const noexcept { return connection_.get(); }
  [[nodiscard]] bool usable() const noexcept { return !broken_ && is_ours() && PQstatus(raw()) == CONNECTION_OK; }
  /// False in the child of a fork: a byte sent there would be the parent's.
  [[nodiscard]] bool is_ours() const noexcept { return owner_ == ::getpid(); }
  [[nodiscard]] PGTransactionStatusType transaction() const noexcept { return PQtransactionStatus(raw()); }
  /// No statement under way, no pipeline: the next one may be sent.
  [[nodiscard]] bool quiet() const noexcept {
    const PGTransactionStatusType status = transaction();
    return usable() && PQpipelineStatus(raw()) == PQ_PIPELINE_OFF && status != PQTRANS_ACTIVE &&
           status != PQTRANS_UNKNOWN;
  }
  void give_up() noexcept { broken_ = true; }

  /// Whether the session still lives as far as can be told without asking the server.
  [[nodiscard]] bool peek() {
    if (!usable()) return false;
    char byte = 0;
    const ssize_t count = ::recv(PQsocket(raw()), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return true;
    // A notice, a notification, or the server's farewell and then the end: libpq tells them apart, the second time
    // also seeing the end behind the farewell.
    for (int i = 0; count > 0 && i < 2 && usable(); ++i) {
      if (PQconsumeInput(raw()) == 0) break;
      static_cast<void>(PQisBusy(raw()));  // parses
      if (i == 1 && usable()) return true;
    }
    broken_ = true;
    return false;
  }

  /// Sends with `send` (one of `PQsend*`) and collects the answer. Blocks until `deadline`. Throws `QueryError`,
  /// `ConnectionLost` or `QueryTimeout`; of several errors of one answer the first, which is the cause.
  template <class Send>
  ResultHandle run(TimePoint deadline, std::string_view sql, Send send) {
    if (!is_ours()) throw lost(sql, "the connection belongs to the parent process");
    if (!usable()) throw lost(sql, "the connection is not usable any more");
    if (!quiet()) throw failed(sql, "another statement is under way on this connection");
    if (send(raw()) == 0) {
      const std::string message = one_line(PQerrorMessage(raw()));
      if (PQstatus(raw()) == CONNECTION_OK && transaction() != PQTRANS_ACTIVE) throw failed(sql, message);
      throw lost(sql, message);
    }
    bool complete = false;
    // Whatever leaves early leaves an answer on its way.
    const struct Guard {
      Channel& channel;
      const bool& complete;
      ~Guard() {
        if (!complete) channel.give_up();
      }
    } guard{*this, complete};
    flush(deadline, sql);
    ResultHandle last;
    std::optional<Diagnostics> error;
    for (;;) {
      receive(deadline, sql);
      ResultHandle result{PQgetResult(raw())};
      if (!result) break;
      switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
          last = std::move(result);
          break;
        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
          throw failed(sql, "COPY needs its own interface (native()); the connection is given up");
        default:
          if (!error) error = diagnostics_of(result.get(), sql);
          if (is_fatal(*error) || PQstatus(raw()) != CONNECTION_OK) throw lost_with(*std::move(error));
      }
    }
    if (PQstatus(raw()) != CONNECTION_OK) throw lost(sql, one_line(PQerrorMessage(raw())));
    complete = true;
    if (error) {
      const std::string message = error->message;
      throw QueryError{message, *std::move(error)};
    }
    return last;
  }

 private:
  void flush(TimePoint deadline, std::string_view sql) {
    while (PQflush(raw()) > 0) {
      // The server may be unable to read on before it is rid of what it has to say.
      if (wait_for(PQsocket(raw()), POLLIN | POLLOUT, deadline) != Wake::ready) throw timed_out(sql);
      if (PQconsumeInput(raw()) == 0) return;
    }
  }

  void receive(TimePoint deadline, std::string_view sql) {
    while (PQisBusy(raw()) != 0) {
      if (wait_for(PQsocket(raw()), POLLIN, deadline) != Wake::ready) throw timed_out(sql);
      // On failure PQgetResult has the reason and does not block.
      if (PQconsumeInput(raw()) == 0) return;
    }
  }

  [[nodiscard]] static Diagnostics plain(std::string_view sql, const std::string& message) {
    return {.message = message, .statement = without_passwords(sql)};
  }
  [[nodiscard]] static QueryError failed(std::string_view sql, const std::string& message) {
    return {message, plain(sql, message)};
  }
  [[nodiscard]] ConnectionLost lost(std::string_view sql, const std::string& message) {
    return lost_with(plain(sql, message));
  }
  [[nodiscard]] ConnectionLost lost_with(Diagnostics diagnostics) {
    broken_ = true;
    const std::string message = "connection lost: " + diagnostics.message;
    return {message, std::move(diagnostics)};
  }
  [[nodiscard]] QueryTimeout timed_out(std::string_view sql) {
    broken_ = true;
    ask_to_cancel();
    const std::string message = "no answer before the deadline; the statement has been cancelled";
    return {message, plain(sql, message)};
  }

  // PQcancel connects anew and may block for as long as the network likes, so it gets a thread that nobody waits for.
  // The connection is closed whatever comes of it: a cancel on its way could hit the next statement.
  void ask_to_cancel() noexcept {
    try {
      std::thread{[cancel = CancelHandle{PQgetCancel(raw())}] {
        char reason[256];
        if (cancel) PQcancel(cancel.get(), reason, sizeof reason);
      }}.detach();
    } catch (const std::exception&) {  // no thread: the server finds out by itself
    }
  }

  // Keeps notices off stderr, and hears the farewell of a session that ended while it was idle.
  static void take_notice(void* self, const PGresult* notice) noexcept {
    const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const std::string_view level = severity == nullptr ? "" : severity;
    if (level == "FATAL" || level == "PANIC") static_cast<Channel*>(self)->broken_ = true;
  }

  ConnectionHandle connection_;
  pid_t owner_;
  bool broken_ = false;
};

}  // namespace lido::postgres::detail
