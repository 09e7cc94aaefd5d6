// A pool without threads of its own: its workers are fibres of the loop, which goes on while they wait.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/async_acquire.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/asio/workers.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>
#include <support/forking.hpp>

#include "in_loop.hpp"
#include "workers_in_loop.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async;
using lido::asio::async_acquire;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_workers)

namespace {

using Lease = postgres::Pool::Lease;

// Runs a coroutine in the loop, to its end. The loop itself goes on as long as the pool.
void run(net::io_context& loop, std::function<net::awaitable<void>()> body) {
  std::exception_ptr failure;
  net::co_spawn(loop, std::move(body), [&](std::exception_ptr error) {
    failure = std::move(error);
    loop.stop();
  });
  loop.run();
  loop.restart();
  if (failure != nullptr) std::rethrow_exception(failure);
}

net::awaitable<int> backend_of(postgres::Pool& pool) {
  Lease lease = co_await async_acquire(pool, 1min, net::use_awaitable);
  const postgres::Result result = co_await async(*lease).exec_until(soon(), "select pg_backend_pid()");
  co_return result.one<int>();
}

std::size_t threads() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {}));
}

}  // namespace

BOOST_AUTO_TEST_CASE(no_thread_is_started) {
  server();
  const std::size_t before = threads();
  net::io_context loop;
  postgres::Pool pool{server().conninfo(), in(loop)};
  run(loop, [&]() -> net::awaitable<void> {
    std::vector<Lease> leases;
    for (int i = 0; i < 2; ++i) leases.push_back(co_await async_acquire(pool, 1min, net::use_awaitable));
    bool late = false;
    try {
      static_cast<void>(co_await async_acquire(pool, 1ms, net::use_awaitable));
    } catch (const AcquireTimeout&) {
      late = true;
    }
    BOOST_TEST(late);
  });
  BOOST_TEST(threads() <= before);  // those of earlier tests may end meanwhile
  BOOST_TEST(pool.statistics().opened == 2U);
}

BOOST_AUTO_TEST_CASE(the_loop_goes_on_while_a_connection_is_opened) {
  FaultProxy proxy{server().socket()};
  net::io_context loop;
  postgres::Options options = in(loop);
  options.connect_timeout = 1min;  // none fails meanwhile
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  proxy.stay_silent();
  run(loop, [&]() -> net::awaitable<void> {
    bool served = false;
    net::co_spawn(
        co_await net::this_coro::executor,
        [&]() -> net::awaitable<void> {
          co_await backend_of(pool);
          served = true;
        },
        Rethrow{});
    co_await until("a connection is being opened", [&] { return pool.statistics().now.opening > 0; });
    co_await many_turns();
    BOOST_TEST(pool.statistics().now.opening > 0U);
    BOOST_TEST(pool.statistics().open_failures == 0U);
    proxy.pass();
    proxy.cut();  // and another attempt begins
    co_await until("it is served", [&] { return served; });
  });
}

BOOST_AUTO_TEST_CASE(the_loop_goes_on_while_a_connection_is_checked) {
  FaultProxy proxy{server().socket()};
  net::io_context loop;
  postgres::Options options = in(loop);
  options.pre_ping_after = 0s;
  options.check_timeout = 1min;  // it is not found dead meanwhile
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  postgres::Pool others{server().conninfo(), in(loop)};
  run(loop, [&]() -> net::awaitable<void> {
    const int first = co_await backend_of(pool);
    co_await until("it is idle", [&] { return pool.statistics().now.idle > 0; });
    BOOST_TEST(co_await backend_of(pool) == first);
    co_await until("it is idle", [&] { return pool.statistics().now.idle > 0; });
    proxy.drop();
    std::optional<int> second;
    net::co_spawn(
        co_await net::this_coro::executor, [&]() -> net::awaitable<void> { second = co_await backend_of(pool); },
        Rethrow{});
    co_await many_turns();
    BOOST_TEST(co_await backend_of(others) > 0);
    BOOST_TEST(!second);
    BOOST_TEST(pool.statistics().found_dead == 0U);
    proxy.pass();
    proxy.cut();
    co_await until("it is served", [&] { return second.has_value(); });
    BOOST_TEST(*second != first);
    BOOST_TEST(pool.statistics().found_dead == 1U);
  });
}

