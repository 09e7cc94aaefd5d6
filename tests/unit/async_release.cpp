// The end of a lease that was made asynchronously, which holds up no event loop.
#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <support/forms.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(async_release)

namespace {

using P = SimulatedPool<FixedSize, AssumeHealthy, ResetOnReturn>;
constexpr FixedSize one{.size = 1};

// A lease that was acquired without blocking.
P::Lease lease_one(P& pool) { return acquire(Form::callback, pool, 10s); }

// Blocks only where it says so.
struct Moody {
  explicit Moody(bool& asks) : busy{&asks} {}
  bool reset(TimePoint) { return ++resets, true; }
  [[nodiscard]] bool reset_may_block() const { return *busy; }
  bool* busy;
  int resets = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_reset_is_done_by_a_worker_with_the_whole_of_its_time) {
  calmly([] {
    Ledger ledger;
    const std::thread::id loop = sim::Platform::this_thread();
    Duration given{};
    ledger.on_reset = [&](TimePoint deadline) {
      BOOST_TEST((sim::Platform::this_thread() != loop));
      given = deadline - sim::Platform::now();
      sim::sleep_for(1s);
      return true;
    };
    P pool{connector(ledger), one, {}, {}, {.reset_timeout = 2s}};
    auto lease = lease_one(pool);
    const TimePoint start = sim::Platform::now();
    lease.release();
    BOOST_TEST((sim::Platform::now() == start));
    BOOST_TEST(pool.statistics().now.leased == 1U);  // until it can be leased again
    BOOST_TEST(pool.holders().empty());
    auto next = acquire(Form::coroutine, pool, 10s);
    BOOST_TEST((sim::Platform::now() == start + 1s));
    BOOST_TEST((given == 2s));
    BOOST_TEST(ledger.resets == 1U);
  });
}

BOOST_AUTO_TEST_CASE(no_reset_runs_in_the_loop_and_nothing_is_lost) {
  on_many_schedules([] {
    Ledger ledger;
    const std::thread::id loop = sim::Platform::this_thread();
    ledger.on_reset = [&](TimePoint) {
      BOOST_TEST((sim::Platform::this_thread() != loop));
      const bool good = ledger.resets % 3 != 0;
      sim::sleep_for(1ms);
      return good;
    };
    P pool{connector(ledger), FixedSize{.size = 2}, {}, {}, {.workers = 2}};
    std::vector<Task> tasks;
    int served = 0;
    const auto work = [&]() -> Task {
      for (int i = 0; i < 3; ++i) {
        auto lease = co_await pool.async_acquire(10s);
        ++served;
      }
    };
    // In line: some of them end their lease in a worker.
    for (int i = 0; i < 4; ++i) tasks.push_back(work());
    until([&] { return std::ranges::all_of(tasks, &Task::done); });
    BOOST_TEST(served == 12);
    until([&] { return pool.statistics().now.leased == 0; });
    BOOST_TEST(ledger.resets == 12U);
    BOOST_TEST(pool.statistics().released == 12U);
    BOOST_TEST(pool.statistics().recycled == 4U);
  });
}

BOOST_AUTO_TEST_CASE(a_caller_that_blocks_resets_in_its_own_thread) {
  on_many_schedules([] {
    Ledger ledger;
    P pool{connector(ledger), one};
    (void)lease_one(pool);
    const std::thread::id self = sim::Platform::this_thread();
    auto lease = pool.acquire();  // of the same slot
    ledger.on_reset = [&](TimePoint) {
      BOOST_TEST((sim::Platform::this_thread() == self));
      return true;
    };
    lease.release();
    BOOST_TEST(ledger.resets == 2U);
  });
}

BOOST_AUTO_TEST_CASE(without_workers_the_loop_resets) {
  calmly([] {
    Ledger ledger;
    P pool{connector(ledger), one, {}, {}, {.workers = 0}};
    auto lease = lease_one(pool);
    lease.release();
    BOOST_TEST(ledger.resets == 1U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_reset_that_has_nothing_to_wait_for_is_done_at_once) {
  calmly([] {
    bool busy = false;
    Pool<Moody, FixedSize, AssumeHealthy, AllOf<RetireAfter, ResetOnReturn>, sim::Platform> pool{
        [&] { return Moody{busy}; }, one};
    auto lease = acquire(Form::callback, pool, 10s);
    lease.release();
    BOOST_TEST(pool.statistics().now.idle == 1U);
    lease = acquire(Form::callback, pool, 10s);
    BOOST_TEST(lease->resets == 1);
    busy = true;
    lease.release();
    BOOST_TEST(pool.statistics().now.leased == 1U);
    until([&] { return pool.statistics().now.idle == 1U; });
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_is_served_once_the_reset_is_done) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    bool clean = false;
    ledger.on_reset = [&](TimePoint) {
      sim::sleep_for(1ms);
      return clean = true;
    };
    P pool{connector(ledger), one};
    auto lease = lease_one(pool);
    Threads threads;
    threads.start([&] {
      auto mine = acquire(form, pool, 10s);
      BOOST_TEST(clean);
    });
    until([&] { return pool.statistics().now.waiting == 1; });
    lease.release();
  });
}

BOOST_AUTO_TEST_CASE(listeners_hear_of_the_release_after_the_reset) {
  on_many_schedules([] {
    Ledger ledger;
    P pool{connector(ledger), one};
    std::size_t resets = 0;
    pool.events().on_release([&](Resource&, const ConnectionInfo& info) {
      resets = ledger.resets;
      BOOST_TEST((info.moment == Moment::release));
    });
    lease_one(pool).release();
    until([&] { return pool.statistics().now.idle == 1; });
    BOOST_TEST(resets == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_leak_that_ends_is_reported_by_its_holder) {
  calmly([] {
    Ledger ledger;
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(1h), true; };
    P pool{connector(ledger), one, {}, {}, {.reset_timeout = 2h, .sweep_interval = 1s, .leak_after = 1min}};
    std::vector<bool> reports;
    pool.events().on_leak([&](const LeakReport& leak) {
      reports.push_back(leak.returned);
      BOOST_TEST((leak.holder.held >= 1min && leak.holder.held < 3min));
    });
    auto lease = lease_one(pool);
    sim::sleep_for(2min);
    lease.release();
    BOOST_TEST(reports == (std::vector<bool>{false, true}));
    sim::sleep_for(2h);
    BOOST_TEST(pool.statistics().now.idle == 1U);
    BOOST_TEST(reports.size() == 2U);  // the reset is no lease
  });
}

BOOST_AUTO_TEST_CASE(a_close_waits_for_the_reset_within_its_grace) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(5ms), true; };
    P pool{connector(ledger), one};
    lease_one(pool).release();
    BOOST_TEST(pool.close(1h).complete);
    BOOST_TEST(ledger.resets == 1U);
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_pool_that_is_destroyed_closes_what_waits_for_its_reset) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(5ms), true; };
    {
      P pool{connector(ledger), FixedSize{.size = 3}, {}, {}, {.workers = 1}};
      std::vector<P::Lease> leases;
      for (int i = 0; i < 3; ++i) leases.push_back(lease_one(pool));
    }
    until([&] { return ledger.live == 0; });
  });
}

