// Whether a PostgreSQL pool is healthy, asked in a coroutine of Boost.Asio.
#pragma once

#include <source_location>
#include <utility>  // for awaitable.hpp

#include <boost/asio/awaitable.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/check_health.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/check_health.hpp>

namespace lido::asio {

/// As `lido::check_health`, and blocks no thread: `const lido::HealthReport report = co_await async_check_health(pool,
/// 1s);`. For another completion token than `use_awaitable`, give it to `co_spawn`.
template <class AnyPool>
boost::asio::awaitable<HealthReport> async_check_health(AnyPool& pool, Duration timeout,
                                                        std::source_location where = std::source_location::current()) {
  return postgres::async_check_health<boost::asio::awaitable<HealthReport>>(pool, OnAsio<>{}, timeout, where);
}

}  // namespace lido::asio
