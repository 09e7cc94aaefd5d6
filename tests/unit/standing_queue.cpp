// Who is refused when more comes than a pool can serve.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <lido/detail/standing_queue.hpp>
#include <random>
#include <support/forms.hpp>
#include <support/invariants.hpp>
#include <support/slow.hpp>
#include <vector>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(standing_queue)

namespace {

using Standing = detail::StandingQueue;

// Callers that come at a rate whatever becomes of those before, and hold a connection for 20 ms on average.
struct Load {
  double times = 1.5;      // what two connections can serve
  Duration limit = 100ms;  // max_standing_wait
  Duration lasts = 6s;
  Duration stall{};    // nothing is given back for so long, from the second second on
  bool heavy = false;  // one hold in twenty takes ten times as long as the others
};
struct Result {
  std::size_t in_time = 0, late = 0, shed = 0, timed_out = 0;
  TimePoint last_late{};  // when one came that was served late
  [[nodiscard]] std::size_t served() const { return in_time + late; }
};

Result play(const Load& load) {
  Result result;
  sim::Simulation{0}.run([&] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{
        connector(ledger), FixedSize{.size = 2}, {}, {}, {.sweep_interval = 24h, .max_standing_wait = load.limit}};
    pool.wait_until_ready(10s);
    const TimePoint begun = sim::Platform::now();
    const TimePoint stalls = begun + 2s;
    std::mt19937 random{11};
    std::exponential_distribution<double> gap{100.0 * load.times}, span{1.0};
    Threads threads;
    while (sim::Platform::now() - begun < load.lasts) {
      const double mean = !load.heavy ? 0.02 : random() % 20 == 0 ? 0.13 : 0.0142;
      Duration hold = std::chrono::duration_cast<Duration>(std::chrono::duration<double>{span(random) * mean});
      threads.start([&, hold]() mutable {
        const TimePoint came = sim::Platform::now();
        try {
          const auto lease = pool.acquire(10s);
          if (load.stall > 0s && sim::Platform::now() >= stalls && sim::Platform::now() < stalls + load.stall)
            hold += stalls + load.stall - sim::Platform::now();
          lease->use(hold);
          const bool in_time = sim::Platform::now() - came <= 1s;
          ++(in_time ? result.in_time : result.late);
          if (!in_time) result.last_late = std::max(result.last_late, TimePoint{came - begun});
        } catch (const Overloaded&) {
          ++result.shed;
        } catch (const AcquireTimeout&) {
          ++result.timed_out;
        }
      });
      sim::sleep_for(std::chrono::duration_cast<Duration>(std::chrono::duration<double>{gap(random)}));
    }
    threads.join();
    BOOST_TEST(pool.statistics().shed == result.shed);
    BOOST_TEST(pool.statistics().timeouts == result.timed_out);
  });
  BOOST_TEST_MESSAGE(load.times << " times the load" << (load.heavy ? ", heavy tail" : "") << ", limit "
                                << (load.limit == Duration::max() ? "none" : "100 ms") << ": " << result.in_time
                                << " in time, " << result.late << " late, " << result.shed << " shed, "
                                << result.timed_out << " timed out");
  return result;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_stands_when_no_wait_of_a_while_was_short_and_it_is_no_shorter_then) {
  struct Row {
    const char* what;
    int waits;  // served after `waited` each, one every `gap`
    Duration waited, gap;
    std::size_t first, last;  // how many wait behind the first and the last of them
    bool stands;
  };
  for (const Row& row : {
           Row{"long enough", 20, 150ms, 50ms, 30, 40, true},
           Row{"of one length", 20, 150ms, 50ms, 30, 30, true},
           Row{"it shrinks", 20, 150ms, 50ms, 30, 29, false},
           Row{"not for a while", 10, 150ms, 50ms, 30, 40, false},
           Row{"too few waits", 9, 150ms, 1s, 30, 40, false},
           Row{"just enough", 11, 150ms, 50ms, 30, 40, true},
           Row{"short waits", 100, 100ms, 50ms, 30, 40, false},
           Row{"many in no time", 100, 150ms, 1ms, 30, 40, false},
           Row{"nobody is left", 20, 150ms, 50ms, 0, 0, false},
       }) {
    Standing queue{100ms};
    TimePoint now{1h};
    for (int i = 0; i < row.waits; ++i, now += row.gap) queue.served(row.waited, i == 0 ? row.first : row.last, now);
    BOOST_TEST(queue.stands() == row.stands, row.what);
    BOOST_TEST(queue.refuses(100ms + 1ns) == row.stands);
    BOOST_TEST(!queue.refuses(100ms));
  }
}

