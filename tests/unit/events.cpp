// What is told to listeners, and the figures.
#include <boost/test/unit_test.hpp>
#include <support/forms.hpp>
#include <support/simulated_pool.hpp>
#include <support/sums.hpp>
#include <support/task.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(events)

BOOST_AUTO_TEST_CASE(each_event_comes_once_in_order_with_the_facts) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&] {
      Ledger ledger;
      std::vector<std::string> told;
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}, {}, {}, {.workers = workers}};
      const auto note = [&](const char* what) {
        return [&told, what](Resource& resource, const ConnectionInfo& info) {
          BOOST_TEST(resource.number == info.id);
          told.push_back(std::string{what} + std::to_string(info.id) + "/" + std::to_string(info.uses));
        };
      };
      pool.events()
          .on_connect(note("connect"))
          .on_acquire(note("acquire"))
          .on_release(note("release"))
          .on_close(note("close"))
          .on_timeout([&](const AcquireTimeout&) { told.emplace_back("timeout"); });
      {
        auto lease = pool.acquire();
        BOOST_CHECK_THROW((void)pool.acquire(1ms), AcquireTimeout);
      }
      (void)pool.acquire();
      pool.close(1s);
      BOOST_TEST(told == (std::vector<std::string>{"connect1/0", "acquire1/1", "timeout", "release1/1", "acquire1/2",
                                                   "release1/2", "close1/2"}),
                 boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(a_failed_open_is_told_with_its_reason) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused"}; };
    SimulatedPool<> pool{connector(ledger)};
    std::string reason;
    pool.events().on_open_failed([&](const std::exception_ptr& failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        reason = error.what();
      }
    });
    BOOST_CHECK_THROW((void)pool.acquire(1s), AcquireTimeout);
    BOOST_TEST(reason == "refused");
  });
}

BOOST_AUTO_TEST_CASE(a_listener_that_throws_does_not_stop_the_others_and_is_counted) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger)};
    int called = 0;
    pool.events()
        .on_acquire([](Resource&, const ConnectionInfo&) { throw std::runtime_error{"listener"}; })
        .on_acquire([&](Resource&, const ConnectionInfo&) { ++called; });
    (void)pool.acquire();
    (void)pool.acquire();
    BOOST_TEST(called == 2);
    BOOST_TEST(pool.statistics().listener_errors == 2U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_connect_listener_that_throws_makes_it_a_failed_open) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger)};
    bool first = true;
    pool.events().on_connect([&](Resource&, const ConnectionInfo&) {
      if (std::exchange(first, false)) throw std::runtime_error{"cannot set it up"};
    });
    BOOST_TEST(pool.acquire()->number == 2U);
    BOOST_TEST(ledger.live == 1U);
    BOOST_TEST(pool.statistics().open_failures == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_listener_may_use_the_pool) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}};
    bool inside = false;
    const auto lease_one = [&](Resource&, const ConnectionInfo&) {
      if (!std::exchange(inside, true)) (void)pool.try_acquire();
      inside = false;
    };
    const auto look = [&](Resource&, const ConnectionInfo&) { BOOST_TEST(pool.statistics().now.total() <= 2U); };
    pool.events().on_connect(look).on_acquire(lease_one).on_release(lease_one).on_close(look);
    pool.events().on_release([&](Resource&, const ConnectionInfo&) { pool.invalidate(); });
    for (int i = 0; i < 3; ++i) pool.acquire(Duration::max())->use();
  });
}

BOOST_AUTO_TEST_CASE(every_snapshot_adds_up) {
  for (std::uint64_t seed = 0; seed <= 50; ++seed)
    sim::Simulation{seed}.run([] {
      Ledger ledger;
      ledger.on_open = [&](const OpenInfo&) {
        sim::sleep_for(1ms);
        if (ledger.attempts % 3 == 0) throw std::runtime_error{"refused"};
      };
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 3}};
      bool stop = false;
      Threads threads;
      for (int t = 0; t < 4; ++t)
        threads.start([&, t] {
          for (int i = 0; i < 5; ++i) {
            try {
              auto lease = pool.acquire(5ms);
              lease->use();
              if (t == 0) lease.discard();
            } catch (const AcquireTimeout&) {
            }
          }
          if (t == 0) stop = true;
        });
      while (!stop) {
        const Statistics figures = pool.statistics();
        BOOST_TEST(figures.now.total() <= 3U);
        BOOST_TEST(figures.released <= figures.acquired);
        sim::sleep_for(100us);
      }
      threads.join();
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(figures.opened + figures.open_failures <= ledger.attempts);
      BOOST_TEST(figures.acquired + figures.timeouts == 20U);
    });
}

