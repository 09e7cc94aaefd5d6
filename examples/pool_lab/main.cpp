// pool_lab: how large should a pool be, and what becomes of its callers when more comes than it can take?
//
//   pool_lab WORKLOAD.json [--seed N] [--html FILE] [--json FILE]
//       plays it in virtual time, once for each size or pool that the file names, and prints a table
//   pool_lab WORKLOAD.json --real [--record FILE]
//       plays it on the server that DATABASE_URL names; --record writes down what the last pool was asked for
//
// Ctrl-C ends it with what it has so far.
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "play.hpp"
#include "report.hpp"
#include "workload.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;

struct Arguments {
  std::string workload, html, json, record;
  std::uint64_t seed = 1;
  bool real = false;
};

Arguments arguments(const std::vector<std::string>& given) {
  Arguments read;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string& name = given[i];
    const auto value = [&] {
      if (i + 1 == given.size() || given[i + 1].empty()) throw lab::InvalidInput{name, "something behind it"};
      return given[++i];
    };
    if (name == "--html")
      read.html = value();
    else if (name == "--json")
      read.json = value();
    else if (name == "--record")
      read.record = value();
    else if (name == "--real")
      read.real = true;
    else if (name == "--seed") {
      const std::string text = value();
      std::size_t used = 0;
      try {
        read.seed = std::stoull(text, &used);
      } catch (const std::exception&) {
        used = 0;
      }
      if (used != text.size() || text.front() == '-') throw lab::InvalidInput{"--seed", "a whole number"};
    } else if (name.starts_with("-") || !read.workload.empty())
      throw lab::InvalidInput{name, "one workload, and --real, --seed, --html, --json or --record"};
    else
      read.workload = name;
  }
  if (read.workload.empty()) throw lab::InvalidInput{"the command line", "a file with a workload"};
  if (!read.record.empty() && !read.real)
    throw lab::InvalidInput{"--record", "--real beside it: what is simulated is known"};
  return read;
}

// A file that is there whole or not at all: it takes its name at the end.
class NewFile {
 public:
  explicit NewFile(std::string path) : path_{std::move(path)} {
    if (path_.empty()) return;
    file_.open(partial(), std::ios::binary | std::ios::trunc);
    if (!file_) throw lab::InvalidInput{path_, "a place where a file can be written"};
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (!path_.empty()) std::remove(partial().c_str());
  }
  void write(const std::string& text) {
    if (path_.empty()) return;
    file_ << text;
    file_.close();
    if (!file_ || std::rename(partial().c_str(), path_.c_str()) != 0)
      throw lab::InvalidInput{path_, "a place where a file can be written"};
  }

 private:
  [[nodiscard]] std::string partial() const { return path_ + ".part"; }
  std::string path_;
  std::ofstream file_;
};

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (!file || text.empty()) throw lab::InvalidInput{path, "a file that can be read, with a workload in it"};
  return text;
}

int run(const Arguments& given) {
  const lab::Experiment experiment = lab::parse(read_file(given.workload), given.workload);
  const char* const url = std::getenv("DATABASE_URL");
  if (given.real && url == nullptr) throw lab::InvalidInput{"DATABASE_URL", "the server on which to play"};
  NewFile html{given.html}, json{given.json}, record{given.record};

  const std::string stage =
      given.real ? "Played on a PostgreSQL server." : "Simulated, with seed " + std::to_string(given.seed) + ".";
  std::vector<lab::Result> results;
  std::string recorded;
  for (const lab::PoolSettings& pool : experiment.pools) {
    int shown = -1;
    const lab::Progress progress = [&](double at, const lido::PoolCounts& counts) {
      if (const int percent = static_cast<int>(100 * at / experiment.workload.lasts);
          percent / 5 != shown / 5 || shown < 0) {
        shown = percent;
        std::cerr << pool.name << ": " << percent << " %, " << counts.leased << " leased, " << counts.waiting
                  << " waiting\n";
      }
      return interrupted == 0;
    };
    lab::Outcome outcome = given.real ? lab::play(experiment.workload, pool, url, given.seed, progress, &recorded)
                                      : lab::simulate(experiment.workload, pool, given.seed, progress);
    const lab::Summary sum = lab::summary(outcome);
    results.push_back({std::move(outcome), sum});
    if (interrupted != 0) break;
  }
  const lab::Advice advice = lab::advise(results, experiment.wanted_wait);
  std::cout << lab::table(results, advice);
  html.write(lab::page(experiment, results, advice, stage));
  json.write(lab::json(experiment, results, advice, stage));
  record.write(recorded);
  return interrupted == 0 ? EXIT_SUCCESS : 130;
}

}  // namespace

int main(int count, char** given) try {
  std::signal(SIGINT, [](int) { interrupted = 1; });
  return run(arguments({given + 1, given + count}));
} catch (const lab::InvalidInput& error) {
  std::cerr << error.what() << '\n';
  return 2;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
