// Who waits, for how long, and what ends it: behaviours 10 to 20, in each form of acquire where nothing else is said.
#include <boost/test/unit_test.hpp>
#include <optional>
#include <support/forms.hpp>
#include <support/sums.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(waiting)

namespace {

struct NoSuchDatabase : std::runtime_error, PermanentFailure {
  NoSuchDatabase() : std::runtime_error{"no such database"} {}
};

constexpr Elastic one{.min_idle = 0, .max_size = 1};

// How long `body` takes in virtual time.
template <class Body>
Duration span_of(Body body) {
  const TimePoint start = sim::Platform::now();
  body();
  return sim::Platform::now() - start;
}

std::string nested_message(const AcquireTimeout& error) {
  try {
    std::rethrow_if_nested(error);
    return "nothing";
  } catch (const std::exception& cause) {
    return cause.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(times_out_in_the_queue_on_time) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    auto held = acquire(form, pool);
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 250ms), AcquireTimeout); }) == 250ms));
    BOOST_TEST(pool.statistics().timeouts == 1U);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  });
}

BOOST_AUTO_TEST_CASE(times_out_on_time_while_the_open_hangs) {
  for (const std::size_t workers : {1U, 5U})
    calmly([&](Form form) {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo& info) {
        sim::self->world->block(info.deadline);
        throw std::runtime_error{"timed out"};
      };
      SimulatedPool<> pool{connector(ledger), one, {}, {}, {.open_timeout = 10s, .workers = workers}};
      BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 250ms), AcquireTimeout); }) == 250ms));
    });
}

BOOST_AUTO_TEST_CASE(without_workers_the_connector_is_given_the_callers_deadline) {
  calmly([](Form form) {
    Ledger ledger;
    Duration given{};
    ledger.on_open = [&](const OpenInfo& info) {
      if (ledger.attempts > 1) throw std::runtime_error{"refused"};  // by `maintain`
      given = info.deadline - sim::Platform::now();
      sim::self->world->block(info.deadline);
      throw std::runtime_error{"timed out"};
    };
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.workers = 0}};
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 250ms), AcquireTimeout); }) == 250ms));
    BOOST_TEST((given == 250ms));
  });
}

BOOST_AUTO_TEST_CASE(a_check_is_given_the_callers_deadline) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), one};
    (void)acquire(form, pool);
    ledger.on_ping = [](TimePoint deadline) { return sim::self->world->block(deadline), false; };
    const Duration span = span_of([&] {
      try {
        (void)acquire(form, pool, 250ms);
        BOOST_ERROR("leased an unfit connection");
      } catch (const AcquireTimeout& error) {
        BOOST_TEST((error.phase() == Phase::checking));
      }
    });
    BOOST_TEST((span == 250ms));
  });
}

BOOST_AUTO_TEST_CASE(a_check_of_who_does_not_wait_has_its_time_or_as_much_as_it_is_given) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), one, {}, {}, {.check_timeout = 2s}};
    const auto refused_after = [&](auto... limit) {
      ledger.on_ping = {};
      (void)pool.acquire(1min);
      ledger.on_ping = [](TimePoint deadline) { return sim::self->world->block(deadline), false; };
      return span_of([&] { BOOST_TEST(!pool.try_acquire(limit...)); });
    };
    BOOST_TEST((refused_after() == 2s));
    BOOST_TEST((refused_after(Duration{0s}) == 2s));
    BOOST_TEST((refused_after(Duration{250ms}) == 250ms));
    BOOST_TEST((refused_after(Duration::max()) == 2s));
    BOOST_CHECK_THROW((void)pool.try_acquire(-1ms), InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(a_reset_is_given_its_own_deadline) {
  calmly([] {
    Ledger ledger;
    ledger.on_reset = [](TimePoint deadline) { return sim::self->world->block(deadline), false; };
    SimulatedPool<Elastic, AssumeHealthy, ResetOnReturn> pool{connector(ledger), one, {}, {}, {.reset_timeout = 2s}};
    auto lease = pool.acquire();
    BOOST_TEST((span_of([&] { lease.release(); }) == 2s));
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_who_was_granted_a_dead_connection_keeps_its_place) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&](Form form) {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { sim::sleep_for(10ms); };
      SimulatedPool<Elastic, PingOnAcquire> pool{
          connector(ledger), one, {}, {}, {.barging_limit = 0ms, .workers = workers}};
      auto held = acquire(form, pool);
      ledger.on_ping = [&](TimePoint) { return false; };  // the one that is held; what is opened is not asked
      std::vector<int> served;
      Threads threads;
      for (int t = 0; t < 3; ++t)
        threads.start([&, t] {
          sim::sleep_for(Duration{1ms} * (t + 1));
          auto lease = acquire(form, pool, Duration::max());
          served.push_back(t);
          ledger.on_ping = [](TimePoint) { return true; };
        });
      until([&] { return pool.statistics().now.waiting == 3; });
      held.release();
      threads.join();
      BOOST_TEST((served == std::vector<int>{0, 1, 2}));
    });
}

