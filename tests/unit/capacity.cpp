// How many connections there are: behaviours 1 to 9.
#include <optional>
#include <set>

#include <boost/test/unit_test.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(capacity)

BOOST_AUTO_TEST_CASE(never_has_more_connections_than_the_maximum) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(3ms); };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 1, .max_size = 3}};
    Threads threads;
    for (int t = 0; t < 8; ++t)
      threads.start([&] {
        for (int i = 0; i < 5; ++i) {
          auto lease = pool.acquire(Duration::max());
          lease->use();
          if (i == 2) lease.discard();
          BOOST_TEST(pool.statistics().now.total() <= 3U);
        }
      });
    threads.join();
    BOOST_TEST(ledger.peak <= 3U);
  });
}

BOOST_AUTO_TEST_CASE(never_opens_a_connection_only_to_throw_it_away) {
  on_many_schedules([] {
    Ledger ledger;
    int fails = 0;
    ledger.on_open = [&](const OpenInfo&) {
      sim::sleep_for(2ms);
      if (++fails % 3 == 0) throw std::runtime_error{"refused"};
    };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4}};
    Threads threads;
    for (int t = 0; t < 6; ++t)
      threads.start([&] {
        for (int i = 0; i < 4; ++i) pool.acquire(Duration::max())->use();
      });
    threads.join();
    until([&] { return pool.statistics().now.opening == 0; });
    const Statistics figures = pool.statistics();
    BOOST_TEST(figures.closed == 0U);
    BOOST_TEST(figures.opened == ledger.opened);
  });
}

BOOST_AUTO_TEST_CASE(refuses_settings_out_of_range_and_names_the_field) {
  Ledger ledger;
  const auto field_of = [&](auto make) -> std::string {
    std::string field = "none";
    calmly([&] {
      try {
        make();
      } catch (const InvalidOption& error) {
        field = error.field();
        BOOST_TEST(std::string{error.what()}.starts_with(field));
      }
    });
    return field;
  };
  const auto elastic = [&](Elastic growth) {
    return field_of([&] { SimulatedPool<> pool{connector(ledger), growth}; });
  };
  BOOST_TEST(elastic({.max_size = 0}) == "Elastic::max_size");
  BOOST_TEST(elastic({.min_idle = 3, .max_size = 2}) == "Elastic::min_idle");
  BOOST_TEST(elastic({.idle_timeout = -1ns}) == "Elastic::idle_timeout");
  BOOST_TEST(elastic({.min_idle = 0, .max_size = 2'000'000}) == "GrowthPlan::max_size");
  BOOST_TEST(elastic({}) == "none");

  const auto option = [&](PoolOptions options) {
    return field_of([&] { SimulatedPool<> pool{connector(ledger), {}, {}, {}, std::move(options)}; });
  };
  BOOST_TEST(option({.acquire_timeout = -1ms}) == "PoolOptions::acquire_timeout");
  BOOST_TEST(option({.open_timeout = 0ms}) == "PoolOptions::open_timeout");
  BOOST_TEST(option({.check_timeout = 0ms}) == "PoolOptions::check_timeout");
  BOOST_TEST(option({.reset_timeout = 0ms}) == "PoolOptions::reset_timeout");
  BOOST_TEST(option({.barging_limit = -1ms}) == "PoolOptions::barging_limit");
  BOOST_TEST(option({.workers = 1000}) == "PoolOptions::workers");
  BOOST_TEST(option({.fail_fast_after = -1ms}) == "PoolOptions::fail_fast_after");
  BOOST_TEST(option({.max_standing_wait = 0ms}) == "PoolOptions::max_standing_wait");
  BOOST_TEST(option({.sweep_interval = 0ms}) == "PoolOptions::sweep_interval");
  BOOST_TEST(option({.backoff_min = 0ms}) == "PoolOptions::backoff_min");
  BOOST_TEST(option({.backoff_min = 2s, .backoff_max = 1s}) == "PoolOptions::backoff_max");
  BOOST_TEST(field_of([&] { SimulatedPool<NullPool>{connector(ledger), NullPool{.max_size = 0}}; }) ==
             "NullPool::max_size");
  BOOST_TEST(field_of([&] {
               SimulatedPool<> pool{connector(ledger)};
               (void)pool.acquire(-1s);
             }) == "acquire(timeout)");
  BOOST_TEST(field_of([&] { SimulatedPool<>{connector(ledger)}.wait_until_ready(-1s); }) ==
             "wait_until_ready(timeout)");
  BOOST_TEST(field_of([&] { SimulatedPool<>{connector(ledger)}.close(-1s); }) == "close(grace)");
  BOOST_TEST(ledger.live == 0U);
}

