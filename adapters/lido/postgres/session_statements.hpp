// What every session does, whether its caller waits or awaits.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/copy_source.hpp>
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/transaction/held_lease.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/blocking.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

template <class Runner>
class AsyncConnection;

/// The statements of a session. Those of a `BasicSession` block and return what those of `Connection` do; those of an
/// `AsyncSession` return, at once, what is to be awaited for it, as those of `AsyncConnection` do.
///
/// Each gives up when that of `Connection` would, and no later than `TransactionOptions::until`: once that is over,
/// `QueryTimeout` and `QueryCancelled` are thrown without sending anything, and the connection stays good. Of two stop
/// tokens, it is that of the call which counts while it runs. Throws what that of `Connection` does, `Error` when the
/// session has ended, and `QueryError` (25P01) when a statement has ended its transaction.
///
/// What is not defined here is in detail/compiled/session_bodies.hpp.
template <class Lease, class Runner>
class SessionStatements {
  static constexpr bool blocks = std::is_same_v<Runner, detail::Blocking>;

 public:
  SessionStatements(const SessionStatements&) = delete;
  SessionStatements& operator=(const SessionStatements&) = delete;

  /// As `Connection::exec`.
  template <detail::Parameter... T>
  auto exec(const Sql& sql, const T&... parameters) {
    return calls().exec_until(limit(), sql, parameters...);
  }
  /// As `Connection::exec_until`.
  template <detail::Parameter... T>
  auto exec_until(const Until& until, const Sql& sql, const T&... parameters) {
    return calls().exec_until(limit(until), sql, parameters...);
  }

  /// As `Connection::exec_script`.
  auto exec_script(const Sql& script, const std::optional<Until>& until = {}) {
    return calls().exec_script(script, limit(until));
  }
  /// As `Connection::run`, to which the transaction belongs: where the pipeline fails, it has failed.
  template <class AnyPipeline>
    requires std::same_as<std::remove_cvref_t<AnyPipeline>, Pipeline>
  auto run(AnyPipeline&& pipeline, const std::optional<Until>& until = {},
           std::source_location where = std::source_location::current()) {
    return calls().run(std::forward<AnyPipeline>(pipeline), limit(until), where);
  }
  /// As `Connection::copy_in`.
  template <CopySource Rows>
  auto copy_in(const Sql& sql, Rows&& rows, const std::optional<Until>& until = {}) {
    return calls().copy_in(sql, std::forward<Rows>(rows), limit(until));
  }

  /// As `Connection::stream`. Rows that are still to come when the session ends do not: they are an `Error`. COMMIT
  /// waits for no one, and is an `Error` that changes nothing while there are any.
  template <class... Columns, detail::Parameter... T>
  [[nodiscard]] auto stream(const Sql& sql, const T&... parameters) & {
    return calls().template stream_until<Columns...>(limit(), sql, parameters...);
  }
  /// As `Connection::stream_until`, and as `stream`.
  template <class... Columns, detail::Parameter... T>
  [[nodiscard]] auto stream_until(const Until& until, const Sql& sql, const T&... parameters) & {
    return calls().template stream_until<Columns...>(limit(until), sql, parameters...);
  }
  /// As `Connection::copy_out`, and as `stream`.
  template <class... Columns>
  [[nodiscard]] auto copy_out(const Sql& sql, const std::optional<Until>& until = {}) & {
    return calls().template copy_out<Columns...>(sql, limit(until));
  }
  /// Does not compile: the session would be gone before the rows are there.
  template <class... Columns, class... T>
  void stream(const T&...) && {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the session, which is a temporary: keep the session in a variable");
  }
  /// Nor does this, for the same reason.
  template <class... Columns, class... T>
  void stream_until(const T&...) && {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the session, which is a temporary: keep the session in a variable");
  }
  /// Nor this.
  template <class... Columns, class... T>
  void copy_out(const T&...) && {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the session, which is a temporary: keep the session in a variable");
  }
  /// Does not compile: LISTEN begins with COMMIT, when a session gives its connection back.
  template <class... T>
  void listen(const T&...) {
    static_assert(refuse<T...>,
                  "lido: LISTEN begins with COMMIT, when the session gives its connection back: listen on a lease");
  }
  /// Nor does this: no notification comes while a transaction is open.
  template <class... T>
  void wait_for_notification(const T&...) {
    static_assert(refuse<T...>, "lido: no notification comes while a transaction is open: wait for it on a lease");
  }

