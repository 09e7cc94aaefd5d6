// A pool without a thread of its own: one thread runs the event loop, and the workers of the pool are fibres in it.
// Needs PostgreSQL: DATABASE_URL says where; and Boost.Context to be linked.
#include <chrono>
#include <exception>
#include <iostream>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/asio/workers.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

namespace {

awaitable<void> ask(lido::postgres::Pool& pool, int number, int& answered) {
  auto lease = co_await lido::asio::async_acquire(pool, 10s, use_awaitable);
  const auto answer = co_await lido::asio::async(*lease).exec("select $1::int, pg_sleep(0.01)", number);
  if (answer.size() == 1) ++answered;
}

}  // namespace

int main() try {
  int answered = 0;
  // [no_threads]
  boost::asio::io_context loop;
  auto environment = lido::postgres::options_from_environment();
  environment.options.start_worker = lido::asio::workers_in(loop);
  lido::postgres::Pool pool{environment};
  // [/no_threads]
  const int asked = 200;
  int left = asked;
  for (int i = 0; i < asked; ++i)
    boost::asio::co_spawn(loop, ask(pool, i, answered), [&](const std::exception_ptr& error) {
      if (error != nullptr) std::cerr << "one of them failed\n";
      if (--left == 0) loop.stop();  // else it would go on for as long as the pool
    });
  loop.run();
  std::cout << answered << " of " << asked << " answered on " << pool.statistics().opened
            << " connections, all in this thread\n";
  return answered == asked ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
