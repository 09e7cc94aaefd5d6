// One session with the server: statements with bound parameters, deadlines, liveness and putting it back in order.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/fork.hpp>
#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/connecting_in_turn.hpp>
#include <lido/postgres/detail/connection_string.hpp>
#include <lido/postgres/detail/exchange.hpp>
#include <lido/postgres/detail/failover.hpp>
#include <lido/postgres/detail/parameters.hpp>
#include <lido/postgres/detail/replication.hpp>
#include <lido/postgres/detail/session_state.hpp>
#include <lido/postgres/detail/statement.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A session. Movable; for one thread at a time. One that is moved from can only be destroyed or assigned to. Destroyed
/// in the child of a fork(), it leaves the parent's session alone.
class Connection {
 public:
  /// Connects; keep-alives and a limit for unacknowledged data are set unless the connection string sets them. Blocks
  /// until `deadline` (resolving a host name may exceed it), or until `stop` is requested. Throws
  /// `PermanentConnectError` where trying again cannot help, also for a malformed string, else `ConnectError`.
  [[nodiscard]] static Connection connect(const std::string& connection_string, TimePoint deadline,
                                          const std::stop_token& stop = {}, ConnectionSettings settings = {}) {
    const detail::ConnectionString target = prepare(connection_string, settings.application_name);
    return connect(target, deadline, stop, std::make_shared<const ConnectionSettings>(std::move(settings)));
  }

  /// Runs one statement; `parameters` are bound to `$1` and so on, never pasted into `sql`. Blocks for at most the
  /// `statement_timeout` of the settings. Throws `QueryError` when the server refuses, `QueryTimeout`, or
  /// `ConnectionLost`; after the latter two the connection is unusable.
  template <detail::Parameter... T>
  Result exec(std::string_view sql, const T&... parameters) {
    return exec_until(usual_deadline(), sql, parameters...);
  }

  /// As `exec`, with limits of its own instead of the `statement_timeout`. Throws `QueryCancelled` when a stop was
  /// requested; then too the connection is unusable.
  template <detail::Parameter... T>
  Result exec_until(const Until& until, std::string_view sql, const T&... parameters) {
    const detail::Parameters<sizeof...(T)> bound{parameters...};
    return perform(until, sql, [&](PGconn* raw, const char* text) {
      return PQsendQueryParams(raw, text, static_cast<int>(bound.size()), nullptr, bound.values(), nullptr, nullptr, 0);
    });
  }

  /// Runs several statements separated by semicolons, without parameters, as one transaction unless they say
  /// otherwise; the result is the last one's. Blocks and throws as `exec` does.
  Result exec_script(std::string_view sql) {
    return perform(usual_deadline(), sql, [](PGconn* raw, const char* text) { return PQsendQuery(raw, text); });
  }

  /// Whether the session lives as far as the socket tells; free. False for one that the server ended, but a hung
  /// server or a cut cable looks alive.
  [[nodiscard]] bool is_alive() { return channel_->peek(); }

  /// Whether the server answers: the cheapest round trip there is. Blocks until `deadline`; one that did not answer by
  /// then is unusable.
  [[nodiscard]] bool ping(TimePoint deadline) {
    if (!channel_->peek() || !channel_->quiet()) return false;
    return command(deadline, "");
  }

  /// Puts the session in order for the next borrower, as its `ResetLevel` says; false means that it cannot be used
  /// again. Free where nothing is to be done. Blocks until `deadline`.
  [[nodiscard]] bool reset(TimePoint deadline) {
    if (!channel_->quiet()) return false;
    drop_notifications();
    const ResetLevel level = settings_->reset;
    if (in_transaction() && (level == ResetLevel::none || !roll_back(deadline))) return false;
    const bool discard = (level == ResetLevel::targeted && touched_) || (level == ResetLevel::discard_all && used_);
    if (discard && !command(deadline, "DISCARD ALL")) return false;
    used_ = touched_ = false;
    return channel_->transaction() == PQTRANS_IDLE;
  }

  /// Ends the open transaction, if there is one, undoing it; false means that the session is not fit for use. Blocks
  /// until `deadline`.
  [[nodiscard]] bool roll_back(TimePoint deadline) {
    if (!channel_->quiet()) return false;
    if (!in_transaction()) return true;
    return command(deadline, "ROLLBACK") && channel_->transaction() == PQTRANS_IDLE;
  }

  /// Whether what this session met speaks against its server and so against all sessions there: it was shut down, has
  /// crashed or is out of reach, or it refuses writes (25006) by itself, and `target_session_attrs` wants one that
  /// takes them. Blocks until `deadline` where a write was refused, to ask why; an open transaction is then rolled
  /// back.
  [[nodiscard]] bool has_lost_server(TimePoint deadline) {
    if (!channel_->server_lost() && channel_->take_write_refused() && detail::is_meant_to_write(channel_->raw()) &&
        roll_back(deadline)) {
      const std::optional<Result> read_only = ask(deadline, detail::is_server_read_only);
      if (read_only && read_only->one<bool>()) return true;
    }
    return channel_->server_lost();
  }

  /// Whether the server, if it is a standby, is no further behind its primary than `max_lag` of the settings; free
  /// where that is `Duration::max()`. What was measured counts for as long as the lag cannot have grown beyond it
  /// since. Blocks until `deadline`.
  [[nodiscard]] bool keeps_up(TimePoint deadline) {
    const Duration most = settings_->max_lag;
    if (most == Duration::max() || Clock::now() <= keeps_up_until_) return true;
    const TimePoint now = Clock::now();
    const std::optional<Result> measured = ask(deadline, detail::measure_lag);
    if (!measured) return false;
    const Duration lag = detail::lag_of(*measured);
    if (lag > most) return false;
    keeps_up_until_ = saturating_add(now, most - lag);
    return true;
  }

