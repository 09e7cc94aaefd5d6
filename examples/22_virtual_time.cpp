// Tests what an application does with a pool on virtual time: a night passes in milliseconds, and each seed is another
// order of events, that the same seed brings back.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <vector>

#include <lido/pool.hpp>
#include <lido/testing/platform.hpp>

using namespace std::chrono_literals;
namespace sim = lido::sim;

namespace {

// What is pooled: a server that needs 30 ms to accept somebody, and is away from the second minute to the fifth.
struct Session {
  sim::Platform::Atomic<int> users{0};
};
bool away(lido::TimePoint begun) {
  const auto since = sim::Platform::now() - begun;
  return since >= 2min && since < 5min;
}

// [simulate]
// All threads, the pool's own too, live in the simulation: no two of them ever run at once.
int served_in_a_quarter_of_an_hour(std::uint64_t seed) {
  int served = 0;
  sim::Simulation world{seed};
  world.run([&] {
    const lido::TimePoint begun = sim::Platform::now();
    const auto connect = [begun] {
      sim::sleep_for(30ms);
      if (away(begun)) throw std::runtime_error{"nobody listens"};
      return std::make_unique<Session>();
    };
    lido::Pool<std::unique_ptr<Session>, lido::Elastic, lido::AssumeHealthy, lido::RetireAfter, sim::Platform> pool{
        connect, {.max_size = 2}, {}, {.age = 1min}, {.acquire_timeout = 10s}};

    std::vector<sim::Thread> callers;
    for (int caller = 0; caller < 5; ++caller)
      callers.emplace_back([&] {
        while (sim::Platform::now() - begun < 15min) {
          try {
            const auto lease = pool.acquire();
            if ((*lease)->users.exchange(1) != 0) throw std::logic_error{"two callers have one session"};
            sim::sleep_for(1s);  // its work
            (*lease)->users.store(0);
            ++served;
          } catch (const lido::AcquireTimeout&) {  // the server is away
          }
        }
      });
    for (sim::Thread& caller : callers) caller.join();
  });
  return served;
}
// [/simulate]

}  // namespace

int main() {
  // Two sessions serve 1800 in a quarter of an hour, less 3 minutes without a server, in which they lived up to one
  // more.
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const int served = served_in_a_quarter_of_an_hour(seed);
    std::cout << "seed " << seed << ": " << served << " served\n";
    if (served < 1400 || served > 1600) return EXIT_FAILURE;
  }
}
