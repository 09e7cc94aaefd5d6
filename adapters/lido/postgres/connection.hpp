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
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
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
    const auto target = detail::Calls<>::target_of(connection_string, settings);
    return connect(*target, deadline, stop, detail::Calls<>::kept(std::move(settings)));
  }

  /// Begins a transaction as `options` say, in one round trip; the limits are `until` alone. The result is that of the
  /// last statement which that takes. Throws `InvalidOption` for a malformed setting, and as above.
  Result begin(const Until& until, const TransactionOptions& options = {},
               std::source_location where = std::source_location::current()) {
    return detail::Calls<>::begin(call_of(where, until), options);
  }

  /// Runs one statement and takes its rows as they come, in constant memory: `for (const Row& row : stream(...))`, or
  /// `for (auto [id, name] : stream<int, std::string>(...))`. The limit is that of the whole. Typed rows come in the
  /// binary format where that gains, and may then take two round trips to begin. Blocks and throws as above.
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
    detail::Calls<>::listen(call_of(where, until), "LISTEN", channel);
  }
  /// The server sends no more of them. You still get what had come before. Blocks and throws as above.
  void unlisten(std::string_view channel, const std::optional<Until>& until = {},
                std::source_location where = std::source_location::current()) {
    detail::Calls<>::listen(call_of(where, until), "UNLISTEN", channel);
  }
  /// The next notification, also one that came with the answer of a statement; nothing at the deadline and when a stop
  /// was requested, and then the connection stays usable. None comes while a transaction is open. Blocks until `until`.
  /// Throws `ConnectionLost`, as soon as the server ends the session.
  [[nodiscard]] std::optional<Notification> wait_for_notification(const Until& until) {
    return detail::Calls<>::wait_for_notification(*channel_, until);
  }

  /// Puts the session in order for the next holder, as its `ResetLevel` says; false means that it cannot be used
  /// again. Free where nothing is to be done. Blocks until then.
  [[nodiscard]] bool reset(const Until& until) { return detail::Calls<>::reset(*channel_, until); }
  /// Whether `reset` has something to ask the server for; false where it is free.
  [[nodiscard]] bool reset_may_block() const noexcept { return detail::Calls<>::reset_may_block(*channel_); }

  /// Ends the open transaction, if there is one, undoing it; false means that the session is not fit for use. Blocks
  /// until then.
  [[nodiscard]] bool roll_back(const Until& until) { return detail::Calls<>::roll_back(*channel_, until); }

  /// Whether what this session met speaks against its server and so against all sessions there: it was shut down, has
  /// crashed or is out of reach, or it refuses writes (25006) by itself, and `target_session_attrs` wants one that
  /// takes them. Blocks until `deadline` where a write was refused, to ask why; an open transaction is then rolled
  /// back.
  [[nodiscard]] bool has_lost_server(TimePoint deadline) {
    return detail::Calls<>::has_lost_server(*channel_, deadline);
  }

  /// Whether `has_lost_server` has something to ask the server for; false where it is free.
  [[nodiscard]] bool has_lost_server_may_block() const noexcept {
    return detail::Calls<>::has_lost_server_may_block(*channel_);
  }

  /// Whether the server, if it is a standby, is no further behind its primary than `max_lag` of the settings; free
  /// where that is `Duration::max()`. What was measured counts for as long as the lag cannot have grown beyond it
  /// since. Blocks until `deadline`.
  [[nodiscard]] bool keeps_up(TimePoint deadline) {
    return !keeps_up_may_block() || detail::Calls<>::keeps_up(*channel_, deadline, keeps_up_until_);
  }

  /// Whether `keeps_up` has to measure; false where it is free.
  [[nodiscard]] bool keeps_up_may_block() const noexcept {
    return settings().max_lag != Duration::max() && Clock::now() > keeps_up_until_;
  }

  [[nodiscard]] const ConnectionSettings& settings() const noexcept { return detail::Calls<>::settings(*channel_); }

  /// libpq's handle, in non-blocking mode, for what this class does not offer; still owned by this. What is done with
  /// it is unknown, so that the session is cleared on return even if it only reads, and statements are prepared anew.
  [[nodiscard]] PGconn* native() { return detail::Calls<>::native(*channel_, usual()); }

  /// For operations that are waited for in another way, as by an event loop: those of `detail` take it.
  [[nodiscard]] detail::Channel& channel() noexcept { return *channel_; }
  /// For pools: the connection string is taken apart once and the settings are shared. Blocks and throws as the other.
  [[nodiscard]] static Connection connect(const detail::ConnectionString& target, TimePoint deadline,
                                          const std::stop_token& stop,
                                          const std::shared_ptr<const ConnectionSettings>& settings) {
    TimePoint fresh = TimePoint::min();
    Connection made{detail::Calls<>::connect(target, {deadline, stop}, settings, fresh)};
    made.keeps_up_until_ = fresh;
    return made;
  }
  /// For what opens connections in another way.
  [[nodiscard]] static Connection adopt(detail::ConnectionHandle connection,
                                        std::shared_ptr<const ConnectionSettings> settings) {
    return Connection{detail::Calls<>::adopt(std::move(connection), std::move(settings))};
  }

 private:
  explicit Connection(detail::ChannelOwner channel) noexcept : Statements{std::move(channel)} {}

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

// What the calls do, unless this program has them compiled. Then a unit that sends or reads in bulk includes what it
// needs for that.
#if !__has_include(<lido_postgres_compiled.hpp>)
#  include <lido/postgres/bulk/copy.hpp>
#  include <lido/postgres/bulk/pipeline.hpp>
#  include <lido/postgres/bulk/stream.hpp>
#  include <lido/postgres/detail/compiled/calls_bodies.hpp>
#endif