  /// A transaction is open, failed ones included.
  [[nodiscard]] bool in_transaction() const noexcept {
    const PGTransactionStatusType status = channel_->transaction();
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
  }
  /// The open transaction has failed: all that the server accepts is its end.
  [[nodiscard]] bool in_failed_transaction() const noexcept { return channel_->transaction() == PQTRANS_INERROR; }
  /// Not broken, and no answer on its way.
  [[nodiscard]] bool is_usable() const noexcept { return channel_->quiet(); }
  /// The server process of this session.
  [[nodiscard]] int backend_pid() const noexcept { return PQbackendPID(channel_->raw()); }
  /// For instance 150004.
  [[nodiscard]] int server_version() const noexcept { return PQserverVersion(channel_->raw()); }
  [[nodiscard]] const ConnectionSettings& settings() const noexcept { return *settings_; }

  /// libpq's handle, in non-blocking mode, for what this class does not offer; still owned by this. What is done with
  /// it is unknown, so that the session is cleared on return even if it only reads.
  [[nodiscard]] PGconn* native() noexcept {
    used_ = touched_ = true;
    return channel_->raw();
  }

  /// For pools: the connection string is taken apart once and the settings are shared. Blocks and throws as the other.
  [[nodiscard]] static Connection connect(const detail::ConnectionString& target, TimePoint deadline,
                                          const std::stop_token& stop,
                                          std::shared_ptr<const ConnectionSettings> settings) {
    Connection made{detail::open_connection(target, {deadline, stop}, settings->load_balance_hosts),
                    std::move(settings)};
    if (!made.keeps_up(deadline))
      throw ConnectError{target.redacted(detail::whereabouts(made.channel_->raw())) +
                         " failed: too far behind its primary"};
    return made;
  }

  /// Throws `PermanentConnectError` when `connection_string` is malformed.
  [[nodiscard]] static detail::ConnectionString prepare(const std::string& connection_string,
                                                        const std::string& application_name) {
    detail::ConnectionString target{connection_string};
    if (!application_name.empty()) target.set("application_name", application_name);
    // Either alone misses a network that swallows everything: keep-alives wait while data is unacknowledged.
    target.set_default("keepalives_idle", "30");
    target.set_default("keepalives_interval", "10");
    target.set_default("keepalives_count", "3");
    target.set_default("tcp_user_timeout", "60000");
    return target;
  }

 private:
  Connection(detail::ConnectionHandle connection, std::shared_ptr<const ConnectionSettings> settings)
      : channel_{std::make_unique<detail::Channel>(std::move(connection))}, settings_{std::move(settings)} {}

  [[nodiscard]] TimePoint usual_deadline() const {
    const Duration limit = settings_->statement_timeout;
    return limit == Duration::max() ? TimePoint::max() : saturating_add(Clock::now(), limit);
  }

  template <class Send>
  Result perform(const Until& until, std::string_view sql, Send send) {
    used_ = true;
    touched_ = touched_ || detail::may_leave_state(sql);
    const Reporter reporter{*settings_, sql};
    statement_.assign(sql);
    if (statement_.find('\0') != std::string::npos) throw QueryError{"the statement holds a zero byte"};
    detail::Exchange exchange{*channel_, statement_, [&](PGconn* raw) { return send(raw, statement_.c_str()); }};
    detail::complete(exchange, until);
    return Result{exchange.result()};
  }

  // For the pool's own housekeeping: nothing where a statement would throw.
  [[nodiscard]] std::optional<Result> ask(TimePoint deadline, const char* sql) {
    const std::optional<Reporter> reporter =
        *sql == '\0' ? std::nullopt : std::optional<Reporter>{std::in_place, *settings_, sql};
    try {
      detail::Exchange exchange{*channel_, sql, [&](PGconn* raw) { return PQsendQuery(raw, sql); }};
      detail::complete(exchange, deadline);
      return Result{exchange.result()};
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  [[nodiscard]] bool command(TimePoint deadline, const char* sql) { return ask(deadline, sql).has_value(); }

  void drop_notifications() noexcept {
    while (const detail::LibpqMemory<PGnotify> notification{PQnotifies(channel_->raw())}) {
    }
  }

  // Tells the echo of a statement however it ends.
  class Reporter {
   public:
    Reporter(const ConnectionSettings& settings, std::string_view sql)
        : echo_{settings.echo}, sql_{sql}, start_{echo_ ? Clock::now() : TimePoint{}} {}
    Reporter(const Reporter&) = delete;
    Reporter& operator=(const Reporter&) = delete;
    ~Reporter() {
      if (!echo_) return;
      try {
        echo_(detail::without_passwords(sql_), Clock::now() - start_);
      } catch (...) {  // a log that fails must not undo a statement that did not
      }
    }

   private:
    const Echo& echo_;
    std::string_view sql_;
    TimePoint start_;
  };

  std::unique_ptr<detail::Channel> channel_;
  std::shared_ptr<const ConnectionSettings> settings_;
  std::string statement_;                        // null-terminated, as libpq wants it; kept for its room
  bool used_ = false;                            // a statement ran since the last reset
  bool touched_ = false;                         // one of them may have left something in the session
  TimePoint keeps_up_until_ = TimePoint::min();  // by what was measured last
};

}  // namespace lido::postgres

namespace lido {
template <>
inline constexpr bool safe_to_destroy_after_fork<postgres::Connection> = true;
}  // namespace lido