// Without workers those who release close, however long that takes.
BOOST_AUTO_TEST_CASE(a_caller_with_a_deadline_closes_nothing_of_anothers) {
  const auto slow_to_close = [](auto& pool) {
    pool.events().on_close([](Resource&, const ConnectionInfo&) { sim::sleep_for(10s); });
  };
  on_seeds(slow ? 20 : 150, [&](Form form, std::uint64_t) {
    Ledger ledger;
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 2}, {}, {}, {.workers = 0}};
    slow_to_close(pool);
    Threads threads;
    for (int t = 0; t < 4; ++t)
      threads.start([&] {
        const TimePoint asked = sim::Platform::now();
        try {
          auto lease = acquire(form, pool, 100ms);
          BOOST_TEST((sim::Platform::now() - asked < 1s));
          lease->use(1ms);
          lease.release();
        } catch (const AcquireTimeout&) {
          BOOST_TEST((sim::Platform::now() - asked < 1s));
        }
      });
  });
  // What it finds dead is its own; what it suspects for that is left to whoever comes by it.
  calmly([&](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), FixedSize{.size = 5}, {}, {}, {.workers = 0}};
    slow_to_close(pool);
    pool.maintain();
    ledger.on_ping = [](TimePoint) { return false; };
    for (std::size_t call = 1; call <= 5; ++call) {
      BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)pool.acquire(100ms), AcquireTimeout); }) == 10s));
      BOOST_TEST(ledger.closed == call);
    }
    BOOST_TEST((span_of([&] { acquire(form, pool, 100ms)->use(); }) == 0s));
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(pool.statistics().found_dead == 1U);
    BOOST_TEST(pool.statistics().invalidated == 4U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_opened_for_a_caller_is_checked_all_the_same_a_while_later) {
  on_seeds(slow ? 20 : 150, [](Form form, std::uint64_t) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{
        connector(ledger), Elastic{.min_idle = 0, .max_size = 3}, {}, {}, {.barging_limit = 1h, .sweep_interval = 24h}};
    {
      auto held = acquire(form, pool);
      ledger.on_open = [](const OpenInfo&) { sim::sleep_for(1ms); };
      Threads threads;
      for (int t = 0; t < 2; ++t) threads.start([&] { acquire(form, pool, Duration::max())->use(); });
      threads.start([&] {
        sim::sleep_for(1ms);  // one comes back when others have been opened
        held.release();
      });
    }
    sim::sleep_for(30min);
    ledger.pings = 0;
    const std::size_t idle = pool.statistics().now.idle;
    std::vector<decltype(pool.acquire())> leases;
    while (leases.size() < idle) leases.push_back(acquire(form, pool));
    BOOST_TEST(ledger.pings == idle);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_opened_for_a_caller_stays_new_though_a_sweep_comes_by) {
  std::size_t idle = 0;
  std::size_t pings = 0;
  on_seeds(slow ? 20 : 150, [&](Form form, std::uint64_t) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger),
                                               Elastic{.min_idle = 0, .max_size = 3},
                                               {},
                                               {},
                                               {.barging_limit = 1h, .sweep_interval = 20ms}};
    {
      auto held = acquire(form, pool);
      ledger.on_open = [](const OpenInfo&) { sim::sleep_for(1ms); };
      Threads threads;
      for (int t = 0; t < 2; ++t) threads.start([&] { acquire(form, pool, Duration::max())->use(); });
      threads.start([&] {
        sim::sleep_for(1ms);
        held.release();
      });
    }
    sim::sleep_for(100ms);
    ledger.pings = 0;
    std::vector<decltype(pool.acquire())> leases;
    for (std::size_t most = pool.statistics().now.idle; leases.size() < most;) leases.push_back(acquire(form, pool));
    idle += leases.size();
    pings += ledger.pings;
  });
  BOOST_TEST(pings < idle);  // here and there one was left idle that nobody had leased
}

BOOST_AUTO_TEST_CASE(zero_tries_once) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}};
    pool.wait_until_ready(1s);
    auto held = acquire(form, pool, 0s);
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 0s), AcquireTimeout); }) == 0s));
    BOOST_TEST(!pool.try_acquire());
    held.release();
    BOOST_TEST(pool.try_acquire().has_value());
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_of_zero_lets_the_pool_grow_for_the_next_call) {
  for (const std::size_t most : {0U, 10U})
    calmly([&](Form form) {
      Ledger ledger;
      SimulatedPool<> pool{connector(ledger), one, {}, {}, {.max_waiting = most}};
      BOOST_CHECK_THROW((void)acquire(form, pool, 0s), AcquireTimeout);
      sim::sleep_for(1ms);
      acquire(form, pool, 0s)->use();
      BOOST_TEST(ledger.attempts == 1U);
    });
}

