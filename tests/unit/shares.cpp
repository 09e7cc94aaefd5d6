// Several kinds of callers of one pool: what each may have, and whose turn it is.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <lido/describe.hpp>
#include <lido/detail/shares.hpp>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <support/forms.hpp>
#include <support/slow.hpp>
#include <support/sums.hpp>
#include <utility>
#include <vector>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(shares)

namespace {

using Counts = detail::ShareCounts;

constexpr Elastic four{.min_idle = 0, .max_size = 4};

using SharePool = SimulatedPool<>;
using SharedPool = Share<SharePool>;

template <class Body>
Duration time_of(Body body) {
  const TimePoint start = sim::Platform::now();
  body();
  return sim::Platform::now() - start;
}

template <class Body>
std::string refusal(Body body) {
  try {
    body();
    return "nothing";
  } catch (const PoolError& error) {
    return error.what();
  }
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <class AnyPool>
std::vector<typename AnyPool::Lease> lease_so_many(AnyPool& from, std::size_t count) {
  std::vector<typename AnyPool::Lease> leases;
  while (leases.size() < count) leases.push_back(from.acquire(0s + 1s));
  return leases;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_share_may_have_what_it_is_guaranteed_and_of_the_rest_what_is_spare) {
  struct Row {
    Counts counts;
    std::size_t spare;
    bool may;
  };
  for (const Row& row : {
           Row{{2, 4, 0}, 0, true},
           Row{{2, 4, 1}, 0, true},
           Row{{2, 4, 2}, 0, false},
           Row{{2, 4, 2}, 1, true},
           Row{{2, 4, 3}, 1, true},
           Row{{2, 4, 4}, 9, false},
           Row{{2, 2, 2}, 9, false},
           Row{{0, 4, 0}, 0, false},
           Row{{0, 4, 0}, 1, true},
       })
    BOOST_TEST(detail::may_have_more(row.counts, row.spare) == row.may);
}

BOOST_AUTO_TEST_CASE(who_has_not_its_guarantee_comes_first_and_then_who_has_fewest_beyond_it) {
  struct Row {
    const char* what;
    Counts first, second;
  };
  const TimePoint early{1h}, late{2h};
  for (const Row& row : {
           Row{"below its guarantee before one above", {2, 9, 1}, {0, 9, 0}},
           Row{"with the smaller part of it", {4, 9, 1}, {2, 9, 1}},
           Row{"with none of it", {1, 9, 0}, {8, 9, 1}},
           Row{"with none beyond", {2, 9, 2}, {0, 9, 1}},
           Row{"with fewer beyond", {8, 99, 9}, {0, 9, 2}},
       }) {
    BOOST_TEST_CONTEXT(row.what) {
      BOOST_TEST(detail::comes_first(row.first, late, row.second, early));
      BOOST_TEST(!detail::comes_first(row.second, early, row.first, late));
    }
  }
  BOOST_TEST(detail::comes_first({2, 9, 3}, early, {5, 9, 6}, late));
  BOOST_TEST(!detail::comes_first({2, 9, 3}, late, {5, 9, 6}, early));
  BOOST_TEST(detail::comes_first({2, 9, 1}, early, {4, 9, 2}, late));
}

BOOST_AUTO_TEST_CASE(what_is_guaranteed_is_free_for_its_owner_whatever_others_want) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool web = pool.share("web", {.guaranteed = 2});
    SharedPool jobs = pool.share("jobs");
    auto of_jobs = acquire(form, jobs, 1s);
    auto of_pool = acquire(form, pool, 1s);
    BOOST_TEST((time_of([&] { BOOST_CHECK_THROW((void)acquire(form, jobs, 1s), AcquireTimeout); }) == 1s));
    BOOST_TEST((time_of([&] { BOOST_CHECK_THROW((void)acquire(form, pool, 1s), AcquireTimeout); }) == 1s));
    BOOST_TEST(!jobs.try_acquire());
    BOOST_TEST(!pool.try_acquire());
    auto one = acquire(form, web, 0s + 1ms);
    auto two = acquire(form, web, 0s + 1ms);
    BOOST_TEST(pool.statistics().now.leased == 4U);
    one.release();
    BOOST_TEST(!jobs.try_acquire());  // it is idle, and kept
    BOOST_TEST(!pool.try_acquire());
    BOOST_CHECK_THROW((void)acquire(form, jobs, 0s), AcquireTimeout);
    BOOST_CHECK_THROW((void)acquire(form, pool, 0s), AcquireTimeout);
    BOOST_TEST(web.try_acquire().has_value());
    BOOST_TEST(bool{acquire(form, web, 0s)});
  });
}

