// Leases, close and what outlives what: behaviours 43 to 49.
#include <boost/test/unit_test.hpp>
#include <functional>
#include <lido/tracing.hpp>
#include <optional>
#include <stdexcept>
#include <support/simulated_pool.hpp>
#include <system_error>
#include <thread>
#include <utility>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(lifetime)

namespace {
// Destroyed after the last test, on the real machine: a hang or a leak is this program's.
Pool<int, FixedSize> in_static_storage{[] { return 7; }, FixedSize{2}};  // NOLINT(cert-err58-cpp)

constexpr Elastic two{.min_idle = 0, .max_size = 2};

std::string nested_what(const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
    return "nothing";
  } catch (const std::exception& cause) {
    return cause.what();
  }
}

// A machine that has no more than one thread to give.
struct NarrowPlatform : sim::Platform {
  class Thread : public sim::Thread {
   public:
    Thread() = default;
    explicit Thread(std::function<void()> body)
        : sim::Thread{started++ == 0
                          ? std::move(body)
                          : throw std::system_error{std::make_error_code(std::errc::resource_unavailable_try_again)}} {}
    static inline int started = 0;
  };
};
}  // namespace

BOOST_AUTO_TEST_CASE(a_moved_from_lease_is_empty_and_releasing_twice_is_harmless) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), two};
    auto a = pool.acquire();
    auto b = std::move(a);
    BOOST_TEST(!a);  // NOLINT(bugprone-use-after-move): that is the question
    BOOST_TEST(static_cast<bool>(b));
    a.release();
    a.discard();
    b.release();
    b.release();
    BOOST_TEST(!b);
    BOOST_TEST(pool.statistics().released == 1U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(move_assignment_gives_the_old_connection_back) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), two};
    auto a = pool.acquire();
    auto b = pool.acquire();
    a = std::move(b);
    BOOST_TEST(a->number == 2U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
    BOOST_TEST(pool.statistics().now.leased == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_lease_comes_back_while_the_stack_unwinds) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, ResetOnReturn> pool{connector(ledger), two};
    try {
      auto lease = pool.acquire();
      throw std::runtime_error{"work"};
    } catch (const std::runtime_error&) {
      BOOST_TEST(pool.statistics().now.idle == 1U);
    }
    BOOST_TEST(ledger.resets == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_lease_knows_its_connection) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), two};
    (void)pool.acquire();
    auto lease = pool.acquire();
    sim::sleep_for(3s);
    BOOST_TEST(lease.info().id == 1U);
    BOOST_TEST(lease.info().uses == 2U);
    BOOST_TEST((lease.info().age >= 3s));
  });
}

BOOST_AUTO_TEST_CASE(invalidate_retires_what_was_open_before_it_and_nothing_else) {
  for (const std::size_t workers : {0U, 3U})
    on_many_schedules([&] {
      Ledger ledger;
      SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = workers}};
      auto leased = pool.acquire();
      {
        auto idle = pool.acquire();
      }
      pool.invalidate();
      until([&] { return ledger.live == 1; });  // the idle one goes at once, the leased one stays with its holder
      auto fresh = pool.acquire();
      BOOST_TEST(fresh->number == 3U);
      leased.release();
      fresh.release();
      until([&] { return ledger.live == 1; });
      BOOST_TEST(pool.acquire()->number == 3U);
      BOOST_TEST(pool.statistics().invalidated == 2U);
    });
}

BOOST_AUTO_TEST_CASE(invalidate_during_an_open_retires_what_it_opens) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(10ms); };
    SimulatedPool<> pool{connector(ledger), two};
    Threads threads;
    threads.start([&] { BOOST_TEST(pool.acquire()->number == 2U); });
    sim::sleep_for(5ms);
    pool.invalidate();
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(invalidate_before_an_open_begins_leaves_what_it_opens) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = 1}};
    pool.events().on_close([](Resource&, const ConnectionInfo&) { sim::sleep_for(1s); });
    pool.acquire().discard();
    Threads threads;
    threads.start([&] { BOOST_TEST(pool.acquire()->number == 2U); });
    until([&] { return pool.statistics().now.opening == 1; });
    pool.invalidate();
    BOOST_TEST(ledger.attempts == 1U);
    threads.join();
    sim::sleep_for(1s);
    BOOST_TEST(ledger.opened == 2U);
    BOOST_TEST(pool.statistics().invalidated == 0U);
    pool.invalidate();  // and now it goes
    BOOST_TEST(pool.acquire()->number == 3U);
  });
}

