// A server that accepts and never answers, and one that takes its time: which of the two it is shows only later.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <support/forms.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(hanging)

namespace {

struct Server {
  Server() {
    ledger.on_open = [this](const OpenInfo& info) {
      const TimePoint begun = sim::Platform::now();
      attempts.push_back(begun);
      allowed.push_back(info.deadline - begun);
      if (!away && span <= allowed.back()) return sim::sleep_for(span);
      sim::self->world->block(info.deadline);
      throw std::runtime_error{"no answer"};
    };
  }
  // With all of these.
  template <class Leases>
  void go_away(Leases& leases) {
    away = true;
    for (auto& lease : leases) lease.discard();
  }
  // How many attempts there were at most in any second between the two.
  [[nodiscard]] std::size_t densest(TimePoint since, TimePoint until) const {
    std::size_t most = 0;
    for (auto first = std::ranges::lower_bound(attempts, since); first != attempts.end() && *first < until; ++first) {
      const auto last = std::ranges::lower_bound(first, attempts.end(), std::min(*first + 1s, until));
      most = std::max(most, static_cast<std::size_t>(last - first));
    }
    return most;
  }

  Ledger ledger;
  bool away = false;
  Duration span = 1ms;  // how long an open takes
  std::vector<TimePoint> attempts;
  std::vector<Duration> allowed;
};

template <class Growth>
std::vector<typename SimulatedPool<Growth>::Lease> all_of(SimulatedPool<Growth>& pool, std::size_t count) {
  pool.wait_until_ready(1s);
  std::vector<typename SimulatedPool<Growth>::Lease> leases;
  for (std::size_t i = 0; i < count; ++i) leases.push_back(pool.acquire());
  return leases;
}

// How long a caller waits for a server that comes back after `outage`, beginning then.
template <class AnyPool>
Duration wait_after(Server& server, AnyPool& pool, Duration outage) {
  TimePoint served{};
  Threads threads;
  threads.start([&] {
    const auto lease = pool.acquire(5min);
    served = sim::Platform::now();
  });
  sim::sleep_for(outage);
  server.away = false;
  const TimePoint back = sim::Platform::now();
  threads.join();
  return served - back;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_server_that_is_back_is_found_at_once_though_all_attempts_hang) {
  // While they begin one by one, and while some, the most that may, and none of the places of the pool are left.
  for (const std::size_t size : {2U, 4U, 8U, 20U})
    for (const Duration outage : {300ms, 1000ms, 3000ms, 9000ms, 15000ms, 60000ms})
      calmly([&] {
        Server server;
        SimulatedPool<FixedSize> pool{connector(server.ledger), FixedSize{.size = size}};
        auto leases = all_of(pool, size);
        const TimePoint lost = sim::Platform::now();
        server.go_away(leases);
        BOOST_TEST((wait_after(server, pool, outage) <= 251ms));
        BOOST_TEST(server.densest(lost + 1s, lost + outage) <= 4U);
        // Those that still hang hold up nothing but their own places.
        const std::size_t stalled = std::min<std::size_t>(size - 1, 4);
        sim::sleep_for(100ms);
        BOOST_TEST(pool.statistics().now.idle + stalled >= size);
      });
}

BOOST_AUTO_TEST_CASE(a_server_that_is_back_is_found_at_once_though_all_openers_hung_before_a_connection_was_lost) {
  calmly([] {
    Server server;
    SimulatedPool<Overflow> pool{connector(server.ledger), Overflow{.pool_size = 8, .max_overflow = 8}};
    auto leases = all_of(pool, 8);
    server.away = true;
    Threads threads;
    for (int i = 0; i < 4; ++i) threads.start([&] { (void)pool.acquire(5min); });
    sim::sleep_for(100ms);
    BOOST_TEST(pool.statistics().now.opening == 4U);
    for (auto& lease : leases) lease.discard();
    BOOST_TEST((wait_after(server, pool, 3s) <= 251ms));
    threads.join();
  });
}

BOOST_AUTO_TEST_CASE(an_open_that_began_before_the_server_went_away_proves_nothing) {
  calmly([] {
    Server server;
    SimulatedPool<Overflow> pool{connector(server.ledger), Overflow{.pool_size = 8, .max_overflow = 8}};
    auto leases = all_of(pool, 8);
    server.span = 100ms;
    Threads threads;
    threads.start([&] {
      const auto lease = pool.acquire();
      sim::sleep_for(1min);
    });
    sim::sleep_for(50ms);
    server.go_away(leases);
    BOOST_TEST((wait_after(server, pool, 2s) <= 250ms + server.span + 1ms));
  });
}

BOOST_AUTO_TEST_CASE(a_server_that_hangs_from_the_beginning_is_found_within_an_openers_share) {
  for (const std::size_t workers : {1U, 2U, 5U})
    calmly([&] {
      Server server;
      server.away = true;
      SimulatedPool<> pool{
          connector(server.ledger), Elastic{.min_idle = 0, .max_size = 8}, {}, {}, {.workers = workers}};
      const std::size_t openers = std::max<std::size_t>(workers - 1, 1);
      // And a first pause, where the one that failed was the only one.
      BOOST_TEST((wait_after(server, pool, 1ms) <= 10000ms / openers + 11ms));
    });
}

BOOST_AUTO_TEST_CASE(a_server_that_takes_its_time_is_found_whatever_became_of_it_before) {
  for (const std::size_t size : {1U, 2U, 8U})
    calmly([&] {
      Server server;
      SimulatedPool<FixedSize> pool{connector(server.ledger), FixedSize{.size = size}};
      auto leases = all_of(pool, size);
      server.span = 6s;
      server.go_away(leases);
      const Duration waited = wait_after(server, pool, 24s);
      // One or two: each place of the pool, or all but one, has to come back from an attempt that hangs.
      BOOST_TEST((waited <= (size > 2 ? 2500ms + 6s : 10s + 6s) + 251ms));
    });
}

BOOST_AUTO_TEST_CASE(nothing_is_cut_short_while_all_goes_well) {
  calmly([] {
    Server server;
    server.span = 2s;
    SimulatedPool<FixedSize> pool{connector(server.ledger), FixedSize{.size = 8}};
    pool.wait_until_ready(1min);
    BOOST_TEST(pool.statistics().open_failures == 0U);
    BOOST_TEST((server.allowed == std::vector<Duration>(8, 10s)));
  });
}

BOOST_AUTO_TEST_CASE(a_slow_server_is_not_asked_more_often_for_that) {
  calmly([] {
    Server server;
    server.span = 9s;
    SimulatedPool<FixedSize> pool{connector(server.ledger), FixedSize{.size = 8}};
    pool.wait_until_ready(1min);
    // Four, four times, and the few that look whether it is quicker now.
    BOOST_TEST(server.attempts.size() <= 8U + 8U);
    BOOST_TEST(std::ranges::count(server.allowed, Duration{10s}) == 8);
  });
}

BOOST_AUTO_TEST_CASE(attempts_that_hang_leave_the_workers_time_for_other_things) {
  calmly([] {
    Server server;
    SimulatedPool<FixedSize, AssumeHealthy, ResetOnReturn> pool{connector(server.ledger), FixedSize{.size = 10}};
    pool.wait_until_ready(1s);
    auto kept = pool.acquire();
    {
      std::vector<decltype(kept)> others;
      for (int i = 0; i < 9; ++i) others.push_back(pool.acquire());
      server.away = true;
      for (auto& each : others) each.discard();
    }
    sim::sleep_for(2s);
    pool.invalidate();  // what hangs is not wanted any more, and one more is to be closed
    const TimePoint begun = sim::Platform::now();
    kept.release();
    until([&] { return server.ledger.closed == 10; });
    BOOST_TEST((sim::Platform::now() - begun <= 251ms));
  });
}

// A worker rests until it is time to look whether an attempt hangs. It is the one that rested last, who is woken first.
BOOST_AUTO_TEST_CASE(a_worker_that_watches_the_time_passes_the_watch_on_when_it_closes) {
  calmly([] {
    Server server;
    bool slow = true;  // but not for longer than the pool waits for its workers at its end
    SimulatedPool<Overflow> pool{
        connector(server.ledger), Overflow{.pool_size = 8, .max_overflow = 8}, {}, {}, {.sweep_interval = 1h}};
    pool.events().on_close([&](Resource&, const ConnectionInfo&) {
      if (slow) sim::sleep_for(8s);
    });
    pool.wait_until_ready(1s);
    sim::sleep_for(10s);  // until all workers rest for good
    auto leases = all_of(pool, 8);
    server.away = true;
    Duration waited{};
    Threads threads;
    threads.start([&] { waited = wait_after(server, pool, 1s); });
    until([&] { return pool.statistics().now.opening == 1; });
    leases.back().discard();
    leases.pop_back();
    threads.join();
    BOOST_TEST((waited <= 251ms));
    slow = false;
  });
}

BOOST_AUTO_TEST_CASE(a_worker_that_watches_the_time_passes_the_watch_on_when_it_does_something_else) {
  calmly([] {
    Server server;
    SimulatedPool<Overflow, AssumeHealthy, ResetOnReturn> pool{connector(server.ledger),
                                                               Overflow{.pool_size = 3, .max_overflow = 8},
                                                               {},
                                                               {},
                                                               {.reset_timeout = 1min, .sweep_interval = 1h}};
    pool.wait_until_ready(1s);
    sim::sleep_for(10s);  // until all workers rest for good
    std::vector<decltype(pool.acquire())> leases;
    for (int i = 0; i < 3; ++i) leases.push_back(acquire(Form::callback, pool));
    server.ledger.on_reset = [](TimePoint deadline) { return sim::self->world->block(deadline); };
    server.away = true;
    Duration waited{};
    Threads threads;
    threads.start([&] { waited = wait_after(server, pool, 1s); });
    until([&] { return pool.statistics().now.opening == 1; });
    for (auto& lease : leases) lease.release();  // a worker puts it in order
    threads.join();
    BOOST_TEST((waited <= 1501ms));  // nothing was lost, and it hangs after a quarter of its ten seconds
  });
}

BOOST_AUTO_TEST_CASE(attempts_do_not_pile_up_where_no_worker_is_free) {
  calmly([] {
    Server server;
    bool slow = true;
    SimulatedPool<Overflow> pool{connector(server.ledger), Overflow{.pool_size = 8, .max_overflow = 8}};
    pool.events().on_close([&](Resource&, const ConnectionInfo&) {
      if (slow) sim::sleep_for(8s);
    });
    auto leases = all_of(pool, 8);
    server.away = true;
    for (int i = 0; i < 4; ++i) {
      leases.back().discard();
      leases.pop_back();
    }
    Threads threads;
    for (int i = 0; i < 8; ++i) {
      threads.start([&] { BOOST_CHECK_THROW((void)pool.acquire(3s), AcquireTimeout); });
      sim::sleep_for(500ms);
    }
    threads.join();
    BOOST_TEST(server.attempts.size() <= 8U + 2U);  // one or two by the worker that does not close
    BOOST_TEST(pool.statistics().now.opening <= 4U);
    server.away = false;
    slow = false;
  });
}

BOOST_AUTO_TEST_CASE(what_hung_while_the_server_was_away_says_nothing_once_it_is_back) {
  calmly([] {
    Server server;
    server.span = 100ms;
    SimulatedPool<> pool{connector(server.ledger), Elastic{.min_idle = 0, .max_size = 40}};
    auto leases = all_of(pool, 4);
    server.go_away(leases);
    const TimePoint begun = sim::Platform::now();
    Threads waiting;
    for (int i = 0; i < 4; ++i) waiting.start([&] { (void)pool.acquire(1min); });
    sim::sleep_for(3s);
    server.away = false;
    waiting.join();
    sim::sleep_for(begun + 1min - sim::Platform::now());
    BOOST_TEST(pool.statistics().now.opening == 0U);
    const std::size_t idle = pool.statistics().now.idle;
    leases = all_of(pool, idle);
    const TimePoint start = sim::Platform::now();
    Threads threads;
    for (int i = 0; i < 4; ++i)
      threads.start([&] {
        auto lease = pool.acquire(1min);
        BOOST_TEST((sim::Platform::now() - start <= 101ms));  // all at once
        sim::sleep_for(1s);
      });
    threads.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
