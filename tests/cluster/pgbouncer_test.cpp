// The pool with PgBouncer between it and the server: what works in which mode, and with which options.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <cluster/pgbouncer.hpp>
#include <lido/check_health.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::Clock;

BOOST_AUTO_TEST_SUITE(pgbouncer)

namespace {

PostgresServer& server() {
  static PostgresServer instance;
  return instance;
}

// [transaction_mode]
// For PgBouncer in transaction mode: whatever is not part of a transaction belongs to nobody there.
Options for_transaction_mode() {
  return {.pool_size = 20,
          .max_overflow = 0,              // PgBouncer is where the sessions with the server are counted
          .reset = ResetLevel::rollback,  // DISCARD ALL would clear somebody else's session
          .statement_cache = 0};          // what is prepared stays in one session
}
// [/transaction_mode]

void quick_start_works(lido::postgres::Pool& pool) {
  pool.acquire()->exec("create table if not exists notes(id serial, note text)");
  pool.acquire()->exec("truncate notes");
  auto connection = pool.acquire();
  BOOST_TEST(connection->exec("select $1::int + 1", 41)[0][0].as<int>() == 42);
  connection.release();
  {
    Session session{pool};
    session.exec("insert into notes(note) values ($1)", "committed");
    session.commit();
  }
  {
    Session session{pool};
    session.exec("insert into notes(note) values ($1)", "rolled back");
  }
  transact(pool, [](Session& work) { work.exec("insert into notes(note) values ($1)", "by transact"); });
  BOOST_CHECK_THROW(transact(pool,
                             [](Session& work) {
                               work.exec("insert into notes(note) values ('thrown away')");
                               work.exec("select 1/0");
                             }),
                    QueryError);
  BOOST_TEST(pool.acquire()->exec("select string_agg(note, ', ' order by id) from notes").one<std::string>() ==
             "committed, by transact");
  BOOST_TEST((lido::check_health(pool, 5s).status == lido::HealthStatus::healthy));
}

void time_out_cancels(lido::postgres::Pool& pool) {
  BOOST_CHECK_THROW(pool.acquire()->exec_until(Clock::now() + 2s, "select pg_sleep(600), 'to be cancelled'"),
                    QueryTimeout);
  PostgresServer::wait_until("the statement is cancelled on the server", [] {
    return server().ask(
               "select count(*) from pg_stat_activity where state = 'active' and query like '%to be cancelled%' "
               "and pid <> pg_backend_pid()") == "0";
  });
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

// What a stream asks for before it runs, and what it then runs, belong together: nobody else's statement is between.
void streams_do_not_mix(lido::postgres::Pool& pool) {
  std::atomic<int> wrong = 0, rows = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&, i] {
        for (int round = 0; round < 50; ++round) try {
            auto lease = pool.acquire();
            if (i % 2 == 0) {
              for (const auto& [half, n] : lease->stream<double, int>("select 0.5::float8, $1::int", i))
                half == 0.5 && n == i ? ++rows : ++wrong;
            } else {
              for (const auto& [text, n] : lease->stream<std::string, double>("select 'a'::text, $1::float8", i))
                text == "a" && n == i ? ++rows : ++wrong;
            }
          } catch (const std::exception&) {
            ++wrong;
          }
      });
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(rows == 400);
  Session session{pool};
  session.exec("set local datestyle = 'German'");  // so that it is read only in the binary format
  int count = 0;
  for (const std::chrono::sys_seconds at : session.stream<std::chrono::sys_seconds>("select to_timestamp(1)"))
    count += at == std::chrono::sys_seconds{1s} ? 1 : 100;
  BOOST_TEST(count == 1);
}

// Sixteen threads run transactions while PgBouncer is restarted.
void survives_restarts(PgBouncer& bouncer, lido::postgres::Pool& pool, const char* mode) {
  std::atomic<int> done = 0, failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i)
      threads.emplace_back([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) try {
            transact(pool, [](Session& work) { work.exec("insert into notes(note) values ('load')"); });
            ++done;
          } catch (const std::exception&) {
            ++failed;
          }
      });
    for (int restarts = 0; restarts < 2; ++restarts) {
      const int before = done;
      PostgresServer::wait_until("transactions are done", [&] { return done > before + 100; });
      bouncer.stop();
      bouncer.start();
    }
    const int before = done;
    PostgresServer::wait_until("transactions are done again", [&] { return done > before + 100; });
  }
  std::cout << "| PgBouncer, " << mode << " mode, restarted twice under load: " << done << " transactions done, "
            << failed << " failed\n";
  const int there = std::stoi(server().ask("select count(*) from notes where note = 'load'"));
  BOOST_TEST(there >= done);  // a commit may be done and not be known
  BOOST_TEST(there <= done + failed);
  BOOST_TEST(failed <= 16 * 40);  // of each thread some for each restart: it backs off
}

}  // namespace

BOOST_AUTO_TEST_CASE(session_mode_needs_no_other_options) {
  PgBouncer bouncer{server(), "session", 20};
  lido::postgres::Pool pool{bouncer.conninfo(), {.pool_size = 16, .max_overflow = 0, .pre_ping_after = 0s}};
  quick_start_works(pool);
  time_out_cancels(pool);
  streams_do_not_mix(pool);
  {
    auto lease = pool.acquire();
    lease->exec("set work_mem = '77MB'");
    BOOST_TEST(lease->exec("show work_mem").one<std::string>() == "77MB");
  }
  BOOST_TEST(pool.acquire()->exec("show work_mem").one<std::string>() != "77MB");  // DISCARD ALL
  survives_restarts(bouncer, pool, "session");
}

