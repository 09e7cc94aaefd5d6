// Behaviour 58: a real server that is terminated, restarted, stopped, full and cut off, while 32 threads work.
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <boost/test/unit_test.hpp>

#include <faults/deck.hpp>
#include <faults/scenario.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(scenarios)

namespace {

void end_sessions_of_the_pool() {
  server().ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name = '" +
               std::string{application} + "'");
}

// Sessions of others that take what the server has, until the pool is left with a few.
class Crowd {
 public:
  // The pool's sessions are ended, and those who come for their places are many.
  void gather() {
    BOOST_TEST_REQUIRE(eventually(60s, [this] {
      end_sessions_of_the_pool();
      std::vector<std::jthread> arrivals;
      for (int i = 0; i < 8; ++i) arrivals.emplace_back([this] { arrive(); });
      arrivals.clear();
      return backends() <= 4;
    }));
  }
  void leave() { sessions_.clear(); }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  using Session = std::unique_ptr<PGconn, Finish>;

  void arrive() {
    for (;;) {
      Session session{PQconnectdb(server().conninfo("app").c_str())};
      if (PQstatus(session.get()) != CONNECTION_OK) return;
      const std::scoped_lock lock{mutex_};
      sessions_.push_back(std::move(session));
    }
  }

  std::mutex mutex_;
  std::vector<Session> sessions_;
};

void pass(FaultProxy& proxy) { proxy.pass(); }
void nothing(FaultProxy&) {}

Scenario terminated() {
  return {.name = "terminated", .begin = [](FaultProxy&) { end_sessions_of_the_pool(); }, .end = nothing, .lasts = 0ms};
}
Scenario restarted() {
  return {.name = "restarted, immediate",
          .begin = [](FaultProxy&) { server().restart(PostgresServer::Mode::immediate); },
          .end = nothing,
          .lasts = 0ms};
}
Scenario stopped() {
  const auto frozen = std::make_shared<std::unique_ptr<Frozen>>();
  return {.name = "stopped for 1.5 s",
          .harm = Harm::outage,
          .begin = [=](FaultProxy&) { *frozen = std::make_unique<Frozen>(); },
          .end = [=](FaultProxy&) { frozen->reset(); },
          .lasts = 1500ms};
}
Scenario full() {
  const auto crowd = std::make_shared<Crowd>();
  return {.name = "max_connections",
          .harm = Harm::refusal,
          .begin = [=](FaultProxy&) { crowd->gather(); },
          .end = [=](FaultProxy&) { crowd->leave(); }};
}
Scenario delayed() {
  return {.name = "every byte 20 ms late",
          .harm = Harm::none,
          .begin = [](FaultProxy& proxy) { proxy.delay(20ms); },
          .end = pass};
}
Scenario swallowed() {
  return {.name = "black hole", .harm = Harm::outage, .begin = [](FaultProxy& proxy) { proxy.drop(); }, .end = pass};
}
Scenario reset() {
  return {.name = "reset after 2000 bytes", .begin = [](FaultProxy& proxy) { proxy.cut_after(2000); }, .end = pass};
}
// What follows does not touch connections that are open, so that these are reset first.
Scenario deaf() {
  return {.name = "accepts nobody",
          .harm = Harm::outage,
          .begin = [](FaultProxy& proxy) { proxy.stop_accepting(), proxy.cut(); },
          .end = pass};
}
Scenario silent() {
  return {.name = "accepts, never answers",
          .harm = Harm::outage,
          .begin = [](FaultProxy& proxy) { proxy.stay_silent(), proxy.cut(); },
          .end = pass};
}
Scenario refused() {
  return {.name = "refuses",
          .harm = Harm::outage,
          .begin = [](FaultProxy& proxy) { proxy.refuse(), proxy.cut(); },
          .end = pass};
}

const InDeck cards{[] { run(terminated()); }, [] { run(restarted()); }, [] { run(stopped()); }, [] { run(full()); },
                   [] { run(delayed()); },    [] { run(swallowed()); }, [] { run(reset()); },   [] { run(deaf()); },
                   [] { run(silent()); },     [] { run(refused()); }};

}  // namespace

BOOST_AUTO_TEST_CASE(all_sessions_are_terminated) { run(terminated()); }
BOOST_AUTO_TEST_CASE(the_server_crashes_and_starts_again) { run(restarted()); }
BOOST_AUTO_TEST_CASE(the_server_stops_where_it_is) { run(stopped()); }
BOOST_AUTO_TEST_CASE(the_server_takes_no_more_connections) { run(full()); }
BOOST_AUTO_TEST_CASE(the_network_is_slow) { run(delayed()); }
BOOST_AUTO_TEST_CASE(the_network_swallows_everything) { run(swallowed()); }
BOOST_AUTO_TEST_CASE(connections_are_reset_in_mid_sentence) { run(reset()); }
BOOST_AUTO_TEST_CASE(connections_are_not_accepted) { run(deaf()); }
BOOST_AUTO_TEST_CASE(connections_are_accepted_and_never_answered) { run(silent()); }
BOOST_AUTO_TEST_CASE(connections_are_refused) { run(refused()); }

BOOST_AUTO_TEST_SUITE_END()
