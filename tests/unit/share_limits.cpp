// What a share that has all it may have does to those beside it: nothing.
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <lido/adaptive_size.hpp>
#include <lido/check_health.hpp>
#include <stdexcept>
#include <string>
#include <support/forms.hpp>
#include <utility>
#include <vector>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(share_limits)

namespace {

// Callers of a share that has all it may have, who wait until this ends.
template <class AnyShare>
class Waiting {
 public:
  Waiting(AnyShare& share, std::size_t held, std::size_t waiting) {
    while (leases_.size() < held) leases_.push_back(share.acquire());
    for (std::size_t i = 0; i < waiting; ++i) threads_.start([&share] { share.acquire(1h)->use(); });
    sim::sleep_for(1ms);
    BOOST_TEST(share.statistics().waiting == waiting);
  }
  ~Waiting() {
    leases_.clear();
    threads_.join();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::vector<typename AnyShare::Lease> leases_;
  Threads threads_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_health_check_pings_though_they_wait) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4}};
    auto jobs = pool.share("jobs", {.at_most = 2});
    const Waiting waiting{jobs, 2, 3};
    BOOST_TEST(to_string(check_health(pool, 1s).status) == "healthy");
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(pool.statistics().now.waiting == 3U);
    BOOST_TEST(pool.statistics().waiting_for_more() == 0U);
  });
}

BOOST_AUTO_TEST_CASE(what_is_idle_beyond_the_size_is_closed_though_they_wait) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4, .idle_timeout = 5s}};
    auto jobs = pool.share("jobs", {.at_most = 1});
    {
      auto one = pool.acquire();
      auto two = pool.acquire();
      auto three = pool.acquire();
    }
    const Waiting waiting{jobs, 1, 2};
    BOOST_TEST(pool.statistics().now.idle == 2U);
    sim::sleep_for(2min);
    BOOST_TEST(pool.statistics().now.idle == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_pool_does_not_grow_for_them) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, RetireAfter> pool{connector(ledger), Elastic{.min_idle = 4, .max_size = 4}};
    auto jobs = pool.share("jobs", {.at_most = 2});
    AdaptiveSize size{pool,
                      [](std::size_t most) { return Elastic{.min_idle = most, .max_size = most}; },
                      {.min_size = 2, .max_size = 16, .every = 0s}};
    bool done = false;
    Threads threads;
    for (int i = 0; i < 8; ++i)
      threads.start([&] {
        while (!done) jobs.acquire(1h)->use(10ms);
      });
    for (int i = 0; i < 60; ++i) {
      sim::sleep_for(1s);
      size.step(1s);
      BOOST_REQUIRE(pool.statistics().max_size <= 4U);
    }
    done = true;
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(without_workers_whoever_may_have_a_connection_opens_it) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4}, {}, {}, {.workers = 0}};
    auto jobs = pool.share("jobs", {.at_most = 1});
    auto held = jobs.acquire();
    Threads threads;
    bool timed_out = false;
    threads.start([&] {
      try {
        (void)jobs.acquire(100ms);
      } catch (const AcquireTimeout&) {
        timed_out = true;
      }
    });
    sim::sleep_for(1ms);
    // Longer than the one of the share has, who stands before it.
    ledger.on_open = [&](const OpenInfo& info) {
      if (info.deadline - sim::Platform::now() < 1s) throw std::runtime_error{"no time"};
      sim::sleep_for(300ms);
    };
    const auto lease = pool.acquire(10s);
    BOOST_TEST(ledger.attempts == 2U);
    threads.join();
    BOOST_TEST(timed_out);
  });
}

BOOST_AUTO_TEST_CASE(an_outage_costs_a_share_one_failed_check) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), Elastic{.min_idle = 4, .max_size = 4}};
    pool.wait_until_ready(1s);
    auto jobs = pool.share("jobs", {.at_most = 1});
    auto held = jobs.acquire();
    std::vector<Duration> took;
    Threads threads;
    for (int i = 0; i < 2; ++i)
      threads.start([&] {
        const TimePoint begun = sim::Platform::now();
        jobs.acquire(1h)->use();
        took.push_back(sim::Platform::now() - begun);
      });
    sim::sleep_for(2s);
    ledger.on_ping = [&](TimePoint deadline) {  // of those that are open now
      sim::sleep_for(deadline - sim::Platform::now());
      return false;
    };
    const TimePoint begun = sim::Platform::now();
    held.release();
    threads.join();
    BOOST_TEST((sim::Platform::now() - begun < 2 * pool.options().check_timeout + 1s));
  });
}

