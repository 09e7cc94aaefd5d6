#include <lido/log.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <iomanip>
#include <ios>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(log_)

namespace {

std::vector<std::string> lines_of(const std::ostringstream& log) {
  std::vector<std::string> lines;
  std::istringstream text{log.str()};
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// A device that is full.
struct FullBuffer : std::streambuf {
  int_type overflow(int_type) override { throw std::runtime_error{"no space left"}; }
  std::streamsize xsputn(const char*, std::streamsize) override { throw std::runtime_error{"no space left"}; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(writes_a_line_for_each_connect_and_close) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.name = "orders"}};
    log_events(pool, log);
    auto lease = pool.acquire();
    sim::sleep_for(7ms);
    lease.discard();
  });
  BOOST_TEST(lines_of(log) == (std::vector<std::string>{
                                  "lido: orders: connect: connection 1",
                                  "lido: orders: close: connection 1, discarded, open for 7 ms, used 1 times"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(writes_loans_only_when_asked_to) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, RetireAfter> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.leases = true});
    auto lease = pool.acquire();
    sim::sleep_for(7ms);
    lease.release();
    lease = pool.acquire();
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() >= 4U);
  BOOST_TEST(lines[1] == "lido: pool: acquire: connection 1, use 1");
  BOOST_TEST(lines[2] == "lido: pool: release: connection 1, held for 7 ms, use 1");
  BOOST_TEST(lines[3] == "lido: pool: acquire: connection 1, use 2");
}

BOOST_AUTO_TEST_CASE(says_nothing_of_a_hold_that_nobody_timed) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.leases = true});
    pool.acquire().release();
  });
  BOOST_TEST(lines_of(log).at(2) == "lido: pool: release: connection 1, use 1");
}

BOOST_AUTO_TEST_CASE(writes_failed_opens_and_time_outs_with_their_cause_on_one_line_each) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log);
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused\r\nlido: pool: forged\x1b[31m"}; };
    BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() >= 2U);  // the pool may have tried again
  BOOST_TEST(lines.front() == "lido: pool: open failed: refused ; lido: pool: forged [31m");
  BOOST_TEST(lines.back().find("lido: pool: timeout: pool: acquire: no connection within 1 ms: ") == 0U);
  BOOST_TEST(lines.back().find("; last failure: refused ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(names_the_holders_of_an_exhausted_pool_on_the_same_line) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log);
    const auto held = pool.acquire();
    BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
  });
  BOOST_TEST(lines_of(log).at(1).find(";   connection 1: leased for ") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(costs_no_connection_when_the_stream_fails) {
  calmly([&] {
    FullBuffer full;
    std::ostream log{&full};
    log.exceptions(std::ios::badbit | std::ios::failbit);
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.leases = true});
    pool.acquire(1s).discard();
    pool.acquire(1s).release();
    BOOST_TEST(pool.statistics().open_failures == 0U);
    BOOST_TEST(pool.statistics().listener_errors == 0U);
  });
}

BOOST_AUTO_TEST_CASE(leaves_the_format_of_the_stream_alone) {
  std::ostringstream log;
  log << std::setfill('*') << std::setw(80);
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log);
    pool.acquire().release();
  });
  BOOST_TEST(lines_of(log).at(0) == "lido: pool: connect: connection 1");
  BOOST_TEST(log.width() == 80);
}

// On the real machine: the race detectors look at this one.
BOOST_AUTO_TEST_CASE(writes_whole_lines_from_many_threads_and_two_pools) {
  constexpr int rounds = 50;
  std::ostringstream log;
  {
    const auto make = [] { return std::string{"a connection"}; };
    Pool first{make, FixedSize{2}};
    Pool second{make, FixedSize{2}};
    log_events(first, log, {.leases = true});
    log_events(second, log, {.leases = true});
    std::vector<std::thread> threads;
    for (auto* const pool : {&first, &second, &first, &second})
      threads.emplace_back([pool] {
        for (int round = 0; round < rounds; ++round) pool->acquire().release();
      });
    for (std::thread& thread : threads) thread.join();
  }
  const auto lines = lines_of(log);
  const auto starting = [&](const std::string& start) {
    return std::ranges::count_if(lines, [&](const std::string& line) { return line.starts_with(start); });
  };
  BOOST_TEST(starting("lido: pool: acquire: connection ") == 4 * rounds);
  BOOST_TEST(starting("lido: pool: release: connection ") == 4 * rounds);
  BOOST_TEST(starting("lido: pool: ") == static_cast<std::ptrdiff_t>(lines.size()));
}

BOOST_AUTO_TEST_SUITE_END()