BOOST_AUTO_TEST_CASE(what_is_not_guaranteed_is_anybodys_and_comes_back_first_to_whoever_lacks_its_guarantee) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool web = pool.share("web", {.guaranteed = 1});
    SharedPool api = pool.share("api", {.guaranteed = 1});
    auto first = acquire(form, web, 1s), second = acquire(form, web, 1s), third = acquire(form, web, 1s);
    BOOST_TEST(web.statistics().leased == 3U);
    auto own = acquire(form, api, 1ms);
    std::vector<std::string> order;
    Threads threads;
    const auto wait_in = [&](SharedPool& share, const std::string& name) {
      threads.start([&, name] {
        auto lease = acquire(form, share, Duration::max());
        order.push_back(name);
        sim::sleep_for(1s);
      });
      sim::sleep_for(1ms);
    };
    wait_in(web, "web");
    wait_in(api, "api");
    own.release();  // api has nothing now, and what comes back is its
    sim::sleep_for(1ms);
    BOOST_TEST(order == std::vector<std::string>({"api"}), boost::test_tools::per_element());
    wait_in(api, "api beyond");
    first.release();  // web has one beyond its guarantee then, api none
    sim::sleep_for(1ms);
    BOOST_TEST(order.back() == "api beyond");
    second.release();
    sim::sleep_for(1ms);
    BOOST_TEST(order.back() == "web");
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(a_share_never_has_more_than_it_may_and_waits_beside_what_is_idle) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool jobs = pool.share("jobs", {.at_most = 2});
    {
      const auto warm = lease_so_many(pool, 4);
    }
    auto one = acquire(form, jobs, 1s), two = acquire(form, jobs, 1s);
    BOOST_TEST(pool.statistics().now.idle == 2U);
    BOOST_TEST((time_of([&] { BOOST_CHECK_THROW((void)acquire(form, jobs, 1s), AcquireTimeout); }) == 1s));
    BOOST_TEST(ledger.opened == 4U);
    BOOST_TEST(bool{acquire(form, pool, 0s)});  // the others are not kept waiting by those
    bool served = false;
    Threads threads;
    threads.start([&] { served = bool{acquire(form, jobs, 1min)}; });
    sim::sleep_for(1ms);
    BOOST_TEST(!served);
    one.discard();  // another may have what is idle, though this one is closed
    sim::sleep_for(1us);
    BOOST_TEST(served);
    threads.join();
    const ShareStatistics figures = jobs.statistics();
    BOOST_TEST(figures.waited == 2U);
    BOOST_TEST(figures.full == 2U);
    BOOST_TEST(figures.timeouts == 1U);
    BOOST_TEST(figures.acquired == 3U);
    BOOST_TEST(figures.wait.count() == 1U);
    BOOST_TEST(figures.leased == 1U);
    BOOST_TEST(figures.waiting == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_share_that_waits_opens_no_connection_that_it_could_not_have) {
  calmly([] {
    Ledger ledger;
    SharePool pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 10}};
    SharedPool jobs = pool.share("jobs", {.at_most = 1});
    auto one = jobs.acquire();
    Threads threads;
    for (int i = 0; i < 5; ++i) threads.start([&] { jobs.acquire()->use(1ms); });
    sim::sleep_for(1ms);
    BOOST_TEST(pool.statistics().now.waiting == 5U);
    BOOST_TEST(ledger.opened == 1U);
    BOOST_TEST(!jobs.try_acquire());
    sim::sleep_for(1ms);
    BOOST_TEST(ledger.opened == 1U);
    one.release();
    threads.join();
    BOOST_TEST(ledger.opened == 1U);
  });
}