BOOST_AUTO_TEST_CASE(try_acquire_lets_the_pool_grow_for_the_next_try) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    BOOST_TEST(!pool.try_acquire());
    sim::sleep_for(1ms);
    BOOST_TEST(pool.try_acquire().has_value());
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_of_the_call_wins_over_the_option) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.acquire_timeout = 3s}};
    auto held = acquire(form, pool);
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool), AcquireTimeout); }) == 3s));
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 5s), AcquireTimeout); }) == 5s));
  });
}

BOOST_AUTO_TEST_CASE(waits_without_limit_when_told_to) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.sweep_interval = 1min}};
    auto held = acquire(form, pool, Duration::max());
    Threads threads;
    threads.start([&] { acquire(form, pool, Duration::max())->use(); });
    sim::sleep_for(3h);
    held.release();
  });
}

BOOST_AUTO_TEST_CASE(serves_threads_first_come_first_served) {
  for (const Duration limit : {Duration{0}, Duration{1ms}})
    on_many_schedules([&](Form form) {
      Ledger ledger;
      SimulatedPool<> pool{connector(ledger), one, {}, {}, {.barging_limit = limit}};
      auto held = acquire(form, pool);
      std::vector<int> order;
      Threads threads;
      for (int t = 0; t < 5; ++t) {
        threads.start([&, t] {
          auto lease = acquire(form, pool, Duration::max());
          order.push_back(t);
          lease->use(10us);
        });
        until([&] { return pool.statistics().now.waiting == static_cast<std::size_t>(t) + 1; });
      }
      held.release();
      threads.join();
      BOOST_TEST(order == (std::vector{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(a_newcomer_never_overtakes_where_the_limit_is_zero) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.barging_limit = 0ms}};
    auto held = acquire(form, pool);
    bool served = false;
    Threads threads;
    threads.start([&] {
      auto lease = acquire(form, pool, Duration::max());
      served = true;
      lease->use(1ms);
    });
    until([&] { return pool.statistics().now.waiting == 1; });
    held.release();
    (void)acquire(form, pool, Duration::max());  // comes later, and is at once
    BOOST_TEST(served);
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_past_the_limit_is_not_overtaken_any_more) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.barging_limit = 1ms}};
    auto held = acquire(form, pool);
    bool served = false;
    Threads threads;
    threads.start([&] {
      auto lease = acquire(form, pool, Duration::max());
      served = true;
      lease->use(1ms);
    });
    until([&] { return pool.statistics().now.waiting == 1; });
    sim::sleep_for(2ms);
    held.release();
    (void)acquire(form, pool, Duration::max());
    BOOST_TEST(served);
  });
}

BOOST_AUTO_TEST_CASE(sixty_four_waiters_on_two_slots_wait_at_most_twice_the_ideal) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}};
    pool.wait_until_ready(1s);
    Duration longest{};
    Threads threads;
    for (int t = 0; t < 64; ++t)
      threads.start([&] {
        const TimePoint start = sim::Platform::now();
        for (int i = 0; i < 10; ++i) {
          const TimePoint asked = sim::Platform::now();
          auto lease = acquire(form, pool, Duration::max());
          longest = std::max(longest, sim::Platform::now() - asked);
          lease->use(10ms);
        }
        (void)start;
      });
    threads.join();
    BOOST_TEST((longest <= 2 * 32 * 10ms));
  });
}

BOOST_AUTO_TEST_CASE(a_timed_out_waiter_loses_no_connection_and_swallows_no_wake) {
  on_seeds(300, [](Form form, std::uint64_t seed) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.barging_limit = seed % 2 == 0 ? 0ms : 1ms}};
    auto held = acquire(form, pool);
    int served = 0;
    Threads threads;
    for (int t = 0; t < 2; ++t)
      threads.start([&] {
        try {
          acquire(form, pool, 5ms)->use();
          ++served;
        } catch (const AcquireTimeout&) {
        }
      });
    threads.start([&] {
      acquire(form, pool, Duration::max())->use();  // behind the two: would sleep for ever on a lost wake
      ++served;
    });
    threads.start([&] {
      sim::sleep_for(5ms);  // the race: a release at the deadline of both
      held.release();
    });
    threads.join();
    const Statistics figures = pool.statistics();
    BOOST_TEST(served >= 1);
    BOOST_TEST(static_cast<int>(figures.timeouts) == 3 - served);
    BOOST_TEST(figures.now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_stop_that_was_requested_already_fails_at_once) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    sim::StopSource stop;
    stop.request_stop();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1s, stop.get_token()), AcquireCancelled);
    BOOST_TEST(pool.statistics().cancelled == 1U);
    BOOST_TEST(ledger.attempts == 0U);
    (void)acquire(form, pool);
    BOOST_CHECK_THROW((void)acquire(form, pool, 1s, stop.get_token()), AcquireCancelled);  // also beside an idle one
  });
}

