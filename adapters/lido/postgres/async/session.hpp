// A transaction that blocks no thread, and cannot be forgotten either.
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async/connection.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/async/coroutine_result.hpp>
#include <lido/postgres/detail/operations/scripting.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/transaction/begin.hpp>
#include <lido/postgres/detail/transaction/ending.hpp>
#include <lido/postgres/detail/transaction/transacting.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A transaction on a leased connection, whose members return what is to be awaited once, at once: `begin`, statements,
/// then `commit`. Destroyed before that, it gives the connection back as it is: the pool's workers roll back, and one
/// on which a statement was given up is discarded. Nothing is committed unless `commit` is called, as `BasicSession`
/// says. For one coroutine at a time; stays where it is.
template <class Lease, class Runner>
class AsyncSession {
 public:
  /// Does nothing yet; the lease comes from `async_acquire`. Of `options`, `acquire_timeout` plays no part.
  AsyncSession(Lease lease, Runner runner, TransactionOptions options = {})
      : options_{std::move(options)}, runner_{std::move(runner)}, transaction_{std::move(lease), {}, false} {}
  AsyncSession(const AsyncSession&) = delete;
  AsyncSession& operator=(const AsyncSession&) = delete;
  ~AsyncSession() = default;

  /// Begins, in one round trip. Throws what `Connection::begin` throws.
  auto begin() {
    return runner_.run(limit(), [this] {
      detail::check_time(options_.until);
      return Beginning{*this, connection()};
    });
  }

  /// As `Connection::exec`, and no later than `TransactionOptions::until`: once that is over, `QueryTimeout` and
  /// `QueryCancelled` are thrown without sending anything, and the connection stays good.
  template <detail::Parameter... T>
  auto exec(const Sql& sql, const T&... parameters) {
    return execute(limit(), sql, parameters...);
  }
  /// As `Connection::exec_until`, and no later than `TransactionOptions::until`; of two stop tokens, that of `until`.
  template <detail::Parameter... T>
  auto exec_until(const Until& until, const Sql& sql, const T&... parameters) {
    const std::stop_token& stop = until.stop.stop_possible() ? until.stop : options_.until.stop;
    return execute({std::min(until.deadline, options_.until.deadline), stop}, sql, parameters...);
  }

  /// A part of the transaction that can be undone alone: `body(*this)` is a coroutine, and so is this, of the same
  /// type. What it did is a part of what is around it when it returns. When it throws, that is undone, the transaction
  /// goes on, also one that had failed, and the exception is thrown on. Savepoints nest. Throws also what `exec`
  /// throws: 25P02, undone too, where `body` has not heeded an error. What cannot be undone within five seconds, or
  /// because this is cancelled, ends the session: its connection is unusable, and it cannot be committed. Destroyed in
  /// the middle, it leaves a savepoint open, with which the session cannot be committed either. What `body` refers to
  /// has to outlive it; `body` itself is kept.
  template <class Body, class Coroutine = std::invoke_result_t<Body&, AsyncSession&>>
  Coroutine savepoint(Body body) {
    detail::Savepoints& savepoints = transaction_.savepoints;
    const detail::Savepoints::Id id = savepoints.next();
    const Until until = limit();
    detail::check_time(options_.until);
    co_await async_connection().exec_script(detail::open_savepoint(id), until);
    savepoints.opened(id);
    std::exception_ptr failure;
    try {
      if constexpr (detail::gives_nothing<Coroutine>) {
        co_await std::invoke(body, *this);
        if (is_open()) co_await release(id);
        co_return;
      } else {
        auto value = co_await std::invoke(body, *this);
        if (is_open()) co_await release(id);
        co_return value;
      }
    } catch (...) {
      failure = std::current_exception();  // in a handler nothing can be awaited
    }
    if (is_open() && savepoints.is_open(id)) {
      bool undone = false;
      try {
        co_await async_connection().exec_script(detail::undo_savepoint(id),
                                                saturating_add(Clock::now(), std::chrono::seconds{5}));
        undone = true;
      } catch (...) {  // also of a coroutine that is cancelled, which awaits nothing any more
      }
      if (undone)
        savepoints.closed(id);
      else if (connection().in_transaction())  // else a statement of `body` has ended it
        connection().channel().give_up();
    }
    std::rethrow_exception(failure);
  }