BOOST_AUTO_TEST_CASE(detached_and_discarded_connections_are_given_back_to_the_share) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool jobs = pool.share("jobs", {.at_most = 1});
    acquire(form, jobs, 1s).discard();
    const Resource mine = acquire(form, jobs, 1s).detach();
    BOOST_TEST(jobs.statistics().leased == 0U);
    auto lease = acquire(form, jobs, 1s);
    BOOST_TEST(jobs.statistics().leased == 1U);
    pool.invalidate();
    lease.release();
    BOOST_TEST(bool{acquire(form, jobs, 1s)});
    BOOST_TEST(jobs.statistics().leased == 0U);
  });
}

BOOST_AUTO_TEST_CASE(what_was_leased_before_there_were_shares_counts_as_the_pools_own) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    auto before = lease_so_many(pool, 3);
    Threads threads;
    SharedPool web = pool.share("web", {.guaranteed = 2});
    bool served = false;
    threads.start([&] { served = bool{acquire(form, pool, 1min)}; });
    auto own = acquire(form, web, 1ms);
    before.pop_back();
    sim::sleep_for(1ms);
    BOOST_TEST(!served);  // it is web's, who has one
    auto other = acquire(form, web, 1ms);
    before.pop_back();
    sim::sleep_for(1ms);
    BOOST_TEST(served);
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(those_who_waited_before_there_were_shares_are_served) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four, {}, {}, {.barging_limit = 1h}};
    auto before = lease_so_many(pool, 4);
    Threads threads;
    for (int i = 0; i < 3; ++i) threads.start([&] { acquire(form, pool, 1min)->use(1ms); });
    sim::sleep_for(1ms);
    before.pop_back();
    SharedPool web = pool.share("web", {.guaranteed = 3});
    threads.start([&] { acquire(form, web, 1min)->use(1ms); });
    before.clear();
    threads.join();
    BOOST_TEST(pool.statistics().timeouts == 0U);
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_TEST(lease_so_many(web, 4).size() == 4U);
  });
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_with_the_name_of_the_share) {
  calmly([] {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool web = pool.share("web", {.guaranteed = 3});
    BOOST_TEST(refusal([&] { (void)pool.share(""); }) == "share(): expected a name");
    BOOST_TEST(refusal([&] { (void)pool.share("jobs", {.at_most = 0}); }) ==
               "share(jobs).at_most: expected at least 1");
    BOOST_TEST(refusal([&] { (void)pool.share("jobs", {.guaranteed = 1, .at_most = 0}); }) ==
               "share(jobs).at_most: expected at least 1");
    BOOST_TEST(refusal([&] { (void)pool.share("jobs", {.guaranteed = 3, .at_most = 2}); }) ==
               "share(jobs).at_most: expected not less than guaranteed");
    BOOST_TEST(
        refusal([&] { (void)pool.share("jobs", {.guaranteed = 2}); }) ==
        "share(jobs).guaranteed: expected at most 1: of the pool's 4 connections 3 are guaranteed to other shares");
    BOOST_TEST(refusal([&] { (void)pool.share("web", {.guaranteed = 1}); }) ==
               "share(web): expected the options that the share of this name was made with, or another name");
    BOOST_TEST(
        refusal([&] { pool.resize({.max_size = 2}); }) ==
        "resize(growth): expected a policy for at least 3 connections, which the shares are guaranteed together, "
        "not for 2");
    BOOST_TEST(pool.statistics().max_size == 4U);
    BOOST_CHECK_THROW((void)web.acquire(-1s), InvalidOption);
    BOOST_CHECK_THROW((void)web.try_acquire(-1s), InvalidOption);
    SharedPool same = pool.share("web", {.guaranteed = 3});
    const auto lease = same.acquire();
    BOOST_TEST(web.statistics().leased == 1U);
    BOOST_TEST(pool.statistics().shares.size() == 1U);
    pool.resize({.max_size = 3});
    BOOST_TEST(pool.statistics().shares.front().at_most == 3U);
    BOOST_TEST(web.name() == "web");
    BOOST_TEST(web.share_options().guaranteed == 3U);
  });
}

