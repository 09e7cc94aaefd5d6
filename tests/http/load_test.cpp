// The HTTP service of the examples under load: what its clients see, and what its pool says, while its database
// restarts. Measures, and so is run by itself: `--run_test=load_`.
#include <chrono>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <boost/test/unit_test.hpp>
#include <faults/starvation.hpp>
#include <http/service.hpp>
#include <support/postgres_server.hpp>

using namespace lido::test;

namespace {

// What `hey` says of a run.
struct Load {
  std::map<std::string, int> answers;  // by their status
  std::string errors;                  // of requests that have none
  double slowest = 0.0;                // seconds
  double late = 0.0;                   // one in a hundred took longer
};

Load load(const Service& service, const std::string& how) {
  const std::string text = output_of("hey " + how + ' ' + service.url("/users") + " 2>&1");
  Load seen;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string word;
    words >> word;
    if (word == "Slowest:") words >> seen.slowest;
    if (word == "99%") words >> word >> seen.late;
    int count = 0;
    if (word.starts_with('[') && line.ends_with("responses") && words >> count)
      seen.answers[word.substr(1, word.size() - 2)] = count;
  }
  if (const std::size_t errors = text.find("Error distribution"); errors != std::string::npos)
    seen.errors = text.substr(errors);
  if (seen.answers.empty()) throw std::runtime_error{"hey got no answer:\n" + text};
  return seen;
}

