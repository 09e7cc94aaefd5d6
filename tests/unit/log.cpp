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
  BOOST_TEST(lines_of(log) ==
                 (std::vector<std::string>{"level=info event=database_connection_created pool=orders connection=1",
                                           "level=info event=database_connection_closed pool=orders connection=1 "
                                           "reason=discarded age_ms=7 uses=1"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(writes_leases_only_when_asked_to) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, RetireAfter> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.level = LogLevel::debug});
    auto lease = pool.acquire();
    sim::sleep_for(7ms);
    lease.release();
    lease = pool.acquire();
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() >= 4U);
  BOOST_TEST(lines[1] == "level=debug event=database_connection_checkout pool=pool connection=1 uses=1");
  BOOST_TEST(lines[2] == "level=debug event=database_connection_checkin pool=pool connection=1 uses=1 held_ms=7");
  BOOST_TEST(lines[3] == "level=debug event=database_connection_checkout pool=pool connection=1 uses=2");
}

BOOST_AUTO_TEST_CASE(says_nothing_of_a_hold_that_nobody_timed) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.level = LogLevel::debug});
    pool.acquire().release();
  });
  BOOST_TEST(lines_of(log).at(2) == "level=debug event=database_connection_checkin pool=pool connection=1 uses=1");
}

BOOST_AUTO_TEST_CASE(writes_failed_opens_and_time_outs_with_their_cause_on_one_line_each) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log);
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused\r\nlido: pool: \"forged\"\x1b[31m"}; };
    BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() >= 2U);  // the pool may have tried again
  BOOST_TEST(lines.front() ==
             "level=error event=database_unreachable pool=pool error=\"refused ; lido: pool: \\\"forged\\\" [31m\"");
  BOOST_TEST(
      lines.back().starts_with("level=warning event=database_acquire_timeout pool=pool phase=opening waited_ms=1 "
                               "leased=0 waiting=0 error=\"pool: acquire: no connection within 1 ms: "));
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
    log_events(pool, log, {.level = LogLevel::debug});
    pool.acquire(1s).discard();
    pool.acquire(1s).release();
    BOOST_TEST(pool.statistics().open_failures == 0U);
    BOOST_TEST(pool.statistics().listener_errors == 0U);
  });
}

BOOST_AUTO_TEST_CASE(writes_a_connection_that_was_found_dead_and_its_close) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log);
    pool.acquire().release();
    sim::sleep_for(2s);
    ledger.on_ping = [](TimePoint) { return false; };
    pool.acquire().release();
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() >= 3U);
  BOOST_TEST(lines[1] == "level=warning event=database_health_check_failed pool=pool connection=1 age_ms=2000");
  BOOST_TEST(lines[2] ==
             "level=info event=database_connection_closed pool=pool connection=1 reason=dead age_ms=2000 uses=1");
}

BOOST_AUTO_TEST_CASE(writes_one_line_of_many_connections_that_are_found_dead_at_once) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), {.size = 4}};
    log_events(pool, log);
    pool.wait_until_ready(1h);
    sim::sleep_for(2s);
    ledger.on_ping = [](TimePoint) { return false; };
    pool.acquire(1h).release();
    sim::sleep_for(500ms);
    BOOST_TEST(pool.statistics().found_dead >= 4U);
  });
  std::size_t told = 0;
  for (const std::string& line : lines_of(log))
    if (line.find("event=database_health_check_failed") != std::string::npos) ++told;
  BOOST_TEST(told == 1U);
}

BOOST_AUTO_TEST_CASE(writes_a_failure_that_repeats_once_a_second_with_the_number_of_those_that_it_leaves_out) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.level = LogLevel::warning});
    const auto held = pool.acquire();
    const auto fail = [&] { BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout); };
    for (int times = 0; times < 5; ++times) fail();
    sim::sleep_for(1s);
    fail();
    fail();
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(lines[0].find(" left_out=") == std::string::npos);
  BOOST_TEST(lines[1].ends_with(" left_out=4"));
}