BOOST_AUTO_TEST_CASE(at_rest_all_figures_add_up_whoever_has_looked_before) {
  for (std::uint64_t seed = 0; seed <= 100; ++seed)
    sim::Simulation{seed}.run([] {
      Ledger ledger;
      using Looked = SimulatedPool<Elastic, PingIfIdle>;
      Looked pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 6}};
      std::vector<Looked::Lease> kept;
      {
        Threads threads;
        for (int t = 0; t < 3; ++t)
          threads.start([&] {
            for (int i = 0; i < 3; ++i) pool.acquire()->use();
            auto last = pool.acquire();
            kept.push_back(std::move(last));
          });
        threads.start([&] {
          Statistics before;
          for (int i = 0; i < 20; ++i) {
            const Statistics now = pool.statistics();
            BOOST_TEST(broken_sum(now, false, true) == "");
            BOOST_TEST(fallen(before, now) == "");
            before = now;
          }
        });
      }
      const Statistics figures = pool.statistics();
      BOOST_TEST(broken_sum(figures, true, true) == "");
      BOOST_TEST(figures.acquired == 12U);
      BOOST_TEST(figures.released == 9U);
      BOOST_TEST(figures.now.leased == 3U);
    });
}

BOOST_AUTO_TEST_CASE(a_result_that_nobody_takes_is_a_lease_that_began_and_ended) {
  for (std::uint64_t seed = 0; seed <= 100; ++seed)
    sim::Simulation{seed}.run([] {
      Ledger ledger;
      SimulatedPool<Elastic, PingIfIdle> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
      std::coroutine_handle<> ready;
      {
        const Task task = [](auto& from, auto& handle) -> Task {
          (void)co_await from.async_acquire(1s, {}, [&handle](std::coroutine_handle<> given) { handle = given; });
        }(pool, ready);
        until([&] { return ready != nullptr; });
      }
      until([&] { return pool.statistics().now.leased == 0; });
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == 1U);
      BOOST_TEST(broken_sum(figures, true, true) == "");
    });
}

BOOST_AUTO_TEST_CASE(a_result_that_nobody_takes_is_put_in_order_and_told_of) {
  for (std::uint64_t seed = 0; seed <= 100; ++seed)
    sim::Simulation{seed}.run([] {
      Ledger ledger;
      using Recycle = AllOf<RetireAfter, ResetOnReturn>;
      SimulatedPool<Elastic, PingIfIdle, Recycle> pool{
          connector(ledger), Elastic{.min_idle = 0, .max_size = 1}, {}, Recycle{RetireAfter{.uses = 2}, {}}};
      std::size_t told = 0;
      pool.events().on_release([&](Resource&, const ConnectionInfo&) { ++told; });
      for (std::size_t i = 1; i <= 2; ++i) {
        std::coroutine_handle<> ready;
        {
          const Task task = [](auto& from, auto& handle) -> Task {
            (void)co_await from.async_acquire(1s, {}, [&handle](std::coroutine_handle<> given) { handle = given; });
          }(pool, ready);
          if (i == 1) until([&] { return ready != nullptr; });  // the second one finds it idle, or waits for it
        }
        until([&] { return pool.statistics().now.leased == 0 && told == i; });
        BOOST_TEST(ledger.resets == 1U);  // the last one goes as it is
      }
      BOOST_TEST(pool.acquire()->number == 2);  // the limit is exact
    });
}

