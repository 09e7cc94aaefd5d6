// Runs every contender through every scenario, in rounds, and tells how they compare.
//
// A machine is never quiet. Each round runs every contender once, beginning with another one each time, and what is
// compared are the medians of the ratios within a round.
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "harness.hpp"

namespace benchmark {
namespace {

using namespace std::chrono_literals;

constexpr const char* own = "lido";
constexpr const char* floor_name = "floor";

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The rounds of one contender in one scenario.
using Rounds = std::vector<Outcome>;

std::vector<double> figures(const Rounds& rounds, double Outcome::* figure) {
  std::vector<double> values;
  for (const Outcome& round : rounds) values.push_back(round.*figure);
  return values;
}

// The median of how `numerator` compared with `denominator` in the same round; 0 where either was not there.
double ratio(const Rounds& numerator, const Rounds& denominator) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(numerator.size(), denominator.size()); ++i)
    ratios.push_back(numerator[i].cycle_ns / denominator[i].cycle_ns);
  return median(ratios);
}

struct Line {
  std::string contender;
  double cycle_ns = 0, fastest_ns = 0, slowest_ns = 0, processor_ns = 0;
  double to_floor = 0;  // cycle time by the floor's
  double to_lido = 0;   // cycle time by lido's: above one, lido is faster
  double p50_us = 0, p99_us = 0, p999_us = 0;
  std::optional<Overtakings> overtakings;  // in all rounds that were watched
};

struct Table {
  Scenario scenario;
  std::vector<Line> lines;
};

bool takes_part(const Contender& contender, const Scenario& scenario) {
  return contender.waits || (scenario.threads <= scenario.slots && scenario.hold == Hold::nothing);
}

// Of one that promises an order, where anybody has to wait.
std::optional<Overtakings> watch(const Contender& contender, const Scenario& scenario, std::size_t rounds) {
  if (contender.watch == nullptr || scenario.threads <= scenario.slots) return std::nullopt;
  Overtakings all;
  for (std::size_t round = 0; round < rounds; ++round) {
    const Overtakings seen = contender.watch(scenario);
    all.waiters += seen.waiters;
    all.newcomers = std::max(all.newcomers, seen.newcomers);
  }
  return all;
}

Table run(const Scenario& scenario, std::size_t rounds) {
  std::vector<Contender> entries;
  std::ranges::copy_if(contenders(), std::back_inserter(entries),
                       [&](const Contender& each) { return takes_part(each, scenario); });
  std::ranges::sort(entries, {}, &Contender::name);
  std::map<std::string, Rounds> results;
  for (std::size_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const Contender& contender = entries[(i + round) % entries.size()];
      results[contender.name].push_back(contender.run(scenario));
    }
  Table table{.scenario = scenario, .lines = {}};
  const Rounds floor = results.contains(floor_name) ? results.at(floor_name) : Rounds{};
  const Rounds& lido = results.at(own);
  for (const Contender& contender : entries) {
    const std::string& name = contender.name;
    const Rounds& outcomes = results.at(name);
    const std::vector<double> cycles = figures(outcomes, &Outcome::cycle_ns);
    table.lines.push_back({.contender = name,
                           .cycle_ns = median(cycles),
                           .fastest_ns = std::ranges::min(cycles),
                           .slowest_ns = std::ranges::max(cycles),
                           .processor_ns = median(figures(outcomes, &Outcome::processor_ns)),
                           .to_floor = ratio(outcomes, floor),
                           .to_lido = ratio(outcomes, lido),
                           .p50_us = median(figures(outcomes, &Outcome::p50_us)),
                           .p99_us = median(figures(outcomes, &Outcome::p99_us)),
                           .p999_us = median(figures(outcomes, &Outcome::p999_us)),
                           .overtakings = watch(contender, scenario, (rounds + 2) / 3)});
  }
  std::ranges::sort(table.lines, {}, &Line::cycle_ns);
  return table;
}

void print(const Table& table) {
  const bool holds = table.scenario.hold != Hold::nothing;
  std::printf("\n%s\n%-32s %11s %23s %9s %8s %8s", table.scenario.name.c_str(), "", "ns a cycle", "(least .. most)",
              "cpu ns", "/ floor", "/ lido");
  if (holds) std::printf(" %11s %11s %11s", "wait p50 us", "p99", "p99.9");
  std::printf("\n");
  for (const Line& line : table.lines) {
    std::printf("%-32s %11.1f %11.1f .. %8.1f %9.1f ", line.contender.c_str(), line.cycle_ns, line.fastest_ns,
                line.slowest_ns, line.processor_ns);
    line.to_floor > 0 ? std::printf("%8.2f", line.to_floor) : std::printf("%8s", "-");
    std::printf(" %8.2f", line.to_lido);
    if (holds) std::printf(" %11.1f %11.1f %11.1f", line.p50_us, line.p99_us, line.p999_us);
    std::printf("\n");
  }
  for (const Line& line : table.lines)
    if (line.overtakings)
      std::printf("%s: %llu waiters overtaken past the limit, by %llu newcomers at most\n", line.contender.c_str(),
                  static_cast<unsigned long long>(line.overtakings->waiters),
                  static_cast<unsigned long long>(line.overtakings->newcomers));
  std::fflush(stdout);
}

struct ComparedWay {
  std::string name;
  double processor_ns = 0;
  double to_first = 0;  // median of the ratios within a round
};
struct Compared {
  std::string name;
  std::vector<ComparedWay> ways;
};