BOOST_AUTO_TEST_CASE(an_attempt_counts_as_invalidated_once_it_has_become_a_connection) {
  for (const bool fails : {false, true})
    calmly([&] {
      Ledger ledger;
      ledger.on_open = [&](const OpenInfo&) {
        sim::sleep_for(10ms);
        if (fails && ledger.attempts == 1) throw std::runtime_error{"refused"};
      };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}};
      sim::sleep_for(5ms);
      pool.invalidate();
      BOOST_TEST(pool.statistics().invalidated == 0U);
      BOOST_TEST(pool.acquire(1s)->number == 2U);
      BOOST_TEST(pool.statistics().invalidated == (fails ? 0U : 1U));
    });
}

BOOST_AUTO_TEST_CASE(close_is_idempotent_and_refuses_newcomers) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&] {
      Ledger ledger;
      SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = workers}};
      (void)pool.acquire();
      BOOST_TEST(pool.close(1s).complete);
      BOOST_TEST(pool.close().complete);
      BOOST_CHECK_THROW((void)pool.acquire(), PoolClosed);
      BOOST_CHECK_THROW((void)pool.acquire(0s), PoolClosed);
      BOOST_TEST(!pool.try_acquire());
      BOOST_TEST(ledger.live == 0U);
    });
}

BOOST_AUTO_TEST_CASE(close_waits_for_leases_up_to_its_grace_and_reports_stragglers) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), two};
    auto stays = pool.acquire();
    Threads threads;
    sim::Latch ready{1};
    threads.start([&] {
      auto comes_back = pool.acquire();
      ready.count_down();
      sim::sleep_for(100ms);
    });
    ready.wait();
    const TimePoint start = sim::Platform::now();
    const CloseReport report = pool.close(500ms);
    BOOST_TEST((sim::Platform::now() - start == 500ms));
    BOOST_TEST(!report.complete);
    BOOST_REQUIRE_EQUAL(report.stragglers.size(), 1U);
    BOOST_TEST(report.stragglers[0].connection_id == stays.info().id);
    threads.start([&] {
      sim::sleep_for(50ms);
      stays.release();
    });
    BOOST_TEST(pool.close(500ms).complete);
  });
}