BOOST_AUTO_TEST_CASE(reuses_an_idle_connection_before_it_opens_one) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 5}};
    for (int i = 0; i < 10; ++i) (void)pool.acquire();
    BOOST_TEST(ledger.opened == 1U);
  });
}

BOOST_AUTO_TEST_CASE(leases_no_connection_twice) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}};
    Threads threads;
    for (int t = 0; t < 5; ++t)
      threads.start([&] {
        for (int i = 0; i < 6; ++i) pool.acquire(Duration::max())->use();  // throws when shared
      });
  });
}

BOOST_AUTO_TEST_CASE(overflow_keeps_its_size_and_closes_the_excess_after_the_idle_timeout) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Overflow> pool{connector(ledger), Overflow{.pool_size = 2, .max_overflow = 3, .idle_timeout = 5s}};
    {
      std::vector<SimulatedPool<Overflow>::Lease> leases;
      for (int i = 0; i < 5; ++i) leases.push_back(pool.acquire());
      BOOST_TEST(pool.statistics().overflow() == 3U);
    }
    BOOST_TEST(pool.statistics().now.idle == 5U);
    sim::sleep_for(4s);
    BOOST_TEST(pool.statistics().now.total() == 5U);
    sim::sleep_for(4s);
    BOOST_TEST(pool.statistics().now.total() == 2U);
    BOOST_TEST(ledger.live == 2U);
  });
}

BOOST_AUTO_TEST_CASE(elastic_closes_its_excess_and_keeps_its_minimum_ready) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 2, .max_size = 9, .idle_timeout = 10s}};
    auto leased = pool.acquire();
    {
      std::vector<SimulatedPool<>::Lease> more;
      for (int i = 0; i < 6; ++i) more.push_back(pool.acquire());
    }
    sim::sleep_for(30s);
    BOOST_TEST(pool.statistics().now.idle == 2U);
    const std::size_t opened = ledger.opened;
    sim::sleep_for(10min);
    BOOST_TEST(ledger.opened == opened);  // what is kept is not closed and opened again
  });
}

BOOST_AUTO_TEST_CASE(forty_threads_that_take_turns_keep_no_more_than_they_need_at_once) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 10, .idle_timeout = 5s}};
    {
      std::vector<SimulatedPool<>::Lease> all;
      for (int i = 0; i < 10; ++i) all.push_back(pool.acquire());
    }
    Threads threads;
    for (int t = 0; t < 40; ++t)
      threads.start([&, t] {
        sim::sleep_for(Duration{10ms} * (t / 10));
        {  // ten idle ones for ten at once, so that each thread has its favourite
          auto lease = pool.acquire();
          sim::sleep_for(5ms);
        }
        sim::sleep_for(Duration{1ms} * t);
        for (int i = 0; i < 300; ++i) {
          (void)pool.acquire();
          sim::sleep_for(40ms);
        }
      });
    sim::sleep_for(1s);
    BOOST_TEST(ledger.peak == 10U);
    sim::sleep_for(9s);
    BOOST_TEST(pool.statistics().now.total() == 1U);
    threads.join();
    BOOST_TEST(ledger.opened == 10U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_is_being_closed_still_counts) {
  calmly([] {
    struct SlowToClose {
      Ledger* ledger;
      explicit SlowToClose(Ledger& book) : ledger{&book} { ledger->peak = std::max(ledger->peak, ++ledger->live); }
      SlowToClose(const SlowToClose&) = delete;
      SlowToClose& operator=(const SlowToClose&) = delete;
      ~SlowToClose() {
        sim::sleep_for(10ms);
        --ledger->live;
      }
    };
    Ledger ledger;
    Pool<SlowToClose, FixedSize, AssumeHealthy, KeepAlways, sim::Platform> pool{[&] { return SlowToClose{ledger}; },
                                                                                FixedSize{.size = 1}};
    pool.acquire().discard();
    BOOST_TEST(pool.statistics().now.closing == 1U);
    (void)pool.acquire();
    BOOST_TEST(ledger.peak == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_failed_open_gives_its_slot_back) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo&) {
      if (ledger.attempts < 4) throw std::runtime_error{"refused"};
    };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    pool.acquire(Duration::max())->use();
    BOOST_TEST(pool.statistics().open_failures == 3U);
    BOOST_TEST(pool.statistics().now.total() == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_hanging_open_blocks_nobody_else) {
  const auto hang_the_first = [](auto growth, std::optional<std::size_t> workers, int served_by_then) {
    calmly([&] {
      Ledger ledger;
      ledger.on_open = [&](const OpenInfo& info) {
        if (ledger.attempts > 1) return sim::sleep_for(1ms);
        sim::self->world->block(info.deadline);  // hangs until it is told to give up
        throw std::runtime_error{"timed out"};
      };
      SimulatedPool<decltype(growth)> pool{connector(ledger), growth, {}, {}, PoolOptions{.workers = workers}};
      int served = 0;
      Threads threads;
      for (int t = 0; t < 3; ++t) {
        threads.start([&] {
          pool.acquire(1min)->use();
          ++served;
        });
        until([&] { return ledger.attempts > 0; });  // the first is at it alone
      }
      sim::sleep_for(1s);
      BOOST_TEST(served == served_by_then);
    });
  };
  hang_the_first(Elastic{.min_idle = 0, .max_size = 2}, std::nullopt, 3);
  // Without workers who opens for itself is held up by it, but nobody else.
  hang_the_first(Elastic{.min_idle = 0, .max_size = 2}, 0, 2);
  hang_the_first(NullPool{.max_size = 3}, std::nullopt, 2);
}

BOOST_AUTO_TEST_CASE(who_opens_for_itself_takes_no_connection_that_comes_back_meanwhile) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo& info) {
      if (ledger.attempts != 2) return;
      sim::self->world->block(info.deadline);
      throw std::runtime_error{"timed out"};
    };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}, {}, {}, PoolOptions{.workers = 0}};
    auto leased = pool.acquire();
    Threads threads;
    threads.start([&] { BOOST_TEST(pool.acquire(1min)->number == 1U); });
    until([&] { return ledger.attempts == 2; });
    bool served = false;
    threads.start([&] {
      auto lease = pool.acquire(1min);
      served = true;
    });
    until([&] { return pool.statistics().now.waiting == 2; });
    leased.release();
    sim::sleep_for(1ms);
    BOOST_TEST(served);
  });
}

