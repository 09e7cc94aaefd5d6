// A transaction that blocks no thread, and cannot be forgotten either.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <lido/postgres/async/connection.hpp>
#include <lido/postgres/detail/async/coroutine_result.hpp>
#include <lido/postgres/detail/compiled/session_bodies.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/session_statements.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A transaction on a leased connection, whose members return what is to be awaited once, at once: `begin`, statements,
/// then `commit`. Destroyed before that, it gives the connection back as it is: the pool's workers roll back, and one
/// on which a statement was given up is discarded. Nothing is committed unless `commit` is called, as `BasicSession`
/// says. For one coroutine at a time; stays where it is.
template <class Lease, class Runner>
class AsyncSession : public SessionStatements<Lease, Runner> {
  using Statements = SessionStatements<Lease, Runner>;

 public:
  /// Does nothing yet; the lease comes from `async_acquire`. Of `options`, `acquire_timeout` plays no part.
  AsyncSession(Lease lease, Runner runner, TransactionOptions options = {})
      : Statements{std::move(lease), std::move(runner), options.until}, options_{std::move(options)} {}

  /// Begins, in one round trip. Throws what `Connection::begin` throws.
  auto begin(std::source_location where = std::source_location::current()) {
    return Statements::begin(options_, where);
  }

  using Statements::copy_in;
  /// As `AsyncConnection::copy_in`, for an `AsyncCopyIn`, to which the rows are written.
  auto copy_in(const Sql& sql, const std::optional<Until>& until = {}) {
    return this->calls().copy_in(sql, this->limit(until));
  }

  /// A part of the transaction that can be undone alone: `body(*this)` is a coroutine, and so is this, of the same
  /// type. What it did is a part of what is around it when it returns. When it throws, that is undone, the transaction
  /// goes on, also one that had failed, and the exception is thrown on. Savepoints nest. Throws also what `exec`
  /// throws: 25P02, undone too, where `body` has not heeded an error. What cannot be undone within five seconds, or
  /// because this is cancelled, ends the session: its connection is unusable, and it cannot be committed. Destroyed in
  /// the middle, it leaves a savepoint open, with which the session cannot be committed either. What `body` refers to
  /// has to outlive it; `body` itself is kept.
  template <class Body, class Coroutine = std::invoke_result_t<Body&, AsyncSession&>>
  Coroutine savepoint(Body body, std::source_location where = std::source_location::current()) {
    const detail::SavepointId id = this->savepoints().next();
    static_assert(!detail::gives_something<decltype(this->open_savepoint(id, where))>,
                  "lido: a savepoint would not notice that a statement has failed: the session needs a completion "
                  "token that throws errors, and not one that returns them, such as as_tuple");
    co_await this->open_savepoint(id, where);
    std::exception_ptr failure;
    try {
      if constexpr (detail::gives_nothing<Coroutine>) {
        co_await std::invoke(body, *this);
        if (this->is_open()) co_await this->release_savepoint(id, where);
        co_return;
      } else {
        auto value = co_await std::invoke(body, *this);
        if (this->is_open()) co_await this->release_savepoint(id, where);
        co_return value;
      }
    } catch (...) {
      failure = std::current_exception();  // in a handler nothing can be awaited
    }
    if (this->is_open() && this->savepoints().is_open(id)) {
      bool undone = false;
      try {
        co_await this->undo_savepoint(id, this->soon(), where);
        undone = true;
      } catch (...) {  // also of a coroutine that is cancelled, which awaits nothing any more
      }
      if (!undone && this->connection().in_transaction())  // else a statement of `body` has ended it
        this->connection().channel().give_up();
    }
    std::rethrow_exception(failure);
  }

  /// The connection awaited, for what a session does not offer; knows nothing of `TransactionOptions::until`. Throws
  /// `Error` when the session has ended.
  [[nodiscard]] AsyncConnection<Runner> async_connection() & { return {this->connection(), this->runner()}; }

 private:
  TransactionOptions options_;
};

}  // namespace lido::postgres
