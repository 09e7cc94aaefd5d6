// Shares of a pool on a real server: they stand where the pool does, and a tenant that asks for too much.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(postgres_shares)

BOOST_AUTO_TEST_CASE(a_share_stands_where_the_pool_does) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 3, .max_overflow = 0, .pool_timeout = 1min}};
  auto jobs = pool.share("jobs", {.at_most = 1});
  {
    Session session{jobs};
    BOOST_TEST(session.exec("select 1")[0][0].as<int>() == 1);
    BOOST_TEST(jobs.statistics().leased == 1U);
    BOOST_CHECK_THROW((void)jobs.acquire(10ms), AcquireTimeout);
    BOOST_TEST(pool.acquire()->exec("select 2")[0][0].as<int>() == 2);
    session.commit();
  }
  BOOST_TEST(jobs.statistics().leased == 0U);
  BOOST_TEST(transact(jobs, [](Session& session) { return session.exec("select 3")[0][0].as<int>(); }) == 3);
  BasicSession deduced{jobs};
  static_assert(std::is_same_v<decltype(deduced), Session>);
  deduced.rollback();
  pool.invalidate();
  BOOST_TEST(jobs.acquire()->exec("select 4")[0][0].as<int>() == 4);
  BOOST_TEST(jobs.statistics().leased == 0U);
}

namespace {

// How long callers of one kind waited, in milliseconds.
struct Waits {
  void add(double wait) {
    const std::lock_guard lock{mutex};
    all.push_back(wait);
  }
  double p99() {
    std::ranges::sort(all);
    return all.empty() ? 0 : all[all.size() * 99 / 100];
  }
  std::mutex mutex;
  std::vector<double> all;
};

// Each thread comes, holds for a while, and thinks for a while.
template <class From>
void call(From& from, Waits& waits, const std::atomic<bool>& over, Duration think, unsigned seed) {
  std::mt19937 random{seed};
  std::exponential_distribution<double> spread{1.0};
  while (!over) {
    const TimePoint came = Clock::now();
    try {
      auto lease = from.acquire(10s);
      waits.add(std::chrono::duration<double, std::milli>{Clock::now() - came}.count());
      lease->exec("select pg_sleep($1)", 0.01 * spread(random));
    } catch (const AcquireTimeout&) {
    }
    std::this_thread::sleep_for(std::chrono::duration_cast<Duration>(think * spread(random)));
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_noisy_tenant_beside_others_on_a_real_server) {
  // The figures are printed and not judged: the machine has others to serve.
  for (const bool by_shares : {false, true})
    for (const int tenants : {4, 40}) {
      postgres::Pool pool{server().conninfo(), {.pool_size = 10, .max_overflow = 0, .pool_timeout = 1min}};
      auto web = pool.share("web", {.guaranteed = 6});
      auto tenant = pool.share("tenant");
      postgres::Pool plain{server().conninfo(), {.pool_size = 10, .max_overflow = 0, .pool_timeout = 1min}};
      Waits of_web, of_tenant;
      std::atomic<bool> over{false};
      std::vector<std::thread> threads;
      const auto start = [&](auto& share, Waits& waits, Duration think, int count) {
        for (int i = 0; i < count; ++i)
          threads.emplace_back([&, think, seed = static_cast<unsigned>(threads.size())] {
            by_shares ? call(share, waits, over, think, seed) : call(plain, waits, over, think, seed);
          });
      };
      start(web, of_web, 20ms, 6);
      start(tenant, of_tenant, 5ms, tenants);
      std::this_thread::sleep_for(1s);
      over = true;
      for (std::thread& thread : threads) thread.join();
      std::printf(
          "%s, %2d threads of the tenant: web %zu times, 99 in 100 waited at most %.1f ms; tenant %zu, %.1f ms\n",
          by_shares ? "shares   " : "no shares", tenants, of_web.all.size(), of_web.p99(), of_tenant.all.size(),
          of_tenant.p99());
      std::fflush(stdout);
      BOOST_TEST(!of_web.all.empty());
      BOOST_TEST(pool.statistics().now.leased == 0U);
      for (const ShareStatistics& share : pool.statistics().shares) BOOST_TEST(share.leased + share.waiting == 0U);
    }
}

BOOST_AUTO_TEST_SUITE_END()
