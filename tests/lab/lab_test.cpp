// The example that plays a workload on a pool: what it reads, what the simulation says, and what a server does.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <support/postgres_server.hpp>
#include "../../examples/pool_lab/arriving.hpp"
#include "../../examples/pool_lab/chart.hpp"
#include "../../examples/pool_lab/play.hpp"
#include "../../examples/pool_lab/report.hpp"
#include "../../examples/pool_lab/server_model.hpp"

using namespace lab;

namespace {

const Progress to_the_end = [](double, const lido::PoolCounts&) { return true; };

Summary simulated(const std::string& json, std::size_t pool = 0, std::uint64_t seed = 1) {
  const Experiment experiment = parse(json, "test");
  return summary(simulate(experiment.workload, experiment.pools.at(pool), seed, to_the_end));
}
bool near(double value, double expected, double part) { return std::abs(value - expected) <= part * expected; }

}  // namespace

BOOST_AUTO_TEST_SUITE(lab_)

BOOST_AUTO_TEST_CASE(bad_input_is_named_with_what_was_expected) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "test: expected JSON, whole; what is wrong stands at byte 1"},
      {R"({"arrivals":10,"hold")", "test: expected JSON, whole; what is wrong stands at byte 22"},
      {"[]", "test: expected an object"},
      {"{}", "test.arrivals: expected callers: `arrivals` a second, or `threads`"},
      {R"({"threads":0})", "test.threads: expected a whole number from 1 to 100000"},
      {R"({"threads":-3})", "test.threads: expected a whole number from 1 to 100000"},
      {R"({"threads":2.5})", "test.threads: expected a whole number from 1 to 100000"},
      {R"({"threads":3,"hold":0})", "test.hold: expected holds or pauses above 0: threads would come without end"},
      {R"({"threads":3,"arrivals":3})", "test.arrivals: expected no `threads` beside it: they come by themselves"},
      {R"({"arrivals":-1})", "test.arrivals: expected a number above 0"},
      {R"({"arrivals":"10"})", "test.arrivals: expected a list of objects with `lasts` and `per_second`"},
      {R"({"arrivals":[{"lasts":1,"per_second":0}]})", "test.arrivals: expected at least one rate above 0"},
      {R"({"arrivals":[{"lasts":0,"per_second":1}]})", "test.arrivals[0].lasts: expected a number above 0"},
      {R"({"arrivals":10,"lasts":1e6})", "test.lasts: expected at most a day, 86400"},
      {R"({"arrivals":10,"hodl":1})",
       "test.hodl: expected one of arrivals, compare, cores, faults, hold, lasts, name, open, pause, pool, sizes, "
       "threads, wanted_wait"},
      {R"({"arrivals":10,"hold":{"exponential":0}})", "test.hold.exponential: expected a number above 0"},
      {R"({"arrivals":10,"hold":{"normal":1}})",
       "test.hold: expected a number of seconds, or an object with `exponential`, `mix`, or `upper` and `counts`"},
      {R"({"arrivals":10,"hold":{"upper":[1,2],"counts":[1]}})",
       "test.hold.counts: expected as many numbers as `upper` has"},
      {R"({"arrivals":10,"hold":{"upper":[2,1],"counts":[1,1]}})", "test.hold.upper: expected numbers that increase"},
      {R"({"arrivals":10,"hold":{"upper":[1],"counts":[0]}})",
       "test.hold.counts: expected at least one that is not 0: the record is of nothing"},
      {R"({"arrivals":10,"hold":{"mix":[{"share":1}]}})",
       "test.hold.mix[0].span: expected a number of seconds, or a distribution"},
      {R"({"arrivals":10,"faults":[{"at":1,"kind":"fire"}]})", "test.faults[0].kind: expected stall, refuse or kill"},
      {R"({"arrivals":10,"faults":[{"at":1,"kind":"stall"}]})", "test.faults[0].lasts: expected a number above 0"},
      {R"({"arrivals":10,"faults":[{"at":1,"lasts":5,"kind":"stall"},{"at":3,"kind":"kill"}]})",
       "test.faults: expected faults that do not overlap"},
      {R"({"arrivals":10,"sizes":[0]})", "test.sizes: expected a whole number from 1 to 100000"},
      {R"({"arrivals":10,"pool":{"size":0}})", "test.pool.size: expected at least 1, with the overflow"},
      {R"({"arrivals":10,"pool":{"timeout":-1}})", "test.pool.timeout: expected a number of at least 0"},
  };
  for (const auto& [json, expected] : rows) {
    std::string said = "nothing";
    try {
      parse(json, "test");
    } catch (const InvalidInput& error) {
      said = error.what();
    }
    BOOST_TEST(said == expected, json << ": " << said);
  }
  // Neither the stack nor the time that it takes grows with what a stranger nests.
  const std::string deep(1'000'000, '[');
  BOOST_CHECK_THROW(parse(deep, "test"), InvalidInput);
}