BOOST_AUTO_TEST_CASE(transaction_mode_serves_many_clients_by_few_sessions) {
  PgBouncer bouncer{server(), "transaction", 2};
  lido::postgres::Pool pool{bouncer.conninfo(), for_transaction_mode()};
  quick_start_works(pool);
  time_out_cancels(pool);
  streams_do_not_mix(pool);
  survives_restarts(bouncer, pool, "transaction");
  PostgresServer::wait_until("there are two sessions at most", [] { return server().sessions() <= 2; });
}

// The columns are asked for without a synchronisation before the COPY, in or outside of a transaction.
BOOST_AUTO_TEST_CASE(copies_typed_rows_in_both_modes) {
  server().ask("create table if not exists copied(a float8, b text)");
  for (const char* const mode : {"session", "transaction"}) BOOST_TEST_CONTEXT(mode) {
      server().ask("truncate copied");
      PgBouncer bouncer{server(), mode, 1};
      lido::postgres::Pool pool{bouncer.conninfo(), for_transaction_mode()};
      const std::vector<std::tuple<double, std::string>> rows(2'000, {0.5, "half"});
      auto lease = pool.acquire();
      BOOST_TEST(lease->copy_in("copy copied from stdin", rows) == rows.size());
      BOOST_CHECK_THROW(lease->copy_in("copy nowhere from stdin", rows), QueryError);
      BOOST_TEST(lease->exec("select count(*) from copied where a = 0.5").one<int>() == 2'000);
      double sum = 0;
      for (const auto& [a, b] : lease->copy_out<double, std::string>("copy copied to stdout")) sum += a;
      BOOST_TEST(sum == 1'000.0);
      lease.release();
      Session session{pool};
      BOOST_TEST(session.copy_in("copy copied from stdin", rows) == rows.size());
      session.rollback();
      BOOST_TEST(pool.acquire()->exec("select count(*) from copied").one<int>() == 2'000);
    }
}

BOOST_AUTO_TEST_CASE(transaction_mode_pings_and_sees_what_pgbouncer_ended) {
  PgBouncer bouncer{server(), "transaction", 2};
  Options options = for_transaction_mode();
  options.pre_ping_after = 0s;
  lido::postgres::Pool pool{bouncer.conninfo(), options};
  BOOST_TEST(pool.acquire()->ping(Clock::now() + 5s));
  bouncer.stop();
  bouncer.start();
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  BOOST_TEST(pool.statistics().found_dead == 1U);
}

// Why its page tells what to do without.
BOOST_AUTO_TEST_CASE(transaction_mode_keeps_no_session_state_apart) {
  PgBouncer bouncer{server(), "transaction", 1};
  lido::postgres::Pool pool{bouncer.conninfo(), for_transaction_mode()};
  auto one = pool.acquire(), other = pool.acquire();
  one->exec("set work_mem = '77MB'");
  BOOST_TEST(other->exec("show work_mem").one<std::string>() == "77MB");
  one->exec("select pg_advisory_lock(1)");
  BOOST_TEST(other->exec("select pg_try_advisory_lock(1)").one<bool>());  // it is the same session
  // What belongs to a transaction is safe.
  Session session{pool};
  session.exec("set local work_mem = '55MB'");
  session.commit();
  BOOST_TEST(other->exec("show work_mem").one<std::string>() == "77MB");
}

// With an SQLSTATE of class 08, which it has for all that it does to a client.
BOOST_AUTO_TEST_CASE(a_client_that_pgbouncer_ends_costs_one_connection) {
  PgBouncer bouncer{server(), "session", 20, "query_timeout = 1"};
  lido::postgres::Pool pool{bouncer.conninfo(), {.pool_size = 3, .max_overflow = 0, .keep_alive = 1h}};
  {
    auto lease = pool.acquire(), second = pool.acquire(), third = pool.acquire();
    second.release();
    third.release();
    try {
      lease->exec("select pg_sleep(60)");
      BOOST_ERROR("nothing was thrown");
    } catch (const ConnectionLost& error) {
      BOOST_TEST(error.sqlstate() == "08P01");
      BOOST_TEST(error.severity() == "FATAL");
      BOOST_TEST(error.message().find("query timeout") != std::string::npos, error.message());
    }
  }
  const auto one = pool.acquire(), two = pool.acquire(), three = pool.acquire();
  BOOST_TEST(pool.statistics().opened == 4U);
  BOOST_TEST(pool.statistics().invalidated == 0U);
}

// Which is heard while nothing is asked.
BOOST_AUTO_TEST_CASE(what_pgbouncer_says_to_an_idle_client_is_a_farewell_and_no_notice) {
  PgBouncer bouncer{server(), "session", 20, "idle_transaction_timeout = 1"};
  std::atomic<int> notices = 0;
  lido::postgres::Pool pool{
      bouncer.conninfo(),
      {.pool_size = 3, .max_overflow = 0, .keep_alive = 1h, .on_notice = [&](const Notice&) { ++notices; }}};
  auto other = pool.acquire();
  Session session{pool};
  other.release();
  session.exec("select 'in a transaction'");
  PostgresServer::wait_until("PgBouncer has ended it", [] {
    return server().ask(
               "select count(*) from pg_stat_activity where query like '%in a transaction%' "
               "and pid <> pg_backend_pid()") == "0";
  });
  BOOST_CHECK_THROW(session.commit(), ConnectionLost);
  BOOST_TEST(notices == 0);
  BOOST_TEST(pool.statistics().invalidated == 0U);
}

BOOST_AUTO_TEST_CASE(several_servers_behind_pgbouncer_are_told_apart_by_their_attributes) {
  PgBouncer bouncer{server(), "transaction", 2};
  lido::postgres::Pool pool{bouncer.conninfo() + " target_session_attrs=read-write", for_transaction_mode()};
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