BOOST_AUTO_TEST_CASE(closing_during_an_open_neither_hangs_nor_leaks) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo& info) {
      while (!info.stop.stop_requested()) sim::sleep_for(1ms);
    };
    {
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 3}};
      until([&] { return ledger.attempts > 0; });
    }
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(the_destructor_gives_up_on_an_open_that_ignores_its_deadline) {
  calmly([] {
    auto ledger = std::make_shared<Ledger>();
    ledger->on_open = [](const OpenInfo&) { sim::sleep_for(1h); };
    const TimePoint start = sim::Platform::now();
    {
      SimulatedPool<FixedSize> pool{[ledger, open = connector(*ledger)](const OpenInfo& info) { return open(info); },
                                    FixedSize{.size = 1},
                                    {},
                                    {},
                                    {.open_timeout = 3s, .check_timeout = 1s}};
      until([&] { return ledger->attempts > 0; });
    }
    BOOST_TEST((sim::Platform::now() - start < 4s));
    sim::sleep_for(2h);  // the open ends, finds the pool gone, and closes what it opened
    BOOST_TEST(ledger->opened == 1U);
    BOOST_TEST(ledger->live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(the_end_of_a_pool_takes_no_time_where_its_workers_sleep) {
  on_many_schedules([] {
    Ledger ledger;
    TimePoint begun;
    {
      SimulatedPool<> pool{connector(ledger), two};
      (void)pool.acquire();
      sim::sleep_for(100ms);  // every worker has come to rest
      begun = sim::Platform::now();
    }
    BOOST_TEST((sim::Platform::now() - begun < 1ms));
  });
}

namespace {

// Takes its time to close, each of them.
struct SlowToClose {
  SlowToClose(Duration span, std::size_t& closed) : span_{span}, closed_{closed} {}
  SlowToClose(const SlowToClose&) = delete;
  SlowToClose& operator=(const SlowToClose&) = delete;
  ~SlowToClose() {
    sim::sleep_for(span_);
    ++closed_;
  }

 private:
  Duration span_;
  std::size_t& closed_;
};
using SlowPool = Pool<SlowToClose, FixedSize, AssumeHealthy, KeepAlways, sim::Platform>;

template <class Body>
Duration span_of(Body body) {
  const TimePoint begun = sim::Platform::now();
  body();
  return sim::Platform::now() - begun;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_destructor_waits_no_longer_than_it_says_for_connections_that_close_slowly) {
  for (const std::size_t workers : {1U, 3U})
    for (const Duration span : {300ms, 1'000'000ms})
      calmly([&] {
        std::size_t closed = 0;
        std::optional<SlowPool> pool{
            std::in_place, [&] { return SlowToClose{span, closed}; },
            FixedSize{20}, AssumeHealthy{},
            KeepAlways{},  PoolOptions{.open_timeout = 1s, .check_timeout = 1s, .workers = workers}};
        pool->wait_until_ready(1min);
        auto lease = pool->acquire();
        BOOST_TEST((span_of([&] { pool.reset(); }) <= 1s));
        BOOST_TEST((span_of([&] { lease.release(); }) == span));  // its own, and none of the others
        BOOST_TEST(closed < 20U);
        sim::sleep_for(20 * span);
        BOOST_TEST(closed == 20U);
      });
}

BOOST_AUTO_TEST_CASE(what_is_closed_at_the_end_of_a_pool_is_told_also_where_its_only_worker_ends_it) {
  calmly([] {
    Ledger ledger;
    std::size_t told = 0;
    std::optional<SimulatedPool<FixedSize>> pool{std::in_place,   connector(ledger), FixedSize{.size = 3},
                                                 AssumeHealthy{}, KeepAlways{},      PoolOptions{.workers = 1}};
    pool->wait_until_ready(1s);
    pool->events().on_close([&](Resource&, const ConnectionInfo&) {
      if (++told == 1) pool.reset();
    });
    pool->acquire().discard();
    until([&] { return ledger.live == 0; });
    BOOST_TEST(told == 3U);
  });
}

BOOST_AUTO_TEST_CASE(a_pool_moves_with_what_it_leased) {
  calmly([] {
    Ledger ledger;
    std::optional<SimulatedPool<>> first{std::in_place, connector(ledger), two};
    auto lease = first->acquire();
    SimulatedPool<> second{std::move(*first)};
    first.reset();
    lease.release();
    BOOST_TEST(second.acquire()->number == 1U);
    SimulatedPool<> third{connector(ledger), two};
    third = std::move(second);
    BOOST_TEST(third.acquire()->number == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_listener_may_ask_a_pool_that_is_being_destroyed) {
  calmly([] {
    Ledger ledger;
    std::size_t seen = 99;
    {
      SimulatedPool<> pool{connector(ledger), two};
      pool.events().on_close([&](Resource&, const ConnectionInfo&) { seen = pool.statistics().now.leased; });
      (void)pool.acquire();
    }
    BOOST_TEST(seen == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_lease_may_outlive_its_pool) {
  for (const std::size_t workers : {0U, 3U})
    on_many_schedules([&] {
      Ledger ledger;
      std::optional<SimulatedPool<>> pool;
      pool.emplace(connector(ledger), two, AssumeHealthy{}, KeepAlways{}, PoolOptions{.workers = workers});
      auto a = pool->acquire();
      auto b = pool->acquire();
      pool.reset();
      a->use();
      a.release();
      BOOST_TEST(ledger.live == 1U);
      Resource mine = b.detach();
      BOOST_TEST(mine.number == 2U);
    });
}

BOOST_AUTO_TEST_CASE(a_pool_may_be_destroyed_beside_a_release) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed)
    sim::Simulation{seed}.run([&] {
      Ledger ledger;
      std::optional<SimulatedPool<>> pool;
      pool.emplace(connector(ledger), two, AssumeHealthy{}, KeepAlways{}, PoolOptions{.workers = seed % 3});
      auto a = pool->acquire();
      auto b = pool->acquire();
      Threads threads;
      threads.start([&] { a.release(); });
      threads.start([&] { seed % 2 == 0 ? b.discard() : b.release(); });
      pool.reset();
      threads.join();
      BOOST_TEST(ledger.live == 0U);
    });
}

BOOST_AUTO_TEST_CASE(waiters_of_a_pool_that_is_destroyed_get_an_error) {
  on_many_schedules([] {
    Ledger ledger;
    std::optional<SimulatedPool<>> pool;
    pool.emplace(connector(ledger), Elastic{.min_idle = 0, .max_size = 1});
    auto held = pool->acquire();
    Threads threads;
    for (int t = 0; t < 3; ++t)
      threads.start([&] { BOOST_CHECK_THROW((void)pool->acquire(Duration::max()), PoolClosed); });
    until([&] { return pool->statistics().now.waiting == 3; });
    pool->close();
    threads.join();
    pool.reset();
    held->use();
    held.release();
    BOOST_TEST(ledger.live == 0U);
  });
}

// They are told by what they wait in, which lasts for as long as they need it.
BOOST_AUTO_TEST_CASE(a_pool_may_be_destroyed_beside_those_who_wait) {
  struct Tracer {
    int begin(const AcquireBegin&) const { return ++*begun; }
    void end(int, const AcquireEnd&) const {}
    int* begun;
  };
  using Doomed = SimulatedPool<FixedSize, PingIfIdle>;
  struct Case {
    std::size_t workers = 0;
    bool traced = false;
    bool looks = false;  // at its only connection, which is not leased
    std::function<void(Doomed&)> call;
  };
  const auto acquire = [](Doomed& pool) { (void)pool.acquire(1h); };
  const auto acquire_share = [](Doomed& pool) { (void)pool.share("a").acquire(1h); };
  const auto acquire_now = [](Doomed& pool) { (void)pool.acquire(0s); };
  const auto try_now = [](Doomed& pool) {
    if (!pool.try_acquire()) throw PoolClosed{"none"};
  };
  const auto wait = [](Doomed& pool) { pool.wait_until_ready(1h); };
  for (const Case& now :
       {Case{.workers = 0, .traced = true, .call = acquire}, Case{.workers = 0, .call = acquire_share},
        Case{.workers = 3, .traced = true, .call = acquire}, Case{.workers = 3, .call = acquire_share},
        Case{.workers = 1, .looks = true, .call = acquire_now}, Case{.workers = 1, .looks = true, .call = try_now},
        Case{.workers = 1, .call = wait}})
    on_many_schedules([&] {
      Ledger ledger;
      int begun = 0;
      bool looks = false;
      if (!now.looks)  // and nobody has a lease, which would keep what is to be freed
        ledger.on_open = [](const OpenInfo& info) {
          sim::self->world->block(info.deadline);
          throw std::runtime_error{"hangs"};
        };
      std::optional<Doomed> pool;
      pool.emplace(connector(ledger), FixedSize{.size = 1}, PingIfIdle{.after = 1h}, KeepAlways{},
                   PoolOptions{.check_timeout = 5s, .workers = now.workers, .sweep_interval = 1s, .keep_alive = 2s});
      if (now.traced) trace(*pool, Tracer{&begun});
      if (now.looks) {
        pool->wait_until_ready(1s);
        ledger.on_ping = [&](TimePoint) { return looks = true, sim::sleep_for(3s), true; };
        while (!looks) sim::sleep_for(1ms);
      }
      Threads threads;
      threads.start([&] { BOOST_CHECK_THROW(now.call(*pool), PoolClosed); });
      sim::sleep_for(100ms);  // longer than a schedule lets time jump: by then it waits
      pool.reset();
      threads.join();
      BOOST_TEST((begun > 0) == now.traced);
    });
}

BOOST_AUTO_TEST_CASE(a_pool_may_be_released_by_one_of_its_own_listeners) {
  on_many_schedules([] {
    Ledger ledger;
    auto pool = std::make_shared<SimulatedPool<>>(connector(ledger), two);
    bool gone = false;
    pool->events().on_close([&](Resource&, const ConnectionInfo&) {
      if (pool) std::exchange(pool, nullptr).reset();
      gone = true;
    });
    pool->acquire().discard();
    until([&] { return gone && ledger.live == 0; });
  });
}

BOOST_AUTO_TEST_CASE(a_pool_in_static_storage_is_used_by_threads_that_end) {
  for (int i = 0; i < 3; ++i) std::thread{[] { BOOST_TEST(*in_static_storage.acquire().operator->() == 7); }}.join();
  BOOST_TEST(in_static_storage.statistics().acquired == 3U);
}

BOOST_AUTO_TEST_CASE(suspend_holds_newcomers_to_their_own_time_out_and_resume_serves_them_in_order) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, {.barging_limit = 0ms}};
    pool.wait_until_ready(1s);
    pool.suspend();
    BOOST_CHECK_THROW((void)pool.acquire(100ms), PoolSuspended);
    BOOST_CHECK_THROW((void)pool.acquire(0s), PoolSuspended);
    std::vector<int> order;
    Threads threads;
    for (int t = 0; t < 3; ++t) {
      threads.start([&, t] {
        auto lease = pool.acquire(Duration::max());
        order.push_back(t);
        lease->use(1ms);
      });
      until([&] { return pool.statistics().now.waiting == static_cast<std::size_t>(t) + 1; });
    }
    pool.resume();
    threads.join();
    BOOST_TEST(order == (std::vector{0, 1, 2}), boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(wait_until_ready_waits_for_the_minimum) {
  for (const std::size_t workers : {0U, 3U})
    on_many_schedules([&] {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { sim::sleep_for(5ms); };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}, {}, {}, {.workers = workers}};
      pool.wait_until_ready(10s);
      BOOST_TEST(ledger.live == 4U);
    });
}

BOOST_AUTO_TEST_CASE(wait_until_ready_opens_one_connection_of_a_lazy_pool) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Overflow> pool{connector(ledger), Overflow{}};
    BOOST_TEST(ledger.attempts == 0U);
    pool.wait_until_ready(10s);
    BOOST_TEST(ledger.live == 1U);
  });
}

BOOST_AUTO_TEST_CASE(wait_until_ready_outlives_a_short_outage) {
  for (const std::size_t workers : {0U, 3U})
    calmly([&] {
      Ledger ledger;
      const TimePoint start = sim::Platform::now();
      ledger.on_open = [&](const OpenInfo&) {
        if (sim::Platform::now() - start < 20ms) throw std::runtime_error{"starting up"};
      };
      SimulatedPool<> pool{connector(ledger), two, {}, {}, {.workers = workers, .sweep_interval = 1h}};
      pool.wait_until_ready(10s);
      BOOST_TEST((sim::Platform::now() - start < 500ms));
    });
}

BOOST_AUTO_TEST_CASE(an_acquire_after_a_failure_is_served_when_the_back_off_ends) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo&) {
      if (ledger.attempts == 1) throw std::runtime_error{"refused"};
    };
    SimulatedPool<> pool{
        connector(ledger), two, {}, {}, {.sweep_interval = 1h, .backoff_min = 100ms, .backoff_max = 100ms}};
    BOOST_TEST(!pool.try_acquire());
    until([&] { return ledger.attempts == 1; });
    sim::sleep_for(1ms);  // everybody rests
    BOOST_TEST(pool.acquire(1s)->number == 2U);
  });
}

