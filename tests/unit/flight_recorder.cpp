#include <lido/detail/flight_recorder.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lido/describe.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;
using detail::FewWords;
using detail::FlightRecorder;

BOOST_AUTO_TEST_SUITE(flight_recorder)

namespace {

struct NoLock {};

std::vector<RecordedEvent> all_of(const FlightRecorder& recorder) {
  std::vector<FlightRecorder::Entry> entries;
  entries.reserve(FlightRecorder::capacity);
  recorder.copy(entries, FlightRecorder::capacity, NoLock{});
  return detail::recorded_events(entries);
}

std::size_t count(const std::vector<RecordedEvent>& events, EventKind kind) {
  return static_cast<std::size_t>(std::ranges::count(events, kind, &RecordedEvent::kind));
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A clock that takes its time once.
struct SlowClock : sim::Platform {
  static inline std::function<void()> meanwhile;
  static TimePoint now() noexcept {
    const TimePoint seen = sim::Platform::now();
    if (before > 0) return --before, seen;
    if (const auto once = std::exchange(meanwhile, nullptr)) once();
    return seen;
  }
  // So many looks before it take no time.
  static void slow_at(int nth, std::function<void()> event) {
    before = nth;
    meanwhile = std::move(event);
  }
  static inline int before = 0;
};

// The message of an acquire that runs out of time.
template <class Pool>
std::string complaint(Pool& pool) {
  try {
    pool.acquire(1ms).release();
  } catch (const AcquireTimeout& error) {
    return error.what();
  }
  return "acquired";
}

}  // namespace

BOOST_AUTO_TEST_CASE(keeps_the_newest_in_their_order) {
  FlightRecorder recorder;
  for (std::uint64_t id = 1; id <= FlightRecorder::capacity + 10; ++id)
    recorder.record(EventKind::opened, TimePoint{} + id * 1ms, NoLock{}, id);
  const auto events = all_of(recorder);
  BOOST_REQUIRE(events.size() == FlightRecorder::capacity);
  BOOST_TEST(events.front().connection == 11U);
  BOOST_TEST(events.back().connection == FlightRecorder::capacity + 10);
}

BOOST_AUTO_TEST_CASE(counts_those_that_are_alike_once_more) {
  FlightRecorder recorder;
  recorder.record(EventKind::closed, TimePoint{}, NoLock{}, 3, CloseReason::dead);
  for (int each = 1; each <= 1000; ++each) {
    recorder.record(EventKind::timed_out, TimePoint{} + each * 1ms, NoLock{});
    recorder.record(EventKind::open_failed, TimePoint{} + each * 1ms, NoLock{}, 0, CloseReason::none,
                    FewWords{"refused"});
  }
  const auto events = all_of(recorder);
  BOOST_REQUIRE(events.size() == 3U);
  BOOST_TEST(events[1].times == 1000U);
  BOOST_TEST(to_string(events[0], TimePoint{} + 2s) == "2000 ms ago: connection 3 closed, dead");
  BOOST_TEST(to_string(events[2], TimePoint{} + 2s) ==
             "1999 ms ago: open failed: refused (1000 times, the last 1000 ms ago)");
}

BOOST_AUTO_TEST_CASE(states_of_the_pool_stand_in_their_order) {
  FlightRecorder recorder;
  for (const EventKind kind : {EventKind::suspended, EventKind::resumed, EventKind::suspended, EventKind::suspended})
    recorder.record(kind, TimePoint{}, NoLock{});
  const auto events = all_of(recorder);
  BOOST_REQUIRE(events.size() == 3U);
  BOOST_TEST((events.back().kind == EventKind::suspended));
  BOOST_TEST(events.back().times == 2U);
}

BOOST_AUTO_TEST_CASE(keeps_the_beginning_of_what_was_said_on_one_line) {
  BOOST_TEST(FewWords{"a\nb\tc"}.text() == "a b c");
  BOOST_TEST(FewWords{std::string(1000, 'x')}.text().size() == 120U);
  // No half of a character.
  BOOST_TEST(FewWords{std::string(119, 'x') + "\xc3\xa9"}.text() == std::string(119, 'x'));
  BOOST_TEST(FewWords{std::make_exception_ptr(std::runtime_error{"refused"})}.text() == "refused");
}

BOOST_AUTO_TEST_CASE(a_pool_tells_what_happened_last) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    pool.acquire().discard();
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused"}; };
    BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
    pool.suspend();
    pool.resume();
    pool.resize({.max_size = 2});
    const auto events = pool.recent_events();
    BOOST_REQUIRE(events.size() >= 7U);
    BOOST_TEST((events[0].kind == EventKind::opened));
    BOOST_TEST(events[0].connection == 1U);
    BOOST_TEST((events[1].kind == EventKind::closed));
    BOOST_TEST((events[1].reason == CloseReason::discarded));
    BOOST_TEST((events[2].kind == EventKind::open_failed));
    BOOST_TEST(events[2].words == "refused");
    for (const EventKind kind : {EventKind::timed_out, EventKind::suspended, EventKind::resumed, EventKind::resized})
      BOOST_TEST(count(events, kind) == 1U);
  });
}

