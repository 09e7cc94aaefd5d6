// A pool of next to nothing, and what the tests of completion tokens have in common.
#pragma once

#include <chrono>
#include <cstddef>
#include <thread>

#include <lido/pool.hpp>

namespace lido::test {

using namespace std::chrono_literals;

struct Thing {
  int uses = 0;
};
using ThingPool = Pool<Thing, FixedSize>;

inline ThingPool things(std::size_t size = 1, PoolOptions options = {}) {
  ThingPool pool{[] { return Thing{}; }, FixedSize{.size = size}, {}, {}, std::move(options)};
  pool.wait_until_ready(1min);
  return pool;
}

/// Looks at `condition` again and again, for a minute at most.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  for (const auto deadline = std::chrono::steady_clock::now() + 1min; !condition(); std::this_thread::sleep_for(1ms))
    if (std::chrono::steady_clock::now() > deadline) return false;
  return true;
}

}  // namespace lido::test
