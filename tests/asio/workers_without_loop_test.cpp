// A pool whose workers were fibres of a loop that has ended: what it has promised it does without.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/async_acquire.hpp>
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
using lido::asio::async_acquire;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_workers_without_loop)

namespace {

using Lease = postgres::Pool::Lease;

// The workers have begun, and rest.
void let_workers_begin(net::io_context& loop, postgres::Pool& pool) {
  net::co_spawn(
      loop,
      [&]() -> net::awaitable<void> {
        co_await until("a connection is open", [&] { return pool.statistics().opened > 0; });
        co_await many_turns();
        loop.stop();
      },
      Rethrow{});
  loop.run();
  loop.restart();
}

std::vector<Lease> take_all(postgres::Pool& pool) {
  std::vector<Lease> all;
  for (int i = 0; i < 2; ++i) all.push_back(pool.acquire());
  return all;
}

// Whether a wait of so long ends at its deadline, and does so by then at the latest.
bool times_out(postgres::Pool& pool, Duration timeout) {
  std::future<Lease> waits = async_acquire(pool, timeout, net::use_future);
  BOOST_REQUIRE((waits.wait_until(soon()) == std::future_status::ready));
  try {
    static_cast<void>(waits.get());
  } catch (const AcquireTimeout&) {
    return true;
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_wait_ends_at_its_deadline_if_the_loop_ended_before_anybody_waited) {
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.min_idle = 1;
  postgres::Pool pool{server().conninfo(), options};
  let_workers_begin(*loop, pool);
  loop.reset();
  {
    const std::vector<Lease> all = take_all(pool);
    BOOST_TEST(times_out(pool, 50ms));
  }
  BOOST_TEST(async_acquire(pool, 1min, net::use_future).get()->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_at_its_deadline_if_who_keeps_time_lost_its_loop) {
  std::optional<net::io_context> loop{std::in_place};
  postgres::Pool pool{server().conninfo(), in(*loop)};
  {
    std::future<Lease> first = async_acquire(pool, 1min, net::use_future);
    let_workers_begin(*loop, pool);
    first.get().release();
  }
  loop.reset();
  const std::vector<Lease> all = take_all(pool);
  BOOST_TEST(times_out(pool, 50ms));
  BOOST_TEST(times_out(pool, 50ms));
}

BOOST_AUTO_TEST_CASE(who_keeps_time_without_a_loop_is_not_held_up_by_a_silent_server) {
  FaultProxy proxy{server().socket()};
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.min_idle = 2;
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  {
    std::future<Lease> first = async_acquire(pool, 1min, net::use_future);
    let_workers_begin(*loop, pool);
    first.get().release();
  }
  loop.reset();
  proxy.refuse();
  proxy.cut();
  pool.invalidate();
  PostgresServer::wait_until("an open fails", [&] { return pool.statistics().open_failures > 0; });
  proxy.stay_silent();  // whoever tries again is held up from now on
  // One that was refused before the silence may still be under way; then once more.
  PostgresServer::wait_until("one is held up all the while", [&] {
    const auto failures = [&] { return pool.statistics().open_failures; };
    const auto before = failures();
    const auto held_up = [&] { return pool.statistics().now.opening > 0 && failures() == before; };
    if (!held_up()) return false;
    BOOST_TEST(times_out(pool, 50ms));
    return held_up();
  });
}

BOOST_AUTO_TEST_CASE(a_pool_without_its_loop_tries_again_until_the_server_is_back) {
  FaultProxy proxy{server().socket()};
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.min_idle = 1;
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  let_workers_begin(*loop, pool);
  loop.reset();
  proxy.refuse();
  proxy.cut();
  pool.invalidate();
  std::thread back{[&] {
    for (const auto end = soon(); pool.statistics().open_failures < 3 && Clock::now() < end;)
      std::this_thread::sleep_for(1ms);
    proxy.pass();
  }};
  BOOST_TEST(pool.acquire(60s)->exec("select 1").one<int>() == 1);
  back.join();
}

BOOST_AUTO_TEST_CASE(the_child_of_a_fork_after_the_end_of_the_loop_has_workers_of_its_own,
                     *boost::unit_test::enable_if<can_fork_amid_threads>()) {
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.min_idle = 1;
  postgres::Pool pool{server().conninfo(), options};
  let_workers_begin(*loop, pool);
  loop.reset();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(300);
    int answer = 0;
    try {
      answer = pool.acquire(1min)->exec("select 1").one<int>();
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(answer == 1 && pool.close(1min).complete ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(pool.acquire()->exec("select 2").one<int>() == 2);
}

// What knows the loop may end behind it, as a strand must not.
BOOST_AUTO_TEST_CASE(a_strand_may_end_before_the_pool) {
  std::optional<net::io_context> loop{std::in_place};
  postgres::Options options = in(*loop);
  options.start_worker = lido::asio::workers_in(net::any_io_executor{net::make_strand(*loop)});
  options.min_idle = 1;
  postgres::Pool pool{server().conninfo(), options};
  let_workers_begin(*loop, pool);
  loop.reset();
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

namespace {

// What is done while the loop ends: behind those of its services that are younger, and before those that are older.
class Meanwhile : public net::execution_context::service {
 public:
  using key_type = Meanwhile;
  static inline net::execution_context::id id;
  explicit Meanwhile(net::execution_context& context) : service{context} {}
  std::function<void()> action;

 private:
  void shutdown() noexcept override {
    if (action) action();
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_worker_that_is_at_a_connection_while_the_rest_of_the_loop_ends_goes_on) {
  FaultProxy proxy{server().socket()};
  std::optional<net::io_context> loop{std::in_place};
  net::steady_timer{*loop, 1h};  // what waits for time is older than the pool, and ends after it
  Meanwhile& meanwhile = net::use_service<Meanwhile>(*loop);
  postgres::Options options = in(*loop);
  options.min_idle = 1;
  postgres::Pool pool{proxy.conninfo("postgres"), options};
  let_workers_begin(*loop, pool);
  bool served = false;
  std::thread thread;
  meanwhile.action = [&] {
    proxy.stay_silent();
    thread = std::thread{[&] {
      pool.invalidate();                              // and opens another one, in place of a worker
      served = pool.acquire(60s)->backend_pid() > 0;  // which may be cut off by now
    }};
    for (const auto end = soon(); pool.statistics().now.opening == 0 && Clock::now() < end;)
      std::this_thread::sleep_for(1ms);  // in the end of the loop, which must not throw
  };
  loop.reset();
  proxy.pass();
  proxy.cut();
  thread.join();
  BOOST_TEST(served);
}

BOOST_AUTO_TEST_SUITE_END()