BOOST_AUTO_TEST_CASE(a_share_that_may_not_wait_is_refused_where_callers_open_for_themselves) {
  calmly([] {
    Ledger ledger;
    const auto refusal = [](auto& pool) {
      try {
        (void)pool.share("jobs", {.max_waiting = 0});
        return std::string{};
      } catch (const InvalidOption& error) {
        return std::string{error.what()};
      }
    };
    SimulatedPool<> usual{connector(ledger)};
    BOOST_TEST(refusal(usual) == "");
    SimulatedPool<NullPool> unpooled{connector(ledger)};
    BOOST_TEST(refusal(unpooled) == "share(jobs).max_waiting: expected at least 1 where callers open for themselves");
    SimulatedPool<> alone{connector(ledger), {}, {}, {}, {.workers = 0}};
    BOOST_TEST(refusal(alone) == refusal(unpooled));
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

BOOST_AUTO_TEST_CASE(a_policy_that_keeps_nothing_is_refused_where_a_share_may_not_wait) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<MayKeep> pool{connector(ledger)};
    (void)pool.share("web");
    BOOST_CHECK_NO_THROW(pool.resize({.keeps = false}));
    pool.resize({});
    auto jobs = pool.share("jobs", {.max_waiting = 0});
    try {
      pool.resize({.keeps = false});
      BOOST_TEST(false, "it is not refused");
    } catch (const InvalidOption& error) {
      const std::string expected =
          "resize(growth): expected a policy that keeps connections, as nobody may wait in the share jobs (max_waiting "
          "= 0)";
      BOOST_TEST(error.what() == expected);
    }
    until([&] { return jobs.try_acquire().has_value(); });
  });
}

BOOST_AUTO_TEST_CASE(with_the_server_away_a_time_out_says_so_whatever_is_guaranteed) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"refused"}; };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 2, .max_size = 4}};
    const auto jobs = pool.share("jobs", {.guaranteed = 4});
    BOOST_TEST(jobs.statistics().guaranteed == 4U);
    for (const bool ready : {false, true}) try {
        ready ? pool.wait_until_ready(1s) : static_cast<void>(pool.acquire(1s));
        BOOST_ERROR("served");
      } catch (const AcquireTimeout& error) {
        BOOST_TEST((error.phase() == Phase::opening));
        BOOST_TEST(std::string{error.what()}.find("guaranteed to other shares") == std::string::npos);
      }
    BOOST_TEST(to_string(check_health(pool, 1s).status) == "unhealthy");
  });
}

BOOST_AUTO_TEST_CASE(whom_a_full_share_refuses_opens_nothing) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 4}};
    auto jobs = pool.share("jobs", {.at_most = 1, .max_waiting = 0});
    while (!jobs.try_acquire()) sim::sleep_for(1ms);
    const auto held = jobs.acquire();
    const std::size_t opened = ledger.attempts;
    for (int i = 0; i < 3; ++i) {
      BOOST_CHECK_THROW((void)jobs.acquire(1s), QueueFull);
      sim::sleep_for(1s);
    }
    BOOST_TEST(ledger.attempts == opened);
  });
}

BOOST_AUTO_TEST_CASE(one_that_would_not_wait_does_not_wait_for_what_is_looked_at) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), Elastic{.min_idle = 3, .max_size = 3}};
    pool.wait_until_ready(1s);
    auto jobs = pool.share("jobs", {.at_most = 1});
    const auto held = jobs.acquire();
    sim::sleep_for(2s);
    ledger.on_ping = [](TimePoint deadline) { return sim::sleep_for(deadline - sim::Platform::now()), false; };
    Threads threads;
    threads.start([&] {
      try {
        (void)pool.acquire(1min);  // dead: the other is looked at
      } catch (const AcquireTimeout&) {
      }
    });
    while (pool.statistics().now.checking == 0) sim::sleep_for(10ms);
    const TimePoint begun = sim::Platform::now();
    BOOST_TEST(!jobs.try_acquire());
    BOOST_CHECK_THROW((void)acquire(form, jobs, 0s), AcquireTimeout);
    BOOST_TEST((sim::Platform::now() - begun < 1s));
    ledger.on_ping = [](TimePoint) { return true; };
    threads.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