BOOST_AUTO_TEST_CASE(a_larger_pool_has_more_for_all_and_a_smaller_one_less) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 2}};
    SharedPool web = pool.share("web", {.guaranteed = 1});
    auto one = acquire(form, pool, 1s);
    bool served = false;
    Threads threads;
    threads.start([&] {
      const auto lease = acquire(form, pool, 1min);
      served = true;
    });
    sim::sleep_for(1ms);
    BOOST_TEST(!served);
    pool.resize({.max_size = 3});
    sim::sleep_for(1ms);
    BOOST_TEST(served);
    threads.join();
    pool.resize({.max_size = 1});
    one.release();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1s), AcquireTimeout);
    BOOST_TEST(bool{acquire(form, web, 1s)});
  });
}

BOOST_AUTO_TEST_CASE(a_time_out_tells_what_the_share_has) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four, {}, {}, {.name = "db"}};
    SharedPool jobs = pool.share("jobs", {.guaranteed = 1, .at_most = 2});
    auto held = lease_so_many(jobs, 2);
    const std::string full = refusal([&] { (void)acquire(form, jobs, 1s); });
    BOOST_TEST(has(full, "db: acquire: no connection within 1000 ms: the share has all that it may have; at most 4: "),
               full);
    BOOST_TEST(has(full, "; share jobs: 2 leased, 1 guaranteed, at most 2, 0 waiting"), full);
    SharedPool web = pool.share("web", {.guaranteed = 2});
    const std::string kept = refusal([&] { (void)acquire(form, pool, 1s); });
    BOOST_TEST(has(kept, "what is left is guaranteed to other shares"), kept);
    BOOST_TEST(has(kept, "; without a share: 0 leased, 2 kept for other shares"), kept);
    auto others = lease_so_many(web, 2);
    const std::string exhausted = refusal([&] { (void)acquire(form, web, 1s); });
    BOOST_TEST(has(exhausted, "exhausted, all leased"), exhausted);
    BOOST_TEST(has(exhausted, "; share web: 2 leased, 2 guaranteed, at most 4, 0 waiting"), exhausted);
    try {
      (void)acquire(form, jobs, 1s);
    } catch (const AcquireTimeout& error) {
      BOOST_TEST((error.phase() == Phase::waiting));
    }
    BOOST_TEST(web.statistics().timeouts == 1U);
    BOOST_TEST(jobs.statistics().timeouts == 2U);
    BOOST_TEST(pool.statistics().timeouts == 4U);
  });
}

