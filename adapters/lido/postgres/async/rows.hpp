// The rows of a statement one after the other, awaited.
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/async/rows.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// The rows of a statement while it runs, to be walked over once: `while (const auto row = co_await rows.next())`. Get
/// them from `AsyncConnection::stream` or `copy_out`. Takes constant memory. No other statement can run on the
/// connection, which has to outlive it, until they have ended. For one coroutine at a time; movable. One that is moved
/// from, or made without anything, can only be destroyed or assigned to.
///
/// Left before the last row, call `close()`. Destroyed instead, it must not wait: unless what is left has come already,
/// the statement is cancelled and the connection is unusable, so that its pool discards it.
template <class Runner, class Rows>
class AsyncRows {
  using Shared = detail::SharedRows<Runner, Rows>;

 public:
  AsyncRows() = default;
  /// For this library.
  explicit AsyncRows(std::shared_ptr<Shared> shared) noexcept : shared_{std::move(shared)} {}
  AsyncRows(AsyncRows&&) noexcept = default;
  AsyncRows& operator=(AsyncRows&&) noexcept = default;
  ~AsyncRows() = default;

  /// The next row as a `std::optional`, nothing after the last; to be awaited. A `Row` or a line of text is valid until
  /// it is called again. Throws as `Connection::exec_until` does, and `ResultError` when the row is not as it was asked
  /// for, which costs that row alone. Given up, by whatever way, it costs the connection.
  auto next() {
    return shared_->runner.run(shared_->until(),
                               [shared = shared_]() mutable { return detail::Fetching<Shared>{std::move(shared)}; });
  }

  /// Ends it before the last row: has the statement cancelled and reads what is left, for at most two seconds. The
  /// connection stays usable if the whole answer was at hand, or if the statement ended by that cancel; else it is
  /// given up, as the cancel may still be on its way. In a transaction that cancel fails the transaction. To be
  /// awaited; throws nothing, and is harmless at the end.
  auto close() {
    return shared_->runner.run(saturating_add(Clock::now(), std::chrono::seconds{2}),
                               [shared = shared_]() mutable { return detail::Closing<Shared>{std::move(shared)}; });
  }

 private:
  std::shared_ptr<Shared> shared_;
};

/// As `Stream`: rows of any statement.
template <class Runner, class... T>
using AsyncStream = AsyncRows<Runner, detail::IncomingRows<T...>>;
/// As `CopyOut`: rows of a COPY ... TO STDOUT.
template <class Runner, class... T>
using AsyncCopyOut = AsyncRows<Runner, detail::IncomingLines<T...>>;

namespace detail {

/// Makes the operation that begins an `AsyncRows`.
template <class Runner, class Rows, class... Rest>
[[nodiscard]] auto fetching_first(Runner runner, const Call& call, std::string_view sql, const Rest&... rest) {
  using Shared = SharedRows<Runner, Rows>;
  return FetchingFirst<Shared, AsyncRows<Runner, Rows>>{
      std::make_shared<Shared>(std::move(runner), call, sql, rest...)};
}

}  // namespace detail

}  // namespace lido::postgres
