// Whether a pool is healthy, asked in an event loop.
#pragma once

#include <source_location>
#include <stop_token>
#include <utility>

#include <lido/async_check_health.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/connection.hpp>
#include <lido/postgres/connection.hpp>

namespace lido::postgres {

/// As `lido::check_health`, and blocks no thread. `Coroutine` is a coroutine type that gives a `HealthReport`, in the
/// loop of `runner`, an `OnReactor` or the like. Cancelled or destroyed in the middle, it gives up its connection.
/// Throws `InvalidOption` and `std::bad_alloc`. The pool, or the share that you give in its place, has to outlive it.
template <class Coroutine, class AnyPool, class Runner>
Coroutine async_check_health(AnyPool& pool, Runner runner, Duration timeout,
                             std::source_location where = std::source_location::current()) {
  const auto acquire = [&pool, runner, where](Duration patience) {
    return runner.acquire(pool, patience, std::stop_token{}, where);
  };
  const auto ping = [runner](Connection& connection, TimePoint deadline) {
    return AsyncConnection<Runner>{connection, runner}.ping(deadline);
  };
  return lido::detail::checking_health<Coroutine>(pool, timeout, acquire, ping);
}

}  // namespace lido::postgres
