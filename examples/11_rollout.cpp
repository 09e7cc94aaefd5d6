// Rolling out new settings: a flag chooses between two sets of options, and a running pool is exchanged for another one
// while threads use it, without one failed request.
// Needs PostgreSQL: DATABASE_URL says where. USE_OPTIMIZED_DB_POOL=1 begins with the new settings.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using lido::postgres::Pool;

// [choose]
lido::postgres::Options options_for(bool optimized) {
  if (optimized)
    return {.pool_size = 4, .max_overflow = 4, .pool_timeout = 10s, .pre_ping_after = 5s, .name = "optimized"};
  return {.pool_size = 2, .max_overflow = 0, .pool_timeout = 10s, .pre_ping_after = 0s, .name = "proven"};
}

std::shared_ptr<Pool> make_pool(bool optimized) {
  // DATABASE_POOL_SIZE, `?pool_size=` and so on still win over what the program was compiled with.
  return std::make_shared<Pool>(lido::postgres::options_from_environment(options_for(optimized)));
}
// [/choose]

// [swap]
/// The pool of the moment, for any thread.
class CurrentPool {
 public:
  explicit CurrentPool(std::shared_ptr<Pool> pool) : pool_{std::move(pool)} {}

  std::shared_ptr<Pool> get() const {
    const std::scoped_lock lock{mutex_};
    return pool_;
  }

  /// Newcomers get `next`; whoever has a connection of the old pool keeps it, for `grace` at least.
  lido::CloseReport swap(std::shared_ptr<Pool> next, lido::Duration grace) {
    {
      const std::scoped_lock lock{mutex_};
      pool_.swap(next);
    }
    return next->close(grace);
  }

  /// A connection of the pool of the moment, also if that changes while this waits for one.
  Pool::Lease acquire() const {
    for (;;) {
      const std::shared_ptr<Pool> pool = get();
      try {
        return pool->acquire();
      } catch (const lido::PoolClosed&) {
        if (pool == get()) throw;  // closed for good
      }
    }
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Pool> pool_;
};
// [/swap]

int main() try {
  const char* const flag = std::getenv("USE_OPTIMIZED_DB_POOL");
  bool optimized = flag != nullptr && std::string_view{flag} == "1";
  CurrentPool current{make_pool(optimized)};

  std::atomic<int> served = 0;
  std::atomic<int> failed = 0;
  std::atomic<bool> done = false;
  bool complete = true;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        while (!done) {
          try {
            served += current.acquire()->exec("select 1 from pg_sleep(0.001)").one<int>();
          } catch (const std::exception& error) {
            ++failed;
            std::cerr << error.what() << '\n';
          }
        }
      });

    for (int change = 0; change < 4; ++change) {
      // Each pool serves for a while before the next one takes over.
      for (const int enough = served + 100; served < enough && failed == 0;) std::this_thread::sleep_for(1ms);
      optimized = !optimized;
      const lido::CloseReport closed = current.swap(make_pool(optimized), 10s);
      complete = complete && closed.complete;
      std::cout << "now " << (optimized ? "optimized" : "proven") << ", the old pool "
                << (closed.complete ? "is closed" : "is still in use") << '\n';
    }
    done = true;
  }
  std::cout << failed << " requests failed\n";
  return failed == 0 && complete && served >= 400 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
