// A COMMIT that runs out of time while it waits for the standby.
#include <optional>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <cluster/cluster.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transaction_status.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(commit)

namespace {

// How many COMMITs wait for the standby.
std::string waiting(const Cluster& cluster) {
  return cluster.first.ask("select count(*) from pg_stat_activity where wait_event = 'SyncRep'");
}
std::string rows(const Cluster& cluster) { return cluster.first.ask("select count(*) from notes"); }

}  // namespace

// A cancel would end the wait: all could see then what is gone if the standby is promoted.
BOOST_AUTO_TEST_CASE(is_not_cancelled_and_nobody_sees_what_it_did_before_the_standby_has_it) {
  Cluster cluster;
  postgres::Pool reader{cluster.first.conninfo(), {.pool_size = 1, .max_overflow = 0}};
  postgres::Pool writer{cluster.first.conninfo(), {.pool_size = 4, .max_overflow = 0}};
  auto statement = writer.acquire(), pipelined = writer.acquire(), second = writer.acquire();
  second->exec_script("begin; insert into notes values (1, 0); prepare transaction 'notes'");
  cluster.second.sigstop();
  Session session{writer, {.until = Clock::now() + 5s, .track_commit = true}};
  session.exec("insert into notes values (1, 0)");
  for (auto* lease : {&statement, &pipelined}) (*lease)->exec_script("begin; insert into notes values (1, 0)");
  Pipeline pipeline;
  pipeline.add("commit").add("select 1");

  const auto late = [] { return Clock::now() + 500ms; };
  const std::string words = "no answer before the deadline; the server was not asked to cancel COMMIT";
  const auto said = [](auto action) {
    try {
      action();
    } catch (const QueryTimeout& error) {
      return error.message();
    }
    return std::string{"nothing was thrown"};
  };
  std::optional<CommitUnknown> unknown;
  try {
    session.commit();
  } catch (const CommitUnknown& error) {
    unknown = error;
  }
  BOOST_REQUIRE(unknown.has_value());
  BOOST_TEST(std::string_view{unknown->what()}.starts_with("COMMIT was sent and not answered: " + words));
  BOOST_TEST(said([&] { statement->exec_until(late(), "commit"); }) == words);
  BOOST_TEST(said([&] { pipelined->run(pipeline, late()); }) == words);
  BOOST_TEST(said([&] { second->exec_until(late(), "commit prepared 'notes'"); }) == words);
  for (auto* lease : {&statement, &pipelined, &second}) lease->release();
  BOOST_TEST(writer.close(30s).complete);  // which would have waited for the requests to cancel
  BOOST_TEST(transaction_status(reader, *unknown, 2s) == TransactionStatus::in_progress);
  PostgresServer::wait_until("all COMMITs have come and wait", [&] { return waiting(cluster) == "4"; });
  BOOST_TEST(rows(cluster) == "0");
  cluster.second.sigcont();
  BOOST_TEST(transaction_status(reader, *unknown, 30s) == TransactionStatus::committed);
  PostgresServer::wait_until("the standby has all", [&] { return waiting(cluster) == "0"; });
  // Nobody waits a moment before the last one can be seen.
  PostgresServer::wait_until("all can be seen", [&] { return rows(cluster) == "4"; });
}

// What is no COMMIT, or not yet.
BOOST_AUTO_TEST_CASE(a_statement_before_it_is_cancelled) {
  Cluster cluster;
  postgres::Pool pool{cluster.first.conninfo(), {.pool_size = 1, .max_overflow = 0}};
  const auto is_cancelled = [&](auto action) {
    auto lease = pool.acquire();
    BOOST_CHECK_THROW(action(*lease, Clock::now() + 500ms), QueryTimeout);
    lease.release();
    PostgresServer::wait_until("it is cancelled", [&] {
      return cluster.first.ask("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "0";
    });
  };
  for (const char* sleeps : {"select pg_sleep(600)", "begin; select pg_sleep(600)",
                             "begin; select pg_sleep(600); commit", "prepare q as select pg_sleep(600); execute q"})
    is_cancelled([&](Connection& connection, TimePoint until) { connection.exec_script(sleeps, until); });
  // An answer of more than the server keeps to itself: what comes before it has one, too.
  const char* const tells = "select repeat('x', 100000)";
  for (const char* last : {"select pg_sleep(600)", "commit"})
    is_cancelled([&](Connection& connection, TimePoint until) {
      Pipeline pipeline;
      pipeline.add("begin").add("commit").add(tells).add("select pg_sleep(600)").add(last);
      connection.run(pipeline, until);
    });
}

BOOST_AUTO_TEST_CASE(it_is_told_by_its_text_where_it_stands_alone) {
  using lido::postgres::detail::is_commit;
  for (const char* sql : {"commit", " ; COMMIT ;", "end", "commit and chain", "prepare transaction 'a'",
                          "/* a */ commit prepared 'a'; -- b"})
    BOOST_TEST(is_commit(sql), sql);
  for (const char* sql : {"", ";", "begin", "rollback", "prepare a as select 1", "begin; commit", "commit; begin",
                          "rollback prepared 'a'", "select 'commit'"})
    BOOST_TEST(!is_commit(sql), sql);
}

BOOST_AUTO_TEST_SUITE_END()
