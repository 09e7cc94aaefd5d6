// Behaviours 28, 45, 46 and 48: what an administrator does to a pool while its server is away.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <faults/deck.hpp>
#include <faults/load.hpp>
#include <faults/scenario.hpp>
#include <faults/servers.hpp>
#include <faults/starvation.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(administration)

namespace {

struct Closing {
  Overshoot closing, destroying;
  std::uint64_t late = 0;  // of those who waited or gave back meanwhile
  Duration control{};      // how late a thread was that only sleeps

  [[nodiscard]] bool in_time() const { return closing.net <= most_late && destroying.net <= most_late && late == 0; }
};

// Waiters hear of it, whoever still has a connection may give it back when the pool is gone, and nothing is left over.
Closing close_once(const std::function<void(FaultProxy&)>& begin, const std::function<void(FaultProxy&)>& end) {
  Closing found;
  server();
  static_cast<void>(starved());  // opens its file
  const std::size_t files_before = open_files();
  std::optional<FaultProxy> proxy{std::in_place, server().socket()};
  std::optional<postgres::Pool> pool{std::in_place, proxy->conninfo("app"), pool_options()};
  std::optional<postgres::Pool::Lease> straggler{pool->acquire()};
  straggler->operator->()->exec("begin");
  const Control control;
  {
    Load load{*pool, 32};
    BOOST_TEST_REQUIRE(eventually(60s, [&] { return load.full(); }));
    const std::uint64_t failures = pool->statistics().open_failures;
    begin(*proxy);
    // In the midst of it: of statements without answers, and of an attempt to connect or the pause behind it.
    BOOST_TEST_REQUIRE(eventually(60s, [&] {
      const Statistics figures = pool->statistics();
      return figures.now.opening > 0 || figures.open_failures > failures;
    }));
    const Stopwatch watch;
    const CloseReport report = pool->close(300ms);
    found.closing = watch.beyond(300ms);
    BOOST_TEST(!report.complete);
    BOOST_TEST(report.stragglers.size() >= 1U);
    found.late = load.finish().late;
  }
  const Stopwatch watch;
  pool.reset();
  found.destroying = watch.beyond(pool_options().connect_timeout);
  found.control = control.worst();
  straggler.reset();  // rolls back, or finds out that it cannot
  end(*proxy);
  BOOST_TEST(eventually(60s, [] { return backends() == 0; }));
  proxy.reset();
  BOOST_TEST(eventually(60s, [&] { return open_files() <= files_before; }));
  return found;
}

// And it ends within its grace.
void close_in(const std::string& situation, const std::function<void(FaultProxy&)>& begin,
              const std::function<void(FaultProxy&)>& end) {
  BOOST_TEST_CONTEXT("situation: " << situation) {
    Closing found = close_once(begin, end);
    for (int tries = 0; !found.in_time() && may_measure_again(tries, found.control); ++tries)
      found = close_once(begin, end);
    std::cout << "| closed with 300 ms of grace, " << situation << ": " << milliseconds(found.closing.raw, 1)
              << " ms beyond it; destroyed " << milliseconds(found.destroying.raw, 1) << " ms beyond connect_timeout\n";
    notes().add("closed, " + situation,
                {{"beyond its grace", found.closing.net}, {"beyond connect_timeout", found.destroying.net}});
    BOOST_TEST(found.late == 0U);
    BOOST_TEST((found.closing.net <= most_late));
    BOOST_TEST((found.destroying.net <= most_late));
  }
}

void heal(FaultProxy& proxy) { proxy.pass(); }

void closes() {
  std::unique_ptr<Frozen> frozen;
  close_in("stopped", [&](FaultProxy&) { frozen = std::make_unique<Frozen>(); }, [&](FaultProxy&) { frozen.reset(); });
  close_in("refused", [](FaultProxy& proxy) { proxy.refuse(), proxy.cut(); }, heal);
  close_in("never answered", [](FaultProxy& proxy) { proxy.stay_silent(), proxy.cut(); }, heal);
  close_in("not accepted", [](FaultProxy& proxy) { proxy.stop_accepting(), proxy.cut(); }, heal);
  close_in("black hole", [](FaultProxy& proxy) { proxy.drop(); }, heal);
}

// Nobody who works on it sees more of it than a pause.
void expect_no_errors(postgres::Pool& pool, Load& load) {
  load.forget_successes();
  BOOST_TEST(eventually(60s, [&] { return load.full(); }));
  const Tally tally = load.finish();
  BOOST_TEST(tally.cycles_after > 0U);
  for (const auto& [kind, count] : tally.errors) BOOST_ERROR(count << ' ' << kind);
  BOOST_TEST(pool.close(60s).complete);
  check_accounts(pool.statistics(), tally);
}

void suspends_for_a_restart() {
  postgres::Pool pool{server().conninfo("app"), patient_options()};
  Load load{pool, 32};
  BOOST_TEST_REQUIRE(eventually(60s, [&] { return load.full(); }));
  pool.suspend();
  BOOST_TEST_REQUIRE(eventually(60s, [&] { return pool.statistics().now.leased == 0; }));
  server().restart();
  pool.resume();
  expect_no_errors(pool, load);
  notes().add("suspended for a restart", {});
}

void resizes() {
  postgres::Pool pool{server().conninfo("app"), patient_options()};
  Load load{pool, 32};
  BOOST_TEST_REQUIRE(eventually(60s, [&] { return load.full(); }));
  for (const std::size_t size : {2U, 16U, 1U, 12U, 8U}) {
    pool.resize({.overflow = {size, 0}});
    BOOST_TEST(eventually(60s, [&] { return pool.statistics().now.total() <= size; }));
    load.forget_successes();
    BOOST_TEST(eventually(60s, [&] { return load.successes() >= 50; }));
    BOOST_TEST(pool.statistics().now.total() <= size);
    BOOST_TEST(eventually(60s, [&] { return backends() <= size; }));
  }
  expect_no_errors(pool, load);
  notes().add("resized", {});
}

const InDeck cards{closes, suspends_for_a_restart, resizes};

}  // namespace

BOOST_AUTO_TEST_CASE(closes_within_its_grace_whatever_the_server_does) { closes(); }
BOOST_AUTO_TEST_CASE(hides_a_restart_behind_a_suspension) { suspends_for_a_restart(); }
BOOST_AUTO_TEST_CASE(resizes_under_load_and_nobody_notices) { resizes(); }

BOOST_AUTO_TEST_SUITE_END()
