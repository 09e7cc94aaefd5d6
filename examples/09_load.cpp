// Two loads on a pool of 20 connections and an overflow of 40, measured beside the ideal, that is, beside a pool that
// costs nothing: 100 threads that each run a query of 0.1 s, and 50 threads that each hold a session for 0.1 s.
//
// Needs PostgreSQL: DATABASE_URL says where. examples/run starts one if there is none.
#include <barrier>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>

#include "support/load.hpp"

using namespace std::chrono_literals;

lido::postgres::Environment settings() {
  // Pings before every lease, not only after a second of idling, so that the ping is in the figures.
  return lido::postgres::options_from_environment({.pool_size = 20,
                                                   .max_overflow = 40,
                                                   .pre_ping = true,
                                                   .pre_ping_after = 0s,
                                                   .name = "load",
                                                   .application_name = "lido_load"});
}

// So many threads, each with a connection for 0.1 s: whoever finds none waits for whole rounds.
support::Ideal ideal(std::size_t threads, std::size_t connections) {
  double total = 0;
  double last = 0;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    const std::size_t rounds = 1 + thread / connections;
    total += last = 0.1 * static_cast<double>(rounds);
  }
  return {.average = total / static_cast<double>(threads), .maximum = last};
}

// `cold` begins with an empty pool, else all connections are open and have run a query, as the first one of a session
// takes the server longer.
template <class Work>
support::Row measure(const std::string& name, std::size_t threads, bool cold, Work work) {
  const lido::postgres::Environment environment = settings();
  const std::size_t size = environment.options.pool_size + environment.options.max_overflow;
  lido::postgres::Pool pool{environment};
  if (!cold) {
    std::barrier all_have_one{static_cast<std::ptrdiff_t>(size)};
    support::at_once(size, [&](auto has_connection) {
      auto connection = pool.acquire();
      has_connection();
      all_have_one.arrive_and_wait();
      connection->exec("select pg_sleep(0)");
    });
  }
  const auto opened_before = pool.statistics().opened;
  support::Observer observer{environment.connection_string, "lido_load"};
  support::Times times = support::at_once(threads, [&](auto has_connection) { work(pool, has_connection); });
  const std::size_t peak = observer.peak();
  const lido::Statistics after = pool.statistics();
  return {.name = name + (cold ? ", cold" : ", warm"),
          .times = std::move(times),
          .ideal = ideal(threads, size),
          .allowed = cold ? 1.35 : 1.05,
          .most_sessions = size,
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
  const bool good = support::report(
      {measure("100 queries", 100, true, run_query), measure("100 queries", 100, false, run_query),
       measure("50 sessions", 50, true, hold_session), measure("50 sessions", 50, false, hold_session)});
  return good ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
