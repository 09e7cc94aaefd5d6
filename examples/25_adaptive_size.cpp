// A pool that finds its own size: here for a query that computes, on a server that has a few cores.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <lido/adaptive_size.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;

int main() try {
  const auto environment = lido::postgres::options_from_environment({.pool_size = 20, .max_overflow = 0});
  // [adaptive]
  lido::postgres::Pool pool{environment};
  lido::AdaptiveSize adaptive{
      pool,
      [options = environment.options](std::size_t size) { return lido::postgres::growth_of(options, size); },
      {.min_size = 1, .max_size = environment.options.pool_size}};
  // [/adaptive]
  std::atomic<bool> over{false};
  std::string failure;
  std::vector<std::thread> callers;
  for (int i = 0; i < 30; ++i)
    callers.emplace_back([&] {
      try {
        while (!over) pool.acquire()->exec("select count(*) from generate_series(1, 20000)");
      } catch (const std::exception& error) {
        if (!over.exchange(true)) failure = error.what();
      }
    });
  for (int second = 1; second <= 5 && !over; ++second) {
    std::this_thread::sleep_for(1s);
    const lido::AdaptiveSizeState state = adaptive.state();
    std::cout << "after " << second << " s: " << state.size << " connections, " << state.reason << '\n';
  }
  over = true;
  for (std::thread& caller : callers) caller.join();
  if (!failure.empty()) throw std::runtime_error{failure};
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return EXIT_FAILURE;
}