  /// The connection, for what a session does not offer; throws `Error` when the session has ended.
  [[nodiscard]] Connection& connection() {
    if (!transaction_.lease) throw Error{"the session has ended: it was committed or rolled back"};
    return *transaction_.lease;
  }
  [[nodiscard]] AsyncConnection<Runner> async_connection() { return {connection(), runner_}; }
  /// Neither committed nor rolled back.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(transaction_.lease); }
  /// `commit` has returned.
  [[nodiscard]] bool is_committed() const noexcept { return transaction_.committed; }
  /// Set if it began with `TransactionOptions::track_commit`; also when the session has ended.
  [[nodiscard]] const std::optional<TransactionId>& transaction_id() const noexcept { return transaction_.id; }

  /// Commits, ends the session and gives the connection back. Throws what `BasicSession::commit` throws, and then the
  /// session has ended too, save where a savepoint is open; given up while it waits for the answer, that is
  /// `CommitUnknown`.
  auto commit() {
    static_cast<void>(connection());
    const Until until = limit();
    return runner_.run(until, [this, until] { return detail::Committing<Lease>{transaction_, until}; });
  }
  /// Rolls back, ends the session and gives the connection back; harmless when it has ended. A connection that does not
  /// answer within five seconds is discarded, also when this is cancelled: the server rolls back by itself.
  auto rollback() {
    return runner_.run(saturating_add(Clock::now(), std::chrono::seconds{5}),
                       [this] { return detail::RollingBack<Lease>{transaction_}; });
  }

 private:
  class Beginning : public detail::Scripting {
   public:
    Beginning(AsyncSession& session, Connection& connection)
        : Beginning{session, connection, detail::begin_script(connection.channel().raw(), session.options_)} {}
    void outcome() {
      const Result answer = detail::Scripting::outcome();
      session_.connection().channel().names().begins(names_);
      if (session_.options_.track_commit) session_.transaction_.id = detail::transaction_id_of(answer);
      session_.connection().channel().held().hold();
    }

   private:
    Beginning(AsyncSession& session, Connection& connection, detail::Begin script)
        : detail::Scripting{connection.channel(), std::move(script.sql), std::move(script.shown)},
          session_{session},
          names_{std::move(script.names)} {}
    AsyncSession& session_;
    std::string names_;
  };

  class Releasing : public detail::Scripting {
   public:
    Releasing(AsyncSession& session, detail::Savepoints::Id id)
        : detail::Scripting{session.connection().channel(), detail::release_savepoint(id)},
          savepoints_{session.transaction_.savepoints},
          id_{id} {}
    void outcome() noexcept { savepoints_.closed(id_); }

   private:
    detail::Savepoints& savepoints_;
    detail::Savepoints::Id id_;
  };
  auto release(detail::Savepoints::Id id) {
    transaction_.savepoints.check_innermost(id);
    return runner_.run(limit(), [this, id] {
      detail::check_time(options_.until);
      return Releasing{*this, id};
    });
  }

  // Whether there is time is asked when it is awaited: it is the statement that fails then, and not the call.
  template <detail::Parameter... T>
  auto execute(const Until& until, const Sql& sql, const T&... parameters) {
    const detail::Parameters<sizeof...(T)> values{parameters...};
    return runner_.run(until, [this, channel = &connection().channel(), text = std::string{sql.text}, where = sql.where,
                               stored = detail::StoredParameters{detail::bound_of(values)}]() mutable {
      channel->called_from(where);
      detail::check_time(options_.until);
      if (!channel->held().is_held()) throw Error{"the session has not begun"};
      return detail::Executing{*channel, std::move(text), std::move(stored)};
    });
  }

  [[nodiscard]] Until limit() { return options_.until.within(connection().settings().statement_timeout); }

  TransactionOptions options_;
  Runner runner_;
  detail::Transaction<Lease> transaction_;
};

}  // namespace lido::postgres
