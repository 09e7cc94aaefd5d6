// One trouble while 32 threads work: what happens, and what must not.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <faults/load.hpp>
#include <faults/servers.hpp>
#include <support/fault_proxy.hpp>

namespace lido::test {

/// What a fault may do to those who work.
enum class Harm : unsigned char {
  errors,   ///< somebody sees an error
  outage,   ///< nobody gets an answer in its second half
  refusal,  ///< connections cannot be opened
  none,     ///< it takes longer, and that is all
};

/// A fault between a pool and its server, with a proxy in between: how it begins and how it ends. Either may block; the
/// time between is `lasts`.
struct Scenario {
  std::string name;
  Harm harm = Harm::errors;
  std::function<void(FaultProxy&)> begin;
  std::function<void(FaultProxy&)> end;
  std::chrono::milliseconds lasts = 1s;
};

/// A row of the table: what came of a scenario, or of several runs of it.
struct Row {
  std::size_t runs = 1;
  Tally tally{};
  std::uint64_t answers_meanwhile = 0;  ///< in the second half of the fault
  std::uint64_t open_failures = 0;
  Duration first{}, full{};                         ///< from the end of the fault; of several runs the longest
  std::size_t leased = 0, backends = 0, files = 0;  ///< what was left when all was over
  std::size_t peak = 0, server_peak = 0, over = 0;
  std::size_t samples = 0;  ///< how often the server was asked for its sessions
  Duration watched{};       ///< for how long it answered that
  Duration control{};       ///< how late the thread was that only sleeps
  bool recovered = false;

  [[nodiscard]] std::size_t leaks() const noexcept { return leased + backends + files; }
  [[nodiscard]] double samples_per_second() const noexcept {
    return static_cast<double>(samples) / std::max(std::chrono::duration<double>(watched).count(), 0.001);
  }
  Row& operator+=(const Row& other) {
    runs += other.runs;
    tally += other.tally;
    answers_meanwhile += other.answers_meanwhile;
    open_failures += other.open_failures;
    first = std::max(first, other.first);
    full = std::max(full, other.full);
    leased += other.leased;
    backends += other.backends;
    files += other.files;
    peak = std::max(peak, other.peak);
    server_peak = std::max(server_peak, other.server_peak);
    over += other.over;
    samples += other.samples;
    watched += other.watched;
    control = std::max(control, other.control);
    recovered = recovered && other.recovered;
    return *this;
  }
};

[[nodiscard]] inline std::string milliseconds(Duration span, int digits = 0) {
  if (span == Duration::max()) return "never";
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << std::chrono::duration<double, std::milli>(span).count();
  return text.str();
}

/// The table of all scenarios, in the order in which they first ran; printed when the program ends.
class Table {
 public:
  void add(const std::string& name, const Row& row) {
    const auto found = std::ranges::find(rows_, name, [](const auto& each) { return each.first; });
    if (found == rows_.end())
      rows_.emplace_back(name, row);
    else
      found->second += row;
  }
  [[nodiscard]] Row sum() const {
    Row all{.runs = 0, .recovered = true};
    for (const auto& [name, row] : rows_) all += row;
    return all;
  }
  void print(std::ostream& out) const {
    if (rows_.empty()) return;
    out << "| scenario                | runs |  cycles |  after | first ms | full ms | leaks | peak (16) | over | "
           "samples (a second) | late | worst ms (net) | sleeper | errors\n";
    for (const auto& [name, row] : rows_) print(out, name, row);
    out << "| first, full: from the end of the fault to the first answer, to answers of 8 sessions. peak: sessions "
           "that the pool had at once (that the server saw).\n| over: beyond the maximum, or samples of the server's "
           "sessions that were. late: acquires and releases more than 50 ms late. worst: the latest of them\n| (net of "
           "waiting for a processor). sleeper: how late a thread was that only sleeps.\n"
        << std::flush;
  }