BOOST_AUTO_TEST_CASE(a_stop_alone_can_be_given_and_leaves_the_time_out_of_the_options) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, {.acquire_timeout = 3s}};
    sim::StopSource stop;
    const auto held = pool.acquire(stop.get_token());
    const TimePoint begun = sim::Platform::now();
    BOOST_CHECK_THROW((void)pool.acquire(stop.get_token()), AcquireTimeout);
    BOOST_TEST((sim::Platform::now() - begun == 3s));
    stop.request_stop();
    BOOST_CHECK_THROW((void)pool.acquire(stop.get_token()), AcquireCancelled);
  });
}

BOOST_AUTO_TEST_CASE(a_stop_reaches_the_connector_of_a_caller_that_opens_for_itself) {
  on_many_schedules([] {
    Ledger ledger;
    std::stop_token asked;
    ledger.on_open = [&](const OpenInfo& info) {
      asked = info.stop;
      until([&] { return info.stop.stop_requested(); });
      throw std::runtime_error{"stopped"};
    };
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 2}};
    sim::StopSource source;
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(1min, source.get_token()), AcquireCancelled); });
    until([&] { return asked.stop_possible(); });
    source.request_stop();
    threads.join();
    // It says nothing about the server: the next one does not wait.
    ledger.on_open = [](const OpenInfo&) {};
    const auto opens = pool.statistics().open_failures;
    (void)pool.acquire(1min);
    BOOST_TEST(pool.statistics().open_failures == opens);
  });
}

BOOST_AUTO_TEST_CASE(a_caller_that_runs_out_of_time_while_it_opens_makes_nobody_else_wait) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo& info) {
      sim::self->world->block(info.deadline);
      throw std::runtime_error{"too slow"};
    };
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 2}};
    try {
      (void)pool.acquire(5ms);
      BOOST_ERROR("it was served");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST(nested_message(error) == "too slow");
    }
    ledger.on_open = [](const OpenInfo&) {};
    const TimePoint start = sim::Platform::now();
    (void)pool.acquire(1s);
    BOOST_TEST((sim::Platform::now() == start));
  });
}

BOOST_AUTO_TEST_CASE(a_stop_wakes_its_waiter) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    auto held = acquire(form, pool);
    sim::StopSource stop;
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 1h, stop.get_token()), AcquireCancelled); });
    until([&] { return pool.statistics().now.waiting == 1; });
    stop.request_stop();
    threads.join();
    BOOST_TEST(pool.statistics().cancelled == 1U);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_stop_that_races_with_a_release_loses_nothing) {
  on_seeds(300, [](Form form, std::uint64_t) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    auto held = acquire(form, pool);
    sim::StopSource stop;
    Threads threads;
    threads.start([&] {
      try {
        acquire(form, pool, 1h, stop.get_token())->use();
      } catch (const AcquireCancelled&) {
      }
    });
    threads.start([&] { acquire(form, pool, Duration::max())->use(); });
    until([&] { return pool.statistics().now.waiting == 2; });
    threads.start([&] { stop.request_stop(); });
    held.release();
    threads.join();
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(rejects_one_more_than_may_wait) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.max_waiting = 2}};
    auto held = acquire(form, pool);
    Threads threads;
    for (int t = 0; t < 2; ++t) threads.start([&] { (void)acquire(form, pool, Duration::max()); });
    until([&] { return pool.statistics().now.waiting == 2; });
    BOOST_CHECK_THROW((void)acquire(form, pool, 1h), QueueFull);
    BOOST_TEST(pool.statistics().rejected == 1U);
    held.release();
  });
}

BOOST_AUTO_TEST_CASE(whatever_brings_supply_wakes_a_waiter) {
  using Act = std::function<void(SimulatedPool<>&, SimulatedPool<>::Lease&)>;
  const std::vector<Act> acts{
      [](auto&, auto& lease) { lease.release(); },
      [](auto&, auto& lease) { lease.discard(); },
      [](auto&, auto& lease) { (void)lease.detach(); },
      [](auto& pool, auto&) { pool.resize({.min_idle = 0, .max_size = 2}); },
      [](auto& pool, auto& lease) { pool.suspend(), lease.release(), pool.resume(); },
      [](auto& pool, auto& lease) { pool.invalidate(), lease.release(); },
  };
  for (const Act& act : acts)
    on_many_schedules([&](Form form) {
      Ledger ledger;
      SimulatedPool<> pool{connector(ledger), one};
      auto held = acquire(form, pool);
      Threads threads;
      threads.start([&] { acquire(form, pool, Duration::max())->use(); });
      until([&] { return pool.statistics().now.waiting == 1; });
      act(pool, held);
      threads.join();
    });
}