Compared run(const Comparison& comparison, std::size_t rounds) {
  const std::size_t count = comparison.ways.size();
  std::vector<std::vector<double>> times(count), ratios(count);
  for (const Comparison::Way& way : comparison.ways) way.once();  // warm
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = (i + round) % count;
      times[at].push_back(comparison.ways[at].once());
    }
    for (std::size_t i = 0; i < count; ++i) ratios[i].push_back(times[i].back() / times[0].back());
  }
  Compared compared{.name = comparison.name, .ways = {}};
  std::printf("\n%s\n%-48s %12s %8s\n", comparison.name.c_str(), "", "cpu ns", "/ first");
  for (std::size_t i = 0; i < count; ++i) {
    const ComparedWay& way = compared.ways.emplace_back(comparison.ways[i].name, median(times[i]), median(ratios[i]));
    std::printf("%-48s %12.0f %8.3f\n", way.name.c_str(), way.processor_ns, way.to_first);
  }
  std::fflush(stdout);
  return compared;
}

// Names here are our own: nothing in them needs to be escaped.
void write_json(const std::string& path, const std::vector<Table>& tables, const std::vector<Compared>& comparisons,
                std::size_t rounds) {
  std::ofstream out{path};
  out.imbue(std::locale::classic());
  out << "{\"cores\": " << std::thread::hardware_concurrency() << ", \"compiler\": \"" << __VERSION__
      << "\", \"rounds\": " << rounds << ", \"scenarios\": [";
  for (const char* comma = ""; const Table& table : tables) {
    const Scenario& scenario = table.scenario;
    out << std::exchange(comma, ",") << "\n {\"name\": \"" << scenario.name << "\", \"threads\": " << scenario.threads
        << ", \"slots\": " << scenario.slots << ", \"contenders\": [";
    for (const char* inner = ""; const Line& line : table.lines) {
      out << std::exchange(inner, ",") << "\n  {\"name\": \"" << line.contender << "\", \"cycle_ns\": " << line.cycle_ns
          << ", \"fastest_ns\": " << line.fastest_ns << ", \"slowest_ns\": " << line.slowest_ns
          << ", \"processor_ns\": " << line.processor_ns << ", \"to_lido\": " << line.to_lido;
      if (line.to_floor > 0) out << ", \"to_floor\": " << line.to_floor;
      if (scenario.hold != Hold::nothing)
        out << ", \"wait_p50_us\": " << line.p50_us << ", \"wait_p99_us\": " << line.p99_us
            << ", \"wait_p999_us\": " << line.p999_us;
      if (line.overtakings)
        out << ", \"overtaken\": " << line.overtakings->waiters
            << ", \"overtaken_by\": " << line.overtakings->newcomers;
      out << '}';
    }
    out << "]}";
  }
  out << "\n], \"comparisons\": [";
  for (const char* comma = ""; const Compared& comparison : comparisons) {
    out << std::exchange(comma, ",") << "\n {\"name\": \"" << comparison.name << "\", \"ways\": [";
    for (const char* inner = ""; const ComparedWay& way : comparison.ways)
      out << std::exchange(inner, ",") << "\n  {\"name\": \"" << way.name
          << "\", \"processor_ns\": " << way.processor_ns << ", \"to_first\": " << way.to_first << '}';
    out << "]}";
  }
  out << "\n]}\n";
  if (!out.flush()) throw std::runtime_error{"cannot write " + path};
}

void main_program(bool quick, const std::string& json) {
  // Sleeps of 50 us are to last 50 us, and not 50 more; threads inherit it.
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  steps_of_50us();  // calibrated before there is a load
  const std::size_t rounds = quick ? 3 : 7;
  const auto brief = quick ? 40ms : 150ms;
  const auto thorough = quick ? 120ms : 450ms;
  const std::vector<Scenario> scenarios{
      {.name = "1 thread, 8 slots, no hold", .threads = 1, .span = brief},
      {.name = "2 threads, 8 slots, no hold", .threads = 2, .span = brief},
      {.name = "8 threads, 8 slots, no hold", .threads = 8, .span = brief},
      {.name = "32 threads, 2 slots, no hold", .threads = 32, .slots = 2, .span = thorough},
      {.name = "32 threads, 8 slots, 50 us of computing", .threads = 32, .hold = Hold::computes, .span = thorough},
      {.name = "32 threads, 8 slots, 50 us of sleep", .threads = 32, .hold = Hold::sleeps, .span = thorough},
  };
  std::printf("%u cores, GCC %s, %zu interleaved rounds, medians\n", std::thread::hardware_concurrency(), __VERSION__,
              rounds);
  std::vector<Table> tables;
  for (const Scenario& scenario : scenarios) {
    tables.push_back(run(scenario, rounds));
    print(tables.back());
  }
  std::vector<Compared> compared;
  for (const auto& make : comparisons()) compared.push_back(run(make(), quick ? 15 : 101));
  write_json(json, tables, compared, rounds);
}

}  // namespace
}  // namespace benchmark

int main(int argc, char** argv) try {
  bool quick = false;
  std::string json = "benchmark.json";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view{argv[i]} == "--quick")
      quick = true;
    else if (std::string_view{argv[i]} == "--json" && i + 1 < argc)
      json = argv[++i];
    else
      throw std::invalid_argument{"usage: [--quick] [--json PATH]"};
  }
  benchmark::main_program(quick, json);
} catch (const std::exception& error) {
  std::fprintf(stderr, "benchmark: %s\n", error.what());
  return 1;
}
