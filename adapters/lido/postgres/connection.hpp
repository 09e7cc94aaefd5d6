// One session with the server: statements with bound parameters, deadlines, liveness and putting it back in order.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/fork.hpp>
#include <lido/lease.hpp>
#include <lido/postgres/bulk/copy.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/bulk/stream.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/connect/asking.hpp>
#include <lido/postgres/detail/connect/connecting_in_turn.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/housekeeping.hpp>
#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/detail/operations/resetting.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/transaction/beginning.hpp>
#include <lido/postgres/detail/transaction/replication.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/blocking.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/failover.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notification.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/statements.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A session. Movable; for one thread at a time. One that is moved from can only be destroyed or assigned to. Destroyed
/// in the child of a fork(), it leaves the parent's session alone.
///
/// `Statements` says what its calls block on and what they throw.
class Connection : public Statements {
 public:
  /// Connects; keep-alives and a limit for unacknowledged data are set unless the connection string sets them, and text
  /// is UTF-8 unless that, PGCLIENTENCODING or a service file sets another `client_encoding`. Blocks
  /// until `deadline` (resolving a host name may exceed it), or until `stop` is requested. Throws
  /// `PermanentConnectError` where trying again cannot help, also for a malformed string, else `ConnectError`.
  [[nodiscard]] static Connection connect(const std::string& connection_string, TimePoint deadline,
                                          const std::stop_token& stop = {}, ConnectionSettings settings = {}) {
    const detail::ConnectionString target = detail::session_target(connection_string, settings.application_name);
    return connect(target, deadline, stop, std::make_shared<const ConnectionSettings>(std::move(settings)));
  }

  /// Begins a transaction as `options` say, in one round trip; the limits are `until` alone. The result is that of the
  /// last statement which that takes. Throws `InvalidOption` for a malformed setting, and as above.
  Result begin(const Until& until, const TransactionOptions& options = {},
               std::source_location where = std::source_location::current()) {
    const detail::Call call = call_of(where, until);
    return detail::Blocking::run(until, [&] { return detail::Beginning{call.begin(), options}; });
  }

  /// Runs one statement and takes its rows as they come, in constant memory: `for (const Row& row : stream(...))`, or
  /// `for (auto [id, name] : stream<int, std::string>(...))`. The limit is that of the whole. Blocks and throws as
  /// above.
  template <class... Columns, detail::Parameter... T>
  [[nodiscard]] Stream<Columns...> stream(const Sql& sql, const T&... parameters) {
    return stream_until<Columns...>(usual(), sql, parameters...);
  }
  template <class... Columns, detail::Parameter... T>
  [[nodiscard]] Stream<Columns...> stream_until(const Until& until, const Sql& sql, const T&... parameters) {
    const detail::Parameters<sizeof...(T)> values{parameters...};
    return Stream<Columns...>{call_of(sql.where, until), sql.text, detail::bound_of(values)};
  }

  /// Runs a `COPY ... TO STDOUT` and takes its rows as they come, in constant memory: `copy_out(...)` as the lines that
  /// the server sends, `copy_out<int, std::string>(...)` as tuples, for the same format as in `copy_in`. The limit is
  /// that of the whole. Blocks and throws as above.
  template <class... Columns>
  [[nodiscard]] CopyOut<Columns...> copy_out(const Sql& sql, const std::optional<Until>& until = {}) {
    return CopyOut<Columns...>{call_of(sql.where, until), sql.text};
  }

  /// Has the server send the notifications of `channel`, whatever characters its name has; of more than 63 bytes, of
  /// which the server would cut the rest, it is a `QueryError`. Blocks and throws as above.
  void listen(std::string_view channel, const std::optional<Until>& until = {},
              std::source_location where = std::source_location::current()) {
    exec_script({"LISTEN " + detail::channel_name(channel), where}, until);
  }
  /// No more of them.
  void unlisten(std::string_view channel, const std::optional<Until>& until = {},
                std::source_location where = std::source_location::current()) {
    exec_script({"UNLISTEN " + detail::channel_name(channel), where}, until);
  }
  /// The next notification, also one that came with the answer of a statement; nothing at the deadline and when a stop
  /// was requested, and then the connection stays usable. None comes while a transaction is open. Blocks until `until`.
  /// Throws `ConnectionLost`, as soon as the server ends the session.
  [[nodiscard]] std::optional<Notification> wait_for_notification(const Until& until) {
    return detail::Blocking::run(until, [&] { return detail::Listening{*channel_}; });
  }

  /// Puts the session in order for the next holder, as its `ResetLevel` says; false means that it cannot be used
  /// again. Free where nothing is to be done. Blocks until then.
  [[nodiscard]] bool reset(const Until& until) {
    return detail::Blocking::run(until, [&] { return detail::resetting(*channel_); });
  }
  /// Whether `reset` has something to ask the server for; false where it is free.
  [[nodiscard]] bool reset_may_block() const noexcept { return detail::Resetting{*channel_}.asks_server(); }