BOOST_AUTO_TEST_CASE(a_close_wakes_every_waiter_with_an_error) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one};
    auto held = acquire(form, pool);
    Threads threads;
    for (int t = 0; t < 3; ++t)
      threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, pool, Duration::max()), PoolClosed); });
    until([&] { return pool.statistics().now.waiting == 3; });
    BOOST_TEST(!pool.close().complete);
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(every_waiter_resolves_when_the_first_opens_fail) {
  for (const std::size_t workers : {0U, 1U, 3U})
    on_many_schedules([&](Form form) {
      Ledger ledger;
      ledger.on_open = [&](const OpenInfo&) {
        sim::sleep_for(1ms);
        if (ledger.attempts <= 5) throw std::runtime_error{"refused"};
      };
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 3}, {}, {}, {.workers = workers}};
      Threads threads;
      for (int t = 0; t < 6; ++t) threads.start([&] { acquire(form, pool, Duration::max())->use(); });
    });
}

BOOST_AUTO_TEST_CASE(every_waiter_resolves_when_all_opens_fail_for_good) {
  for (const std::size_t workers : {0U, 1U, 3U})
    on_many_schedules([&](Form form) {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { throw NoSuchDatabase{}; };
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 3}, {}, {}, {.workers = workers}};
      Threads threads;
      for (int t = 0; t < 6; ++t)
        threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, pool, Duration::max()), NoSuchDatabase); });
      threads.join();
      until([&] { return pool.statistics().now.total() == 0; });
    });
}

BOOST_AUTO_TEST_CASE(a_caller_that_gives_up_during_an_open_leaves_an_idle_connection) {
  calmly([](Form form) {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(100ms); };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 5}};
    BOOST_CHECK_THROW((void)acquire(form, pool, 50ms), AcquireTimeout);
    sim::sleep_for(100ms);
    BOOST_TEST(pool.statistics().now.idle == 1U);
    BOOST_TEST(pool.statistics().now.total() == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_on_an_exhausted_pool_names_the_holders) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}, {}, {}, {.name = "orders"}};
    std::thread::id holder;
    sim::Latch done{1};
    sim::Latch ready{1};
    Threads threads;
    threads.start([&] {
      auto lease = acquire(form, pool);
      holder = std::this_thread::get_id();
      ready.count_down();
      done.wait();
    });
    ready.wait();
    const unsigned line = std::source_location::current().line() + 1;
    auto mine = acquire(form, pool);
    try {
      (void)acquire(form, pool, 2s);
      BOOST_ERROR("served");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST((error.phase() == Phase::waiting));
      BOOST_TEST((error.waited() == 2s));
      BOOST_TEST(error.counts().leased == 2U);
      BOOST_TEST(!error.cause());
      BOOST_REQUIRE_EQUAL(error.holders().size(), 2U);
      BOOST_TEST((error.holders()[0].thread == holder));
      BOOST_TEST(error.holders()[1].where.line() == line);
      BOOST_TEST((error.holders()[1].held >= 2s));
      const std::string message = error.what();
      BOOST_TEST(message.starts_with("orders: acquire"));
      BOOST_TEST(message.find("waiting.cpp:" + std::to_string(line)) != std::string::npos);
      // Only a thread that waits could have given back what it holds.
      const bool blames_itself = message.find("the waiting thread itself holds 1") != std::string::npos;
      BOOST_TEST(blames_itself == (form == Form::blocking));
    }
    done.count_down();
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_on_an_unreachable_server_ends_with_the_last_failure_and_has_it_nested) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&](Form form) {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"connection refused"}; };
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}, {}, {}, {.workers = workers}};
      try {
        (void)acquire(form, pool, 2s);
        BOOST_ERROR("served");
      } catch (const AcquireTimeout& error) {
        BOOST_TEST(std::string{error.what()}.find("found unfit") == std::string::npos);
        BOOST_TEST(nested_message(error) == "connection refused");
        BOOST_TEST(std::string_view{error.what()}.ends_with("; last failure: connection refused"));
        BOOST_TEST(error.holders().empty());
      }
    });
}