BOOST_AUTO_TEST_CASE(the_loop_goes_on_while_a_connection_is_put_in_order) {
  FaultProxy proxy{server().socket()};
  net::io_context loop;
  postgres::Options options = in(loop);
  options.reset_timeout = 1min;
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  run(loop, [&]() -> net::awaitable<void> {
    {
      Lease lease = co_await async_acquire(pool, 1min, net::use_awaitable);
      co_await async(*lease).exec_until(soon(), "begin");
      proxy.drop();
    }
    co_await many_turns();
    BOOST_TEST(pool.statistics().now.leased == 1U);
    proxy.pass();
    proxy.cut();
    co_await until("it is given back", [&] { return pool.statistics().now.leased == 0; });
    BOOST_TEST(co_await backend_of(pool) > 0);
  });
}

BOOST_AUTO_TEST_CASE(many_coroutines_and_threads_are_served_in_their_turns) {
  net::io_context loop;
  postgres::Pool pool{server().conninfo(), in(loop)};
  int served = 0;
  for (int i = 0; i < 200; ++i)
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          for (int k = 0; k < 3; ++k)
            if (co_await backend_of(pool) > 0) ++served;
        },
        Rethrow{});
  int answers = 0;
  std::exception_ptr failure;
  std::jthread thread{[&] {
    try {
      for (int i = 0; i < 100; ++i) answers += pool.acquire(1min)->exec("select 1").one<int>();
    } catch (...) {
      failure = std::current_exception();
    }
    net::post(loop, [&] { loop.stop(); });
  }};
  loop.run();
  loop.restart();
  thread.join();
  if (failure != nullptr) std::rethrow_exception(failure);
  BOOST_TEST(answers == 100);
  run(loop, [&]() -> net::awaitable<void> { co_await until("all are served", [&] { return served == 600; }); });
  BOOST_TEST(pool.statistics().opened == 2U);
}

BOOST_AUTO_TEST_CASE(a_loop_may_have_several_threads) {
  net::io_context loop;
  postgres::Options options = in(loop);
  options.pre_ping_after = 0s;
  auto pool = std::make_unique<postgres::Pool>(server().conninfo(), options);
  // So that all of them have begun in a thread that outlives them: Clang's address sanitizer wants it.
  run(loop, [&]() -> net::awaitable<void> { BOOST_TEST(co_await backend_of(*pool) > 0); });
  std::atomic<int> served{0};
  std::atomic<int> left{100};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto ended = [&](const std::exception_ptr& error) {
    if (error != nullptr) {
      const std::lock_guard lock{mutex};
      failure = error;
    }
    if (--left == 0) loop.stop();
  };
  for (int i = 0; i < 100; ++i)
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          for (int k = 0; k < 5; ++k)
            if (co_await backend_of(*pool) > 0) ++served;
        },
        ended);
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 3; ++i) all.emplace_back([&] { loop.run(); });
  }
  if (failure != nullptr) std::rethrow_exception(failure);
  BOOST_TEST(served.load() == 500);
  pool.reset();
  loop.restart();
  loop.run();
}

BOOST_AUTO_TEST_CASE(the_thread_of_the_loop_may_wait_for_the_pool_itself) {
  net::io_context loop;
  postgres::Pool pool{server().conninfo(), in(loop)};
  pool.wait_until_ready(1min);  // before the loop runs
  BOOST_TEST(pool.statistics().now.idle >= 1U);
  run(loop, [&]() -> net::awaitable<void> {
    BOOST_TEST(co_await backend_of(pool) > 0);
    BOOST_TEST(pool.close(1min).complete);
  });
}

BOOST_AUTO_TEST_CASE(a_run_ends_when_the_pool_does) {
  net::io_context loop;
  auto pool = std::make_unique<postgres::Pool>(server().conninfo(), in(loop));
  net::co_spawn(
      loop,
      [&]() -> net::awaitable<void> {
        BOOST_TEST(co_await backend_of(*pool) > 0);
        pool.reset();
      },
      Rethrow{});
  loop.run();
  BOOST_TEST(loop.stopped());
}

BOOST_AUTO_TEST_CASE(a_loop_that_never_ran_leaves_nothing_behind) {
  int begun = 0, ended = 0;
  {
    net::io_context loop;
    postgres::Options options = in(loop);
    options.start_worker = [&, start = options.start_worker](Worker worker) {
      ++begun;
      start([&ended, worker = std::move(worker)](WorkerParker& parker) {
        worker(parker);
        ++ended;
      });
    };
    const postgres::Pool pool{server().conninfo(), options};
    BOOST_TEST(begun == 5);
    BOOST_TEST(ended == 0);
  }
  BOOST_TEST(ended == 5);
}