BOOST_AUTO_TEST_CASE(each_share_has_a_queue_of_its_own_length) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four, {}, {}, {.max_waiting = 2}};
    SharedPool jobs = pool.share("jobs", {.at_most = 1});
    SharedPool web = pool.share("web", {.max_waiting = 1});
    auto held = lease_so_many(jobs, 1);
    auto rest = lease_so_many(web, 3);
    Threads threads;
    for (int i = 0; i < 2; ++i) threads.start([&] { acquire(form, jobs, 1min)->use(1ms); });
    sim::sleep_for(1ms);
    BOOST_TEST(refusal([&] { (void)acquire(form, jobs, 1s); }) ==
               "pool: acquire: max_waiting callers of share jobs wait already");
    threads.start([&] { acquire(form, web, 1min)->use(1ms); });
    sim::sleep_for(1ms);
    BOOST_CHECK_THROW((void)acquire(form, web, 1s), QueueFull);
    BOOST_CHECK_THROW((void)acquire(form, pool, 1s), AcquireTimeout);  // it may wait
    BOOST_TEST(jobs.statistics().rejected == 1U);
    BOOST_TEST(web.statistics().rejected == 1U);
    BOOST_TEST(pool.statistics().rejected == 2U);
    rest.clear();
    held.clear();
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(a_stop_token_a_suspension_and_a_close_end_a_wait_in_a_share) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool jobs = pool.share("jobs", {.at_most = 1});
    auto held = acquire(form, jobs, 1s);
    sim::StopSource stop;
    Threads threads;
    threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, jobs, 1min, stop.get_token()), AcquireCancelled); });
    sim::sleep_for(1ms);
    stop.request_stop();
    threads.join();
    BOOST_CHECK_THROW((void)acquire(form, jobs, 1min, stop.get_token()), AcquireCancelled);
    pool.suspend();
    BOOST_TEST(!jobs.try_acquire());
    BOOST_CHECK_THROW((void)acquire(form, jobs, 1s), PoolSuspended);
    bool served = false;
    threads.start([&] { served = bool{acquire(form, jobs, 1min)}; });
    sim::sleep_for(1ms);
    held.release();
    sim::sleep_for(1ms);
    BOOST_TEST(!served);
    pool.resume();
    threads.join();
    BOOST_TEST(served);
    auto again = acquire(form, jobs, 1s);
    threads.start([&] { BOOST_CHECK_THROW((void)acquire(form, jobs, 1min), PoolClosed); });
    sim::sleep_for(1ms);
    pool.close();
    threads.join();
    BOOST_CHECK_THROW((void)acquire(form, jobs, 1s), PoolClosed);
    BOOST_TEST(!jobs.try_acquire());
    again.release();
    BOOST_TEST(jobs.statistics().leased == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_lease_of_a_share_may_outlive_the_pool) {
  calmly([](Form form) {
    Ledger ledger;
    std::optional<SharePool> pool;
    pool.emplace(connector(ledger), four);
    auto lease = std::optional{[&] {
      SharedPool jobs = pool->share("jobs", {.at_most = 1});
      return acquire(form, jobs, 1s);
    }()};
    pool.reset();
    BOOST_TEST(ledger.live == 1U);
    lease.reset();
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(who_has_a_connection_of_one_share_may_acquire_from_another) {
  calmly([](Form form) {
    Ledger ledger;
    SharePool pool{connector(ledger), four};
    SharedPool web = pool.share("web", {.guaranteed = 1, .at_most = 1});
    SharedPool jobs = pool.share("jobs", {.guaranteed = 1, .at_most = 1});
    const auto outer = acquire(form, web, 1s);
    const auto inner = acquire(form, jobs, 1s);
    BOOST_TEST(web.statistics().leased == 1U);
    BOOST_TEST(jobs.statistics().leased == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_found_unfit_costs_neither_the_turn_nor_the_count) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), four};
    auto jobs = pool.share("jobs", {.at_most = 2});
    {
      const auto warm = lease_so_many(jobs, 2);
    }
    sim::sleep_for(2s);
    ledger.on_ping = [&](TimePoint) { return false; };
    const auto lease = acquire(form, jobs, 1s);  // a new one
    BOOST_TEST(jobs.statistics().leased == 1U);
    const auto other = acquire(form, jobs, 1s);
    BOOST_TEST(jobs.statistics().leased == 2U);
  });
}

BOOST_AUTO_TEST_CASE(what_a_worker_puts_in_order_is_the_shares_until_it_is_done) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, AssumeHealthy, ResetOnReturn> pool{connector(ledger), four};
    auto jobs = pool.share("jobs", {.at_most = 1});
    ledger.on_reset = [](TimePoint) { return sim::sleep_for(10ms), true; };
    acquire(Form::callback, jobs, 1s).release();
    BOOST_TEST(jobs.statistics().leased == 1U);
    BOOST_TEST((time_of([&] { (void)acquire(Form::callback, jobs, 1s); }) == 10ms));
  });
}

