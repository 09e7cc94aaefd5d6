// Statements and transactions from their begin to their end, as a tracer is told of them.
#include <lido/postgres/tracing.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/error.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/until.hpp>
#include <support/fault_proxy.hpp>

#include "server.hpp"

using namespace lido;
using namespace lido::postgres;
using namespace std::chrono_literals;
using lido::test::server;

BOOST_AUTO_TEST_SUITE(tracing_pg)

namespace {

struct Told {
  std::string text;  // of a statement
  std::string pool;
  std::uint64_t connection = 0;
  int pid = 0;
  std::string host;
  std::string database;
  unsigned line = 0;
  std::string outcome;
  std::uint64_t rows = 0;
  std::string sqlstate;
  Duration took{};
};

struct Journal {
  std::vector<Told> statements;
  std::vector<Told> transactions;
  std::vector<std::string> order;

  [[nodiscard]] std::string last() const {
    if (statements.empty()) return "";
    const Told& told = statements.back();
    return told.text + ": " + told.outcome + ' ' + std::to_string(told.rows) +
           (told.sqlstate.empty() ? "" : " " + told.sqlstate);
  }
};

Told told_of(const TracedSession& session, const std::source_location& where) {
  Told told;
  told.pool = session.pool;
  told.connection = session.connection;
  told.pid = session.pid;
  told.host = session.host;
  told.database = session.database;
  told.line = where.line();
  return told;
}

struct Tracer {
  Told begin(const StatementBegin& begin) const {
    Told told = told_of(begin.session, begin.where);
    told.text = begin.text;
    return told;
  }
  void end(Told told, const StatementEnd& end) const {
    told.outcome = to_string(end.outcome);
    told.rows = end.rows;
    told.sqlstate = end.sqlstate;
    told.took = end.took;
    journal->order.push_back(told.text);
    journal->statements.push_back(told);
  }
  Told begin(const TransactionBegin& begin) const {
    journal->order.emplace_back("transaction");
    return told_of(begin.session, begin.where);
  }
  void end(Told told, const TransactionEnd& end) const {
    told.outcome = to_string(end.outcome);
    told.took = end.took;
    journal->order.push_back(told.outcome);
    journal->transactions.push_back(told);
  }
  Journal* journal;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_statement_is_told_with_its_session_its_rows_and_its_error) {
  Journal journal;
  Connection connection = lido::test::connect();
  connection.exec("select 1");
  trace(connection, Tracer{&journal});
  const unsigned line = __LINE__ + 1;
  connection.exec("select generate_series(1, $1)", 5);
  BOOST_REQUIRE(journal.statements.size() == 1U);
  const Told& told = journal.statements.front();
  BOOST_TEST(told.text == "select generate_series(1, $1)");
  BOOST_TEST(told.outcome == "done");
  BOOST_TEST(told.rows == 5U);
  BOOST_TEST(told.sqlstate == "");
  BOOST_TEST(told.pid == connection.backend_pid());
  BOOST_TEST(told.host == PQhost(connection.native()));
  BOOST_TEST(told.database == PQdb(connection.native()));
  BOOST_TEST(told.pool == "");
  BOOST_TEST(told.line == line);
  BOOST_TEST((told.took > Duration::zero()));
  connection.exec("create temp table traced(id int)");
  BOOST_TEST(journal.last() == "create temp table traced(id int): done 0");
  connection.exec_script("insert into traced values (1), (2); insert into traced values (3)");
  BOOST_TEST(journal.statements.back().rows == 3U);
  BOOST_CHECK_THROW(connection.exec("select 1 / $1", 0), QueryError);
  BOOST_TEST(journal.last() == "select 1 / $1: refused 0 22012");
  for (int times = 0; times < 3; ++times) connection.exec("select id from traced");  // prepared in between
  BOOST_TEST(journal.last() == "select id from traced: done 3");
  int count = 0;
  for (const int id : connection.stream<int>("select id from traced")) count += id;
  BOOST_TEST(count == 6);
  BOOST_TEST(journal.last() == "select id from traced: done 3");
  connection.copy_in("copy traced from stdin", std::vector<std::tuple<int>>{{4}, {5}});
  BOOST_TEST(journal.last() == "copy traced from stdin: done 2");
  for (const auto& row : connection.copy_out("copy traced to stdout")) static_cast<void>(row);
  BOOST_TEST(journal.last() == "copy traced to stdout: done 5");
  BOOST_TEST(connection.ping(lido::test::soon()));  // is none
  BOOST_TEST(journal.last() == "copy traced to stdout: done 5");
}

BOOST_AUTO_TEST_CASE(a_statement_that_is_given_up_or_lost_says_so) {
  Journal journal;
  {
    Connection connection = lido::test::connect();
    trace(connection, Tracer{&journal});
    const auto sleeps = [&](Duration span) { connection.exec_until(Clock::now() + span, "select pg_sleep(30)"); };
    BOOST_CHECK_THROW(lido::test::once_sent(50ms, sleeps), QueryTimeout);
    BOOST_TEST(journal.last() == "select pg_sleep(30): timed_out 0");
  }
  Connection connection = lido::test::connect();
  trace(connection, Tracer{&journal});
  BOOST_CHECK_THROW(connection.exec("select pg_terminate_backend(pg_backend_pid())"), ConnectionLost);
  BOOST_TEST(journal.last() == "select pg_terminate_backend(pg_backend_pid()): lost 0 57P01");
  const std::size_t told = journal.statements.size();
  BOOST_CHECK_THROW(connection.exec("select 1"), ConnectionLost);  // it was not sent
  BOOST_TEST(journal.statements.size() == told);
}

BOOST_AUTO_TEST_CASE(each_statement_of_a_pipeline_is_told_and_the_error_is_that_of_the_one_that_failed) {
  Journal journal;
  Connection connection = lido::test::connect();
  trace(connection, Tracer{&journal});
  Pipeline pipeline;
  pipeline.add("select generate_series(1, 2)");
  pipeline.add("select 1 / $1::int", 0);
  pipeline.add("select 3");
  BOOST_CHECK_THROW(connection.run(pipeline), PipelineError);
  BOOST_REQUIRE(journal.statements.size() == 2U);
  BOOST_TEST(journal.statements[0].text == "select generate_series(1, 2)");
  BOOST_TEST(journal.statements[0].outcome == "done");
  BOOST_TEST(journal.statements[0].rows == 2U);
  BOOST_TEST(journal.last() == "select 1 / $1::int: refused 0 22012");
}

BOOST_AUTO_TEST_CASE(a_statement_that_is_run_again_unseen_is_told_as_it_ended) {
  server().ask("create table altered(i int)");
  Journal journal;
  Connection connection = lido::test::connect();
  trace(connection, Tracer{&journal});
  for (int i = 0; i < 3; ++i) connection.exec("select * from altered");
  server().ask("alter table altered add j int");
  connection.exec("select * from altered");
  BOOST_TEST(journal.last() == "select * from altered: done 0");
  server().ask("drop table altered");
  BOOST_CHECK_THROW(connection.exec("select * from altered"), QueryError);
  BOOST_TEST(journal.last() == "select * from altered: refused 0 42P01");
}

BOOST_AUTO_TEST_CASE(passwords_are_told_to_nobody) {
  Journal journal;
  Connection connection = lido::test::connect();
  trace(connection, Tracer{&journal});
  BOOST_CHECK_THROW(connection.exec("alter role nobody_there password 'hunter2'"), QueryError);
  BOOST_REQUIRE(journal.statements.size() == 1U);
  BOOST_TEST(journal.last().find("hunter2") == std::string::npos);
  BOOST_TEST(journal.last().find("password") != std::string::npos);
  BOOST_CHECK_THROW(connection.exec("select nothing_there('postgresql://app:hunter2@db/x')"), QueryError);
  BOOST_TEST(journal.last() == "select nothing_there('postgresql://app:***@db/x'): refused 0 42883");
}

BOOST_AUTO_TEST_CASE(a_pool_is_traced_with_its_name_from_the_first_acquire_on) {
  struct All : Tracer {
    using Tracer::begin;
    using Tracer::end;
    int begin(const AcquireBegin&) const {
      journal->order.emplace_back("acquire");
      return 0;
    }
    void end(int, const AcquireEnd&) const { journal->order.emplace_back("acquired"); }
  };
  Journal journal;
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .name = "orders"}};
  pool.wait_until_ready(60s);  // it is open before anybody traces it
  trace(pool, All{{&journal}});
  {
    Session session{pool};
    session.exec("select 1");
    session.commit();
  }
  BOOST_TEST(journal.order == (std::vector<std::string>{"acquire", "acquired", "transaction", "BEGIN", "select 1",
                                                        "COMMIT", "committed"}),
             boost::test_tools::per_element());
  BOOST_REQUIRE(journal.transactions.size() == 1U);
  BOOST_TEST(journal.transactions[0].pool == "orders");
  BOOST_TEST(journal.transactions[0].connection == 1U);
  BOOST_TEST(journal.transactions[0].pid == journal.statements[0].pid);
  BOOST_TEST(pool.statistics().listener_errors == 0U);
}