BOOST_AUTO_TEST_CASE(a_lease_held_too_long_is_reported_once_and_again_when_it_comes_back) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 3}, {}, {}, {.leak_after = 10s}};
    std::vector<LeakReport> told;
    pool.events().on_leak([&](const LeakReport& leak) { told.push_back(leak); });
    (void)pool.acquire();
    auto leaked = pool.acquire();
    const auto line = std::source_location::current().line() - 1;
    for (int i = 0; i < 60; ++i) {
      auto other = pool.acquire();  // what does not stay out is no leak
      sim::sleep_for(1s);
    }
    BOOST_REQUIRE(told.size() == 1U);
    BOOST_TEST(!told[0].returned);
    BOOST_TEST(told[0].holder.where.line() == line);
    BOOST_TEST((told[0].holder.thread == sim::Platform::this_thread()));
    BOOST_TEST((told[0].holder.held >= 10s && told[0].holder.held <= 12s));
    leaked.release();
    BOOST_REQUIRE(told.size() == 2U);
    BOOST_TEST(told[1].returned);
    BOOST_TEST(told[1].holder.where.line() == line);
    BOOST_TEST((told[1].holder.thread == sim::Platform::this_thread()));
    BOOST_TEST((told[1].holder.held >= 59s));
    BOOST_TEST(pool.statistics().leaks == 1U);
    sim::sleep_for(1min);  // idle for longer than that is no leak either
    auto next = pool.acquire();
    sim::sleep_for(1s);
    BOOST_TEST(told.size() == 2U);
  });
}

BOOST_AUTO_TEST_CASE(what_is_closed_when_it_comes_back_was_not_idle) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, RetireAfter> pool{connector(ledger), {.max_size = 1}, {}, {.uses = 1}};
    std::vector<Duration> idle;
    pool.events().on_close([&](Resource&, const ConnectionInfo& info) { idle.push_back(info.idle); });
    for (const bool discards : {true, false}) {
      auto lease = pool.acquire();
      sim::sleep_for(5s);
      discards ? lease.discard() : lease.release();
      until([&] { return ledger.live == 0; });
    }
    BOOST_TEST_REQUIRE(idle.size() == 2U);
    for (const Duration each : idle) BOOST_TEST((each < 100ms));
  });
}

BOOST_AUTO_TEST_CASE(a_close_says_why) {
  calmly([] {
    Ledger ledger;
    std::vector<std::string> reasons;
    const auto listen = [&](auto& pool) {
      pool.events().on_close(
          [&](Resource&, const ConnectionInfo& info) { reasons.emplace_back(to_string(info.close_reason)); });
      pool.events().on_acquire(
          [](Resource&, const ConnectionInfo& info) { BOOST_TEST((info.close_reason == CloseReason::none)); });
    };
    {
      SimulatedPool<Overflow, PingOnAcquire, RetireAfter> pool{
          connector(ledger), {.pool_size = 1, .max_overflow = 1, .idle_timeout = 5s}, {}, {.uses = 2}};
      listen(pool);
      (void)pool.acquire();
      (void)pool.acquire();  // its second use is its last
      pool.acquire().discard();
      (void)pool.acquire();
      ledger.on_ping = [&](TimePoint) { return false; };
      (void)pool.acquire();  // opened anew
      ledger.on_ping = nullptr;
      pool.invalidate();
      sim::sleep_for(10ms);
      {
        const auto one = pool.acquire();
        const auto other = pool.acquire();
      }
      sim::sleep_for(1min);
    }
    SimulatedPool<NullPool> none{connector(ledger)};
    listen(none);
    (void)none.acquire();
    BOOST_TEST(reasons == (std::vector<std::string>{"recycled", "discarded", "dead", "invalidated", "surplus",
                                                    "shut down", "not pooled"}),
               boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(a_lease_that_is_meant_to_be_long_is_no_leak_and_the_next_one_is) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 1}, {}, {}, {.leak_after = 10s}};
    auto lease = pool.acquire();
    lease.expect_long_use();
    sim::sleep_for(1h);
    BOOST_TEST(pool.statistics().leaks == 0U);
    lease.release();
    lease = pool.acquire();
    sim::sleep_for(1min);
    BOOST_TEST(pool.statistics().leaks == 1U);
    lease.expect_long_use();  // too late, and harmless
    lease.release();
    BOOST_TEST(pool.statistics().leaks == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_checked_before_a_lease_has_no_holder) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{
        connector(ledger), {.min_idle = 0, .max_size = 1}, {}, {}, {.leak_after = 2s}};
    (void)pool.acquire();
    sim::sleep_for(1min);
    ledger.on_ping = [&](TimePoint) {
      BOOST_TEST(pool.holders().empty());
      sim::sleep_for(3s);  // a sweep passes by
      return true;
    };
    auto lease = pool.acquire();
    BOOST_TEST(pool.holders().size() == 1U);
    BOOST_TEST(pool.statistics().leaks == 0U);
  });
}

