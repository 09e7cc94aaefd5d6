// What the figures of a pool have to add up to.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <lido/statistics.hpp>

namespace lido::test {

// Which sum of a snapshot does not hold; empty where all do. `at_rest`: no acquire and no release goes on. `uses`:
// whether the pool reads a clock for each of them.
[[nodiscard]] inline std::string broken_sum(const Statistics& figures, bool at_rest, bool uses) {
  const PoolCounts& now = figures.now;
  const std::uint64_t open = now.total() - now.opening;
  if (figures.opened != figures.closed + open) return "opened - closed is not what is open";
  if (figures.open.count() != figures.opened) return "an open has no duration";
  if (figures.wait.count() > figures.waited) return "more waits ended than began";
  if (figures.released > figures.acquired) return "more leases ended than began";
  if (!at_rest) return {};
  if (figures.acquired - figures.released != now.leased) return "acquired - released is not what is leased";
  if (figures.use.count() != (uses ? figures.released : 0)) return "a use has no duration";
  return {};
}

// Which counter fell from one snapshot to a later one; empty where none did.
[[nodiscard]] inline std::string fallen(const Statistics& before, const Statistics& after) {
  struct Counter {
    const char* name;
    std::uint64_t Statistics::* value;
  };
  constexpr std::array counters{Counter{"acquired", &Statistics::acquired},
                                Counter{"at_once", &Statistics::at_once},
                                Counter{"released", &Statistics::released},
                                Counter{"waited", &Statistics::waited},
                                Counter{"timeouts", &Statistics::timeouts},
                                Counter{"cancelled", &Statistics::cancelled},
                                Counter{"rejected", &Statistics::rejected},
                                Counter{"shed", &Statistics::shed},
                                Counter{"hopeless", &Statistics::hopeless},
                                Counter{"failed_fast", &Statistics::failed_fast},
                                Counter{"opened", &Statistics::opened},
                                Counter{"open_failures", &Statistics::open_failures},
                                Counter{"closed", &Statistics::closed},
                                Counter{"found_dead", &Statistics::found_dead},
                                Counter{"recycled", &Statistics::recycled},
                                Counter{"discarded", &Statistics::discarded},
                                Counter{"invalidated", &Statistics::invalidated},
                                Counter{"leaks", &Statistics::leaks},
                                Counter{"listener_errors", &Statistics::listener_errors}};
  for (const Counter& each : counters)
    if (after.*each.value < before.*each.value) return std::string{each.name} + " fell";
  if (after.wait.count() < before.wait.count() || after.use.count() < before.use.count()) return "a histogram fell";
  return {};
}

}  // namespace lido::test
