// Random programs on the simulated machine, one schedule a seed: the whole pool, every invariant, any order of events.
// LIDO_SEEDS says how many seeds, LIDO_SEED replays one. Behaviour 56.
#include <array>
#include <boost/test/unit_test.hpp>
#include <support/one_processor.hpp>
#include <support/replay_note.hpp>
#include <support/seeds.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

namespace {

struct Dice {
  std::mt19937_64 random;
  std::uint64_t operator()(std::uint64_t sides) { return random() % sides; }
};

// One thread's part of a program.
template <class P>
void act(P& pool, Dice& dice, std::size_t bound, std::vector<Resource>& detached) {
  for (int i = 0; i < 6; ++i) {
    sim::StopSource stop;
    Threads canceller;
    try {
      const Duration patience = dice(3) == 0 ? Duration::max() : Duration{1ms} * static_cast<int>(dice(30));
      if (dice(8) == 0) canceller.start([stop]() mutable { stop.request_stop(); });
      auto lease = pool.acquire(patience, stop.get_token());
      dice(2) == 0 ? lease->use() : lease->use(1ms * static_cast<int>(1 + dice(5)));
      switch (dice(16)) {
        case 0:
          lease.discard();
          break;
        case 1:
          detached.push_back(lease.detach());
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
    std::vector<Resource> detached;
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
      for (std::size_t t = 0; t < 2 + dice(3); ++t) threads.start([&] { act(pool, dice, 3, detached); });
      threads.join();
      pool.resume();
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(figures.now.leased == 0U);
      BOOST_TEST(figures.now.waiting == 0U);
      BOOST_TEST(figures.now.total() <= 3U);
      BOOST_TEST(ledger.peak <= 3U + detached.size());
      BOOST_TEST(pool.close(1h).complete);
    }
    BOOST_TEST(ledger.live == detached.size());
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