// Figures of the service, by their names.
class Metrics {
 public:
  explicit Metrics(const Service& service) {
    std::istringstream lines{service.get("/metrics").body};
    for (std::string line; std::getline(lines, line);)
      if (!line.starts_with('#'))
        if (const std::size_t space = line.find(' '); space != std::string::npos)
          figures_[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  [[nodiscard]] double operator[](const std::string& name) const { return figures_.at(name); }

 private:
  std::map<std::string, double> figures_;
};

struct Phase {
  Load seen;
  double wait = 0.0;   // seconds an acquire, on average
  double use = 0.0;    // of the connections that the pool may have
  double stall = 0.0;  // seconds that a thread here which only sleeps was late at the worst: so may a request be
};

// Runs `load` and `meanwhile` beside it, and prints a line of the table.
template <class Meanwhile>
Phase run_phase(const Service& service, const char* name, const std::string& how, Meanwhile meanwhile) {
  const Metrics before{service};
  const Control control;
  const auto begun = std::chrono::steady_clock::now();
  Phase phase;
  {
    std::jthread clients{[&] {
      try {
        phase.seen = load(service, how);
      } catch (const std::exception& error) {
        phase.seen.errors = error.what();
      }
    }};
    meanwhile();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  const Metrics after{service};
  const auto grown = [&](const char* figure) { return after[figure] - before[figure]; };
  // Those that did not queue count as no wait.
  phase.wait = grown("db_pool_wait_seconds_sum") / grown("db_pool_acquired_total");
  phase.use = grown("db_pool_use_seconds_sum") / (took.count() * after["db_pool_max_size"]);
  phase.stall = std::chrono::duration<double>{control.worst()}.count();
  BOOST_TEST(grown("db_pool_use_seconds_count") > 0);

  BOOST_TEST(phase.seen.errors == "");
  for (const auto& [status, count] : phase.seen.answers)
    BOOST_TEST((status == "200" || status == "503"), count << " requests ended with " << status);
  const auto answers = [&](const char* status) { return phase.seen.answers[status]; };
  std::cout << "| " << std::left << std::setw(22) << name << std::right << " | " << std::setw(5) << answers("200")
            << " | " << std::setw(5) << answers("503") << " | " << std::fixed << std::setprecision(0) << std::setw(8)
            << phase.seen.late * 1e3 << " | " << std::setw(11) << phase.seen.slowest * 1e3 << " | "
            << std::setprecision(1) << std::setw(13) << phase.wait * 1e3 << " | " << std::setw(6) << phase.use * 100
            << " |\n"
            << std::flush;
  return phase;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(load_, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(no_request_hangs_though_the_database_restarts) {
  PostgresServer database;
  Service service{database.conninfo()};
  PostgresServer::wait_until("it is ready", [&] { return service.state() == "ready"; });
  const std::string paced = "-c 50 -q 4 -z ";  // fifty clients, each four times a second
  const auto nothing = [] {};
  std::cout << "| clients                |   200 |   503 | 99 %, ms | slowest, ms | mean wait, ms | use, % |\n"
               "|------------------------|------:|------:|---------:|------------:|--------------:|-------:|\n";

  // A second for a connection, two for the statement.
  const auto none_hung = [](const Phase& phase) { return phase.seen.slowest - phase.stall < 3.5; };
  // Run again, four times at most, where it went wrong while the machine stalled.
  const auto run_normal_phase = [&](const char* name) {
    Phase normal;
    for (int tries = 0; tries < 5; ++tries) {
      normal = run_phase(service, name, paced + "5s", nothing);
      const bool kept = normal.seen.answers["503"] == 0 && normal.wait < 0.1 && normal.use < 0.8 && none_hung(normal);
      if (kept || normal.stall < 0.3) break;
    }
    BOOST_TEST(normal.seen.answers["200"] > 0);
    BOOST_TEST(normal.seen.answers["503"] == 0);
    BOOST_TEST(normal.wait < 0.1);
    BOOST_TEST(normal.use < 0.8);
    BOOST_TEST(none_hung(normal));
    return normal;
  };
  const Phase first = run_normal_phase("50 at a pace");
  const Phase burst = run_phase(service, "100 in a burst", "-c 100 -n 2000", nothing);
  BOOST_TEST(burst.seen.answers.at("200") > 0);
  BOOST_TEST(none_hung(burst));

  const auto restart_it = [&] {
    const double acquired = Metrics{service}["db_pool_acquired_total"];
    PostgresServer::wait_until("there is load",
                               [&] { return Metrics{service}["db_pool_acquired_total"] > acquired + 300; });
    database.stop(PostgresServer::Mode::immediate);
    PostgresServer::wait_until("it is noticed", [&] { return service.status("/ready") == "503"; });
    BOOST_TEST(service.status("/live") == "200");
    // Back sooner, it is hardly missed: who waits for a connection gets one.
    PostgresServer::wait_until("a request is told", [&] { return service.status("/users") == "503"; });
    database.start();
    PostgresServer::wait_until("it is ready again", [&] { return service.status("/ready") == "200"; });
  };
  Phase restart = run_phase(service, "50 during a restart", paced + "5s", restart_it);
  // The clients had ended before all of it had happened.
  if (restart.seen.answers["503"] == 0) restart = run_phase(service, "50 during a restart", paced + "15s", restart_it);
  BOOST_TEST(restart.seen.answers.at("200") > 0);
  BOOST_TEST(restart.seen.answers.at("503") > 0);
  BOOST_TEST(none_hung(restart));
  const Phase last = run_normal_phase("50 afterwards");

  // What the service does beside its requests is tried until it succeeds.
  const auto tasks = [&](const char* which) {
    return Metrics{service}[std::string{"background_tasks_"} + which + "_total"];
  };
  PostgresServer::wait_until("what was begun has succeeded", [&] { return tasks("succeeded") == tasks("begun"); });
  const double begun = tasks("begun");
  BOOST_TEST(begun > 20);
  std::cout << '\n'
            << "background tasks " << std::fixed << std::setprecision(0) << tasks("succeeded") << " of " << begun
            << " succeeded\n"
            << std::flush;
  BOOST_TEST(service.terminate() == 0);
  int visits = 0;  // and those of the test itself
  for (const Phase& phase : {first, burst, restart, last}) visits += phase.seen.answers.at("200");
  BOOST_TEST(std::stoi(database.ask("select sum(visits) from lido_visits")) >= visits);
}

BOOST_AUTO_TEST_SUITE_END()