BOOST_AUTO_TEST_CASE(a_time_out_while_the_caller_handles_another_exception_has_not_that_for_its_cause) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}};
    auto leased = pool.acquire();
    try {
      throw std::runtime_error{"the caller's own business"};
    } catch (const std::runtime_error&) {
      try {
        (void)pool.acquire(1ms);
        BOOST_ERROR("it was served");
      } catch (const AcquireTimeout& error) {
        BOOST_TEST(!error.cause());
        BOOST_CHECK_NO_THROW(std::rethrow_if_nested(error));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_while_the_last_connection_is_checked_says_so) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingIfIdle> pool{
        connector(ledger), FixedSize{.size = 1}, PingIfIdle{.after = 1h}, {}, PoolOptions{.keep_alive = 1min}};
    pool.wait_until_ready(1s);
    ledger.on_ping = [](TimePoint deadline) { return sim::self->world->block(deadline); };
    until([&] {
      sim::sleep_for(1s);
      return pool.statistics().now.checking == 1;
    });
    try {
      (void)pool.acquire(10ms);
      BOOST_ERROR("it was served");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST((error.phase() == Phase::checking));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_permanent_failure_reaches_later_callers_at_once_too) {
  calmly([] {
    struct Refused : PermanentFailure, std::runtime_error {
      using std::runtime_error::runtime_error;
    };
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { throw Refused{"wrong password"}; };
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}};
    sim::sleep_for(1min);
    for (int i = 0; i < 20; ++i) {
      const TimePoint start = sim::Platform::now();
      BOOST_CHECK_THROW((void)pool.acquire(100ms), Refused);
      BOOST_TEST((sim::Platform::now() - start <= 1ms));
      sim::sleep_for(30ms);
    }
    ledger.on_open = [](const OpenInfo&) {};
    sim::sleep_for(1s);
    (void)pool.acquire(100ms);
  });
}

BOOST_AUTO_TEST_CASE(a_pool_in_which_nobody_may_wait_opens_for_the_next_try) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{
        connector(ledger), Elastic{.min_idle = 0, .max_size = 2}, {}, {}, PoolOptions{.max_waiting = 0}};
    BOOST_CHECK_THROW((void)pool.acquire(1s), QueueFull);
    sim::sleep_for(1s);
    pool.acquire(1s)->use();
    const PoolOptions nobody{.max_waiting = 0, .workers = 0};
    BOOST_CHECK_THROW((SimulatedPool<>{connector(ledger), Elastic{}, {}, {}, nobody}), InvalidOption);
    BOOST_CHECK_THROW((SimulatedPool<NullPool>{connector(ledger), NullPool{}, {}, {}, {.max_waiting = 0}}),
                      InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(readiness_tries_once_more_what_has_failed_for_good) {
  calmly([] {
    struct Refused : PermanentFailure, std::runtime_error {
      using std::runtime_error::runtime_error;
    };
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { throw Refused{"wrong password"}; };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}};
    BOOST_CHECK_THROW(pool.wait_until_ready(10s), Refused);
    BOOST_CHECK_THROW(pool.wait_until_ready(10s), Refused);
    BOOST_TEST(pool.statistics().open_failures == 2U);
    ledger.on_open = [](const OpenInfo&) {};
    pool.wait_until_ready(10s);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(readiness_ends_with_a_permanent_failure_also_where_it_is_always_the_same_object) {
  struct Denied : std::runtime_error, PermanentFailure {
    Denied() : std::runtime_error{"denied"} {}
  };
  for (const std::size_t workers : {0U, 3U})
    calmly([&] {
      const std::exception_ptr denied = std::make_exception_ptr(Denied{});
      Ledger ledger;
      ledger.on_open = [&](const OpenInfo&) { std::rethrow_exception(denied); };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, {.workers = workers}};
      for (int i = 0; i < 2; ++i) {
        sim::sleep_for(1s);
        const Duration span = span_of([&] { BOOST_CHECK_THROW(pool.wait_until_ready(10s), Denied); });
        BOOST_TEST((span <= 1s));
      }
    });
}

BOOST_AUTO_TEST_CASE(a_pool_with_all_its_connections_leased_is_ready) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 1, .max_size = 2}};
    auto first = pool.acquire(1s);
    auto second = pool.acquire(1s);
    pool.wait_until_ready(1s);
    BOOST_TEST(pool.statistics().timeouts == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_thread_that_would_wait_for_itself_can_be_refused_at_once) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.refuse_nested_wait = true}};
    auto held = pool.acquire();
    BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)pool.acquire(1h), SelfDeadlock); }) == 0s));
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(1s), AcquireTimeout); });  // holds none: may wait
  });
}

