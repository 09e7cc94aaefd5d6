// What callers are told while the server is known to be away.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <lido/detail/fail_fast.hpp>
#include <support/forms.hpp>
#include <support/invariants.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(fail_fast)

namespace {

struct Away : std::runtime_error {
  Away() : std::runtime_error{"connection refused"} {}
};

// A server that comes and goes.
struct Server {
  explicit Server(Ledger& ledger) {
    ledger.on_open = [this](const OpenInfo& info) {
      if (swallows) sim::self->world->block(info.deadline);
      if (away) throw Away{};
    };
  }
  bool away = true;
  bool swallows = false;
};

constexpr Elastic two{.min_idle = 0, .max_size = 2};

Duration time_to_be_told(Form form, SimulatedPool<>& pool, Duration timeout = 30s) {
  const TimePoint start = sim::Platform::now();
  BOOST_CHECK_THROW((void)acquire(form, pool, timeout), Away);
  return sim::Platform::now() - start;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_is_due_when_opening_has_failed_for_so_long_in_a_row) {
  const TimePoint begun{1h};
  detail::FailFast facts{2s};
  BOOST_TEST(!facts.due(begun));
  facts.failed(begun);
  facts.failed(begun + 1s);  // the first one counts
  BOOST_TEST(!facts.due(begun + 2s - 1ns));
  BOOST_TEST(facts.due(begun + 2s));
  facts.succeeded();
  BOOST_TEST(!facts.due(begun + 1h));
  facts.failed(begun + 2h);
  BOOST_TEST(!facts.due(begun + 2h + 1s));
  BOOST_TEST(facts.due(begun + 2h + 2s));
  detail::FailFast never{Duration::max()};
  never.failed(begun);
  BOOST_TEST(!never.due(TimePoint::max()));
  detail::FailFast at_once{Duration::zero()};
  BOOST_TEST(!at_once.due(begun));
  at_once.failed(begun);
  BOOST_TEST(at_once.due(begun));
}

BOOST_AUTO_TEST_CASE(a_newcomer_is_told_where_nothing_may_come_and_somebody_else_tries) {
  struct Row {
    detail::OutageFacts facts;
    bool told;
  };
  for (const Row& row : {
           Row{{.due = false}, false},
           Row{{.due = true}, true},
           Row{{.due = true, .any_live = true}, false},
           Row{{.due = true, .suspended = true}, false},
           Row{{.due = true, .under_way = true}, true},
           Row{{.due = true, .by_callers = true}, false},  // it tries itself
           Row{{.due = true, .by_callers = true, .under_way = true}, true},
           Row{{.due = true, .by_callers = true, .backing_off = true}, true},
           Row{{.due = true, .any_live = true, .by_callers = true, .backing_off = true}, false},
           Row{{.due = false, .by_callers = true, .under_way = true, .backing_off = true}, false},
       })
    BOOST_TEST(detail::fails_fast(row.facts) == row.told);
}

BOOST_AUTO_TEST_CASE(callers_are_told_the_cause_at_once_until_an_attempt_succeeds) {
  calmly([](Form form) {
    Ledger ledger;
    Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.fail_fast_after = 2s}};
    const Duration first = time_to_be_told(form, pool);  // by the first attempt that fails 2 s later
    BOOST_TEST((first >= 2s && first <= 2s + pool.options().backoff_max));
    for (int i = 0; i < 50; ++i) {
      BOOST_TEST((time_to_be_told(form, pool) == 0s));
      sim::sleep_for(100ms);
    }
    BOOST_TEST(pool.statistics().failed_fast == 51U);
    BOOST_TEST(pool.statistics().timeouts == 0U);
    // Nobody waits, and yet somebody looks whether the server is back.
    BOOST_TEST(pool.statistics().open_failures >= 15U);
    server.away = false;
    sim::sleep_for(250ms);
    (void)time_to_be_told(form, pool);  // this one makes the pool look
    sim::sleep_for(1ms);
    BOOST_CHECK_NO_THROW(acquire(form, pool)->use());
    server.away = true;
    pool.invalidate();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1s), AcquireTimeout);  // and it counts anew
  });
}

BOOST_AUTO_TEST_CASE(who_is_told_of_a_failure_for_good_is_counted_whether_it_waits_or_comes) {
  struct Unknown : std::runtime_error, PermanentFailure {
    Unknown() : std::runtime_error{"no such database"} {}
  };
  for (const std::size_t workers : {0U, 1U})
    calmly([workers](Form form) {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) {
        sim::sleep_for(10ms);
        throw Unknown{};
      };
      SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = workers, .backoff_min = 1s, .backoff_max = 1s}};
      std::size_t told = 0;
      const auto ask = [&](Form how) {
        try {
          acquire(how, pool, 30s)->use();
        } catch (const Unknown&) {
          ++told;
        }
      };
      Threads threads;
      for (int i = 0; i < 3; ++i) threads.start([&] { ask(Form::blocking); });
      threads.join();
      for (int i = 0; i < 2; ++i) ask(form);
      BOOST_TEST(told == 5U);
      BOOST_TEST(pool.statistics().failed_fast == 5U);
      BOOST_TEST(pool.statistics().timeouts == 0U);
      const auto events = pool.recent_events();
      const auto newcomers = std::ranges::find(events, EventKind::failed_fast, &RecordedEvent::kind);
      BOOST_REQUIRE((newcomers != events.end()));
      BOOST_TEST(newcomers->times == 2U);
      pool.close();
      BOOST_CHECK_THROW((void)acquire(form, pool, 1s), PoolClosed);
      BOOST_TEST(pool.statistics().failed_fast == 5U);
    });
}

