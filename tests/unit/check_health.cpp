#include <lido/check_health.hpp>

#include <boost/test/unit_test.hpp>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(check_health_)

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A ping that ends when its deadline does.
std::function<bool(TimePoint)> hangs() {
  return [](TimePoint deadline) {
    sim::sleep_for(deadline - sim::Platform::now());
    return false;
  };
}

// The check is first in the queue, and gets what is held.
HealthReport check_before_a_waiter(SimulatedPool<>& pool, SimulatedPool<>::Lease& held) {
  HealthReport report;
  Threads threads;
  threads.start([&] { report = check_health(pool, 100ms); });
  sim::sleep_for(1ms);
  threads.start([&] { pool.acquire(100ms).release(); });
  sim::sleep_for(9ms);
  held.release();
  threads.join();
  return report;
}

// Groups digits by three, as some users' locales do.
struct Grouping : std::numpunct<char> {
  char do_thousands_sep() const override { return ','; }
  std::string do_grouping() const override { return "\3"; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(pings_once_and_reports_the_figures_without_itself) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Overflow> pool{
        connector(ledger), {.pool_size = 2, .max_overflow = 3}, {}, {}, {.name = "orders", .workers = 2}};
    auto first = pool.acquire();
    auto second = pool.acquire();
    auto third = pool.acquire();
    second.release();
    ledger.on_ping = [](TimePoint) {
      sim::sleep_for(3ms);
      return true;
    };
    const HealthReport report = check_health(pool, 1s);
    BOOST_TEST(to_string(report.status) == "healthy");
    BOOST_TEST(report.error == "");
    BOOST_TEST(report.name == "orders");
    BOOST_TEST(report.pool_size == 2U);
    BOOST_TEST(report.checked_out_connections == 2U);
    BOOST_TEST(report.available == 1U);
    BOOST_TEST(report.total == 3U);
    BOOST_TEST(report.overflow == 1U);
    BOOST_TEST(report.max_size == 5U);
    BOOST_TEST(report.waiting == 0U);
    BOOST_TEST((report.latency == 3ms));
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(ledger.closed == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_share_is_as_healthy_as_what_its_callers_get) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 3}, {}, {}, {.name = "orders"}};
    auto web = pool.share("web", {.guaranteed = 1});
    auto tenant = pool.share("tenant");
    const auto first = tenant.acquire();
    const auto second = tenant.acquire();
    BOOST_TEST(to_string(check_health(pool, 50ms).status) == "exhausted");
    BOOST_TEST(to_string(check_health(tenant, 50ms).status) == "exhausted");
    BOOST_TEST(ledger.pings == 0U);
    const HealthReport report = check_health(web, 50ms);
    BOOST_TEST(to_string(report.status) == "healthy");
    BOOST_TEST(report.name == "orders");
    BOOST_TEST(report.checked_out_connections == 2U);
    BOOST_TEST(report.max_size == 3U);
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)tenant.acquire(1s), AcquireTimeout); });
    sim::sleep_for(1ms);
    BOOST_TEST(to_string(check_health(web, 50ms).status) == "healthy");  // which the tenant would not have
    BOOST_TEST(ledger.pings == 2U);
    auto own = web.acquire();
    BOOST_TEST(to_string(check_health(web, 50ms).status) == "exhausted");
    HealthReport left;
    threads.start([&] { left = check_health(web, 100ms); });
    sim::sleep_for(1ms);
    threads.start([&] { web.acquire(100ms).release(); });  // who would have it
    sim::sleep_for(1ms);
    own.release();
    threads.join();
    BOOST_TEST(to_string(left.status) == "exhausted");
    BOOST_TEST(contains(left.error, "was left to them"));
    BOOST_TEST(ledger.pings == 2U);
    ledger.on_ping = [](TimePoint) { return false; };
    BOOST_TEST(to_string(check_health(web, 50ms).status) == "unhealthy");
    BOOST_CHECK_THROW((void)check_health(web, 0s), InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(as_many_probes_as_their_share_is_guaranteed_are_answered_whoever_waits) {
  calmly([] {
    Ledger ledger;
    ledger.on_ping = [](TimePoint) { return sim::sleep_for(10ms), true; };
    SimulatedPool<> pool{connector(ledger), {.max_size = 4}};
    auto probes = pool.share("probes", {.guaranteed = 3});
    auto tenant = pool.share("tenant");
    const auto held = tenant.acquire();
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)tenant.acquire(5s), AcquireTimeout); });
    sim::sleep_for(1ms);
    std::vector<HealthStatus> found;
    for (int i = 0; i < 3; ++i) threads.start([&] { found.push_back(check_health(probes, 1s).status); });
    threads.join();
    BOOST_TEST((found == std::vector<HealthStatus>(3, HealthStatus::healthy)));
  });
}

