// Many rows in and out of PostgreSQL: lido beside libpq by hand, and beside what else there is.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <locale>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#  include <valgrind/callgrind.h>
#else
#  define CALLGRIND_TOGGLE_COLLECT
#endif

#include <support/postgres_server.hpp>
#include "bulk.hpp"
#include "harness.hpp"

namespace {

using namespace bulk;

struct Work {
  Task task;
  const char* name;
  std::size_t rows, few, counted;  // in a full run, with --quick, and where instructions are counted
};
constexpr std::array<Work, 6> works{{
    {Task::read, "a result, read typed", 1'000'000, 200'000, 20'000},
    {Task::stream, "a stream, read typed", 1'000'000, 200'000, 20'000},
    {Task::copy_out, "COPY out, read typed", 1'000'000, 200'000, 20'000},
    {Task::copy_in, "COPY in of tuples", 1'000'000, 200'000, 20'000},
    {Task::pipeline, "inserts in pipelines of 1,000", 200'000, 40'000, 10'000},
    {Task::unnest, "inserts by unnest, 1,000 at once", 1'000'000, 200'000, 20'000},
}};
bool writes(Task task) { return task == Task::copy_in || task == Task::pipeline || task == Task::unnest; }

Rows rows_of(std::size_t count) {
  Rows rows;
  rows.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::int64_t>(i);
    rows.emplace_back(static_cast<int>(i), "name " + std::to_string(i % 1000),
                      Moment{std::chrono::microseconds{1'700'000'000'000'000 + number * 1'234'567}},
                      static_cast<double>(i) / 8);
  }
  return rows;
}
void fill(const lido::test::PostgresServer& server, std::size_t count) {
  server.ask(
      "drop table if exists bulk, into_bulk;"
      "create unlogged table into_bulk(id int, name text, at timestamptz, value float8);"
      "create unlogged table bulk(id int, name text, at timestamptz, value float8);"
      "alter database postgres set timezone = 'UTC';"
      "insert into bulk select i, 'name ' || i % 1000, timestamptz '2023-11-14 22:13:20+00' + i * interval "
      "'1.234567 s', i / 8.0 from generate_series(0, " +
      std::to_string(count - 1) + ") i; analyze bulk");
}

struct Sample {
  double seconds, processor;
};
Sample time_of(const Once& once, double& outcome) {
  const auto begun = std::chrono::steady_clock::now();
  const double used = benchmark::processor_ns();
  elsewhere = 0;
  CALLGRIND_TOGGLE_COLLECT;
  outcome = once();
  CALLGRIND_TOGGLE_COLLECT;
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(),
          (benchmark::processor_ns() - used) / 1e9 + elsewhere};
}
template <class T, class Project>
double median(const std::vector<T>& samples, Project project) {
  std::vector<double> values;
  for (const T& sample : samples) values.push_back(project(sample));
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// This program once more, under callgrind, which counts the same on every machine.
double instructions(const std::string& program, const std::string& conninfo, std::size_t way, std::size_t rows) {
  const std::string command = "valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file=/dev/null '" +
                              program + "' --once " + std::to_string(way) + " " + std::to_string(rows) + " '" +
                              conninfo + "' 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe{popen(command.c_str(), "r"), &pclose};
  double count = 0;
  char line[4096];
  while (std::fgets(line, sizeof line, pipe.get()) != nullptr)
    if (const char* const found = std::strstr(line, "Collected : "); found != nullptr) count = std::atof(found + 12);
  return count / static_cast<double>(rows);
}

// What report.py reads.
void write(std::ostream& out, const Work& work, const Way& way, const std::vector<Sample>& samples, double rows,
           double counted) {
  const char* const kind = way.who == "lido" ? "own" : way.who == "libpq by hand" ? "floor peer" : "peer";
  for (std::size_t round = 0; round < samples.size(); ++round) {
    out << "{\"case\": \"" << work.name << "\", \"who\": \"" << way.who << "\", \"kind\": \"" << kind
        << "\", \"round\": " << round << ", \"rows\": " << rows / samples[round].seconds
        << ", \"processor_us\": " << samples[round].processor * 1e6 / rows;
    if (counted > 0) out << ", \"instructions\": " << counted;
    out << "}\n";
  }
}

struct Line {
  std::string who;
  double rate, processor, to_rate, to_processor, counted;
};
void run(const lido::test::PostgresServer& server, const Work& work, const std::string& program, bool quick,
         bool counts, std::ostream& out) {
  const std::size_t count = quick ? work.few : work.rows;
  if (!writes(work.task)) fill(server, count);
  const Rows rows = rows_of(writes(work.task) ? count : 0);
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < ways().size(); ++i)
    if (ways()[i].task == work.task) which.push_back(i);
  std::ranges::stable_sort(which, {}, [](std::size_t i) { return ways()[i].who != "libpq by hand"; });
  std::vector<Once> all;
  for (const std::size_t i : which) all.push_back(ways()[i].make(server.conninfo(), rows));
  std::vector<std::vector<Sample>> samples(which.size());
  double wanted = 0;
  const std::size_t rounds = quick ? 3 : 7;
  for (std::size_t round = 0; round <= rounds; ++round)
    for (std::size_t i = 0; i < which.size(); ++i) {
      const std::size_t at = round == 0 ? i : (i + round) % which.size();
      if (writes(work.task)) server.ask("truncate into_bulk");
      double outcome = 0;
      const Sample sample = time_of(all[at], outcome);
      if (round == 0 && at == 0) wanted = outcome;
      if (outcome != wanted) throw std::runtime_error{ways()[which[at]].who + " has other rows"};
      if (round > 0) samples[at].push_back(sample);  // the first is to warm up
    }
  if (counts && !writes(work.task)) fill(server, work.counted);
  std::vector<Line> lines;
  const auto per = static_cast<double>(count);
  for (std::size_t i = 0; i < which.size(); ++i) {
    std::vector<std::pair<double, double>> ratios;
    for (std::size_t round = 0; round < rounds; ++round)
      ratios.emplace_back(samples[0][round].seconds / samples[i][round].seconds,
                          samples[i][round].processor / samples[0][round].processor);
    lines.push_back({ways()[which[i]].who, per / median(samples[i], [](const Sample& each) { return each.seconds; }),
                     median(samples[i], [](const Sample& each) { return each.processor; }) * 1e6 / per,
                     median(ratios, [](const auto& each) { return each.first; }),
                     median(ratios, [](const auto& each) { return each.second; }),
                     counts && !ways()[which[i]].is_elsewhere
                         ? instructions(program, server.conninfo(), which[i], work.counted)
                         : 0});
    write(out, work, ways()[which[i]], samples[i], per, lines.back().counted);
  }
  std::printf("\n%s, %zu rows\n%-20s %12s %9s %16s %9s %18s\n", work.name, count, "", "rows/s", "/ libpq",
              "cpu s a million", "/ libpq", counts ? "instructions a row" : "");
  for (const Line& line : lines) {
    std::printf("%-20s %12.0f %9.2f %16.2f %9.2f", line.who.c_str(), line.rate, line.to_rate, line.processor,
                line.to_processor);
    if (line.counted > 0) std::printf(" %18.0f", line.counted);
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  bool quick = false, counts = false;
  std::string samples;
  std::string_view only;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--quick") {
      quick = true;
    } else if (argument == "--instructions") {
      counts = true;
    } else if (argument == "--samples" && i + 1 < argc) {
      samples = argv[++i];
    } else if (argument == "--task" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument == "--once" && i + 3 < argc) {
      const Way& way = ways().at(std::stoul(argv[i + 1]));
      const Rows rows = rows_of(writes(way.task) ? std::stoul(argv[i + 2]) : 0);
      double outcome = 0;
      time_of(way.make(argv[i + 3], rows), outcome);
      return 0;
    } else {
      throw std::invalid_argument{"usage: [--quick] [--instructions] [--task WORD] [--samples PATH]"};
    }
  }
  const std::string program = std::filesystem::canonical("/proc/self/exe");
  const lido::test::PostgresServer server{{"shared_buffers=256MB", "max_wal_size=4GB"}};
  fill(server, 1);
  std::printf("%u cores, GCC %s, interleaved rounds, medians\n", std::thread::hardware_concurrency(), __VERSION__);
  std::ofstream out{samples};
  out.imbue(std::locale::classic());
  for (const Work& work : works)
    if (std::string_view{work.name}.find(only) != std::string_view::npos)
      run(server, work, program, quick, counts, out);
} catch (const std::exception& error) {
  std::fprintf(stderr, "benchmark: %s\n", error.what());
  return 1;
}
