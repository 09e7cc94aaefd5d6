// A transaction as a coroutine: commits on return, rolls back on a throw, tries again where that may help.
#pragma once

#include <algorithm>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async/session.hpp>
#include <lido/postgres/detail/async/coroutine_result.hpp>
#include <lido/postgres/detail/async/drive.hpp>
#include <lido/postgres/detail/transaction/retry.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/transact.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// As `transact`, for coroutines: `body(session)` is a coroutine that takes an `AsyncSession&`, and so is this, of the
/// same type, which it must be possible to await. Blocks no thread. Throws what `transact` throws. Cancelled or
/// destroyed in the middle, it commits nothing: the pool's workers roll back, and a connection with a statement under
/// way is discarded. `pool` and what `body` refers to have to outlive it; `body` itself is kept.
template <class AnyPool, class Runner, class Body,
          class Coroutine = std::invoke_result_t<Body&, AsyncSession<typename AnyPool::Lease, Runner>&>>
Coroutine async_transact(AnyPool& pool, Runner runner, Body body, TransactOptions options,
                         std::source_location where = std::source_location::current()) {
  using OwnSession = AsyncSession<typename AnyPool::Lease, Runner>;
  validate(options);
  TransactionOptions transaction = options.transaction;
  transaction.until = transaction.until.within(options.timeout);
  const Until& until = transaction.until;
  const Duration patience = transaction.acquire_timeout.value_or(pool.options().acquire_timeout);
  detail::Attempts attempts{options};
  for (;;) {
    std::optional<OwnSession> session;
    std::exception_ptr failure;  // in a handler nothing can be awaited
    TimePoint next = TimePoint::max();
    try {
      for (bool again = true; !session; again = false) {
        // An `until` that is over is no patience of zero, which would leave a check its whole time.
        const Duration left = std::max(until.left(), Duration{1});
        auto lease = co_await runner.acquire(pool, std::min(patience, left), until.stop, where);
        session.emplace(std::move(lease), runner, transaction);
        try {
          co_await session->begin(where);
        } catch (const ConnectionLost&) {  // it was, without anybody having seen it
          if (!again) throw;
          session.reset();
        }
      }
      attempts.begun(*session);
      if constexpr (detail::gives_nothing<Coroutine>) {
        co_await std::invoke(body, *session);
        if (session->is_open()) co_await session->commit(where);
        co_return;
      } else {
        auto value = co_await std::invoke(body, *session);
        if (session->is_open()) co_await session->commit(where);
        co_return value;
      }
    } catch (const Error& error) {
      failure = std::current_exception();
      next = attempts.after(session, error, until);
    } catch (...) {
      failure = std::current_exception();
    }
    if (session) {
      try {
        co_await session->rollback();
      } catch (...) {  // a coroutine that is cancelled awaits nothing any more
      }
      session.reset();
    }
    if (next == TimePoint::max()) std::rethrow_exception(failure);
    co_await runner.run(Until{next, until.stop}, [] { return detail::Pausing{}; });
  }
}

// No default argument: GCC 12 mistreats one that is an aggregate where the call is awaited.
template <class AnyPool, class Runner, class Body>
auto async_transact(AnyPool& pool, Runner runner, Body body,
                    std::source_location where = std::source_location::current()) {
  return async_transact(pool, std::move(runner), std::move(body), TransactOptions{}, where);
}

}  // namespace lido::postgres
