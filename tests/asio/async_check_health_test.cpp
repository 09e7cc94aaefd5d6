// Whether a pool is healthy, asked without blocking: in Asio's loop and in one of our own.
#include <chrono>
#include <string>

#include <boost/test/unit_test.hpp>
#include <lido/asio/check_health.hpp>
#include <lido/check_health.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/check_health.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/postgres_server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(asio_check_health)

namespace {

template <class Loop>
auto health_in(const Loop& loop, postgres::Pool& pool, Duration timeout) {
  using Coroutine = typename Loop::template Coroutine<HealthReport>;
  return postgres::async_check_health<Coroutine>(pool, loop.runner, timeout);
}

}  // namespace

BOOST_AUTO_TEST_CASE(says_healthy_exhausted_and_unreachable_within_its_time) {
  PostgresServer database;
  postgres::Pool pool{database.conninfo(), {.pool_size = 1, .max_overflow = 0, .connect_timeout = 1s}};
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const HealthReport healthy = co_await health_in(loop, pool, 30s);
    BOOST_TEST(to_string(healthy.status) == "healthy");
    BOOST_TEST((healthy.latency > Duration::zero()));
    BOOST_TEST(healthy.checked_out_connections == 0U);
    {
      const auto held = pool.acquire();
      const TimePoint begun = Clock::now();
      const HealthReport exhausted = co_await health_in(loop, pool, 50ms);
      BOOST_TEST(to_string(exhausted.status) == "exhausted");
      BOOST_TEST((Clock::now() - begun >= 50ms));
    }
    database.stop(PostgresServer::Mode::immediate);
    // Long enough for a worker to close the dead connection, which counts as taken until then.
    const HealthReport unreachable = co_await health_in(loop, pool, 2s);
    BOOST_TEST(to_string(unreachable.status) == "unhealthy");
    BOOST_TEST(unreachable.error != "");
    database.start();
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(is_awaited_in_asio_with_the_pool_alone) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1}};
  in_loop([&]() -> boost::asio::awaitable<void> {
    const HealthReport report = co_await asio::async_check_health(pool, 30s);
    BOOST_TEST(to_string(report.status) == "healthy");
  });
}

BOOST_AUTO_TEST_SUITE_END()
