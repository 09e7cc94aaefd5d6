// Many coroutines in one thread: what it costs, what goes wrong around them, and that nothing holds up their loop.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <iterator>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <faults/starvation.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

#include "in_loop.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using boost::asio::use_awaitable;
using lido::asio::async;
using lido::asio::async_acquire;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_load)

namespace {

std::size_t threads() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {}));
}

double quantile_ms(std::vector<Duration> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const Duration value = values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  return std::chrono::duration<double, std::milli>(value).count();
}

// Of this process, in microseconds: unlike the time that passes, it does not depend on what else runs.
double processor_us() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct Figures {
  double per_second = 0;
  std::vector<Duration> waits;
};

// `count` coroutines in this thread, each of which runs so many statements, each on a connection that it waits for.
Figures with_coroutines(postgres::Pool& pool, std::size_t count, std::size_t statements) {
  Figures figures;
  net::io_context loop{1};
  const auto body = [&]() -> net::awaitable<void> {
    for (std::size_t i = 0; i < statements; ++i) {
      const TimePoint asked = Clock::now();
      auto lease = co_await async_acquire(pool, 60s, use_awaitable);
      figures.waits.push_back(Clock::now() - asked);
      const auto result = co_await async(*lease).exec("select 1");
      if (result.rows() != 1) throw std::logic_error{"one row"};
    }
  };
  for (std::size_t i = 0; i < count; ++i) net::co_spawn(loop, body, net::detached);
  const TimePoint begun = Clock::now();
  loop.run();
  const std::chrono::duration<double> took = Clock::now() - begun;
  figures.per_second = static_cast<double>(count * statements) / took.count();
  return figures;
}

double with_threads(postgres::Pool& pool, std::size_t count, std::size_t statements) {
  const TimePoint begun = Clock::now();
  {
    std::vector<std::jthread> all;
    for (std::size_t i = 0; i < count; ++i)
      all.emplace_back([&] {
        for (std::size_t k = 0; k < statements; ++k) pool.acquire(60s)->exec("select 1");
      });
  }
  return static_cast<double>(count * statements) / std::chrono::duration<double>(Clock::now() - begun).count();
}

// The longest time for which a loop did nothing else, although there was a processor for its thread.
struct Heartbeat {
  explicit Heartbeat(net::io_context& loop) : timer{loop} {}
  net::awaitable<void> run() {
    Duration waited = starved();
    for (TimePoint last = Clock::now(); !ended;) {
      timer.expires_after(2ms);
      co_await timer.async_wait(use_awaitable);
      const TimePoint now = Clock::now();
      const Duration so_far = starved();
      longest = std::max(longest, now - std::exchange(last, now) - (so_far - std::exchange(waited, so_far)));
    }
  }
  net::steady_timer timer;
  Duration longest{};
  bool ended = false;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_thousand_coroutines_share_twenty_connections_in_one_thread) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 20, .max_overflow = 0}};
  {
    std::vector<postgres::Pool::Lease> all;
    for (int i = 0; i < 20; ++i) all.push_back(pool.acquire(1min));
  }
  with_coroutines(pool, 60, 2);  // starts the thread that keeps time
  const std::size_t before = threads();
  double start = 0, blocking = 0, between = 0, end = 0;
  Figures figures;
  for (int round = 0; round < 3; ++round) {  // the machine may have become slower between the two
    start = processor_us();
    blocking = with_threads(pool, 32, 160);
    between = processor_us();
    figures = with_coroutines(pool, 1000, 5);
    end = processor_us();
    if (figures.per_second > blocking / 50) break;
  }
  BOOST_TEST(threads() <= before);  // those of earlier tests may end meanwhile
  BOOST_TEST(figures.waits.size() == 5000U);
  BOOST_TEST(pool.statistics().now.leased == 0U);
  BOOST_TEST(pool.statistics().timeouts == 0U);
  // Whoever waits in a queue of 1,000 waits for 980 statements.
  const double ideal_ms = 980 / figures.per_second * 1000;
  const double p99_ms = quantile_ms(figures.waits, 0.99);
  std::printf(
      "| 1,000 coroutines on 20 connections in one thread: %.0f statements/s at %.1f us of processor each; 32 threads: "
      "%.0f at %.1f; wait p99 %.1f ms, ideal %.1f\n",
      figures.per_second, (end - between) / 5000, blocking, (between - start) / 5120, p99_ms, ideal_ms);
  // On a machine that does other things too: orders of magnitude.
  BOOST_TEST(figures.per_second > blocking / 50);
  BOOST_TEST(p99_ms < 10 * ideal_ms);
}

