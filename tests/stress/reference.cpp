// Random sequences of operations, and those that the fuzzer found worth keeping, on a pool and on the reference.
// LIDO_SEEDS says how many sequences, LIDO_SEED replays one.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <support/reference_driver.hpp>
#include <support/replay_note.hpp>
#include <support/seeds.hpp>

using namespace lido::test;

BOOST_AUTO_TEST_SUITE(reference)

namespace {

using Sequence = std::vector<std::uint8_t>;

void agree_on(const Sequence& program, const std::string& replay) {
  const ReplayNote note{replay};
  try {
    play_on_pool_and_reference(program);
  } catch (const Mismatch& mismatch) {
    BOOST_FAIL(mismatch.what() << "; " << replay);
  }
}

Sequence random_sequence(std::uint64_t seed) {
  std::mt19937_64 random{seed};
  Sequence program(8 + random() % 120);
  for (std::uint8_t& byte : program) byte = static_cast<std::uint8_t>(random());
  return program;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_pool_and_the_reference_agree_on_random_programs) {
  const SeedRange seeds = seed_range(1000);
  for (std::uint64_t seed = seeds.first; seed < seeds.end; ++seed)
    agree_on(random_sequence(seed), "replay with tests/run --seed " + std::to_string(seed));
}

BOOST_AUTO_TEST_CASE(the_pool_and_the_reference_agree_on_the_fuzzers_corpus) {
  std::size_t played = 0;
  for (const auto& file : std::filesystem::directory_iterator{LIDO_CORPUS}) {
    std::ifstream stream{file.path(), std::ios::binary};
    const Sequence program{std::istreambuf_iterator{stream}, {}};
    agree_on(program, "replay " + file.path().string() + " with --run_test=reference");
    ++played;
  }
  BOOST_TEST(played > 0U);
}

BOOST_AUTO_TEST_SUITE_END()