BOOST_AUTO_TEST_CASE(a_lease_that_outlives_its_pool_is_reset_where_it_ends) {
  on_many_schedules([] {
    Ledger ledger;
    Threads threads;
    std::optional<P> pool{std::in_place, connector(ledger), FixedSize{.size = 2}};
    threads.start(
        [lease = std::make_shared<P::Lease>(lease_one(*pool))] { lease->release(); });  // beside the destructor
    auto late = lease_one(*pool);
    pool.reset();
    late.release();
    threads.join();
    until([&] { return ledger.live == 0; });
  });
}

BOOST_AUTO_TEST_CASE(a_suspension_does_not_hold_up_a_reset) {
  on_many_schedules([] {
    Ledger ledger;
    P pool{connector(ledger), one};
    auto lease = lease_one(pool);
    pool.suspend();
    lease.release();
    until([&] { return pool.statistics().now.idle == 1; });
    pool.resume();
    BOOST_TEST(acquire(Form::coroutine, pool, 10s)->number == 1U);
  });
}

BOOST_AUTO_TEST_CASE(an_invalidation_reaches_a_connection_that_waits_for_its_reset) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(1ms), true; };
    P pool{connector(ledger), one};
    lease_one(pool).release();
    pool.invalidate();
    BOOST_TEST(acquire(Form::coroutine, pool, 10s)->number == 2U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
