// Transactions and much data in coroutines: many background tasks share a few connections, and no thread waits for any
// of them.
// Needs PostgreSQL: DATABASE_URL says where.
#include <chrono>
#include <exception>
#include <iostream>
#include <string>
#include <tuple>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using boost::asio::awaitable;
using boost::asio::use_awaitable;
using lido::asio::Session;

namespace {

// [async_transact]
awaitable<int> transfer(lido::postgres::Pool& pool, int amount) {
  // Committed when the inner coroutine returns, rolled back when it throws, tried again after a serialization failure.
  co_return co_await lido::asio::async_transact(
      pool,
      [amount](Session& session) -> awaitable<int> {
        co_await session.exec("update lido_async_accounts set balance = balance - $1 where name = 'alice'", amount);
        const auto left = co_await session.exec(
            "update lido_async_accounts set balance = balance + $1 where name = 'bob' returning balance", amount);
        co_return left.one<int>();
      },
      {.timeout = 10s});
}
// [/async_transact]

// [async_stream]
awaitable<long> copy_and_sum(lido::postgres::Pool& pool, int count) {
  auto lease = co_await lido::asio::async_acquire(pool, 10s, use_awaitable);
  const auto connection = lido::asio::async(*lease);
  co_await connection.exec_script("create temp table numbers(n int, word text)");

  auto copy = co_await connection.copy_in("copy numbers from stdin");
  for (int n = 1; n <= count; ++n) co_await copy.write(std::tuple{n, "number " + std::to_string(n)});
  co_await copy.finish();  // how many rows are stored; without it, none is

  long sum = 0;
  auto rows = co_await connection.stream<int, std::string>("select * from numbers order by n");
  while (const auto row = co_await rows.next()) {
    const auto& [n, word] = *row;
    if (n > 1000) break;
    sum += n;
  }
  co_await rows.close();  // left early, the rest is cancelled; without it, the connection is discarded
  co_return sum;
}
// [/async_stream]

}  // namespace

int main() try {
  lido::postgres::Pool pool{lido::postgres::options_from_environment({.pool_size = 4, .max_overflow = 0})};
  pool.acquire()->exec_script(
      "drop table if exists lido_async_accounts; "
      "create table lido_async_accounts(name text primary key, balance int not null);"
      "insert into lido_async_accounts values ('alice', 1000), ('bob', 0)");

  boost::asio::io_context loop;
  int done = 0, failed = 0;
  for (int task = 0; task < 100; ++task)
    boost::asio::co_spawn(loop, transfer(pool, 10),
                          [&](const std::exception_ptr& error, int) { ++(error == nullptr ? done : failed); });
  long sum = 0;
  boost::asio::co_spawn(loop, copy_and_sum(pool, 100'000),
                        [&](const std::exception_ptr& error, long found) { sum = error == nullptr ? found : -1; });
  loop.run();  // until the last task has ended

  const int bob = pool.acquire()->exec("select balance from lido_async_accounts where name = 'bob'").one<int>();
  pool.acquire()->exec_script("drop table lido_async_accounts");
  std::cout << done << " transfers by " << pool.statistics().opened << " connections; bob has " << bob << '\n';
  return done == 100 && failed == 0 && bob == 1000 && sum == 500'500 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
