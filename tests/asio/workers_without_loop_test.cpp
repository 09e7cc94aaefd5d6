// A pool whose workers were fibres of a loop that has ended: what it has promised it does without.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/workers.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_workers_without_loop)

namespace {

postgres::Options in(net::io_context& loop) {
  return {.pool_size = 2, .max_overflow = 0, .start_worker = lido::asio::workers_in(loop)};
}

// The workers have begun, and rest.
void let_workers_begin(net::io_context& loop, postgres::Pool& pool) {
  net::co_spawn(
      loop,
      [&]() -> net::awaitable<void> {
        while (pool.statistics().opened == 0) co_await net::post(net::use_awaitable);
        for (int i = 0; i < 1000; ++i) co_await net::post(net::use_awaitable);
        loop.stop();
      },
      net::detached);
  loop.run();
  loop.restart();
}

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
  int answer = 0;
  std::thread thread;
  meanwhile.action = [&] {
    proxy.stay_silent();
    thread = std::thread{[&] {
      pool.invalidate();  // and opens another one, in place of a worker
      answer = pool.acquire(60s)->exec("select 1").one<int>();
    }};
    while (pool.statistics().now.opening == 0) std::this_thread::sleep_for(1ms);
  };
  loop.reset();
  proxy.pass();
  proxy.cut();
  thread.join();
  BOOST_TEST(answer == 1);
}

BOOST_AUTO_TEST_SUITE_END()