BOOST_AUTO_TEST_CASE(one_short_wait_begins_the_while_anew_and_one_of_half_the_limit_ends_it) {
  Standing queue{100ms};
  TimePoint now{1h};
  const auto serve = [&](Duration waited, int times) {
    for (int i = 0; i < times; ++i, now += 50ms) queue.served(waited, 50, now);
  };
  serve(150ms, 10);
  serve(99ms, 1);
  serve(150ms, 10);
  BOOST_TEST(!queue.stands());
  serve(150ms, 1);
  BOOST_TEST(queue.stands());
  serve(51ms, 100);
  BOOST_TEST(queue.stands());
  serve(50ms, 1);
  BOOST_TEST(!queue.stands());
  serve(150ms, 11);
  BOOST_TEST(queue.stands());
  queue.clear();
  BOOST_TEST(!queue.stands());
}

BOOST_AUTO_TEST_CASE(a_queue_that_nobody_serves_stands_by_those_who_come) {
  Standing queue{100ms};
  TimePoint now{1h};
  Duration oldest{};
  for (std::size_t i = 1; i <= 30; ++i, now += 50ms, oldest += 50ms) {
    queue.joined(oldest, i, now);
    BOOST_TEST(queue.stands() == (i >= 14));  // from 150 ms on for half a second
  }
  BOOST_TEST(queue.refuses(101ms));
}

BOOST_AUTO_TEST_CASE(without_a_limit_it_never_stands) {
  Standing queue{Duration::max()};
  BOOST_TEST(!queue.watched());
  BOOST_TEST(Standing{100ms}.watched());
  for (int i = 0; i < 100; ++i) queue.served(1h * i, 100, TimePoint{} + 1h * i);
  BOOST_TEST(!queue.stands());
}

BOOST_AUTO_TEST_CASE(of_an_overload_what_is_answered_is_answered_in_time) {
  // Thousands of threads, which cost a sanitizer minutes.
  for (const double times : slow ? std::vector{1.5} : std::vector{1.5, 3.0})
    for (const bool heavy : {false, true}) {
      const Result shed = play({.times = times, .heavy = heavy});
      BOOST_TEST(static_cast<double>(shed.in_time) >= 0.95 * static_cast<double>(shed.served()));
      BOOST_TEST(shed.served() >= 500U);  // no connection lay idle for it
      BOOST_TEST(shed.timed_out == 0U);
      const Result waits = play({.times = times, .limit = Duration::max(), .heavy = heavy});
      BOOST_TEST(static_cast<double>(waits.in_time) < 0.6 * static_cast<double>(waits.served()));
      BOOST_TEST(waits.shed == 0U);
    }
}

BOOST_AUTO_TEST_CASE(a_load_that_can_be_served_loses_nobody) {
  for (const double times : {0.5, 0.8}) {
    const Result result = play({.times = times});
    BOOST_TEST(result.shed == 0U);
    BOOST_TEST(result.late == 0U);
  }
}

BOOST_AUTO_TEST_CASE(after_a_stall_those_are_served_in_time_who_come_then) {
  const Result shed = play({.times = 0.8, .lasts = 10s, .stall = 3s});
  BOOST_TEST(shed.shed > 100U);
  BOOST_TEST((shed.last_late <= TimePoint{5s}));
  const Result waits = play({.times = 0.8, .limit = Duration::max(), .lasts = 10s, .stall = 3s});
  BOOST_TEST((waits.last_late >= TimePoint{7s}));
}

