// A policy of each kind, written from nothing. A policy is a plain struct: its members are its settings, one const
// function is its answer. It reads no clock and holds no lock; whatever it may want to know it is told.
#include <chrono>
#include <iostream>
#include <vector>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

struct Worker {  // what is pooled here: something that remembers too much
  std::vector<char> memory;
  bool answers = true;
};

// [growth]
/// Opens in steps: the first caller who waits gets company, for a load that comes in bursts.
struct InSteps {
  std::size_t step = 4;
  std::size_t max_size = 8;

  lido::GrowthPlan plan(const lido::PoolCounts& counts) const noexcept {
    const bool short_of = counts.waiting > counts.idle + counts.checking + counts.opening;
    return {.max_size = max_size, .pool_size = 0, .open = short_of ? step : 0, .idle_timeout = 1min, .reuse = true};
  }
};
// [/growth]

// [health]
/// Looks at a worker before every tenth lease.
struct EveryTenth {
  lido::Verdict check(Worker& worker, const lido::ConnectionInfo& info) const {
    if (info.uses % 10 != 0) return lido::Verdict::keep;
    return worker.answers ? lido::Verdict::keep : lido::Verdict::discard;
  }
};
// [/health]

// [recycle]
/// Closes a worker that comes back having grown beyond `most` bytes.
struct RetireFat {
  std::size_t most = 1024;

  lido::Verdict recycle(Worker& worker, const lido::ConnectionInfo& info) const {
    const bool back = info.moment == lido::Moment::release;
    return back && worker.memory.size() > most ? lido::Verdict::discard : lido::Verdict::keep;
  }
};
// [/recycle]

// The pool says the same, in words, if a policy does not fit.
static_assert(lido::GrowthPolicy<InSteps>);
static_assert(lido::HealthPolicyFor<EveryTenth, Worker>);
static_assert(lido::RecyclePolicyFor<RetireFat, Worker>);

int main() try {
  // A policy's test needs neither a pool nor time: it passes literals.
  if (InSteps{.step = 3}.plan({.waiting = 1}).open != 3) return 1;
  if (InSteps{.step = 3}.plan({.idle = 1, .waiting = 1}).open != 0) return 1;

  lido::Pool pool{[] { return Worker{}; }, InSteps{}, EveryTenth{},
                  lido::AllOf{lido::RetireAfter{.uses = 100}, RetireFat{}}};
  pool.acquire(1s)->memory.resize(10'000);  // comes back too big, and is closed
  for (int i = 0; i < 50; ++i) pool.acquire(1s)->memory.push_back('x');

  const lido::Statistics figures = pool.statistics();
  std::cout << figures.acquired << " leases, " << figures.opened << " opened, " << figures.recycled << " retired\n";
  return figures.recycled == 1 && figures.acquired == 51 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