BOOST_AUTO_TEST_CASE(a_thread_that_holds_all_and_may_not_wait_for_itself_says_that_none_is_left) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.refuse_nested_wait = true}};
    auto held = pool.acquire();
    const HealthReport report = check_health(pool, 1s);
    BOOST_TEST(to_string(report.status) == "exhausted");
    BOOST_TEST(contains(report.error, "holds a connection of the pool already"));
    held.release();
    BOOST_TEST(to_string(check_health(pool, 1s).status) == "healthy");
  });
}

BOOST_AUTO_TEST_CASE(discards_the_connection_that_does_not_answer) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    pool.acquire().release();
    ledger.on_ping = [](TimePoint) { return false; };
    const HealthReport report = check_health(pool, 1s);
    BOOST_TEST(to_string(report.status) == "unhealthy");
    BOOST_TEST(contains(report.error, "did not answer"));
    BOOST_TEST(pool.statistics().discarded == 1U);
    BOOST_TEST(pool.acquire()->number == 2U);
  });
}

BOOST_AUTO_TEST_CASE(reports_what_a_ping_throws_and_discards_its_connection) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    ledger.on_ping = [](TimePoint) -> bool { throw std::runtime_error{"protocol out of step"}; };
    const HealthReport report = check_health(pool, 1s);
    BOOST_TEST(to_string(report.status) == "unhealthy");
    BOOST_TEST(report.error == "protocol out of step");
    BOOST_TEST(pool.statistics().discarded == 1U);
  });
}

BOOST_AUTO_TEST_CASE(ends_at_its_deadline_when_the_ping_hangs) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(30ms); };
    ledger.on_ping = hangs();
    const TimePoint begun = sim::Platform::now();
    const HealthReport report = check_health(pool, 100ms);
    BOOST_TEST((sim::Platform::now() - begun == 100ms));
    BOOST_TEST((report.latency == 70ms));  // what the open left of the time
    BOOST_TEST(to_string(report.status) == "unhealthy");
  });
}

BOOST_AUTO_TEST_CASE(counts_the_pools_own_check_towards_its_deadline) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), {.max_size = 1}};
    pool.acquire().release();
    // The pool's ping takes 60 ms of 100; then the other hangs for what is left.
    ledger.on_ping = [&](TimePoint deadline) {
      if (ledger.pings % 2 == 0) return hangs()(deadline);
      sim::sleep_for(60ms);
      return true;
    };
    const TimePoint begun = sim::Platform::now();
    const HealthReport report = check_health(pool, 100ms);
    BOOST_TEST((sim::Platform::now() - begun == 100ms));
    BOOST_TEST((report.latency == 40ms));
    BOOST_TEST(ledger.pings == 2U);
    BOOST_TEST(to_string(report.status) == "unhealthy");
  });
}

