// One libpq connection, which knows whether it can be used again. What is done with it is written as operations, for
// instance `Exchange`.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/diagnose.hpp>
#include <lido/postgres/detail/failover.hpp>
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
      // A pooler between here and the server forgets whom to cancel as soon as this connection ends.
      if (cancelled_.valid()) cancelled_.wait_for(std::chrono::milliseconds{100});
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

  /// Where what is sent and received goes through; -1 once it is closed.
  [[nodiscard]] int socket() const noexcept { return PQsocket(raw()); }
  /// Sends what is left to be sent, without blocking. `Need::nothing`: it is sent, and libpq has a result at hand.
  [[nodiscard]] Need pending() noexcept {
    // The server may be unable to read on before it is rid of what it has to say.
    if (PQflush(raw()) > 0) return Need::either;
    return PQisBusy(raw()) == 0 ? Need::nothing : Need::readable;
  }
  /// Takes in what has come. False at the connection's end; then PQgetResult has the reason and does not block.
  [[nodiscard]] bool consume() noexcept { return PQconsumeInput(raw()) != 0; }

  [[nodiscard]] static QueryError failed(std::string_view sql, const std::string& message) {
    return {message, plain(sql, message)};
  }
  [[nodiscard]] ConnectionLost lost(std::string_view sql, const std::string& message) {
    return lost(plain(sql, message));
  }
  [[nodiscard]] ConnectionLost lost(Diagnostics diagnostics) {
    broken_ = true;
    // Not where nothing was heard and it was this side that gave the connection up.
    if (!diagnostics.sqlstate.empty() || PQstatus(raw()) != CONNECTION_OK) heard_end(diagnostics.sqlstate);
    const std::string message = "connection lost: " + diagnostics.message;
    return {message, std::move(diagnostics)};
  }
  /// What the server says in an error, which may concern more than this session.
  [[nodiscard]] Diagnostics diagnose(const PGresult* error, std::string_view sql) {
    Diagnostics diagnostics = diagnostics_of(error, sql);
    write_refused_ = write_refused_ || diagnostics.sqlstate == read_only_transaction;
    return diagnostics;
  }
  /// Not just this session has ended, but all of its server have.
  [[nodiscard]] bool server_lost() const noexcept { return server_lost_; }
  /// A write came upon something read-only since this was asked last.
  [[nodiscard]] bool take_write_refused() noexcept { return std::exchange(write_refused_, false); }

  /// Has the server asked to cancel what it is at, gives the connection up, and throws.
  [[noreturn]] void give_up(Wake why, std::string_view sql) {
    broken_ = true;
    ask_to_cancel();
    if (why == Wake::stopped) {
      const std::string message = "a stop was requested; the statement has been cancelled";
      throw QueryCancelled{message, plain(sql, message)};
    }
    const std::string message = "no answer before the deadline; the statement has been cancelled";
    throw QueryTimeout{message, plain(sql, message)};
  }

 private:
  [[nodiscard]] static Diagnostics plain(std::string_view sql, const std::string& message) {
    return {.message = message, .statement = without_passwords(sql)};
  }

  // PQcancel connects anew and may block for as long as the network likes, so it gets a thread that nobody waits for.
  // The connection is closed whatever comes of it: a cancel on its way could hit the next statement.
  void ask_to_cancel() noexcept {
    try {
      std::promise<void> done;
      cancelled_ = done.get_future();
      std::thread{[cancel = CancelHandle{PQgetCancel(raw())}, done = std::move(done)]() mutable {
        char reason[256];
        if (cancel) PQcancel(cancel.get(), reason, sizeof reason);
        done.set_value();
      }}.detach();
    } catch (const std::exception&) {  // no thread: the server finds out by itself
    }
  }

  // Keeps notices off stderr, and hears the farewell of a session that ended while it was idle.
  static void take_notice(void* self, const PGresult* notice) noexcept {
    const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const std::string_view level = severity == nullptr ? "" : severity;
    if (level != "FATAL" && level != "PANIC") return;
    const char* sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    static_cast<Channel*>(self)->broken_ = true;
    static_cast<Channel*>(self)->heard_end(sqlstate == nullptr ? "" : sqlstate);
  }
  void heard_end(std::string_view sqlstate) noexcept { server_lost_ = server_lost_ || ends_all_sessions(sqlstate); }

  ConnectionHandle connection_;
  pid_t owner_;
  std::future<void> cancelled_;  // when the server has been asked to
  bool broken_ = false;
  bool server_lost_ = false;
  bool write_refused_ = false;
};

}  // namespace lido::postgres::detail