// The system gives it the same id again.
BOOST_AUTO_TEST_CASE(a_thread_is_not_taken_for_one_that_ended) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), one, {}, {}, {.refuse_nested_wait = true}};
    std::optional<decltype(pool)::Lease> held;
    Threads threads;
    threads.start([&] { held = pool.acquire(); });
    threads.join();
    for (int t = 0; t < 4; ++t) {
      threads.start([&] {
        try {
          pool.acquire(1ms).release();
          BOOST_ERROR("acquired");
        } catch (const AcquireTimeout& error) {
          BOOST_TEST(std::string{error.what()}.find("that waits") == std::string::npos);
          BOOST_TEST(std::string{error.what()}.find("itself") == std::string::npos);
        }
      });
      threads.join();
    }
  });
}

// Though it holds another one itself.
BOOST_AUTO_TEST_CASE(only_what_the_waiting_thread_holds_is_said_to_be_its_own) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 2}};
    std::optional<decltype(pool)::Lease> left;
    Threads threads;
    threads.start([&] { left = pool.acquire(); });
    threads.join();
    std::string words;
    threads.start([&] {  // the system gives it the same id
      const auto own = pool.acquire();
      try {
        pool.acquire(1ms).release();
      } catch (const AcquireTimeout& error) {
        words = error.what();
      }
    });
    threads.join();
    const std::size_t marked = words.find(" (the one that waits)");
    BOOST_REQUIRE(marked != std::string::npos);
    BOOST_TEST(words.find(" (the one that waits)", marked + 1) == std::string::npos);
    BOOST_TEST(words.rfind("connection 2", marked) != std::string::npos);
    BOOST_TEST(words.find("itself holds 1 of them") != std::string::npos);
  });
}

// And opens for the next try.
BOOST_AUTO_TEST_CASE(a_thread_that_holds_a_connection_and_would_not_wait_is_not_refused) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 2}, {}, {}, {.refuse_nested_wait = true}};
    auto held = pool.acquire();
    BOOST_CHECK_THROW((void)pool.acquire(0s), AcquireTimeout);
    BOOST_TEST(pool.statistics().rejected == 0U);
    sim::sleep_for(1ms);
    BOOST_TEST(pool.statistics().now.idle == 1U);
    BOOST_TEST(pool.acquire(0s)->number == 2U);
  });
}
BOOST_AUTO_TEST_CASE(a_thread_that_is_refused_as_it_holds_a_connection_has_the_next_one_opened) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 2}, {}, {}, {.refuse_nested_wait = true}};
    auto held = pool.acquire();
    BOOST_CHECK_THROW((void)pool.acquire(1s), SelfDeadlock);
    sim::sleep_for(1ms);
    const auto next = pool.acquire(1s);
    BOOST_TEST(next->number == 2U);
    BOOST_CHECK_THROW((void)pool.acquire(1s), SelfDeadlock);
    sim::sleep_for(1ms);
    BOOST_TEST(ledger.attempts == 2U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_looked_at_is_idle_to_a_caller_without_time) {
  calmly([](Form form) {
    for (const bool answers : {true, false}) {
      Ledger ledger;
      SimulatedPool<FixedSize, PingIfIdle> pool{
          connector(ledger), {1}, {.after = 1h}, {}, {.check_timeout = 1s, .sweep_interval = 1s, .keep_alive = 2s}};
      pool.wait_until_ready(1s);
      bool looks = false;
      ledger.on_ping = [&](TimePoint) {
        looks = true;
        sim::sleep_for(20ms);
        ledger.on_open = [](const OpenInfo& info) {
          until([&] { return info.stop.stop_requested(); });
          throw std::runtime_error{"stopped"};
        };
        return answers;
      };
      while (!looks) sim::sleep_for(1ms);
      const TimePoint begun = sim::Platform::now();
      try {
        const auto lease = acquire(form, pool, 0ms);
        BOOST_TEST(answers);
        BOOST_TEST(lease->number == 1U);
      } catch (const AcquireTimeout& error) {
        BOOST_TEST(!answers);
        BOOST_TEST(std::string{error.what()}.find("found unfit") == std::string::npos);
      }
      BOOST_TEST((sim::Platform::now() - begun <= 25ms));
      BOOST_TEST(broken_sum(pool.statistics(), true, true) == "");
    }
  });
}