BOOST_AUTO_TEST_CASE(a_transaction_says_how_it_ended) {
  Journal journal;
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  trace(pool, Tracer{&journal});
  const auto ended = [&] { return journal.transactions.empty() ? "" : journal.transactions.back().outcome; };
  {
    const Session session{pool};
  }
  BOOST_TEST(ended() == "rolled_back");
  {
    Session session{pool};
    session.exec("commit");  // by a statement
  }
  BOOST_TEST(ended() == "committed");
  {
    Session session{pool};
    BOOST_CHECK_THROW(session.exec("select 1 / 0"), QueryError);
    BOOST_CHECK_THROW(session.commit(), QueryError);
  }
  BOOST_TEST(ended() == "rolled_back");
  BOOST_TEST(journal.last() == "COMMIT: refused 0 25P02");
  TransactionOptions options;
  options.set_local = {{"work_mem", "nothing"}};
  BOOST_CHECK_THROW((Session{pool, options}), QueryError);
  BOOST_TEST(ended() == "rolled_back");
  BOOST_TEST(journal.transactions.size() == 4U);
  lido::test::FaultProxy proxy{server().socket()};
  postgres::Pool through{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0}};
  trace(through, Tracer{&journal});
  {
    Session session{through};
    proxy.cut_after(1);
    BOOST_CHECK_THROW(session.exec("commit"), ConnectionLost);  // it may have arrived
  }
  BOOST_TEST(ended() == "unknown");
}

BOOST_AUTO_TEST_CASE(a_tracer_that_throws_changes_nothing) {
  struct Throws {
    bool at_begin;
    int begin(const StatementBegin&) const { return at_begin ? throw std::runtime_error{"begin"} : 1; }
    void end(int, const StatementEnd&) const { throw std::runtime_error{"end"}; }
    int begin(const TransactionBegin&) const { return at_begin ? throw std::runtime_error{"begin"} : 1; }
    void end(int, const TransactionEnd&) const { throw std::runtime_error{"end"}; }
  };
  for (const bool at_begin : {true, false}) {
    postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
    trace(pool, Throws{at_begin});
    Session session{pool};
    BOOST_TEST(session.exec("select 7").one<int>() == 7);
    session.commit();
    BOOST_TEST(pool.acquire()->exec("select 8").one<int>() == 8);
  }
}

BOOST_AUTO_TEST_SUITE_END()