BOOST_AUTO_TEST_CASE(it_is_off_unless_it_is_asked_for) {
  calmly([](Form form) {
    Ledger ledger;
    const Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two};
    BOOST_CHECK_THROW((void)acquire(form, pool, 10s), AcquireTimeout);
    BOOST_CHECK_THROW((void)acquire(form, pool, 10s), AcquireTimeout);
    BOOST_TEST(pool.statistics().failed_fast == 0U);
  });
}

BOOST_AUTO_TEST_CASE(all_who_wait_are_told_when_the_time_has_come) {
  calmly([](Form form) {
    Ledger ledger;
    const Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.fail_fast_after = 1s}};
    Threads threads;
    for (int i = 0; i < 5; ++i)
      threads.start([&pool, form, i] {
        sim::sleep_for(100ms * i);
        const Duration waited = time_to_be_told(form, pool) + 100ms * i;
        BOOST_TEST((waited >= 1s && waited <= 1s + pool.options().backoff_max));
      });
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 5U);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  });
}

BOOST_AUTO_TEST_CASE(who_can_wait_for_a_connection_that_is_leased_waits) {
  calmly([](Form form) {
    Ledger ledger;
    Server server{ledger};
    server.away = false;
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.fail_fast_after = 1s}};
    auto held = acquire(Form::blocking, pool);
    server.away = true;
    Threads threads;
    threads.start([&] { acquire(form, pool, 30s)->use(); });
    sim::sleep_for(10s);
    held.release();
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 0U);
  });
}

BOOST_AUTO_TEST_CASE(in_a_suspended_pool_callers_wait_for_the_operator) {
  calmly([](Form form) {
    Ledger ledger;
    Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.fail_fast_after = 1s}};
    (void)time_to_be_told(form, pool);
    pool.suspend();
    Threads threads;
    threads.start([&] { acquire(form, pool, 30s)->use(); });
    sim::sleep_for(10s);
    server.away = false;
    pool.resume();
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 1U);
  });
}

// Which may be why it fails for good.
BOOST_AUTO_TEST_CASE(what_fails_for_good_is_told_nobody_while_the_pool_is_suspended) {
  struct WrongPassword : std::runtime_error, PermanentFailure {
    WrongPassword() : std::runtime_error{"wrong password"} {}
  };
  calmly([](Form form) {
    Ledger ledger;
    bool changed = false;
    ledger.on_open = [&](const OpenInfo&) {
      sim::sleep_for(10ms);
      if (!changed) throw WrongPassword{};
    };
    SimulatedPool<> pool{connector(ledger), two};
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 1s), PoolSuspended); });
    sim::sleep_for(5ms);
    pool.suspend();
    threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 2s), PoolSuspended); });
    threads.start([&] { acquire(form, pool, 30s)->use(); });
    sim::sleep_for(10s);
    BOOST_TEST(pool.statistics().open_failures == 1U);
    BOOST_TEST(pool.statistics().failed_fast == 0U);
    changed = true;
    pool.resume();
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 0U);
  });
}

BOOST_AUTO_TEST_CASE(without_workers_one_caller_tries_and_the_others_are_told) {
  calmly([] {
    Ledger ledger;
    Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = 0, .fail_fast_after = 1s}};
    BOOST_TEST((time_to_be_told(Form::blocking, pool) >= 1s));
    BOOST_TEST((time_to_be_told(Form::blocking, pool) == 0s));  // too soon for another attempt
    const std::size_t attempts = ledger.attempts;
    sim::sleep_for(1s);
    BOOST_TEST(ledger.attempts == attempts);
    server.swallows = true;
    Threads threads;
    threads.start([&] { BOOST_TEST((time_to_be_told(Form::blocking, pool) == 10s)); });  // that of an attempt
    sim::sleep_for(1s);
    BOOST_TEST(ledger.attempts == attempts + 1);
    BOOST_TEST((time_to_be_told(Form::blocking, pool) == 0s));
    BOOST_TEST((time_to_be_told(Form::callback, pool) == 0s));
    threads.join();
    server.swallows = server.away = false;
    sim::sleep_for(1s);
    BOOST_CHECK_NO_THROW(pool.acquire(1s)->use());
  });
}