  /// The connection, for what a session does not offer; knows nothing of `TransactionOptions::until`. Throws `Error`
  /// when the session has ended.
  [[nodiscard]] Connection& connection() & {
    if (!transaction_.lease) throw Error{"the session has ended: it was committed or rolled back"};
    return *transaction_.lease;
  }
  /// Would dangle: the connection goes back with the temporary.
  Connection& connection() && = delete;
  /// Neither committed nor rolled back.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(transaction_.lease); }
  /// `commit` has returned.
  [[nodiscard]] bool is_committed() const noexcept { return transaction_.committed; }
  /// Set if it began with `TransactionOptions::track_commit`; also when the session has ended.
  [[nodiscard]] const std::optional<TransactionId>& transaction_id() const noexcept { return transaction_.id; }

  /// Commits, ends the session and gives the connection back, within the `statement_timeout`. When this throws, the
  /// session has ended too: `QueryError` (rolled back: a statement had failed, SQLSTATE 25P02, or the server refused,
  /// for instance 40001), `ConnectionLost` (rolled back), `QueryTimeout` or `QueryCancelled` (rolled back: the time was
  /// over before COMMIT was sent), or `CommitUnknown`, also where it is given up while it waits for the answer, and
  /// where that to a COMMIT by a statement never came. Only while a savepoint, a stream or a COPY is open it throws
  /// `Error` and changes nothing.
  auto commit(std::source_location where = std::source_location::current());
  /// Rolls back, ends the session and gives the connection back; harmless when it has ended. A connection that does not
  /// answer within five seconds is discarded: the server rolls back by itself.
  auto rollback();

 protected:
  SessionStatements(Lease lease, Runner runner, Until until)
      : runner_{std::move(runner)}, until_{std::move(until)}, transaction_{std::move(lease), blocks} {}
  ~SessionStatements() = default;

  [[nodiscard]] detail::Transaction<Lease>& transaction() noexcept { return transaction_; }
  [[nodiscard]] const Until& until() const noexcept { return until_; }
  [[nodiscard]] const Runner& runner() const noexcept { return runner_; }

  // What `options` hold has to live until it has begun.
  auto begin(const TransactionOptions& options, const std::source_location& where);

  // Savepoints, whose forms differ: an object ends one in its destructor, which may wait; a coroutine by its end.
  [[nodiscard]] detail::Savepoints& savepoints() noexcept { return transaction_.savepoints; }
  auto open_savepoint(detail::SavepointId id, const std::source_location& where);
  auto release_savepoint(detail::SavepointId id, const std::source_location& where);
  // What fails to be undone stays open, and keeps the session from being committed.
  auto undo_savepoint(detail::SavepointId id, const Until& until, const std::source_location& where);

  [[nodiscard]] static Until soon() noexcept { return saturating_add(Clock::now(), std::chrono::seconds{5}); }
  // Of the next statement.
  [[nodiscard]] Until limit(const std::optional<Until>& until = {}) {
    if (!until) return until_.within(connection().settings().statement_timeout);
    return {std::min(until->deadline, until_.deadline), until->stop.stop_possible() ? until->stop : until_.stop};
  }

  // The connection as this session's caller sees it. Whether there is time is asked when it is about to be sent: in a
  // coroutine it is the statement that fails then, and not the call.
  decltype(auto) calls() {
    if constexpr (blocks) {
      auto& own = connection();
      detail::check_time(until_);
      return (own);
    } else {
      return AsyncConnection<Runner>{connection(), runner_, until_};
    }
  }

 private:
  template <class...>
  static constexpr bool refuse = false;
  template <class AnySession>
  friend bool detail::may_have_committed(AnySession& session);

  template <class Change>
  auto change(const Until& until, detail::SavepointId id, std::string script, Change how,
              const std::source_location& where);

  Runner runner_;
  Until until_;
  detail::Transaction<Lease> transaction_;
};

}  // namespace lido::postgres
