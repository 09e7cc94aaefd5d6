// Rows into a table by COPY, awaited.
#pragma once

#include <memory>
#include <utility>

#include <lido/postgres/detail/async/copying.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>

namespace lido::postgres {

/// A COPY ... FROM STDIN that is being written, from `AsyncConnection::copy_in`: `co_await copy.write(std::tuple{1,
/// "one"})` for each row, then `co_await copy.finish()`. Takes constant memory. No other statement can run on the
/// connection, which has to outlive it, until it has ended. For one coroutine at a time; movable. One that is moved
/// from, or made without anything, can only be destroyed or assigned to.
///
/// Destroyed before it was finished or aborted, it fails on the server, which stores nothing. As it must not wait, the
/// connection is unusable then, and its pool discards it.
template <class Runner>
class AsyncCopyIn {
  using Shared = detail::SharedCopy<Runner>;

 public:
  AsyncCopyIn() = default;
  /// For this library.
  explicit AsyncCopyIn(std::shared_ptr<Shared> shared) noexcept : shared_{std::move(shared)} {}
  AsyncCopyIn(AsyncCopyIn&&) noexcept = default;
  AsyncCopyIn& operator=(AsyncCopyIn&&) noexcept = default;
  ~AsyncCopyIn() = default;

  /// Takes one row, a tuple of parameters (or a pair, array, struct); or text that is sent as it is, in pieces that may
  /// end anywhere. It is copied, and sent with others; to be awaited, which waits while the server takes no more.
  /// Throws within this call `QueryError` for what cannot be passed (the COPY goes on without it) and `Error` when it
  /// has ended; awaited, as `Connection::exec_until`, of which it is given up in the same ways. What the server refuses
  /// is known when it is finished.
  template <detail::CopyRow Row>
  auto write(Row&& row) {
    shared_->append(std::forward<Row>(row));
    return shared_->runner.run(shared_->until(),
                               [shared = shared_]() mutable { return detail::CopyWriting<Shared>{std::move(shared)}; });
  }
  /// That was all; to be awaited, for how many rows the server has stored. Throws as `Connection::exec_until` does,
  /// `QueryError` when the server refuses a row: then it stores nothing, and the connection stays usable.
  auto finish() {
    return shared_->runner.run(
        shared_->until(), [shared = shared_]() mutable { return detail::CopyFinishing<Shared>{std::move(shared)}; });
  }
  /// Nothing of it is to be stored; to be awaited. The connection stays usable, but a transaction has failed. Throws as
  /// `Connection::exec_until` does, save for `QueryError`.
  auto abort() {
    return shared_->runner.run(
        shared_->until(), [shared = shared_]() mutable { return detail::CopyAborting<Shared>{std::move(shared)}; });
  }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace lido::postgres
