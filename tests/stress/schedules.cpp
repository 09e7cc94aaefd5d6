// Random programs on the simulated machine, one schedule a seed: the whole pool, every invariant, any order of events.
// LIDO_SEEDS says how many seeds, LIDO_SEED replays one. Behaviour 56.
#include <array>
#include <boost/test/unit_test.hpp>
#include <coroutine>
#include <deque>
#include <support/forms.hpp>
#include <support/one_processor.hpp>
#include <support/replay_note.hpp>
#include <support/seeds.hpp>

using namespace lido;
using namespace lido::test;

namespace {

struct Dice {
  std::mt19937_64 random;
  std::uint64_t operator()(std::uint64_t sides) { return random() % sides; }
};

// An event loop: resumes later, in the thread that turns it.
struct Loop {
  std::deque<std::coroutine_handle<>> ready;
  auto executor() {
    return [this](std::coroutine_handle<> handle) { ready.push_back(handle); };
  }
  void turn() {
    while (!ready.empty()) {
      const auto handle = ready.front();
      ready.pop_front();
      handle.resume();
    }
  }
};

// What the threads of a program share beside the pool.
struct Shared {
  Loop loop;
  std::size_t running = 0;  // coroutines that nobody waits for
  std::vector<Resource> detached;
};

template <class P, class Executor>
Detached wander(P& pool, Duration patience, sim::StopToken stop, Executor executor, Dice& dice, std::size_t& running) {
  try {
    auto lease = co_await pool.async_acquire(patience, stop, executor);
    lease->use();
    if (dice(8) == 0) lease.discard();
    if (dice(4) == 0) auto second = co_await pool.async_acquire(1ms * static_cast<int>(dice(5)), stop, executor);
  } catch (const std::runtime_error&) {
  }
  --running;
}

template <class P>
Task wait_in_vain(P& pool, Duration patience, Loop& loop) {
  try {
    auto lease = co_await pool.async_acquire(patience, {}, loop.executor());
    lease->use();
  } catch (const std::runtime_error&) {
  }
}

// An acquire whose result this thread does not wait for.
template <class P>
void act_aside(P& pool, Dice& dice, Shared& shared, Duration patience, const sim::StopToken& stop) {
  switch (dice(4)) {
    case 0:
      ++shared.running;
      wander(pool, patience, stop, InLine{}, dice, shared.running);
      break;
    case 1:
      ++shared.running;
      wander(pool, patience, stop, shared.loop.executor(), dice, shared.running);
      break;
    case 2: {  // a coroutine that is destroyed while it waits, or whose loop has stopped
      Loop loop;
      const Task task = wait_in_vain(pool, patience, loop);
      sim::sleep_for(1ms * static_cast<int>(dice(4)));
      if (dice(2) == 0) loop.turn();
      break;
    }
    default: {  // an operation that is cancelled, or destroyed
      Outcome<typename P::Lease> outcome;
      auto operation = pool.async_acquire(patience, stop).connect([&](auto error, auto lease) {
        outcome.settle(std::move(error), std::move(lease));
      });
      operation.start();
      sim::sleep_for(1ms * static_cast<int>(dice(4)));
      operation.cancel();
      (void)outcome.get(pool, saturating_add(sim::Platform::now(), patience));
    }
  }
}

// One thread's part of a program.
template <class P>
void act(P& pool, Dice& dice, std::size_t bound, Shared& shared) {
  for (int i = 0; i < 6; ++i) {
    sim::StopSource stop;
    Threads canceller;
    try {
      const Duration patience = dice(3) == 0 ? Duration::max() : Duration{1ms} * static_cast<int>(dice(30));
      if (dice(8) == 0) canceller.start([stop]() mutable { stop.request_stop(); });
      if (dice(3) == 0) act_aside(pool, dice, shared, patience, stop.get_token());
      auto lease = acquire(static_cast<Form>(dice(3)), pool, patience, stop.get_token());
      dice(2) == 0 ? lease->use() : lease->use(1ms * static_cast<int>(1 + dice(5)));
      switch (dice(16)) {
        case 0:
          lease.discard();
          break;
        case 1:
          shared.detached.push_back(lease.detach());
          break;
        case 2:
          pool.invalidate();
          break;
        case 3:
          pool.maintain();
          break;
        case 4:
          (void)pool.try_acquire();
          break;
        default:
          break;
      }
    } catch (const PoolError&) {
    } catch (const std::runtime_error&) {  // a permanent failure to open
    }
    switch (dice(24)) {
      case 0:
        pool.suspend();
        sim::sleep_for(2ms);
        pool.resume();
        break;
      case 1:
        pool.resize({.min_idle = 0, .max_size = 1 + dice(bound)});
        break;
      default:
        break;
    }
  }
}

struct Fatal : std::runtime_error, PermanentFailure {
  Fatal() : std::runtime_error{"for good"} {}
};

void run_program(std::uint64_t seed) {
  sim::Simulation world{seed};
  world.step_limit = 2'000'000;
  world.run([&] {
    Dice dice{std::mt19937_64{seed * 7919}};
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo& info) {
      switch (dice(10)) {
        case 0:
          throw std::runtime_error{"refused"};
        case 1:
          sim::self->world->block(info.deadline);
          throw std::runtime_error{"timed out"};
        case 2:
          dice(4) == 0 ? throw Fatal{} : sim::sleep_for(1ms);
          break;
        case 3:
          break;
        default:
          sim::sleep_for(1ms * static_cast<int>(dice(8)));
      }
    };
    ledger.on_ping = [&](TimePoint deadline) {
      if (dice(20) == 0) throw std::runtime_error{"ping"};
      if (dice(20) == 0) sim::self->world->block(std::min(deadline, sim::Platform::now() + 20ms));
      return dice(12) != 0;
    };
    ledger.on_reset = [&](TimePoint) { return dice(16) != 0; };
    const std::size_t bound = 1 + dice(3);
    Shared shared;
    {
      SimulatedPool<Elastic, PingOnAcquire, ResetOnReturn> pool{
          connector(ledger),
          Elastic{.min_idle = dice(2), .max_size = bound, .linger = 3ms},
          {},
          {},
          {.open_timeout = 10ms,
           .barging_limit = std::array{0ms, 1ms, 20ms}[dice(3)],
           .workers = dice(4),
           .sweep_interval = 5ms}};
      Threads threads;
      for (std::size_t t = 0; t < 2 + dice(3); ++t) threads.start([&] { act(pool, dice, 3, shared); });
      bool joined = false;
      sim::Thread loop{[&] {
        while (!joined || shared.running > 0) {
          shared.loop.turn();
          if (pool.options().workers == 0U) pool.maintain();
          sim::sleep_for(1ms);
        }
      }};
      threads.join();
      joined = true;
      loop.join();
      pool.resume();
      while (pool.statistics().now.leased > 0) sim::sleep_for(1ms);  // a worker resets it
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(figures.now.leased == 0U);
      BOOST_TEST(figures.now.waiting == 0U);
      BOOST_TEST(figures.now.total() <= 3U);
      BOOST_TEST(ledger.peak <= 3U + shared.detached.size());
      BOOST_TEST(pool.close(1h).complete);
    }
    BOOST_TEST(ledger.live == shared.detached.size());
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(random_programs_keep_every_promise_on_every_schedule) {
  const std::uint64_t only = number_from_environment("LIDO_SEED", 0);
  const std::uint64_t first = only != 0 ? only : 1;
  const std::uint64_t count = only != 0 ? 1 : number_from_environment("LIDO_SEEDS", 1000);
  const OneProcessor pinned;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const std::string replay = "replay with tests/run --seed " + std::to_string(seed);
    const ReplayNote note{replay};
    BOOST_TEST_CONTEXT(replay) { run_program(seed); }
  }
}

BOOST_AUTO_TEST_SUITE_END()
