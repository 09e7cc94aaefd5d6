// One pool, many threads. A pool may be used by all of them at once; a connection and a session belong to one thread at
// a time. Twelve threads share three connections here (unless DATABASE_POOL_SIZE says otherwise), so that most have to
// wait for their turn.
// Needs PostgreSQL: DATABASE_URL says where.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <latch>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;

int main() try {
  const auto environment = lido::postgres::options_from_environment(
      {.pool_size = 3, .max_overflow = 0, .pool_timeout = 10s, .name = "shared"});
  lido::postgres::Pool pool{environment};
  const std::size_t size = environment.options.pool_size + environment.options.max_overflow;

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
  std::latch all_taken{static_cast<std::ptrdiff_t>(size)};
  std::latch done{1};
  std::vector<std::jthread> holders;
  while (holders.size() < size)
    holders.emplace_back([&] {
      auto connection = pool.acquire();
      all_taken.count_down();
      done.wait();
    });
  all_taken.wait();
  try {
    auto one_too_many = pool.acquire(50ms);
  } catch (const lido::AcquireTimeout& timeout) {
    std::cout << timeout.what() << '\n';
  }
  done.count_down();
  holders.clear();
  // [/timeout]

  const lido::Statistics figures = pool.statistics();
  std::cout << figures.acquired << " leases of " << figures.opened << " connections, of which " << figures.waited
            << " had to wait\n";
  return sum == 5 * 78 && errors == 0 && figures.opened <= size && figures.now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