 private:
  static void print(std::ostream& out, const std::string& name, const Row& row) {
    std::string errors;
    for (const auto& [kind, count] : row.tally.errors)
      errors += (errors.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    const std::string peak = std::to_string(row.peak) + " (" + std::to_string(row.server_peak) + ")";
    const std::string samples =
        std::to_string(row.samples) + " (" + std::to_string(static_cast<int>(row.samples_per_second())) + ")";
    const std::string worst = milliseconds(row.tally.worst.raw, 1) + " (" + milliseconds(row.tally.worst.net, 1) + ")";
    out << "| " << std::left << std::setw(23) << name << std::right << " | " << std::setw(4) << row.runs << " | "
        << std::setw(7) << row.tally.cycles << " | " << std::setw(6) << row.tally.cycles_after << " | " << std::setw(8)
        << milliseconds(row.first) << " | " << std::setw(7) << milliseconds(row.full) << " | " << std::setw(5)
        << row.leaks() << " | " << std::setw(9) << peak << " | " << std::setw(4) << row.over << " | " << std::setw(18)
        << samples << " | " << std::setw(4) << row.tally.late << " | " << std::setw(14) << worst << " | "
        << std::setw(7) << milliseconds(row.control) << " | " << (errors.empty() ? "none" : errors) << '\n';
  }

  std::vector<std::pair<std::string, Row>> rows_;
};

inline Table& table() {
  static Table instance;
  return instance;
}

/// Whether `done` came true within `limit`.
template <class Done>
[[nodiscard]] bool eventually(Duration limit, Done done) {
  for (const TimePoint deadline = Clock::now() + limit; !done(); std::this_thread::sleep_for(1ms))
    if (Clock::now() > deadline) return false;
  return true;
}

/// What the pool counted is what those who used it counted.
inline void check_accounts(const Statistics& pool, const Tally& tally) {
  BOOST_TEST(pool.acquired == tally.acquired);
  BOOST_TEST(pool.released == tally.acquired);
  BOOST_TEST(pool.timeouts == tally.timeouts);
  BOOST_TEST(pool.opened == pool.closed);
  BOOST_TEST(pool.now.total() == 0U);
  BOOST_TEST(pool.now.waiting == 0U);
}

/// Half of the fifty samples a second that `Watch` means to take.
inline constexpr double enough_samples = 25;

/// Nobody was late, and somebody did watch: what a machine that has no processor for us spoils, too.
[[nodiscard]] inline bool in_time(const Row& row) {
  return row.tally.late == 0 && row.samples_per_second() >= enough_samples;
}

/// Whether somebody else kept the processors busy, which the thread that only sleeps has felt: then times are measured
/// again, nine times at most. The bounds stay.
[[nodiscard]] inline bool may_measure_again(int tries, Duration control) { return tries < 9 && control >= 10ms; }

inline void check(const Row& row, Harm harm) {
  BOOST_TEST(row.recovered);
  BOOST_TEST(row.tally.cycles_after > 0U);
  BOOST_TEST(row.leased == 0U);
  BOOST_TEST(row.backends == 0U);
  BOOST_TEST(row.files == 0U);
  BOOST_TEST(row.over == 0U);
  // A fault that nobody noticed would prove nothing.
  switch (harm) {
    case Harm::errors:
      BOOST_TEST(!row.tally.errors.empty());
      break;
    case Harm::outage:
      BOOST_TEST(row.answers_meanwhile == 0U);
      break;
    case Harm::refusal:
      BOOST_TEST(row.open_failures > 0U);
      break;
    case Harm::none:
      BOOST_TEST(row.tally.errors.empty());
  }
}

/// How many files and sockets this process has open.
[[nodiscard]] inline std::size_t open_files() {
  const std::filesystem::directory_iterator files{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// Works on `pool` through the fault.
inline Row work_through(const Scenario& scenario, postgres::Pool& pool, FaultProxy& proxy) {
  Row row;
  Watch watch{pool};
  const Control control;
  Load load{pool, 32};
  BOOST_TEST_REQUIRE(eventually(60s, [&] { return load.full(); }));
  scenario.begin(proxy);
  std::this_thread::sleep_for(scenario.lasts / 2);
  load.forget_successes();
  std::this_thread::sleep_for(scenario.lasts / 2);
  row.answers_meanwhile = load.successes();
  scenario.end(proxy);
  load.forget_successes();
  row.recovered = eventually(60s, [&] { return load.full(); });
  row.first = load.until_first();
  row.full = load.until_full();
  const std::uint64_t before = load.successes();  // undisturbed work follows
  row.recovered = row.recovered && eventually(60s, [&] { return load.successes() >= before + 200; });
  row.tally = load.finish();
  row.control = control.worst();
  row.peak = proxy.peak();
  row.server_peak = watch.peak();
  row.samples = watch.samples();
  row.over = watch.over();
  row.watched = watch.answered();
  return row;
}

/// Plays it, with a pool and a proxy of its own, to the end of both.
inline Row play(const Scenario& scenario) {
  const std::size_t files_before = open_files();
  std::optional<FaultProxy> proxy{std::in_place, server().socket()};
  postgres::Pool pool{proxy->conninfo("app"), scenario.harm == Harm::none ? patient_options() : pool_options()};
  Row row = work_through(scenario, pool, *proxy);
  row.over += row.peak - std::min(row.peak, pool.statistics().max_size);
  row.leased = pool.statistics().now.leased;
  BOOST_TEST(pool.close(60s).complete);
  if (!eventually(60s, [] { return backends() == 0; })) row.backends = backends();
  const Statistics figures = pool.statistics();
  row.open_failures = figures.open_failures;
  proxy.reset();
  // Whoever asks the server to cancel a statement does it in a thread of its own, and may find out only now that
  // nobody answers.
  if (!eventually(60s, [&] { return open_files() <= files_before; })) row.files = open_files() - files_before;
  check_accounts(figures, row.tally);
  return row;
}

/// Plays it, checks what must hold and adds it to the table.
inline void run(const Scenario& scenario) {
  BOOST_TEST_CONTEXT("scenario: " << scenario.name) {
    server();
    for (int tries = 0;; ++tries) {
      const Row row = play(scenario);
      check(row, scenario.harm);
      if (!in_time(row) && may_measure_again(tries, row.control)) continue;
      BOOST_TEST(row.tally.late == 0U);
      BOOST_TEST(row.samples_per_second() >= enough_samples);
      table().add(scenario.name, row);
      break;
    }
  }
}

}  // namespace lido::test
