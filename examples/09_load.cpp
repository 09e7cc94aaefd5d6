// Two loads on a pool of 20 connections and an overflow of 40, measured beside the ideal, that is, beside a pool that
// costs nothing: 100 threads that each run a query of 0.1 s, and 50 threads that each hold a session for 0.1 s.
//
// Needs PostgreSQL: DATABASE_URL says where. examples/run starts one if there is none.
#include <string>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>

#include "support/load.hpp"

using namespace std::chrono_literals;

// `cold` begins with an empty pool, else all 60 connections are open and have run a query, as the first one of a
// session takes the server longer.
template <class Work>
support::Row measure(const std::string& name, std::size_t threads, bool cold, double ideal, Work work) {
  const std::string url = lido::postgres::options_from_environment().connection_string;
  // Pings before every lease, not only after a second of idling, so that the ping is in the figures.
  lido::postgres::Pool pool{url,
                            {.pool_size = 20,
                             .max_overflow = 40,
                             .pre_ping = true,
                             .pre_ping_after = 0s,
                             .name = "load",
                             .application_name = "lido_load"}};
  if (!cold) {
    std::vector<lido::postgres::Pool::Lease> all;
    while (all.size() < 60) all.push_back(pool.acquire());
    for (auto& lease : all) lease->exec("select pg_sleep(0)");
  }
  const auto opened_before = pool.statistics().opened;
  support::Observer observer{url, "lido_load"};
  support::Times times = support::at_once(threads, [&](auto has_connection) { work(pool, has_connection); });
  const std::size_t peak = observer.peak();
  const lido::Statistics after = pool.statistics();
  return {.name = name + (cold ? ", cold" : ", warm"),
          .times = std::move(times),
          .ideal_average = ideal,
          .ideal_maximum = threads > 60 ? 0.2 : 0.1,
          .allowed = cold ? 1.35 : 1.05,
          .opened = after.opened - opened_before,
          .peak = peak,
          .still_out = after.now.leased + (after.acquired - after.released)};
}

int main() try {
  const auto run_query = [](lido::postgres::Pool& pool, auto has_connection) {
    auto connection = pool.acquire();
    has_connection();
    connection->exec("select pg_sleep(0.1)");
  };
  const auto hold_session = [](lido::postgres::Pool& pool, auto has_connection) {
    lido::postgres::Session session{pool};
    has_connection();
    std::this_thread::sleep_for(100ms);
    session.commit();
  };
  // 60 of the hundred need not wait and take 0.1 s, 40 wait for these and take 0.2 s.
  const double hundred = (60 * 0.1 + 40 * 0.2) / 100;
  const bool good = support::report(
      {measure("100 queries", 100, true, hundred, run_query), measure("100 queries", 100, false, hundred, run_query),
       measure("50 sessions", 50, true, 0.1, hold_session), measure("50 sessions", 50, false, 0.1, hold_session)},
      60);
  return good ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