BOOST_AUTO_TEST_CASE(a_burst_that_drains_by_itself_loses_nobody) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}, {}, {}, {.max_standing_wait = 100ms}};
    pool.wait_until_ready(10s);
    Threads threads;
    for (int i = 0; i < 300; ++i) threads.start([&] { acquire(form, pool, 30s)->use(20ms); });  // for 3 s
    threads.join();
    BOOST_TEST(pool.statistics().shed == 0U);
  });
}

BOOST_AUTO_TEST_CASE(who_waits_for_what_is_opened_or_for_the_operator_is_not_refused) {
  calmly([](Form form) {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(5s); };
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}, {}, {}, {.max_standing_wait = 100ms}};
    Threads threads;
    for (int i = 0; i < 50; ++i, sim::sleep_for(50ms)) threads.start([&] { acquire(form, pool, 30s)->use(1ms); });
    threads.join();
    pool.suspend();
    for (int i = 0; i < 50; ++i, sim::sleep_for(50ms)) threads.start([&] { acquire(form, pool, 30s)->use(1ms); });
    pool.resume();
    threads.join();
    BOOST_TEST(pool.statistics().shed == 0U);
  });
}

BOOST_AUTO_TEST_CASE(who_is_refused_is_told_why_as_a_time_out) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{
        connector(ledger), FixedSize{.size = 1}, {}, {}, {.name = "orders", .max_standing_wait = 100ms}};
    std::size_t heard = 0, refused = 0, served = 0;
    pool.events().on_timeout([&](const AcquireTimeout& error) {
      if (dynamic_cast<const Overloaded*>(&error) != nullptr) ++heard;
    });
    auto held = acquire(Form::blocking, pool);
    Threads threads;
    for (int i = 0; i < 40; ++i) {
      threads.start([&] {
        const TimePoint came = sim::Platform::now();
        try {
          acquire(form, pool, 30s)->use();
          ++served;
        } catch (const AcquireTimeout& error) {
          ++refused;
          BOOST_TEST(std::string{error.what()}.starts_with("orders: acquire: overloaded: refused after "));
          BOOST_TEST(std::string{error.what()}.find("stays above 100 ms; 1 leased, ") != std::string::npos);
          BOOST_TEST((error.waited() > 100ms && sim::Platform::now() - came == error.waited()));
          BOOST_TEST((error.phase() == Phase::waiting));
          BOOST_TEST(error.holders().size() <= 1U);
        }
      });
      sim::sleep_for(50ms);
    }
    held.release();
    threads.join();
    BOOST_TEST(served >= 2U);
    BOOST_TEST(refused + served == 40U);
    BOOST_TEST(heard == refused);
    BOOST_TEST(pool.statistics().shed == refused);
    BOOST_TEST(pool.statistics().timeouts == 0U);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_refused_waiter_that_was_woken_passes_the_wake_on_on_every_schedule) {
  std::uint64_t shed = 0;
  on_many_schedules([&shed](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{
        connector(ledger), FixedSize{.size = 1}, {}, {}, {.barging_limit = 1h, .max_standing_wait = 100us}};
    const std::size_t detached = 0;
    const Invariants<SimulatedPool<FixedSize>> invariants{*sim::self->world, pool, ledger, detached};
    std::size_t ended = 0;
    Threads threads;
    for (int i = 0; i < 5; ++i)
      threads.start([&] {
        for (int j = 0; j < 15; ++j, ++ended) try {
            acquire(form, pool, Duration::max())->use(200us);
          } catch (const Overloaded&) {
          }
      });
    threads.join();
    BOOST_TEST(ended == 75U);
    shed += pool.statistics().shed;
    BOOST_TEST(pool.statistics().now.waiting == 0U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
  BOOST_TEST(shed > 0U);
}

BOOST_AUTO_TEST_SUITE_END()
