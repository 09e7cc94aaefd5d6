// One pool, many threads. A pool may be used by all of them at once; a connection and a session belong to one thread at
// a time. Twelve threads share three connections here, so that most have to wait for their turn.
// Needs PostgreSQL: DATABASE_URL says where.
#include <atomic>
#include <chrono>
#include <iostream>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;

int main() try {
  const auto url = lido::postgres::options_from_environment().connection_string;
  lido::postgres::Pool pool{url, {.pool_size = 3, .max_overflow = 0, .pool_timeout = 10s, .name = "shared"}};

  std::atomic<int> sum = 0;
  std::atomic<int> errors = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i <= 12; ++i)
      threads.emplace_back([&, i] {
        try {
          for (int round = 0; round < 5; ++round)
            sum += pool.acquire()->exec("select $1::int from pg_sleep(0.005)", i).one<int>();
        } catch (const std::exception& error) {
          ++errors;
          std::cerr << error.what() << '\n';
        }
      });
  }

  // [timeout]
  // A pool that is used up says who has what: the message names file, line and thread of every holder.
  std::vector<lido::postgres::Pool::Lease> all;
  while (all.size() < 3) all.push_back(pool.acquire());
  try {
    auto one_too_many = pool.acquire(50ms);
  } catch (const lido::AcquireTimeout& timeout) {
    std::cout << timeout.what() << '\n';
  }
  all.clear();
  // [/timeout]

  const lido::Statistics figures = pool.statistics();
  std::cout << figures.acquired << " leases of " << figures.opened << " connections, of which " << figures.waited
            << " had to wait\n";
  return sum == 5 * 78 && errors == 0 && figures.opened <= 3 && figures.now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