BOOST_AUTO_TEST_CASE(without_pooling_too) {
  calmly([] {
    Ledger ledger;
    Server server{ledger};
    using P = SimulatedPool<NullPool>;
    P pool{connector(ledger), NullPool{.max_size = 2}, {}, {}, {.workers = 2, .fail_fast_after = 1s}};
    BOOST_CHECK_THROW((void)pool.acquire(30s), Away);
    BOOST_CHECK_THROW((void)pool.acquire(30s), Away);
    server.away = false;
    sim::sleep_for(1s);
    BOOST_CHECK_NO_THROW(pool.acquire(1s)->use());
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_swallows_packets_is_away_once_an_attempt_has_had_its_time) {
  calmly([](Form form) {
    Ledger ledger;
    Server server{ledger};
    server.swallows = true;
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.open_timeout = 4s, .fail_fast_after = 1s}};
    const Duration first = time_to_be_told(form, pool);
    BOOST_TEST((first >= 5s && first <= 6s), first.count());
    BOOST_TEST((time_to_be_told(form, pool) == 0s));
    server.swallows = server.away = false;
    sim::sleep_for(5s);  // an attempt was under way
    BOOST_CHECK_NO_THROW(acquire(form, pool)->use());
  });
}

BOOST_AUTO_TEST_CASE(who_opens_for_itself_finds_a_server_away_that_swallows_packets_though_its_own_time_is_short) {
  const PoolOptions options{.acquire_timeout = 100ms, .workers = 0, .fail_fast_after = 150ms};
  const auto look = [](auto& pool, Server& server) {
    for (int i = 0; i < 2; ++i) BOOST_CHECK_THROW((void)pool.acquire(), AcquireTimeout);
    BOOST_CHECK_THROW((void)pool.acquire(), Away);  // 200 ms after the first failure
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(), Away); });  // it tries
    sim::sleep_for(50ms);
    const TimePoint begun = sim::Platform::now();
    BOOST_CHECK_THROW((void)pool.acquire(), Away);
    BOOST_TEST((sim::Platform::now() == begun));
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 3U);
    server.swallows = server.away = false;
    const TimePoint back = sim::Platform::now();
    BOOST_CHECK_NO_THROW(static_cast<void>(pool.acquire()));
    BOOST_TEST((sim::Platform::now() == back));  // nobody waits for a back-off
  };
  calmly([&] {
    Ledger ledger;
    Server server{ledger};
    server.swallows = true;
    SimulatedPool<> pool{connector(ledger), two, {}, {}, options};
    look(pool, server);
  });
  calmly([&] {
    Ledger ledger;
    Server server{ledger};
    server.swallows = true;
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 2}, {}, {}, options};
    look(pool, server);
  });
}

BOOST_AUTO_TEST_CASE(who_has_too_little_time_or_stops_says_nothing_to_the_others) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo& info) {  // takes 20 ms, and the first two for ever
      const Duration span = ledger.attempts <= 2 ? Duration{1h} : Duration{20ms};
      const TimePoint end = sim::Platform::now() + span;
      while (sim::Platform::now() < std::min(end, info.deadline) && !info.stop.stop_requested()) sim::sleep_for(1ms);
      if (sim::Platform::now() < end) throw Away{};
    };
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 4}, {}, {}, {.fail_fast_after = 200ms}};
    for (int i = 0; i < 2; ++i) {
      sim::StopSource stop;
      Threads threads;
      threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(10s, stop.get_token()), AcquireCancelled); });
      sim::sleep_for(500ms);
      stop.request_stop();
    }
    for (int i = 0; i < 50; ++i) BOOST_CHECK_THROW((void)pool.acquire(10ms), AcquireTimeout);
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(10ms), AcquireTimeout); });
    sim::sleep_for(5ms);
    BOOST_CHECK_NO_THROW(pool.acquire(1s)->use());
    threads.join();
    BOOST_TEST(pool.statistics().failed_fast == 0U);
  });
}

BOOST_AUTO_TEST_CASE(on_every_schedule_each_caller_is_served_or_told) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    Server server{ledger};
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = 2, .fail_fast_after = 20ms}};
    const std::size_t detached = 0;
    const Invariants<SimulatedPool<>> invariants{*sim::self->world, pool, ledger, detached};
    std::size_t told = 0;
    Threads threads;
    for (int i = 1; i <= 4; ++i)
      threads.start([&, i] {
        for (int served = 0; served < 3;) {
          try {
            acquire(form, pool, Duration::max())->use(1ms);
            ++served;
          } catch (const Away&) {
            ++told;
            sim::sleep_for(7ms * i);
          }
        }
      });
    sim::sleep_for(400ms);  // longer than a pause between attempts
    server.away = false;
    threads.join();
    BOOST_TEST(told > 0U);
    BOOST_TEST(pool.statistics().failed_fast == told);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
