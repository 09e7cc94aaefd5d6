// Everything of this program in random order for so long, and simulated programs in between; only where that was asked
// for (LIDO_SOAK, in seconds), as the tests have played each once.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <faults/deck.hpp>
#include <faults/scenario.hpp>
#include <stress/random_program.hpp>
#include <support/replay_note.hpp>
#include <support/seeds.hpp>

using namespace lido;
using namespace lido::test;

namespace {

std::chrono::seconds soak_span() { return std::chrono::seconds{number_from_environment("LIDO_SOAK", 0)}; }
boost::test_tools::assertion_result soak_is_wanted(boost::unit_test::test_unit_id) { return soak_span() > 0s; }

struct PrintsTheTables {
  ~PrintsTheTables() {
    table().print(std::cout);
    if (soak_span() > 0s) notes().print(std::cout);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(PrintsTheTables);

std::uint64_t simulated = 0, checks = 0;

// A thousand seeds that no run has played before.
void simulate() {
  // Far from those of `tests/run`, and told apart by the soak's own seed.
  const std::uint64_t first = (std::uint64_t{seed()} + 1) * 1'000'000'000 + simulated;
  for (std::uint64_t each = first; each < first + 1000; ++each) {
    const std::string replay = "replay with tests/run --seed " + std::to_string(each);
    const ReplayNote note{replay};
    BOOST_TEST_CONTEXT(replay) { checks += random_program::play(each); }
  }
  simulated += 1000;
  notes().add("1000 simulated seeds", {});
}

const InDeck cards{simulate};

}  // namespace

BOOST_AUTO_TEST_CASE(soak, *boost::unit_test::precondition(soak_is_wanted)) {
  const std::chrono::seconds span = soak_span();
  std::mt19937 random{seed()};
  std::vector<std::function<void()>> left;
  std::size_t played = 0;
  const TimePoint start = Clock::now();
  TimePoint next_word = start;
  const auto say = [&] {
    const auto gone = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start);
    const Row sum = table().sum();
    std::cout << "soak: " << gone.count() << " of " << span.count() << " s, seed " << seed() << ": " << played
              << " parts of a deck of " << deck().size() << ", " << sum.runs << " scenarios, " << sum.tally.cycles
              << " cycles, " << sum.leaks() << " leaks, " << sum.over << " over the bound, " << sum.tally.late
              << " late, slowest to recover " << milliseconds(sum.full) << " ms; " << simulated << " simulated seeds, "
              << checks << " checks\n"
              << std::flush;
  };
  while (Clock::now() - start < span) {
    if (Clock::now() >= next_word) {
      say();
      next_word = Clock::now() + 10s;
    }
    if (left.empty()) {
      left = deck();
      std::ranges::shuffle(left, random);
    }
    left.back()();
    left.pop_back();
    ++played;
  }
  say();
}