BOOST_AUTO_TEST_CASE(wait_until_ready_tells_why_it_cannot_be) {
  struct WrongPassword : std::runtime_error, PermanentFailure {
    WrongPassword() : std::runtime_error{"wrong password"} {}
  };
  for (const std::size_t workers : {0U, 3U}) {
    calmly([&] {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { throw WrongPassword{}; };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}, {}, {}, {.workers = workers}};
      BOOST_CHECK_THROW(pool.wait_until_ready(10s), WrongPassword);
    });
    calmly([&] {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused"}; };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}, {}, {}, {.workers = workers}};
      const TimePoint start = sim::Platform::now();
      BOOST_CHECK_THROW(pool.wait_until_ready(2s), AcquireTimeout);
      BOOST_TEST((sim::Platform::now() - start == 2s));
    });
  }
}

// A service may ask again and again until its database is up.
BOOST_AUTO_TEST_CASE(who_waits_until_a_pool_is_ready_is_no_caller_that_ran_out_of_time) {
  for (const bool suspended : {false, true})
    calmly([&] {
      Ledger ledger;
      ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused"}; };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}};
      int told = 0;
      pool.events().on_timeout([&](const AcquireTimeout&) { ++told; }).on_refused([&](const std::exception_ptr&) {
        ++told;
      });
      if (suspended) pool.suspend();
      BOOST_CHECK_EXCEPTION(pool.wait_until_ready(2s), PoolError, [&](const PoolError& error) {
        return (dynamic_cast<const PoolSuspended*>(&error) != nullptr) == suspended;
      });
      BOOST_TEST(told == 0);
      BOOST_TEST(pool.statistics().timeouts == 0U);
      for (const RecordedEvent& event : pool.recent_events()) BOOST_TEST((event.kind != EventKind::timed_out));
    });
}

