// Random actions on real threads: what the race detector watches, and what must hold whatever happens. Behaviour 55.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <lido/pool.hpp>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <support/seeds.hpp>
#include <support/task.hpp>
#include <thread>
#include <vector>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(random_actions)

namespace {

struct Census {
  std::atomic<int> live{0};
  std::atomic<int> peak{0};
  std::atomic<int> opened{0};
  std::atomic<int> closed{0};
};

// Deliberately not atomic where its holder writes: two holders, or a hand-over without order, are a data race.
class Thing {
 public:
  explicit Thing(Census& book) : census{&book} {
    ++book.opened;
    const int now = ++book.live;
    for (int seen = book.peak; seen < now && !book.peak.compare_exchange_weak(seen, now);) {
    }
  }
  Thing(Thing&& other) noexcept : census{std::exchange(other.census, nullptr)}, uses{other.uses} {}
  Thing& operator=(Thing&&) = delete;
  ~Thing() {
    if (census == nullptr) return;
    ++census->closed;
    --census->live;
  }
  bool ping(TimePoint) { return ++uses % 97 != 0; }
  bool reset(TimePoint) {
    if (++uses % 89 == 0) throw std::runtime_error{"reset"};
    return uses % 83 != 0;
  }

  Census* census;
  unsigned uses = 0;
};

template <class AnyPool>
test::Detached lease_one(AnyPool& pool, Duration patience, std::stop_token stop, std::atomic<int>& served,
                         std::atomic<int>& running) {
  try {
    auto lease = co_await pool.async_acquire(patience, std::move(stop));
    ++served;
    ++lease->uses;
  } catch (const PoolError&) {
  }
  --running;
}

// Threads do random things to one pool; then everything is accounted for.
template <class Growth, class Health, class Recycle>
void survive(Growth growth, Growth other, Health health, Recycle recycle, const PoolOptions& options, int bound) {
  Census census;
  std::atomic<int> attempts{0};
  const unsigned seed = test::seed();
  BOOST_TEST_CONTEXT("seed " << seed) {
    {
      Pool pool{[&](const OpenInfo&) {
                  if (++attempts % 13 == 0) throw std::runtime_error{"refused"};
                  return Thing{census};
                },
                growth, health, recycle, options};
      pool.events().on_acquire([](Thing& thing, const ConnectionInfo&) { ++thing.uses; });
      std::vector<std::jthread> threads;
      std::atomic<int> served{0};
      std::atomic<int> running{0};
      std::atomic<unsigned> started{0};
      // The test framework is not for several threads.
      std::atomic<int> crowded{0}, over{0};
      const auto look = [&] {
        const PoolCounts now = pool.statistics().now;
        if (now.waiting > 8U + started) ++crowded;
        if (now.total() > static_cast<std::size_t>(bound)) ++over;
      };
      for (unsigned t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
          std::minstd_rand random{seed + t};
          for (int i = 0; i < 400; ++i) {
            if (i % 8 == 0) look();
            try {
              std::stop_source stop;
              const Duration patience = random() % 4 == 0 ? Duration{random() % 200'000} : Duration{1s};
              if (random() % 16 == 0) stop.request_stop();
              std::jthread canceller;
              if (random() % 32 == 0) canceller = std::jthread{[&stop] { stop.request_stop(); }};
              if (random() % 4 == 0) {
                ++running, ++started;
                lease_one(pool, patience, stop.get_token(), served, running);
              }
              auto lease = pool.acquire(patience, stop.get_token());
              ++served;
              ++lease->uses;
              switch (random() % 64) {
                case 0:
                  lease.discard();
                  break;
                case 1:
                  (void)lease.detach();
                  break;
                case 2:
                  pool.invalidate();
                  break;
                case 3:
                  pool.resize(other);
                  break;
                case 4:
                  pool.resize(growth);
                  break;
                case 5:
                  pool.suspend();
                  pool.resume();
                  break;
                case 6:
                  look();
                  break;
                case 7:
                  (void)pool.try_acquire();
                  break;
                case 8:
                  (void)pool.holders();
                  break;
                case 9:
                  pool.maintain();
                  break;
                default:
                  break;
              }
            } catch (const PoolError&) {
            }
          }
        });
      threads.clear();
      while (running > 0 || pool.statistics().now.leased > 0) pool.maintain();
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(figures.now.leased == 0U);
      BOOST_TEST(figures.now.waiting == 0U);
      BOOST_TEST(served > 0);
      BOOST_TEST(crowded == 0);
      BOOST_TEST(over == 0);
      BOOST_TEST(pool.close(1min).complete);
    }
    BOOST_TEST(census.live == 0);
    BOOST_TEST(census.opened == census.closed);
    // Detached ones leave the pool's bound, one a thread at most.
    BOOST_TEST(census.peak <= bound + 8);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_elastic_pool_survives_them) {
  for (const std::size_t workers : {0U, 1U, 4U})
    survive(Elastic{.min_idle = 0, .max_size = 3}, Elastic{.min_idle = 1, .max_size = 5}, PingOnAcquire{},
            ResetOnReturn{}, {.workers = workers, .sweep_interval = 1ms}, 5);
}

BOOST_AUTO_TEST_CASE(a_pool_that_reads_no_clock_survives_them) {
  for (const Duration limit : {Duration{0}, Duration{1ms}, Duration{1s}})
    survive(Elastic{.min_idle = 0, .max_size = 3}, Elastic{.min_idle = 0, .max_size = 2}, AssumeHealthy{}, KeepAlways{},
            {.barging_limit = limit, .sweep_interval = 1ms}, 3);
}

BOOST_AUTO_TEST_CASE(an_overflowing_pool_survives_them) {
  survive(Overflow{.pool_size = 1, .max_overflow = 3, .idle_timeout = 0s}, Overflow{.pool_size = 2, .max_overflow = 1},
          PingIfIdle{.after = 10us}, RetireAfter{.age = 2ms, .idle = 1ms, .uses = 50}, {.sweep_interval = 1ms}, 4);
}

BOOST_AUTO_TEST_CASE(no_pooling_survives_them) {
  for (const std::size_t workers : {0U, 3U})
    survive(NullPool{.max_size = 2}, NullPool{.max_size = 4}, AssumeHealthy{}, KeepAlways{}, {.workers = workers}, 4);
}

BOOST_AUTO_TEST_CASE(leases_that_end_beside_the_pool_are_freed) {
  for (int round = 0; round < 200; ++round) {
    Census census;
    std::vector<std::jthread> threads;
    {
      Pool pool{[&] { return Thing{census}; }, Elastic{.min_idle = 0, .max_size = 4}, AssumeHealthy{}, KeepAlways{},
                PoolOptions{.workers = static_cast<std::size_t>(round % 3)}};
      for (int t = 0; t < 4; ++t) threads.emplace_back([lease = pool.acquire()]() mutable { lease.release(); });
    }
    threads.clear();
    BOOST_TEST(census.live == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