  /// Ends the open transaction, if there is one, undoing it; false means that the session is not fit for use. Blocks
  /// until then.
  [[nodiscard]] bool roll_back(const Until& until) {
    if (!channel_->quiet()) return false;
    if (!in_transaction()) return true;
    return ask(until, "ROLLBACK").has_value() && channel_->transaction() == PQTRANS_IDLE;
  }

  /// Whether what this session met speaks against its server and so against all sessions there: it was shut down, has
  /// crashed or is out of reach, or it refuses writes (25006) by itself, and `target_session_attrs` wants one that
  /// takes them. Blocks until `deadline` where a write was refused, to ask why; an open transaction is then rolled
  /// back.
  [[nodiscard]] bool has_lost_server(TimePoint deadline) {
    if (!channel_->server().lost() && channel_->server().take_write_refused() &&
        detail::is_meant_to_write(channel_->raw()) && roll_back(deadline)) {
      const std::optional<Result> read_only = ask(deadline, detail::is_server_read_only);
      if (read_only && read_only->one<bool>()) return true;
    }
    return channel_->server().lost();
  }

  /// Whether `has_lost_server` has something to ask the server for; false where it is free.
  [[nodiscard]] bool has_lost_server_may_block() const noexcept {
    return !channel_->server().lost() && channel_->server().write_refused();
  }

  /// Whether the server, if it is a standby, is no further behind its primary than `max_lag` of the settings; free
  /// where that is `Duration::max()`. What was measured counts for as long as the lag cannot have grown beyond it
  /// since. Blocks until `deadline`.
  [[nodiscard]] bool keeps_up(TimePoint deadline) {
    const Duration most = settings().max_lag;
    if (!keeps_up_may_block()) return true;
    const TimePoint now = Clock::now();
    const std::optional<Result> measured = ask(deadline, detail::measure_lag);
    if (!measured) return false;
    const Duration lag = detail::lag_of(*measured);
    if (lag > most) return false;
    keeps_up_until_ = saturating_add(now, most - lag);
    return true;
  }

  /// Whether `keeps_up` has to measure; false where it is free.
  [[nodiscard]] bool keeps_up_may_block() const noexcept {
    return settings().max_lag != Duration::max() && Clock::now() > keeps_up_until_;
  }

  [[nodiscard]] const ConnectionSettings& settings() const noexcept { return channel_->settings(); }

  /// libpq's handle, in non-blocking mode, for what this class does not offer; still owned by this. What is done with
  /// it is unknown, so that the session is cleared on return even if it only reads, and statements are prepared anew.
  [[nodiscard]] PGconn* native() {
    if (channel_->discard().outstanding()) static_cast<void>(ask(usual(), ""));
    channel_->leaves(detail::Leaves::statements);
    channel_->names().runs(detail::Renames::session);
    channel_->statements().distrust();
    return channel_->raw();
  }

  /// For operations that are waited for in another way, as by an event loop: those of `detail` take it.
  [[nodiscard]] detail::Channel& channel() noexcept { return *channel_; }
  /// For pools: the connection string is taken apart once and the settings are shared. Blocks and throws as the other.
  [[nodiscard]] static Connection connect(const detail::ConnectionString& target, TimePoint deadline,
                                          const std::stop_token& stop,
                                          const std::shared_ptr<const ConnectionSettings>& settings) {
    const Until until{deadline, stop};
    const detail::ConnectionString full = detail::asked_for(target, *settings, until);
    Connection made{detail::open_connection(full, until, *settings), settings};
    if (!made.keeps_up(deadline))
      throw ConnectError{full.redacted(detail::whereabouts(made.channel_->raw())) +
                         " failed: too far behind its primary"};
    return made;
  }
  /// For what opens connections in another way.
  [[nodiscard]] static Connection adopt(detail::ConnectionHandle connection,
                                        std::shared_ptr<const ConnectionSettings> settings) {
    return Connection{std::move(connection), std::move(settings)};
  }

 private:
  Connection(detail::ConnectionHandle connection, std::shared_ptr<const ConnectionSettings> settings)
      : Statements{std::make_unique<detail::Channel>(std::move(connection), std::move(settings))} {}

  TimePoint keeps_up_until_ = TimePoint::min();  // by what was measured last
};

}  // namespace lido::postgres

namespace lido {
template <>
inline constexpr bool safe_to_destroy_after_fork<postgres::Connection> = true;
}  // namespace lido

namespace lido::detail {
// Rows that are still to come would outlive a lease that is a temporary: a use after free.
template <>
struct OnTemporaryLease<postgres::Connection> {
  using type = postgres::Statements;
};
}  // namespace lido::detail