BOOST_AUTO_TEST_CASE(who_waits_for_a_look_alone_is_told_of_a_close_at_once) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize, PingIfIdle> pool{
        connector(ledger), {1}, {.after = 1h}, {}, {.check_timeout = 5s, .sweep_interval = 1s, .keep_alive = 2s}};
    pool.wait_until_ready(1s);
    bool looks = false;
    ledger.on_ping = [&](TimePoint) { return looks = true, sim::sleep_for(3s), true; };
    while (!looks) sim::sleep_for(1ms);
    Threads threads;
    threads.start(
        [&] { BOOST_TEST((span_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 0s), PoolClosed); }) == 1ms)); });
    threads.start([&] { BOOST_TEST((span_of([&] { BOOST_TEST(!pool.try_acquire()); }) == 1ms)); });
    sim::sleep_for(1ms);
    pool.close();
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(a_caller_without_time_is_served_beside_a_connection_that_is_dead) {
  for (const std::size_t workers : {0U, 3U})
    for (const std::size_t size : {1U, 3U})
      calmly([&](Form form) {
        Ledger ledger;
        SimulatedPool<FixedSize, PingIfIdle> pool{
            connector(ledger), {size}, {.after = 1s}, {}, {.workers = workers, .sweep_interval = 1h}};
        pool.wait_until_ready(1s);
        sim::sleep_for(10s);
        ledger.on_ping = [&](TimePoint) { return sim::sleep_for(20ms), ledger.pings > 1; };
        const Duration span = span_of([&] {
          if (workers > 0 && size > 1)
            acquire(form, pool, 0s)->use();
          else
            BOOST_CHECK_THROW((void)acquire(form, pool, 0s), AcquireTimeout);  // the others are not trusted, or none
        });
        BOOST_TEST((span < 100ms));
        BOOST_TEST(pool.statistics().now.waiting == 0U);
        BOOST_TEST(broken_sum(pool.statistics(), true, true) == "");
      });
}

BOOST_AUTO_TEST_CASE(the_only_worker_waits_for_no_look_of_its_own) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{
        connector(ledger), {.min_idle = 0, .max_size = 3}, {}, {}, {.workers = 1, .sweep_interval = 1h}};
    {
      auto first = pool.acquire();
      auto second = pool.acquire();
      auto third = pool.acquire();
    }
    pool.events().on_close([&](Resource&, const ConnectionInfo&) { static_cast<void>(pool.try_acquire()); });
    ledger.on_ping = [&](TimePoint) { return ledger.pings > 1; };
    const TimePoint begun = sim::Platform::now();
    pool.acquire(1s).release();
    BOOST_TEST((sim::Platform::now() - begun < 100ms));
  });
}

BOOST_AUTO_TEST_CASE(a_try_waits_for_a_look_no_longer_than_for_a_check) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingIfIdle> pool{
        connector(ledger), {1}, {.after = 1h}, {}, {.check_timeout = 1s, .sweep_interval = 1s, .keep_alive = 2s}};
    pool.wait_until_ready(1s);
    bool looks = false;
    ledger.on_ping = [&](TimePoint) { return looks = true, sim::sleep_for(100ms), true; };
    while (!looks) sim::sleep_for(1ms);
    BOOST_TEST(!pool.try_acquire(10ms));
    BOOST_TEST(pool.try_acquire().has_value());
    BOOST_TEST(!pool.options().start_worker);
  });
}

BOOST_AUTO_TEST_CASE(those_whose_time_is_over_together_are_told_the_same_and_the_holders_are_listed_once) {
  calmly([] {
    using Crowded = SimulatedPool<FixedSize>;
    Ledger ledger;
    Crowded pool{connector(ledger), {150}};
    std::vector<Crowded::Lease> leases;
    while (leases.size() < 150) leases.push_back(pool.acquire());
    std::vector<std::coroutine_handle<>> ready;
    std::vector<const std::vector<Holder>*> told;
    std::vector<AcquireTimeout> errors;
    const auto wait = [](Crowded& from, auto& loop, auto& lists, auto& thrown) -> Detached {
      try {
        (void)co_await from.async_acquire(10ms, {},
                                          [&loop](std::coroutine_handle<> handle) { loop.push_back(handle); });
      } catch (const AcquireTimeout& error) {
        lists.push_back(&error.holders());
        thrown.push_back(error);
      }
    };
    for (int i = 0; i < 50; ++i) wait(pool, ready, told, errors);
    until([&] { return ready.size() == 50; });
    sim::sleep_for(1ms);
    for (const auto handle : ready) handle.resume();
    BOOST_REQUIRE(errors.size() == 50U);
    for (const auto* const list : told) BOOST_TEST(list == told.front());
    BOOST_TEST(errors[0].holders().size() == AcquireTimeout::most_holders);
    BOOST_TEST(errors[0].counts().leased == 150U);
    BOOST_TEST(std::string{errors[0].what()}.find("and 140 more") != std::string::npos);
    // What is told to one who comes later is looked at anew.
    leases.pop_back();
    auto again = pool.acquire();
    leases.clear();
    pool.resize({1});
    until([&] { return pool.statistics().now.total() == 1; });
    try {
      (void)pool.acquire(1ms);
      BOOST_ERROR("there is no connection");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST(error.holders().size() == 1U);
      BOOST_TEST(std::string{error.what()}.find("the waiting thread itself holds 1 of them") != std::string::npos);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