BOOST_AUTO_TEST_CASE(gives_back_a_connection_for_which_no_time_was_left) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), {.max_size = 1}};
    pool.acquire().release();
    // A check that passes at the very deadline.
    ledger.on_ping = [](TimePoint deadline) {
      sim::sleep_for(deadline - sim::Platform::now());
      return true;
    };
    const HealthReport report = check_health(pool, 100ms);
    BOOST_TEST(to_string(report.status) == "unhealthy");
    BOOST_TEST(contains(report.error, "no time was left"));
    BOOST_TEST((report.latency == 0ms));
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(report.available == 1U);
    BOOST_TEST(pool.statistics().discarded == 0U);
  });
}

BOOST_AUTO_TEST_CASE(keeps_the_words_of_a_time_out_and_of_its_cause) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"no route to host"}; };
    const TimePoint begun = sim::Platform::now();
    const HealthReport report = check_health(pool, 250ms);
    BOOST_TEST((sim::Platform::now() - begun == 250ms));
    BOOST_TEST(to_string(report.status) == "unhealthy");
    BOOST_TEST(contains(report.error, "no connection within 250 ms"));
    BOOST_TEST(report.error.ends_with("; last failure: no route to host"));
    BOOST_TEST(ledger.pings == 0U);
  });
}

BOOST_AUTO_TEST_CASE(names_the_holders_of_an_exhausted_pool) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    const auto held = pool.acquire();
    const TimePoint begun = sim::Platform::now();
    const HealthReport report = check_health(pool, 50ms);
    BOOST_TEST((sim::Platform::now() - begun == 50ms));
    BOOST_TEST(to_string(report.status) == "exhausted");
    BOOST_TEST(contains(report.error, "exhausted"));
    BOOST_TEST(contains(report.error, "check_health.cpp"));
    BOOST_TEST(report.checked_out_connections == 1U);
    BOOST_TEST(report.available == 0U);
  });
}

BOOST_AUTO_TEST_CASE(leaves_what_comes_to_those_who_wait_behind_it) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    auto held = pool.acquire();
    const HealthReport report = check_before_a_waiter(pool, held);
    BOOST_TEST(to_string(report.status) == "exhausted");
    BOOST_TEST(contains(report.error, "left to them"));
    BOOST_TEST(ledger.pings == 0U);
    BOOST_TEST(pool.statistics().timeouts == 0U);
  });
}

BOOST_AUTO_TEST_CASE(asks_where_others_wait_for_a_connection_that_is_being_opened) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 8}};
    auto held = pool.acquire();
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(50ms); };
    const HealthReport report = check_before_a_waiter(pool, held);
    BOOST_TEST(report.error == "");
    BOOST_TEST(to_string(report.status) == "healthy");
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(pool.statistics().timeouts == 0U);
  });
}

BOOST_AUTO_TEST_CASE(says_exhausted_where_the_queue_is_full) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.max_waiting = 1}};
    auto held = pool.acquire();
    Threads threads;
    threads.start([&] { pool.acquire(1s).release(); });
    sim::sleep_for(1ms);
    BOOST_TEST(to_string(check_health(pool, 50ms).status) == "exhausted");
    held.release();
  });
}

BOOST_AUTO_TEST_CASE(reports_a_closed_and_a_suspended_pool) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    pool.suspend();
    BOOST_TEST(contains(check_health(pool, 50ms).error, "suspended"));
    pool.close();
    const HealthReport report = check_health(pool, 50ms);
    BOOST_TEST(to_string(report.status) == "unhealthy");
    BOOST_TEST(contains(report.error, "closed"));
    BOOST_TEST(report.total == 0U);
  });
}

BOOST_AUTO_TEST_CASE(reports_what_is_no_standard_exception) {
  struct Refused : PermanentFailure {};
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    ledger.on_open = [](const OpenInfo&) { throw Refused{}; };
    BOOST_TEST(check_health(pool, 1s).error == "an exception that is no std::exception");
  });
}

BOOST_AUTO_TEST_CASE(refuses_a_time_out_that_leaves_no_time) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    BOOST_CHECK_THROW((void)check_health(pool, 0s), InvalidOption);
    BOOST_CHECK_THROW((void)check_health(pool, -1s), InvalidOption);
    BOOST_TEST(to_string(check_health(pool, Duration::max()).status) == "healthy");
  });
}