BOOST_AUTO_TEST_CASE(writes_why_an_acquire_is_refused_once_a_second) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    {
      SimulatedPool<> away{connector(ledger), {.max_size = 1}, {}, {}, {.name = "away", .fail_fast_after = 1s}};
      log_events(away, log, {.level = LogLevel::warning});
      ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"no route to host"}; };
      BOOST_CHECK_THROW((void)away.acquire(30s), std::runtime_error);  // in the queue
      BOOST_CHECK_THROW((void)away.acquire(30s), std::runtime_error);  // at once
    }
    ledger.on_open = [](const OpenInfo&) {};
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.max_waiting = 1, .refuse_nested_wait = true}};
    log_events(pool, log, {.level = LogLevel::warning});
    auto held = pool.acquire(1h);
    BOOST_CHECK_THROW((void)pool.acquire(30s), SelfDeadlock);
    sim::Thread waiting{[&] { (void)pool.acquire(1h); }};
    while (pool.statistics().now.waiting == 0) sim::sleep_for(1ms);
    sim::Thread refused{[&] {
      for (int times = 0; times < 3; ++times) BOOST_CHECK_THROW((void)pool.acquire(1h), QueueFull);
      sim::sleep_for(1s);
      BOOST_CHECK_THROW((void)pool.acquire(1h), QueueFull);
    }};
    refused.join();
    held.release();
    waiting.join();
  });
  std::vector<std::string> refusals;
  for (const std::string& line : lines_of(log))
    if (const std::size_t at = line.find("event=database_acquire_refused"); at != std::string::npos)
      refusals.push_back(line.substr(0, at) + line.substr(line.find("reason=")));
  BOOST_TEST(
      refusals == (std::vector<std::string>{
                      "level=warning reason=unreachable error=\"no route to host\"",
                      "level=warning reason=self_deadlock error=\"pool: acquire: this thread holds a connection of the "
                      "pool already\"",
                      "level=warning reason=queue_full error=\"pool: acquire: max_waiting callers wait already\"",
                      "level=warning reason=queue_full error=\"pool: acquire: max_waiting callers wait already\" "
                      "left_out=2"}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(writes_that_a_pool_is_suspended) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.level = LogLevel::warning, .format = LogFormat::json});
    pool.suspend();
    BOOST_CHECK_THROW((void)pool.acquire(5ms), PoolSuspended);
    pool.resume();
  });
  BOOST_TEST(lines_of(log) ==
                 (std::vector<std::string>{R"({"level":"warning","event":"database_acquire_refused","pool":"pool",)"
                                           R"("reason":"suspended","error":"pool: acquire: the pool was suspended for )"
                                           R"(5 ms"})"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(writes_each_failure_where_nothing_is_to_be_left_out) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, log, {.level = LogLevel::warning, .repeat_after = Duration::zero()});
    const auto held = pool.acquire();
    for (int times = 0; times < 5; ++times) BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
    BOOST_CHECK_EXCEPTION(log_events(pool, log, {.repeat_after = -1s}), InvalidOption,
                          [](const InvalidOption& error) { return error.field() == "LogOptions::repeat_after"; });
  });
  BOOST_TEST(lines_of(log).size() == 5U);
}

BOOST_AUTO_TEST_CASE(writes_json) {
  std::ostringstream log;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.name = "a \"b\"\n"}};
    log_events(pool, log, {.format = LogFormat::json});
    pool.acquire().discard();
  });
  const auto lines = lines_of(log);
  BOOST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(lines[0] == R"({"level":"info","event":"database_connection_created","pool":"a \"b\"\n","connection":1})");
  BOOST_TEST(lines[1] == R"({"level":"info","event":"database_connection_closed","pool":"a \"b\"\n","connection":1,)"
                         R"("reason":"discarded","age_ms":0,"uses":1})");
}

BOOST_AUTO_TEST_CASE(gives_records_to_a_logger_and_drops_what_it_throws) {
  std::vector<LogRecord> records;
  calmly([&] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    log_events(pool, [&](const LogRecord& record) {
      records.push_back(record);
      throw std::runtime_error{"no space left"};
    });
    pool.acquire().release();
    BOOST_TEST(pool.statistics().listener_errors == 0U);
  });
  BOOST_REQUIRE(!records.empty());
  BOOST_TEST((records[0].level == LogLevel::info));
  BOOST_TEST(records[0].event == "database_connection_created");
  BOOST_REQUIRE(records[0].fields.size() == 2U);
  BOOST_TEST(records[0].fields[1].key == "connection");
  BOOST_TEST(records[0].fields[1].value == "1");
}

BOOST_AUTO_TEST_CASE(remembers_a_few_failures_and_no_more) {
  lido::detail::RepeatFilter filter{1s};
  const TimePoint start{};
  for (int each = 0; each < 100; ++each) BOOST_TEST(filter.pass("failure " + std::to_string(each), start).has_value());
  BOOST_TEST(!filter.pass("failure 99", start + 999ms).has_value());
  BOOST_TEST(filter.pass("failure 0", start + 999ms).has_value());  // forgotten
  BOOST_TEST(filter.pass("failure 99", start + 1s).value() == 1U);  // the one that was held back
  BOOST_TEST(filter.pass("failure 99", start + 2s).value() == 0U);
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
  BOOST_TEST(lines_of(log).at(0) == "level=info event=database_connection_created pool=pool connection=1");
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
    log_events(first, log, {.level = LogLevel::debug});
    log_events(second, log, {.level = LogLevel::debug});
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
  BOOST_TEST(starting("level=debug event=database_connection_checkout pool=pool connection=") == 4 * rounds);
  BOOST_TEST(starting("level=debug event=database_connection_checkin pool=pool connection=") == 4 * rounds);
  BOOST_TEST(starting("level=") == static_cast<std::ptrdiff_t>(lines.size()));
}

BOOST_AUTO_TEST_SUITE_END()