BOOST_AUTO_TEST_CASE(a_pool_goes_on_without_its_loop) {
  std::optional<net::io_context> loop{std::in_place};
  postgres::Pool pool{server().conninfo(), in(*loop)};
  run(*loop, [&]() -> net::awaitable<void> { BOOST_TEST(co_await backend_of(pool) > 0); });
  loop.reset();
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  pool.invalidate();
  BOOST_TEST(pool.acquire()->exec("select 2").one<int>() == 2);
}

BOOST_AUTO_TEST_CASE(a_pool_and_a_loop_that_end_while_the_server_hangs) {
  FaultProxy proxy{server().socket()};
  proxy.stay_silent();
  const auto begin = [&](net::io_context& loop) {
    postgres::Options options = in(loop);
    options.min_idle = 1;  // what a caller asks for is not opened once the caller has gone
    auto pool = std::make_unique<postgres::Pool>(proxy.conninfo("postgres"), options);
    run(loop, [&]() -> net::awaitable<void> {
      co_await until("a connection is being opened", [&] { return pool->statistics().now.opening > 0; });
      BOOST_CHECK_THROW(static_cast<void>(co_await async_acquire(*pool, 1us, net::use_awaitable)), AcquireTimeout);
    });
    return pool;
  };
  {
    net::io_context loop;
    const auto pool = begin(loop);
  }
  {
    std::optional<net::io_context> loop{std::in_place};
    auto pool = begin(*loop);
    pool.reset();
    loop->run();  // what is under way is told to stop
    BOOST_TEST(loop->stopped());
  }
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_while_its_worker_looks_at_a_waiting_coroutines_connection) {
  FaultProxy proxy{server().socket()};
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.pre_ping_after = 0s;
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  run(*loop, [&]() -> net::awaitable<void> {
    const int first = co_await backend_of(pool);
    BOOST_TEST(first > 0);
    co_await until("it is idle", [&] { return pool.statistics().now.idle > 0; });
    proxy.drop();
    net::co_spawn(
        co_await net::this_coro::executor,
        [&]() -> net::awaitable<void> {
          co_await backend_of(pool);
          BOOST_ERROR("it was served");
        },
        Rethrow{});
    co_await many_turns();
  });
  loop.reset();
  BOOST_TEST(pool.statistics().now.leased == 0U);
}

BOOST_AUTO_TEST_CASE(the_child_of_a_fork_has_workers_of_its_own,
                     *boost::unit_test::enable_if<can_fork_amid_threads>()) {
  FaultProxy proxy{server().socket()};
  const postgres::Connector connect{proxy.conninfo("postgres")};
  int failed = 0;
  bool hasty = true;
  const auto count_failures = [&](OpenInfo info) {
    if (hasty) info.deadline = Clock::now() + 100ms;
    try {
      return connect(info);
    } catch (const std::exception&) {
      ++failed;
      throw;
    }
  };
  net::io_context loop;
  PoolOptions options;
  options.start_worker = lido::asio::workers_in(loop);
  options.open_timeout = 1min;
  lido::Pool pool{count_failures, FixedSize{.size = 1}, postgres::CheckSession{}, postgres::Recycle{}, options};
  proxy.stay_silent();
  run(loop, [&]() -> net::awaitable<void> {
    co_await until("a connection is being opened", [&] { return proxy.peak() > 0; });
  });
  const int failed_before = failed;
  loop.notify_fork(net::io_context::fork_prepare);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    loop.notify_fork(net::io_context::fork_child);
    run(loop, [&]() -> net::awaitable<void> {
      net::steady_timer timer{loop, 200ms};  // for the parent's attempt to end here, if it went on
      co_await timer.async_wait(net::use_awaitable);
    });
    ::_exit(failed == failed_before ? 0 : 1);
  }
  loop.notify_fork(net::io_context::fork_parent);
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  hasty = false;
  proxy.pass();
  run(loop, [&]() -> net::awaitable<void> {
    const auto lease = co_await async_acquire(pool, 1min, net::use_awaitable);
    BOOST_TEST(lease->backend_pid() > 0);
  });
  BOOST_TEST(failed > 0);  // as its time is over
}

BOOST_AUTO_TEST_SUITE_END()