BOOST_AUTO_TEST_CASE(without_workers_callers_open_side_by_side) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(50ms); };
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 20}};
    const TimePoint start = sim::Platform::now();
    Threads threads;
    for (int t = 0; t < 20; ++t)
      threads.start([&] {
        auto lease = pool.acquire(1min);
        BOOST_TEST((sim::Platform::now() - start <= 51ms));
        sim::sleep_for(1s);
      });
  });
}

BOOST_AUTO_TEST_CASE(discard_frees_the_slot_and_wakes_a_waiter) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    auto first = pool.acquire();
    Threads threads;
    threads.start([&] { BOOST_TEST(pool.acquire(Duration::max())->number == 2U); });
    until([&] { return pool.statistics().now.waiting == 1; });
    first.discard();
    threads.join();
    BOOST_TEST(ledger.closed == 1U);
    BOOST_TEST(pool.statistics().discarded == 1U);
  });
}

BOOST_AUTO_TEST_CASE(detach_frees_the_slot_wakes_a_waiter_and_does_not_close) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    auto first = pool.acquire();
    Threads threads;
    threads.start([&] { (void)pool.acquire(Duration::max()); });
    until([&] { return pool.statistics().now.waiting == 1; });
    Resource mine = first.detach();
    threads.join();
    BOOST_TEST(!first);
    BOOST_TEST(mine.number == 1U);
    BOOST_TEST(ledger.closed == 0U);
    BOOST_TEST(ledger.live == 2U);
  });
}

BOOST_AUTO_TEST_CASE(resize_down_closes_idle_excess_now_and_leased_excess_on_return) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}};
    pool.wait_until_ready(10s);
    auto a = pool.acquire();
    auto b = pool.acquire();
    pool.resize({.size = 1});
    until([&] { return ledger.live == 2; });  // the idle ones go at once, the leased ones stay
    a->use();
    a.release();
    b.release();
    until([&] { return pool.statistics().now.total() == 1; });
    BOOST_TEST(ledger.live == 1U);
    BOOST_TEST(pool.statistics().max_size == 1U);
  });
}

BOOST_AUTO_TEST_CASE(resize_down_keeps_the_connection_that_works_and_not_the_attempt_that_hangs) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo& info) {
      if (ledger.attempts == 1) return;
      until([&] { return info.stop.stop_requested(); });
      throw std::runtime_error{"stopped"};
    };
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 3}, {}, {}, {.workers = 3}};
    until([&] { return ledger.attempts == 3; });
    pool.resize({.size = 1});
    BOOST_TEST(pool.acquire(1s)->number == 1U);
    BOOST_TEST(ledger.closed == 0U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(resize_down_begins_no_open_that_would_be_one_too_many) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}};
    BOOST_TEST(pool.statistics().now.opening == 4U);  // no worker has run yet
    pool.resize({.size = 1});
    pool.wait_until_ready(1s);
    sim::sleep_for(1s);
    BOOST_TEST(ledger.attempts == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_opens_nothing_while_more_are_leased_than_may_be) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4}};
    auto a = pool.acquire();
    auto b = pool.acquire();
    auto c = pool.acquire();
    pool.resize({.min_idle = 0, .max_size = 1});
    BOOST_CHECK_THROW((void)pool.acquire(1s), AcquireTimeout);
    BOOST_TEST(ledger.opened == 3U);
  });
}