BOOST_AUTO_TEST_CASE(nothing_that_the_pool_does_holds_up_the_loop) {
  FaultProxy proxy{server().socket()};
  postgres::Pool pool{proxy.conninfo("postgres"),
                      {.pool_size = 2,
                       .max_overflow = 0,
                       .pre_ping_after = 0s,
                       .connect_timeout = 3s,
                       .check_timeout = 3s,
                       .reset_timeout = 3s}};
  net::io_context loop;
  Heartbeat heartbeat{loop};
  const Control control;
  net::co_spawn(loop, heartbeat.run(), net::detached);
  std::exception_ptr failure;
  net::co_spawn(
      loop,
      [&]() -> net::awaitable<void> {
        {
          auto lease = co_await async_acquire(pool, 1min, use_awaitable);
          co_await async(*lease).exec_script("set work_mem = '1MB'");
          proxy.drop();
        }  // to be put in order, which nobody answers
        BOOST_TEST(co_await fails_with<AcquireTimeout>(async_acquire(pool, 100ms, use_awaitable)));
        proxy.stay_silent();  // connections are taken and not answered
        pool.invalidate();
        BOOST_TEST(co_await fails_with<AcquireTimeout>(async_acquire(pool, 100ms, use_awaitable)));
        proxy.pass();
        proxy.cut();
        auto lease = co_await async_acquire(pool, 1min, use_awaitable);
        BOOST_TEST((co_await async(*lease).exec("select 1")).rows() == 1U);
        lease.release();
        proxy.drop();
        // Its ping is a worker's.
        BOOST_TEST(co_await fails_with<AcquireTimeout>(async_acquire(pool, 100ms, use_awaitable)));
        proxy.pass();
        proxy.cut();
      },
      [&](std::exception_ptr error) {
        failure = std::move(error);
        heartbeat.ended = true;
      });
  loop.run();
  if (failure != nullptr) std::rethrow_exception(failure);
  BOOST_TEST(
      (heartbeat.longest - control.worst() < 1s),
      "the loop stood still for " << std::chrono::duration_cast<std::chrono::milliseconds>(heartbeat.longest).count()
                                  << " ms");
}

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_stopped_and_restarted_under_load_costs_errors_and_no_connection) {
  PostgresServer own;
  postgres::Pool pool{own.conninfo(), {.pool_size = 3, .max_overflow = 0, .connect_timeout = 1s}};
  net::io_context loop;
  bool ended = false;
  int served = 0, failed = 0, at_once = 0, most = 0;
  Duration longest{};
  Duration held{};  // for which this thread, which is the loop's, was at the server
  const Control control;
  const auto body = [&]() -> net::awaitable<void> {
    while (!ended) {
      const TimePoint begun = Clock::now();
      const Duration held_before = held;
      bool refused = false;
      try {
        auto lease = co_await async_acquire(pool, 500ms, use_awaitable);
        most = std::max(most, ++at_once);
        try {
          co_await async(*lease).exec_until(Clock::now() + 500ms, "select 1");
        } catch (...) {
          --at_once;
          throw;
        }
        --at_once;
        ++served;
      } catch (const PoolError&) {
        refused = true;
      } catch (const postgres::Error&) {
        refused = true;
      }
      longest = std::max(longest, Clock::now() - begun - (held - held_before));
      if (!refused) continue;
      ++failed;
      net::steady_timer pause{loop, 5ms};
      co_await pause.async_wait(use_awaitable);
    }
  };
  for (int i = 0; i < 12; ++i) net::co_spawn(loop, body, net::detached);
  const auto serve_more = [&] {
    const int before = served;
    const TimePoint late = Clock::now() + 1min;
    while (served < before + 50 && Clock::now() < late) loop.run_for(5ms);
    BOOST_TEST(served >= before + 50);
  };
  const auto hold = [&](auto action) {
    const TimePoint begun = Clock::now();
    action();
    held += Clock::now() - begun;
  };
  serve_more();
  hold([&] { own.terminate_backends(); });
  serve_more();
  hold([&] { own.sigstop(); });
  loop.run_for(700ms);
  hold([&] { own.sigcont(); });
  serve_more();
  hold([&] { own.stop(PostgresServer::Mode::immediate); });
  loop.run_for(100ms);
  hold([&] { own.start(); });
  serve_more();
  ended = true;
  loop.run();
  BOOST_TEST(failed > 0);
  BOOST_TEST(most <= 3);
  BOOST_TEST((longest - control.worst() < 10s));
  BOOST_TEST(pool.statistics().now.leased == 0U);
  BOOST_TEST(pool.statistics().now.waiting == 0U);
}

BOOST_AUTO_TEST_CASE(statements_that_are_cancelled_at_random_points_lose_no_connection) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 3, .max_overflow = 0}};
  net::io_context loop;
  std::minstd_rand random{5};
  int served = 0, cancelled = 0;
  const auto body = [&]() -> net::awaitable<void> {
    for (int i = 0; i < 40; ++i) {
      std::stop_source source;
      net::steady_timer timer{loop, std::chrono::microseconds{random() % 3000}};
      timer.async_wait([source](boost::system::error_code) mutable { source.request_stop(); });
      try {
        auto lease = co_await async_acquire(pool, 1min, source.get_token(), use_awaitable);
        co_await async(*lease).exec_until(postgres::Until{source.get_token()}, "select pg_sleep(0.0005)");
        ++served;
      } catch (const AcquireCancelled&) {
        ++cancelled;
      } catch (const postgres::QueryCancelled&) {
        ++cancelled;
      }
    }
  };
  for (int i = 0; i < 8; ++i) net::co_spawn(loop, body, net::detached);
  loop.run();
  BOOST_TEST(served + cancelled == 320);
  BOOST_TEST(cancelled > 0);
  std::vector<postgres::Pool::Lease> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(pool.acquire(1min));
    BOOST_TEST(all.back()->exec("select 1").one<int>() == 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
