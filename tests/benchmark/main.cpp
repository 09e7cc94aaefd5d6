// One contender, told what to do by the lines of its input. See peers/README.md.
//
//   benchmark --list           the contenders, and what kind of pool each is
//   benchmark --steps          how many steps of arithmetic a microsecond has
//   benchmark NAME             plays the round of each line, and says in a line what came of it
//   benchmark --compare TIMES  several ways to do the same, in so many rounds
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <vector>

#include "harness.hpp"

namespace benchmark {
namespace {

// The least disturbed of some.
double steps_a_microsecond() {
  constexpr std::uint64_t sample = 1'000'000;
  double best = 1e18;
  for (int i = 0; i < 20; ++i) {
    const auto begun = Clock::now();
    compute(sample);
    best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - begun).count());
  }
  return static_cast<double>(sample) / best;
}

template <class Numbers>
void print(const char* name, const Numbers& numbers) {
  std::printf(", \"%s\": [", name);
  const char* comma = "";
  for (const std::uint64_t number : numbers) {
    std::printf("%s%" PRIu64, comma, number);
    comma = ",";
  }
  std::printf("]");
}

void play(const Contender& contender, const char* line) {
  Scenario scenario;
  double seconds = 0;
  char watched = ' ';
  if (std::sscanf(line, "%zu %zu %zu %" SCNu64 " %ld %lf %c", &scenario.threads, &scenario.slots, &scenario.held,
                  &scenario.work, &scenario.sleep_us, &seconds, &watched) < 6)
    std::exit(2);
  scenario.span = std::chrono::duration<double>{seconds};
  if (watched == 'w') {
    const Overtakings seen = contender.watch != nullptr ? contender.watch(scenario) : Overtakings{};
    std::printf("{\"overtaken\": %" PRIu64 ", \"by\": %" PRIu64 "}\n", seen.waiters, seen.newcomers);
  } else {
    const Outcome outcome = contender.run(scenario);
    std::printf("{\"seconds\": %.9f, \"processor\": %.9f", outcome.seconds, outcome.processor_ns / 1e9);
    print("ended_us", outcome.ended);
    print("cycles", outcome.cycles);
    print("waits", outcome.waits);
    std::printf("}\n");
  }
  std::fflush(stdout);
}

void compare(const Comparison& comparison, int rounds) {
  const std::size_t count = comparison.ways.size();
  for (const Comparison::Way& way : comparison.ways) way.once();  // warm
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < count; ++i) {
      const Comparison::Way& way = comparison.ways[(i + static_cast<std::size_t>(round)) % count];
      std::printf("{\"case\": \"%s\", \"who\": \"%s\", \"kind\": \"%s\", \"round\": %d, \"processor_ns\": %.1f}\n",
                  comparison.name.c_str(), way.name.c_str(), way.kind, round, way.once());
    }
}

int main_program(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "--list") {
    for (const Contender& each : contenders()) std::printf("%s\t%s\n", each.name, each.kind);
  } else if (what == "--steps") {
    std::printf("%.3f\n", steps_a_microsecond());
  } else if (what == "--compare" && argc > 2) {
    for (const auto& make : comparisons()) compare(make(), std::atoi(argv[2]));
  } else {
    const auto found = std::ranges::find(contenders(), what, &Contender::name);
    if (found == contenders().end()) return 2;
    for (char line[256]; std::fgets(line, sizeof line, stdin) != nullptr;) play(*found, line);
  }
  return 0;
}

}  // namespace
}  // namespace benchmark

int main(int argc, char** argv) try {
  return benchmark::main_program(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "benchmark: %s\n", error.what());
  return 1;
}