BOOST_AUTO_TEST_CASE(resize_up_serves_waiters) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    auto held = pool.acquire();
    Threads threads;
    std::set<std::size_t> seen;
    for (int t = 0; t < 3; ++t) threads.start([&] { seen.insert(pool.acquire(Duration::max())->number); });
    until([&] { return pool.statistics().now.waiting == 3; });
    pool.resize({.min_idle = 0, .max_size = 3});
    threads.join();
    BOOST_TEST(!seen.contains(1U));
    BOOST_TEST(ledger.peak <= 3U);
  });
}

// The callback of one that waits beside what is idle, but guaranteed to a share, until a resize serves it.
template <class Pool, class Callback>
void serve_by_resize(Pool& pool, Callback callback) {
  pool.wait_until_ready(10s);
  static_cast<void>(pool.share("web", {.guaranteed = 1}));
  auto mine = pool.acquire();
  auto waits = pool.async_acquire(10s).connect([&](const std::exception_ptr&, auto lease) {
    if (lease) callback();
  });
  waits.start();
  pool.resize({.size = 3});
}

BOOST_AUTO_TEST_CASE(a_callback_that_a_resize_serves_may_resize) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}};
    std::size_t resized = 0;
    serve_by_resize(pool, [&] {
      pool.resize({.size = 4});
      ++resized;
    });
    BOOST_TEST(resized == 1U);
    BOOST_TEST(pool.statistics().max_size == 4U);
  });
}

BOOST_AUTO_TEST_CASE(a_resize_does_not_wait_for_a_callback_that_another_serves) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}};
    std::size_t seen = 0;
    serve_by_resize(pool, [&] {
      Threads other;
      other.start([&] { pool.resize({.size = 5}); });
      other.join();
      seen = pool.statistics().max_size;
    });
    BOOST_TEST(seen == 5U);
  });
}

BOOST_AUTO_TEST_CASE(without_workers_each_waiter_opens_for_itself_what_a_resize_allows) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}, {}, {}, PoolOptions{.workers = 0}};
    auto held = pool.acquire();
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(10ms); };
    const TimePoint start = sim::Platform::now();
    Duration longest{};
    Threads threads;
    for (int t = 0; t < 2; ++t)
      threads.start([&] {
        auto lease = pool.acquire(1h);
        longest = std::max(longest, sim::Platform::now() - start);
        lease->use(1min);
      });
    until([&] { return pool.statistics().now.waiting == 2; });
    const Duration waited = sim::Platform::now() - start;
    pool.resize({.min_idle = 0, .max_size = 3});
    threads.join();
    BOOST_TEST((longest == waited + 10ms));
  });
}

namespace {

// Keeps connections, or does not.
struct MayKeep {
  bool keeps = true;
  GrowthPlan plan(const PoolCounts& now) const noexcept {
    return {.max_size = 4, .pool_size = 0, .open = now.waiting, .idle_timeout = 1h, .reuse = keeps};
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_resize_to_a_policy_that_keeps_nothing_ends_the_reuse) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&] {
      Ledger ledger;
      SimulatedPool<MayKeep> pool{connector(ledger), {}, {}, {}, {.workers = workers, .sweep_interval = 1h}};
      auto leased = pool.acquire();
      pool.acquire().release();
      pool.resize({.keeps = false});
      leased.release();
      if (workers == 0) pool.maintain();
      until([&] { return ledger.live == 0; });
      const std::size_t next = pool.acquire()->number;
      BOOST_TEST(next > 2U);
      BOOST_TEST(pool.acquire()->number > next);
    });
  calmly([] {
    Ledger ledger;
    SimulatedPool<MayKeep> pool{connector(ledger), {}, {}, {}, {.max_waiting = 0}};
    BOOST_CHECK_THROW(pool.resize({.keeps = false}), InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(resize_refuses_what_the_constructor_refuses_and_changes_nothing) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}};
    BOOST_CHECK_THROW(pool.resize({.min_idle = 0, .max_size = 0}), InvalidOption);
    BOOST_TEST(pool.statistics().max_size == 2U);
  });
}