BOOST_AUTO_TEST_CASE(without_workers_and_without_pooling_shares_hold_too) {
  for (const std::size_t workers : {0U, 2U})
    calmly([&](Form form) {
      Ledger ledger;
      SimulatedPool<NullPool> pool{connector(ledger), NullPool{.max_size = 3}, {}, {}, {.workers = workers}};
      auto web = pool.share("web", {.guaranteed = 1});
      auto jobs = pool.share("jobs", {.at_most = 1});
      bool done = false;
      sim::Thread maintainer{[&] {  // for callers that do not block
        while (!done) {
          pool.maintain();
          sim::sleep_for(1ms);
        }
      }};
      auto one = acquire(form, jobs, 1s);
      BOOST_CHECK_THROW((void)acquire(form, jobs, 1s), AcquireTimeout);
      auto two = acquire(form, pool, 1s);
      BOOST_CHECK_THROW((void)acquire(form, pool, 1s), AcquireTimeout);
      auto three = acquire(form, web, 1s);
      one.release();
      BOOST_TEST(bool{acquire(form, jobs, 1s)});
      BOOST_TEST(ledger.peak == 3U);
      done = true;
      maintainer.join();
    });
}

namespace {

// Callers of one kind: they come at a rate, whatever becomes of those before, and hold a connection for 20 ms on
// average.
struct Kind {
  const char* name;
  double busy;  // connections at a time, on average, if there were enough
  ShareOptions options;
};
struct Outcomes {
  std::vector<Duration> waits;
  std::size_t timed_out = 0;
  std::size_t while_all_came = 0;  // were served while others came
  [[nodiscard]] Duration p99() {
    std::ranges::sort(waits);
    return waits.at(waits.size() * 99 / 100);
  }
};

// Twenty connections, and events at their times; one thread plays all callers.
struct Play {
  explicit Play(unsigned its_seed) : seed{its_seed} {}

  std::vector<Outcomes> run(const std::vector<Kind>& kinds, bool by_shares, Duration lasts = 20s) {
    std::vector<Outcomes> outcomes(kinds.size());
    sim::Simulation{0}.run([&] {
      Ledger ledger;
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 20}, {}, {}, {.sweep_interval = 24h}};
      pool.wait_until_ready(10s);
      end = sim::Platform::now() + lasts;
      std::vector<Share<SimulatedPool<FixedSize>>> shares;
      for (const Kind& kind : kinds)
        if (by_shares) shares.push_back(pool.share(kind.name, kind.options));
      std::multimap<TimePoint, std::pair<std::size_t, Duration>> arrivals;
      for (std::size_t i = 0; i < kinds.size(); ++i) {
        std::mt19937 random{seed + static_cast<unsigned>(i)};  // each kind its own: the same whoever comes beside it
        std::exponential_distribution<double> gap{kinds[i].busy / 0.02}, hold{1 / 0.02};
        for (TimePoint at = sim::Platform::now(); at < end; at += span(gap(random)))
          arrivals.emplace(at, std::pair{i, span(hold(random))});
      }
      while (!arrivals.empty() || !held.empty()) {
        const bool arrival = !arrivals.empty() && (held.empty() || arrivals.begin()->first < held.begin()->first);
        const TimePoint next = arrival ? arrivals.begin()->first : held.begin()->first;
        if (next > sim::Platform::now()) sim::sleep_for(next - sim::Platform::now());
        if (!arrival) {
          held.erase(held.begin());
          continue;
        }
        const auto [kind, hold] = arrivals.begin()->second;
        arrivals.erase(arrivals.begin());
        by_shares ? serve(shares[kind], hold, outcomes[kind]) : serve(pool, hold, outcomes[kind]);
      }
      BOOST_TEST(pool.statistics().now.leased == 0U);
      sim::sleep_for(11s);  // nobody waits any more
    });
    return outcomes;
  }

 private:
  using Lease = SimulatedPool<FixedSize>::Lease;
  static Duration span(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
  }
  template <class From>
  Detached serve(From& from, Duration hold, Outcomes& outcomes) {
    const TimePoint came = sim::Platform::now();
    try {
      auto lease = co_await from.async_acquire(10s);
      outcomes.waits.push_back(sim::Platform::now() - came);
      if (sim::Platform::now() < end) ++outcomes.while_all_came;
      held.emplace(sim::Platform::now() + hold, std::move(lease));
    } catch (const AcquireTimeout&) {
      ++outcomes.timed_out;
    }
  }

  unsigned seed;
  TimePoint end{};
  std::multimap<TimePoint, Lease> held;  // by the time at which each is given back
};

