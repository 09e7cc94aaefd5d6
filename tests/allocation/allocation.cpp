// Every allocation on every path made to fail in turn: nothing leaks, no slot is lost, and whoever cannot be served is
// told so. Behaviour 57.
#include <allocation/failing.hpp>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <lido/check_health.hpp>
#include <lido/log.hpp>
#include <lido/pool.hpp>

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

// Owns memory, so that opening fails too.
struct Thing {
  Thing() : memory{std::make_unique<int>(7)} { ++live; }
  Thing(Thing&& other) noexcept : memory{std::move(other.memory)} { ++live; }
  Thing& operator=(Thing&&) = delete;
  ~Thing() { --live; }
  bool ping(TimePoint) { return ++pings % 3 != 0; }
  bool reset(TimePoint) { return std::make_unique<int>(8) != nullptr; }

  std::unique_ptr<int> memory;
  unsigned pings = 0;
  static inline std::atomic<int> live{0};
};

using ThingPool = Pool<Thing, Elastic, PingIfIdle, AllOf<RetireAfter, ResetOnReturn>>;
constexpr Elastic three{.min_idle = 1, .max_size = 3};

std::unique_ptr<ThingPool> make_pool(std::size_t workers, std::atomic<int>& attempts) {
  return std::make_unique<ThingPool>(
      [&attempts]() -> Thing {
        if (++attempts % 3 == 0) throw std::runtime_error{"refused now and then, and at some length"};
        return {};
      },
      three, PingIfIdle{.after = 0s}, AllOf{RetireAfter{.uses = 5}, ResetOnReturn{}},
      PoolOptions{.name = "a name that is too long to be stored in place",
                  .acquire_timeout = 10ms,
                  .workers = workers,
                  .sweep_interval = 1ms,
                  .leak_after = 1ns,
                  .backoff_min = 1us,
                  .backoff_max = 10us});
}

// One call that may run out of memory, or of time because the connector did.
template <class Call>
void attempt(Call call) {
  try {
    call();
  } catch (const std::bad_alloc&) {
  } catch (const PoolError&) {
  }
}

// Everything that can be done with a pool.
void live_through(ThingPool& pool, std::ostream& log) {
  attempt([&] { log_events(pool, log, {.loans = true}); });
  attempt([&] { pool.events().on_leak([](const LeakReport&) {}); });
  attempt([&] { pool.wait_until_ready(5ms); });
  attempt([&] { (void)pool.acquire(); });
  attempt([&] {
    std::vector<ThingPool::Lease> all;
    all.reserve(4);
    for (int i = 0; i < 3; ++i) all.push_back(pool.acquire());
    attempt([&] { (void)pool.holders(); });
    attempt([&] { (void)pool.statistics(); });
    attempt([&] { (void)pool.acquire(1ms); });  // names the holders
    std::stop_source stop;
    stop.request_stop();
    attempt([&] { (void)pool.acquire(1ms, stop.get_token()); });
    attempt([&] { pool.maintain(); });  // finds leaks
    all[0].discard();
    attempt([&] { (void)all[1].detach(); });
    attempt([&] { all.push_back(pool.acquire()); });
  });
  attempt([&] { pool.resize({.min_idle = 0, .max_size = 5}); });
  attempt([&] { (void)pool.try_acquire(); });
  attempt([&] { pool.invalidate(); });
  attempt([&] { (void)check_health(pool, 5ms); });
  attempt([&] {
    pool.suspend();
    attempt([&] { (void)pool.acquire(1ms); });
    pool.resume();
  });
  attempt([&] { pool.maintain(); });
  attempt([&] { (void)pool.acquire(); });
}

// Afterwards, with memory enough, the pool still has all its places.
void check_places(ThingPool& pool) {
  pool.resume();
  pool.resize(three);
  std::vector<ThingPool::Lease> all;
  for (int i = 0; i < 3; ++i) all.push_back(pool.acquire(30s));
  BOOST_TEST(!pool.try_acquire());
  BOOST_TEST(pool.statistics().now.total() == 3U);
  all.clear();
  BOOST_TEST(pool.statistics().now.leased == 0U);
}

// The whole life of a pool in which the nth allocation fails; whether there were as many.
bool play(std::size_t workers, std::size_t nth, Scarcity::Mode mode) {
  std::atomic<int> attempts{0};
  bool failed = false;
  {
    std::ostringstream log;
    Scarcity::arm(nth, mode);
    std::unique_ptr<ThingPool> pool;
    try {
      pool = make_pool(workers, attempts);
    } catch (const std::bad_alloc&) {
    }
    if (pool) live_through(*pool, log);
    failed = Scarcity::disarm();
    if (pool) {
      check_places(*pool);
      Scarcity::arm(1, Scarcity::Mode::from_then_on);
      (void)pool->close(10s);
      pool.reset();
      Scarcity::disarm();
    }
  }
  return failed;
}

void exhaust(std::size_t workers) {
  for (const auto mode : {Scarcity::Mode::once, Scarcity::Mode::from_then_on}) {
    (void)play(workers, 1'000'000, mode);  // what is allocated once and for all
    std::size_t nth = 1;
    for (;; ++nth) {
      const std::ptrdiff_t before = Scarcity::balance;
      const bool failed = play(workers, nth, mode);
      const std::ptrdiff_t left = Scarcity::balance - before;
      BOOST_TEST_CONTEXT("allocation " << nth << (mode == Scarcity::Mode::once ? "" : " and all that follow")) {
        BOOST_TEST(Thing::live == 0);
        BOOST_TEST(left == 0);
      }
      if (!failed) break;
    }
    std::printf("allocation: %zu made to fail in turn%s, with %zu workers\n", nth - 1,
                mode == Scarcity::Mode::once ? "" : " with all that follow", workers);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(no_failed_allocation_costs_a_place_or_a_connection) { exhaust(0); }
BOOST_AUTO_TEST_CASE(nor_with_workers) { exhaust(2); }

BOOST_AUTO_TEST_SUITE_END()