BOOST_AUTO_TEST_CASE(without_sizes_those_around_what_is_busy_are_tried) {
  const Experiment experiment = parse(R"({"arrivals":200,"hold":0.05})", "test");
  std::vector<std::size_t> sizes;
  for (const PoolSettings& pool : experiment.pools) sizes.push_back(pool.sized);
  BOOST_TEST(sizes == (std::vector<std::size_t>{10, 11, 13, 15, 20, 30}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(draws_have_the_mean_that_was_asked_for) {
  Random random{1};
  const Distribution all[] = {Distribution::constant(2), Distribution::exponential(2),
                              Distribution::mix({{3, Distribution::constant(1)}, {1, Distribution::exponential(5)}}),
                              Distribution::histogram({1, 3, 5}, {0, 3, 1})};
  for (const Distribution& one : all) {
    double sum = 0;
    for (int i = 0; i < 100'000; ++i) sum += one.draw(random);
    BOOST_TEST(near(sum / 100'000, one.mean(), 0.02));
  }
}

BOOST_AUTO_TEST_CASE(callers_come_as_often_as_was_said) {
  const Experiment experiment = parse(
      R"({"lasts":30,"arrivals":[{"lasts":10,"per_second":100},{"lasts":10,"per_second":0},{"lasts":10,"per_second":50}]})",
      "test");
  Arrivals arrivals{experiment.workload, 3};
  std::size_t third[3] = {};
  for (; arrivals.next() < 30; arrivals.take()) ++third[static_cast<std::size_t>(arrivals.next() / 10)];
  BOOST_TEST(near(static_cast<double>(third[0]), 1000, 0.1));
  BOOST_TEST(third[1] == 0U);
  BOOST_TEST(near(static_cast<double>(third[2]), 500, 0.15));
}

BOOST_AUTO_TEST_CASE(a_server_shares_its_cores) {
  ServerModel server{2};
  server.begin(1, 1);
  server.begin(2, 2);
  BOOST_TEST(server.next() == 1.0);
  server.begin(3, 1);  // three on two cores: each at two thirds
  BOOST_TEST(server.next() == 1.5);
  server.advance(1.5);
  BOOST_TEST(server.ended());
  BOOST_TEST(server.take() == 1U);
  BOOST_TEST(server.take() == 3U);
  BOOST_TEST(!server.ended());
  BOOST_TEST(server.next() == 2.5);
  server.stall(true);
  BOOST_TEST(server.next() == never);
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_and_another_one_not) {
  const std::string json = R"({"lasts":5,"arrivals":200,"hold":{"exponential":0.02},"sizes":[5]})";
  BOOST_TEST(simulated(json, 0, 1).p99 == simulated(json, 0, 1).p99);
  BOOST_TEST(simulated(json, 0, 1).p99 != simulated(json, 0, 2).p99);
}

// Erlang's C formula: callers at random, exponential holds, c connections (A. K. Erlang, 1917).
BOOST_AUTO_TEST_CASE(the_simulation_waits_as_the_theory_of_queues_says) {
  constexpr double rate = 160, hold = 0.05, connections = 10, busy = rate * hold;
  double term = 1, sum = 1;
  for (int k = 1; k < 10; ++k) sum += term *= busy / k;
  term *= busy / connections;
  const double queued = term / (1 - busy / connections);
  const double waits = queued / (sum + queued) * hold / (connections - busy);
  const Summary summary = simulated(R"({"lasts":2000,"arrivals":160,"hold":{"exponential":0.05},"sizes":[10]})");
  BOOST_TEST(near(summary.mean_wait, waits, 0.05), summary.mean_wait << " instead of " << waits);
  BOOST_TEST(near(summary.busy, busy, 0.02));
}

BOOST_AUTO_TEST_CASE(each_fault_is_felt) {
  const std::string calm = R"({"lasts":10,"arrivals":100,"hold":0.02,"pool":{"size":10,"timeout":1},"compare":[{}])";
  const Summary none = simulated(calm + "}");
  BOOST_TEST(none.served == none.callers);
  BOOST_TEST(none.longest < 0.1);
  const Summary stalled = simulated(calm + R"(,"faults":[{"at":3,"lasts":2,"kind":"stall"}]})");
  BOOST_TEST(stalled.timed_out > 50U);
  BOOST_TEST(stalled.timed_out < 150U);
  const Summary killed = simulated(calm + R"(,"faults":[{"at":3,"kind":"kill"}]})");
  BOOST_TEST(killed.failed > 0U);
  BOOST_TEST(killed.failed <= 10U);
  BOOST_TEST(killed.served + killed.failed == killed.callers);
  const Summary refused =
      simulated(calm + R"(,"faults":[{"at":3,"kind":"kill"},{"at":3.001,"lasts":4,"kind":"refuse"}]})");
  BOOST_TEST(refused.timed_out > 200U);
  BOOST_TEST(refused.served + refused.failed + refused.timed_out == refused.callers);
}

BOOST_AUTO_TEST_CASE(threads_come_again_when_they_are_served) {
  const Summary summary = simulated(R"({"lasts":10,"threads":8,"hold":0.01,"pause":0.01,"sizes":[4]})");
  BOOST_TEST(near(static_cast<double>(summary.served), 4000, 0.05));
  BOOST_TEST(near(summary.busy, 4, 0.05));
}

BOOST_AUTO_TEST_CASE(an_interrupted_one_has_what_there_is_so_far) {
  const Experiment experiment = parse(R"({"lasts":100,"arrivals":100,"hold":0.05,"sizes":[6]})", "test");
  const Outcome outcome =
      simulate(experiment.workload, experiment.pools.front(), 1, [](double at, const auto&) { return at < 10; });
  BOOST_TEST(outcome.interrupted);
  BOOST_TEST(near(outcome.lasted, 10, 0.1));
  BOOST_TEST(near(static_cast<double>(outcome.callers.size()), 1000, 0.2));
}

BOOST_AUTO_TEST_CASE(the_smallest_size_that_suffices_is_recommended_with_the_reasons) {
  const Experiment experiment =
      parse(R"({"lasts":60,"arrivals":180,"hold":{"exponential":0.05},"sizes":[9,10,12,14]})", "test");
  std::vector<Result> results;
  for (const PoolSettings& pool : experiment.pools) {
    Outcome outcome = simulate(experiment.workload, pool, 1, to_the_end);
    const Summary sum = summary(outcome);
    results.push_back({std::move(outcome), sum});
  }
  const Advice advice = advise(results, experiment.wanted_wait);
  BOOST_REQUIRE(advice.size.has_value());
  BOOST_TEST(*advice.size == 12U);
  BOOST_REQUIRE(advice.reasons.size() == 3U);
  BOOST_TEST(advice.reasons[0].find("Little's law") != std::string::npos);
  BOOST_TEST(advice.reasons[2].find("With 10 ") == 0U);
  results.resize(2);
  const Advice none = advise(results, experiment.wanted_wait);
  BOOST_TEST(!none.size.has_value());
  BOOST_REQUIRE(none.reasons.size() == 1U);
  BOOST_TEST(none.reasons[0].find("None of the sizes is large enough") == 0U);
}

BOOST_AUTO_TEST_CASE(names_do_no_harm_to_the_page) {
  Experiment experiment = parse(R"({"name":"<script>alert(1)</script>","lasts":1,"arrivals":10})", "test");
  const std::string html = page(experiment, {}, {}, "\"&");
  BOOST_TEST(html.find("<script") == std::string::npos);
  BOOST_TEST(html.find("http") == std::string::npos);  // it needs no network
}

// What is recorded on a server can be played again, there and in the simulation: how near they are is printed.
BOOST_AUTO_TEST_CASE(a_recorded_load_is_forecast) {
  const lido::test::PostgresServer server;
  const std::string url = server.conninfo();
  Experiment experiment = parse(
      R"({"lasts":6,"arrivals":150,"hold":{"mix":[{"share":9,"span":{"exponential":0.02}},{"share":1,"span":0.1}]},"sizes":[5]})",
      "test");
  std::string record;
  const Outcome first = play(experiment.workload, experiment.pools.front(), url, 1, to_the_end, &record);
  experiment = parse(record.substr(0, record.size() - 1) + R"(,"sizes":[5,8]})", "record");
  double held = 0;  // which is more than was asked for where the machine was busy
  for (const Caller& caller : first.callers) held += caller.held;
  held /= static_cast<double>(first.callers.size());
  BOOST_TEST(near(experiment.workload.hold.mean(), held, 0.2));
  BOOST_TEST(held > 0.028 * 0.8);
  for (const PoolSettings& pool : experiment.pools) {
    // The keys of a pool are those of the program that has the string.
    const Outcome real = play(experiment.workload, pool, url + " pool_max_overflow=30", 2, to_the_end);
    std::size_t most = 0;
    for (const Look& look : real.looks) most = std::max(most, look.counts.total());
    BOOST_TEST(most <= pool.size + pool.overflow);
    const Outcome forecast = simulate(experiment.workload, pool, 2, to_the_end);
    BOOST_TEST(real.callers.size() == forecast.callers.size());
    const Summary was = summary(real), said = summary(forecast);
    BOOST_TEST(was.served == was.callers);
    BOOST_TEST_MESSAGE("forecast: " << pool.sized << " connections: the wait's p50 was " << words(was.p50)
                                    << ", forecast " << words(said.p50) << "; p99 " << words(was.p99) << ", forecast "
                                    << words(said.p99));
  }
}

BOOST_AUTO_TEST_CASE(on_a_server_sessions_are_killed_and_come_back) {
  const lido::test::PostgresServer server;
  const std::string url = server.conninfo();
  // Each connection is held for so long that the kill, which has to connect first, finds them all held.
  const std::string json =
      R"({"lasts":2,"threads":8,"hold":4,"faults":[{"at":1,"kind":"kill"}],"pool":{"size":8},"compare":[{}]})";
  const Experiment experiment = parse(json, "test");
  const Summary killed = summary(play(experiment.workload, experiment.pools.front(), url, 1, to_the_end));
  BOOST_TEST(killed.failed > 0U);
  BOOST_TEST(killed.failed <= 16U);
  BOOST_TEST(killed.served + killed.failed == killed.callers);
  for (const auto& [wrong, field] :
       {std::pair{R"({"arrivals":1,"faults":[{"at":1,"lasts":1,"kind":"stall"}]})", "faults[0].kind"},
        std::pair{R"({"arrivals":1,"cores":2})", "cores"}}) {
    const Experiment refused = parse(wrong, "test");
    std::string said;
    try {
      play(refused.workload, refused.pools.front(), url, 1, to_the_end);
    } catch (const InvalidInput& error) {
      said = error.what();
    }
    BOOST_TEST(said.find(field) == 0U);
  }
}

BOOST_AUTO_TEST_CASE(an_interrupted_run_on_a_server_ends_soon) {
  const lido::test::PostgresServer server;
  const Experiment experiment = parse(R"({"lasts":1000,"threads":20,"hold":0.05,"sizes":[4]})", "test");
  const Outcome outcome = play(experiment.workload, experiment.pools.front(), server.conninfo(), 1,
                               [](double at, const auto&) { return at < 5; });
  BOOST_TEST(outcome.interrupted);
  BOOST_TEST(outcome.lasted < 60);
  BOOST_TEST(outcome.callers.size() > 20U);
}

BOOST_AUTO_TEST_SUITE_END()