double in_ms(Duration span) { return std::chrono::duration<double, std::milli>{span}.count(); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_tenant_at_ten_times_its_load_does_not_move_the_waits_of_others) {
  const bool deep = number_from_environment("LIDO_SEEDS", 0) >= 10'000 && !slow;
  const int seconds = slow ? 8 : 20;
  const auto play = [&](unsigned seed, const std::vector<Kind>& kinds, bool by_shares) {
    return Play{seed}.run(kinds, by_shares, std::chrono::seconds{seconds});
  };
  for (unsigned seed = 1; seed <= (deep ? 3U : 1U); ++seed) {
    // The first two never have more than they are guaranteed, so that they wait at times whatever others do; the third
    // may have more, and seldom needs it.
    std::vector<Kind> kinds{{.name = "web", .busy = 4.8, .options = {.guaranteed = 6, .at_most = 6}},
                            {.name = "jobs", .busy = 1.5, .options = {.guaranteed = 2, .at_most = 2}},
                            {.name = "api", .busy = 2, .options = {.guaranteed = 7}},
                            {.name = "tenant", .busy = 2, .options = {}}};
    std::vector<Outcomes> quiet = play(seed, kinds, true);
    std::vector<Outcomes> quiet_without = play(seed, kinds, false);
    kinds.back().busy *= 10;
    std::vector<Outcomes> noisy = play(seed, kinds, true);
    std::vector<Outcomes> noisy_without = play(seed, kinds, false);
    for (std::size_t i = 0; i + 1 < kinds.size(); ++i) {
      BOOST_TEST_MESSAGE("seed " << seed << ", " << kinds[i].name
                                 << ": 99 in 100 wait at most, in ms: " << in_ms(quiet[i].p99())
                                 << ", beside the noisy tenant " << in_ms(noisy[i].p99()) << "; without shares "
                                 << in_ms(quiet_without[i].p99()) << " and " << in_ms(noisy_without[i].p99()));
      BOOST_TEST(in_ms(noisy[i].p99()) <= 1.1 * in_ms(quiet[i].p99()));
      BOOST_TEST(noisy[i].timed_out == 0U);
      BOOST_TEST(noisy[i].waits.size() == quiet[i].waits.size());
      BOOST_TEST(in_ms(noisy_without[i].p99()) > 100);  // it is a load that would
    }
    BOOST_TEST(in_ms(noisy.back().p99()) > 1000);
    BOOST_TEST(noisy.back().waits.size() > 200U * static_cast<unsigned>(seconds));  // and has what is left
  }
}

BOOST_AUTO_TEST_CASE(shares_without_a_guarantee_are_served_alike_however_much_one_of_them_asks) {
  const std::vector<Kind> kinds{{.name = "one", .busy = 12, .options = {}},
                                {.name = "two", .busy = 12, .options = {}},
                                {.name = "greedy", .busy = 60, .options = {}}};
  std::vector<Outcomes> outcomes = Play{1}.run(kinds, true, 5s);
  // A third of what twenty connections serve in five seconds each.
  for (const Outcomes& one : outcomes)
    BOOST_TEST(static_cast<double>(one.while_all_came) == 5.0 * 20 / 0.02 / 3, boost::test_tools::tolerance(0.05));
}

BOOST_AUTO_TEST_SUITE_END()