BOOST_AUTO_TEST_CASE(a_guarantee_is_not_the_reason_why_a_pool_is_not_ready) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [&](const OpenInfo&) {
      if (ledger.attempts > 1) throw std::runtime_error{"refused"};
    };
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 4}};
    static_cast<void>(pool.share("all", {.guaranteed = 4}));
    until([&] { return ledger.live == 1; });
    try {
      pool.wait_until_ready(2s);
      BOOST_ERROR("a pool is ready that misses connections");
    } catch (const AcquireTimeout& error) {
      BOOST_TEST((error.phase() == Phase::opening));
      BOOST_TEST(nested_what(error) == "refused");
      BOOST_TEST(std::string{error.what()}.find("guaranteed") == std::string::npos);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_pool_whose_threads_cannot_be_started_is_not_made_and_waits_for_none_of_them) {
  calmly([] {
    Ledger ledger;
    NarrowPlatform::Thread::started = 0;
    const TimePoint start = sim::Platform::now();
    using Narrow = Pool<Resource, Elastic, AssumeHealthy, KeepAlways, NarrowPlatform>;
    BOOST_CHECK_THROW((Narrow{connector(ledger), two}), std::system_error);
    BOOST_TEST((sim::Platform::now() == start));
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(listeners_are_not_called_after_their_pools_end) {
  for (const std::size_t workers : {0U, 3U})
    for (const bool discards : {false, true})
      calmly([&] {
        Ledger ledger;
        using Told = SimulatedPool<Elastic, AssumeHealthy, ResetOnReturn>;
        std::size_t told = 0;
        std::optional<Told> pool{std::in_place,
                                 connector(ledger),
                                 Elastic{.min_idle = 0, .max_size = 2},
                                 AssumeHealthy{},
                                 ResetOnReturn{},
                                 PoolOptions{.workers = workers, .sweep_interval = 1s, .leak_after = 1s}};
        const auto count = [&](Resource&, const ConnectionInfo&) { ++told; };
        pool->events().on_connect(count).on_acquire(count).on_release(count).on_close(count).on_leak(
            [&](const LeakReport&) { ++told; });
        auto lease = pool->acquire();
        (void)pool->acquire();  // closed by the pool's end, which is told
        sim::sleep_for(5s);
        if (workers == 0U) pool->maintain();
        BOOST_TEST(told == 6U);
        pool.reset();
        BOOST_TEST(told == 7U);
        discards ? lease.discard() : lease.release();
        BOOST_TEST(told == 7U);
        BOOST_TEST(ledger.live == 0U);
      });
}

BOOST_AUTO_TEST_CASE(the_end_of_a_pool_waits_for_a_listener_that_is_called_elsewhere) {
  on_many_schedules([] {
    Ledger ledger;
    bool gone = false;
    std::size_t told = 0;
    std::optional<SimulatedPool<>> pool{std::in_place, connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    pool->events().on_release([&](Resource&, const ConnectionInfo&) {
      BOOST_TEST(!gone);
      sim::sleep_for(20ms);
      BOOST_TEST(!gone);
      ++told;
    });
    auto lease = pool->acquire();
    Threads threads;
    threads.start([&] { lease.release(); });
    sim::yield();
    pool.reset();
    gone = true;
    threads.join();
    BOOST_TEST(told <= 1U);
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(the_end_of_a_pool_does_not_wait_for_a_listener_that_hangs) {
  calmly([] {
    Ledger ledger;
    sim::Latch latch{1};
    std::optional<SimulatedPool<>> pool{
        std::in_place,   connector(ledger), Elastic{.min_idle = 0, .max_size = 1},
        AssumeHealthy{}, KeepAlways{},      PoolOptions{.open_timeout = 2s, .check_timeout = 1s}};
    bool inside = false;
    pool->events().on_release([&](Resource&, const ConnectionInfo&) {
      inside = true;
      latch.wait();
    });
    auto lease = pool->acquire();
    Threads threads;
    threads.start([&] { lease.release(); });
    until([&] { return inside; });
    const TimePoint begun = sim::Platform::now();
    pool.reset();
    BOOST_TEST((sim::Platform::now() - begun <= 2001ms));
    latch.count_down();
  });
}

BOOST_AUTO_TEST_SUITE_END()
