// Random programs on the simulated machine, one schedule a seed: the whole pool, every invariant after every step, any
// order of events. LIDO_SEEDS says how many seeds, LIDO_SEED replays one. Behaviour 56.
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <stress/random_program.hpp>
#include <string>
#include <support/replay_note.hpp>
#include <support/seeds.hpp>

using namespace lido::test;

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(random_programs_keep_every_promise_on_every_schedule) {
  const SeedRange seeds = seed_range(1000);
  std::size_t checks = 0;
  for (std::uint64_t seed = seeds.first; seed < seeds.end; ++seed) {
    const std::string replay = "replay with tests/run --seed " + std::to_string(seed);
    const ReplayNote note{replay};
    BOOST_TEST_CONTEXT(replay) { checks += random_program::play(seed); }
  }
  std::printf("simulated: seeds %llu to %llu, the invariants checked after %zu steps\n",
              static_cast<unsigned long long>(seeds.first), static_cast<unsigned long long>(seeds.end - 1), checks);
  std::fflush(stdout);
}

BOOST_AUTO_TEST_SUITE_END()