BOOST_AUTO_TEST_CASE(writes_its_report_as_json) {
  const HealthReport report{.name = "orders",
                            .status = HealthStatus::healthy,
                            .pool_size = 20,
                            .checked_out_connections = 12,
                            .overflow = 1,
                            .total = 21,
                            .available = 9,
                            .max_size = 60,
                            .waiting = 3,
                            .latency = 1'234'567us,
                            .error = ""};
  BOOST_TEST(to_json(report) ==
             R"({"name":"orders","status":"healthy","pool_size":20,"checked_out_connections":12,"overflow":1,)"
             R"("total":21,"available":9,"max_size":60,"waiting":3,"latency_ms":1234.567,"error":null})");
  HealthReport failed;
  failed.latency = 42us;
  failed.error = "timeout";
  BOOST_TEST(contains(to_json(failed), R"("status":"unhealthy")"));
  BOOST_TEST(contains(to_json(failed), R"("latency_ms":0.042,"error":"timeout"})"));
}

BOOST_AUTO_TEST_CASE(writes_its_report_as_text_in_any_locale) {
  HealthReport report;
  report.name = "orders";
  report.max_size = 10'000;
  report.latency = 1'234'567us;
  report.error = "timeout";
  std::ostringstream out;
  out.imbue(std::locale{std::locale::classic(), new Grouping});
  out << report;
  BOOST_TEST(out.str() ==
             "orders: unhealthy, latency 1234.567 ms; 0 of at most 10000 connections (0 checked out, 0 available, "
             "pool size 0, overflow 0), 0 waiting: timeout");
}

BOOST_AUTO_TEST_CASE(escapes_what_json_does_not_allow_in_a_string) {
  BOOST_TEST(detail::json_string("") == R"("")");
  BOOST_TEST(detail::json_string(R"(say "\n")") == R"("say \"\\n\"")");
  BOOST_TEST(detail::json_string(std::string{"\0\x01\t\n\r\x1f\x7f/", 8}) ==
             "\"\\u0000\\u0001\\u0009\\n\\u000d\\u001f\x7f/\"");
}

BOOST_AUTO_TEST_CASE(passes_valid_utf_8_through_and_replaces_the_rest) {
  for (const char* const valid : {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                                  "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    BOOST_TEST(detail::json_string(valid) == '"' + std::string{valid} + '"');
  // One replacement for each maximal part that could have begun a sequence, as Unicode recommends.
  BOOST_TEST(detail::json_string("\x80") == R"("\ufffd")");
  BOOST_TEST(detail::json_string("\xff\xfe") == R"("\ufffd\ufffd")");
  BOOST_TEST(detail::json_string("\xc0\xaf") == R"("\ufffd\ufffd")");                      // overlong
  BOOST_TEST(detail::json_string("\xe0\x9f\xbf") == R"("\ufffd\ufffd\ufffd")");            // overlong
  BOOST_TEST(detail::json_string("\xed\xa0\x80") == R"("\ufffd\ufffd\ufffd")");            // a surrogate
  BOOST_TEST(detail::json_string("\xf0\x8f\xbf\xbf") == R"("\ufffd\ufffd\ufffd\ufffd")");  // overlong
  BOOST_TEST(detail::json_string("\xf4\x90\x80\x80") == R"("\ufffd\ufffd\ufffd\ufffd")");  // above U+10FFFF
  BOOST_TEST(detail::json_string("a\xe2\x82") == R"("a\ufffd")");                          // cut off
  BOOST_TEST(detail::json_string("\xe2\x82z\xc3") == R"("\ufffdz\ufffd")");
  BOOST_TEST(detail::json_string("\xf0\x9f\x98\"") == R"("\ufffd\"")");
}

BOOST_AUTO_TEST_SUITE_END()