// A fault each; the message names it.
BOOST_AUTO_TEST_CASE(a_time_out_says_what_led_to_it) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), {.max_size = 1}, {}, {}, {.leak_after = 1s}};
    // A server that was stopped: what it left is dead, and nothing can be opened.
    pool.acquire().release();
    sim::sleep_for(2s);
    ledger.on_ping = [](TimePoint) { return false; };
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"the server is gone"}; };
    const std::string stopped = complaint(pool);
    BOOST_TEST(contains(stopped, "last failure: the server is gone"));
    BOOST_TEST(contains(stopped, "\n  1 ms ago: connection 1 closed, dead"));
    ledger.on_open = [](const OpenInfo&) {};
    ledger.on_ping = [](TimePoint) { return true; };
    // A lease that nobody gives back.
    sim::sleep_for(10s);
    auto held = pool.acquire();
    sim::sleep_for(3s);
    BOOST_TEST(contains(complaint(pool), " leaked"));
    // A generation that has ended.
    pool.invalidate();
    BOOST_TEST(contains(complaint(pool), "\n  1 ms ago: all invalidated"));
    held.release();
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_without_a_history_says_no_more_than_before) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    const auto held = pool.acquire();
    try {
      pool.acquire(1ms).release();
      BOOST_ERROR("acquired");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST(!contains(error.what(), " ago"));
      BOOST_TEST(error.recent().size() == 2U);  // opened, and this one
    }
  });
}

BOOST_AUTO_TEST_CASE(describes_a_pool_on_one_screen) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.name = "orders", .sweep_interval = 1h}};
    auto held = pool.acquire();
    Threads threads;
    threads.start([&] { pool.acquire(10s).release(); });
    sim::sleep_for(500ms);
    threads.start([&] { pool.acquire(10s).release(); });
    sim::sleep_for(1000ms);
    const PoolDescription seen = describe(pool);
    std::ostringstream text;
    text << seen;
    BOOST_TEST(
        text.str().starts_with("orders: 1 of at most 1 connections: 1 leased, 0 idle, 0 opening, 0 checking, 0 "
                               "closing; 2 waiting, for 1500 ms, 1000 ms\n  acquire_timeout=30 s "));
    BOOST_TEST(contains(text.str(), "\n  connection 1 leased, open for 1500 ms, used 1 times; held for 1500 ms by "));
    BOOST_TEST(contains(text.str(), "flight_recorder.cpp:"));
    BOOST_TEST(contains(text.str(), "\n  1500 ms ago: connection 1 opened\n"));
    const std::string json = to_json(seen);
    BOOST_TEST(json.starts_with(R"({"name":"orders","max_size":1,"pool_size":)"));
    BOOST_TEST(contains(
        json,
        R"("waiting":2,"oldest_wait_ms":1500,"waits_ms":[1500,1000],"shares":[],"settings":{"acquire_timeout":"30 s",)"));
    BOOST_TEST(contains(json, R"("connections":[{"id":1,"state":"leased","age_ms":1500,"uses":1,"held_ms":1500,)"));
    BOOST_TEST(json.ends_with(R"("recent":[{"event":"opened","ms_ago":1500,"connection":1}]})"));
    held.release();
  });
}

BOOST_AUTO_TEST_CASE(an_attempt_that_waits_for_a_worker_has_no_number_yet) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}, {}, {}, {.workers = 1}};
    pool.events().on_close([](Resource&, const ConnectionInfo&) { sim::sleep_for(1s); });
    auto one = pool.acquire();
    auto other = pool.acquire();
    const Resource elsewhere = std::move(one).detach();
    other.discard();
    Threads threads;
    threads.start([&] { BOOST_TEST(pool.acquire().info().id == 3U); });
    until([&] { return pool.statistics().now.opening == 1; });
    const PoolDescription seen = describe(pool);
    BOOST_REQUIRE(seen.connections.size() == 2U);
    BOOST_TEST(seen.connections[0].id == 0U);
    BOOST_TEST(seen.connections[0].state == "opening");
    BOOST_TEST(seen.connections[1].id == 2U);
    BOOST_TEST(seen.connections[1].state == "closing");
    std::ostringstream text;
    text << seen;
    BOOST_TEST(contains(text.str(), "\n  one more waits for a worker that opens it\n  connection 2 closing, "));
  });
}

// Whatever happens while it is made.
BOOST_AUTO_TEST_CASE(nothing_in_a_description_is_yet_to_come) {
  calmly([] {
    Ledger ledger;
    Pool<Resource, Elastic, AssumeHealthy, KeepAlways, SlowClock> pool{connector(ledger), {.min_idle = 0}};
    SlowClock::meanwhile = [&] {
      sim::sleep_for(3ms);
      pool.acquire().release();
    };
    const PoolDescription seen = describe(pool);
    BOOST_TEST(!SlowClock::meanwhile);
    BOOST_REQUIRE(seen.connections.size() == 1U);
    BOOST_TEST((seen.connections[0].age == 0ms));
    BOOST_REQUIRE(!seen.recent.empty());
    for (const RecordedEvent& event : seen.recent) BOOST_TEST((event.last <= seen.at));
    BOOST_TEST(!contains(to_json(seen), ":-"));
  });
}

BOOST_AUTO_TEST_CASE(nothing_in_the_message_of_a_time_out_is_yet_to_come) {
  calmly([] {
    Ledger ledger;
    constexpr Elastic one{.min_idle = 0, .max_size = 1};
    Pool<Resource, Elastic, AssumeHealthy, KeepAlways, SlowClock> pool{connector(ledger), one};
    const auto held = pool.acquire();
    bool done = false;
    Threads threads;
    threads.start([&] {
      while (!done) {
        pool.resize(one);
        sim::sleep_for(1ms);
      }
    });
    // Each look at the clock takes long, one after the other.
    for (int nth = 0; nth < 40; ++nth) {
      SlowClock::slow_at(nth, [] { sim::sleep_for(5ms); });
      const std::string words = complaint(pool);
      BOOST_TEST(contains(words, " resized"), words);
      BOOST_TEST(!contains(words, "\n  -"), words);
      BOOST_TEST(!contains(words, "the last -"), words);
    }
    done = true;
    threads.join();
    SlowClock::slow_at(0, nullptr);
  });
}

BOOST_AUTO_TEST_SUITE_END()