BOOST_AUTO_TEST_CASE(the_background_refills_the_minimum_after_expiry_and_invalidation) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{
        connector(ledger), FixedSize{.size = 3}, {}, RetireAfter{.age = 1min, .jitter = 0}};
    pool.wait_until_ready(1s);
    sim::sleep_for(62s);
    BOOST_TEST(ledger.closed == 3U);
    BOOST_TEST(pool.statistics().now.idle == 3U);
    pool.invalidate();
    sim::sleep_for(1s);
    BOOST_TEST(ledger.closed == 6U);
    BOOST_TEST(pool.statistics().now.idle == 3U);
    BOOST_TEST(ledger.peak == 3U);
  });
}

BOOST_AUTO_TEST_CASE(the_background_refills_the_minimum_after_recovery) {
  calmly([] {
    Ledger ledger;
    bool away = true;
    ledger.on_open = [&](const OpenInfo&) {
      if (away) throw std::runtime_error{"refused"};
    };
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 3}};
    sim::sleep_for(10s);
    BOOST_TEST(pool.statistics().now.total() == 0U);
    away = false;
    sim::sleep_for(300ms);
    BOOST_TEST(pool.statistics().now.idle == 3U);
  });
}

BOOST_AUTO_TEST_CASE(null_pool_opens_on_acquire_and_closes_on_release) {
  for (const std::size_t workers : {0U, 2U})
    on_many_schedules([&] {
      Ledger ledger;
      SimulatedPool<NullPool> pool{connector(ledger), NullPool{}, {}, {}, {.workers = workers}};
      for (std::size_t i = 1; i <= 3; ++i) {
        auto lease = pool.acquire();
        BOOST_TEST(lease->number == i);
        lease.release();
        until([&] { return pool.statistics().now.total() == 0; });
        BOOST_TEST(ledger.closed == i);
      }
    });
}

BOOST_AUTO_TEST_CASE(null_pool_caps_and_serves_first_come_first_served) {
  for (const std::size_t workers : {0U, 2U})
    on_many_schedules([&] {
      Ledger ledger;
      SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 1}, {}, {}, {.workers = workers}};
      auto held = pool.acquire();
      std::vector<int> order;
      Threads threads;
      for (int t = 0; t < 4; ++t) {
        threads.start([&, t] {
          auto lease = pool.acquire(Duration::max());
          order.push_back(t);
          lease->use(1ms);
        });
        until([&] { return pool.statistics().now.waiting == static_cast<std::size_t>(t) + 1; });
      }
      held.release();
      threads.join();
      BOOST_TEST(order == (std::vector{0, 1, 2, 3}), boost::test_tools::per_element());
      BOOST_TEST(ledger.peak == 1U);
      BOOST_TEST(ledger.opened == 5U);
    });
}

BOOST_AUTO_TEST_CASE(null_pool_work_is_done_by_the_threads_that_ask) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<NullPool> pool{connector(ledger), NullPool{}};
    std::thread::id opener;
    ledger.on_open = [&](const OpenInfo&) { opener = std::this_thread::get_id(); };
    auto lease = pool.acquire();
    BOOST_TEST((opener == std::this_thread::get_id()));
    lease.release();
    BOOST_TEST(ledger.closed == 1U);  // at once, with no thread to wait for
  });
}

BOOST_AUTO_TEST_CASE(without_workers_maintain_does_the_background_work) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{
        connector(ledger), FixedSize{.size = 3}, {}, RetireAfter{.age = 1min, .jitter = 0}, {.workers = 0}};
    BOOST_TEST(ledger.opened == 0U);
    pool.maintain();
    BOOST_TEST(pool.statistics().now.idle == 3U);
    sim::sleep_for(2min);
    BOOST_TEST(ledger.closed == 0U);
    pool.maintain();
    BOOST_TEST(ledger.closed == 3U);
    BOOST_TEST(pool.statistics().now.idle == 3U);
  });
}

BOOST_AUTO_TEST_CASE(a_growth_policy_need_not_be_assignable_without_a_throw) {
  struct Grudging : FixedSize {
    explicit Grudging(std::size_t count) : FixedSize{count} {}
    Grudging(const Grudging&) = default;
    Grudging& operator=(const Grudging&) { throw std::runtime_error{"not now"}; }
  };
  calmly([] {
    Ledger ledger;
    SimulatedPool<Grudging> pool{connector(ledger), Grudging{1}};
    auto first = pool.acquire();
    pool.resize(Grudging{2});
    auto second = pool.acquire();
    BOOST_TEST(pool.statistics().max_size == 2U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