BOOST_AUTO_TEST_CASE(what_is_done_before_and_after_is_not_the_holders_time) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire, ResetOnReturn> pool{
        connector(ledger), {.min_idle = 1, .max_size = 1}, {}, {}, {.sweep_interval = 10ms, .leak_after = 100ms}};
    pool.wait_until_ready(1s);
    std::vector<Duration> told;
    ledger.on_ping = [](TimePoint) { return sim::sleep_for(200ms), true; };
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(300ms), true; };
    pool.events()
        .on_acquire([](Resource&, const ConnectionInfo&) { sim::sleep_for(150ms); })
        .on_release([&](Resource&, const ConnectionInfo& info) { told.push_back(info.held); })
        .on_leak([](const LeakReport&) { BOOST_ERROR("nobody leaks"); });
    {
      auto lease = acquire(form, pool);
      BOOST_TEST((pool.holders().at(0).held == 0ms));
      sim::sleep_for(30ms);
      BOOST_TEST((pool.holders().at(0).held == 30ms));
    }
    sim::sleep_for(1s);  // the reset takes 300 ms
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_REQUIRE(told.size() == 1U);
    BOOST_TEST((told[0] == 30ms));
    const Statistics figures = pool.statistics();
    BOOST_TEST((figures.use.sum == 30ms));
    BOOST_TEST(figures.leaks == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_leak_that_ended_is_told_with_the_holders_time) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, ResetOnReturn> pool{
        connector(ledger), {.min_idle = 0, .max_size = 1}, {}, {}, {.sweep_interval = 10ms, .leak_after = 100ms}};
    std::vector<Duration> told;
    pool.events().on_leak([&](const LeakReport& leak) {
      if (leak.returned) told.push_back(leak.holder.held);
    });
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(300ms), true; };
    auto lease = pool.acquire();
    sim::sleep_for(200ms);
    lease.release();
    BOOST_REQUIRE(told.size() == 1U);
    BOOST_TEST((told[0] == 200ms));
  });
}

BOOST_AUTO_TEST_CASE(histograms_hold_waits_uses_and_opens) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(10ms); };
    SimulatedPool<Elastic, PingIfIdle> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    {
      auto lease = pool.acquire();
      sim::sleep_for(2s);
    }
    const Statistics figures = pool.statistics();
    BOOST_TEST((figures.open.sum == 10ms));
    BOOST_TEST((figures.wait.sum == 10ms));
    BOOST_TEST((figures.use.sum == 2s));
    BOOST_TEST(figures.use.counts[Histogram::bucket(2s)] == 1U);
    BOOST_TEST((Histogram::bound(Histogram::finite_buckets - 1) > PoolOptions{}.acquire_timeout));
  });
}

BOOST_AUTO_TEST_CASE(the_times_of_many_callers_together_outgrow_no_sum) {
  const auto years = [](int count) { return count * 8766h; };
  Histogram all;
  for (int i = 0; i < 1000; ++i) all.record(years(200));
  BOOST_TEST((all.mean() > years(199) && all.mean() < years(201)));
  BOOST_TEST(std::chrono::duration<double>{all.sum}.count() > 0);
  calmly([&] {
    Ledger ledger;
    SimulatedPool<Elastic, PingIfIdle> pool{
        connector(ledger), Elastic{.min_idle = 0, .max_size = 6}, {}, {}, {.sweep_interval = years(20)}};
    std::vector<SimulatedPool<Elastic, PingIfIdle>::Lease> leases;
    for (int i = 0; i < 6; ++i) leases.push_back(pool.acquire());
    sim::sleep_for(years(100));
    leases.clear();
    const Statistics figures = pool.statistics();
    BOOST_TEST((figures.use.sum >= std::chrono::duration<double>{years(1)} * 600));
    BOOST_TEST((figures.use.mean() >= years(100)));
  });
}

BOOST_AUTO_TEST_SUITE_END()
