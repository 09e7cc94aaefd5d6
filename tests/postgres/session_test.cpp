#include <chrono>
#include <cstdint>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/growth.hpp>
#include <lido/options.hpp>
#include <lido/pool.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

// One connection, so that a lease that is lost shows at once.
struct OnePool {
  OnePool() {
    server().ask("drop table if exists marks; create table marks(id int primary key deferrable initially deferred)");
  }
  ~OnePool() {
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_TEST(static_cast<bool>(pool.acquire(1min)));
  }
  static int marks() { return std::stoi(server().ask("select count(*) from marks")); }

  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
};

// A pool that checks nothing: the first `lost` connections that it leases are dead.
struct OwnedLease {
  std::optional<Connection> connection;

  Connection& operator*() { return *connection; }
  Connection* operator->() { return &*connection; }
  explicit operator bool() const noexcept { return connection.has_value(); }
  void release() noexcept { connection.reset(); }
  void discard() noexcept { connection.reset(); }
};
struct Unchecked {
  int lost = 0;
  int leased = 0;

  static PoolOptions options() { return {}; }
  OwnedLease acquire(Duration, const std::stop_token&, std::source_location) {
    OwnedLease lease{lido::test::connect()};
    if (++leased <= lost) terminate(*lease);
    return lease;
  }
};

bool mentions(const std::exception& error, std::string_view text) {
  return std::string_view{error.what()}.find(text) != std::string_view::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session, OnePool)

BOOST_AUTO_TEST_CASE(commits_what_it_did_and_gives_the_connection_back) {
  Session session{pool};
  session.exec("insert into marks values ($1)", 1);
  BOOST_TEST(marks() == 0);
  session.commit();
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 1);
  BOOST_TEST(static_cast<bool>(pool.acquire(0s)));
  BOOST_CHECK_THROW(session.exec("select 1"), Error);
  BOOST_CHECK_THROW(session.commit(), Error);
}

BOOST_AUTO_TEST_CASE(rolls_back_when_it_is_told_to_or_forgotten) {
  {
    Session session{pool};
    session.exec("insert into marks values (1)");
    session.rollback();
    session.rollback();
    BOOST_TEST(!session.is_open());
    BOOST_TEST(static_cast<bool>(pool.acquire(0s)));
  }
  {
    Session session{pool};
    session.exec("insert into marks values (1)");
  }
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(rolls_back_when_the_body_throws) {
  const auto body = [&] {
    Session session{pool};
    session.exec("insert into marks values (1)");
    throw std::runtime_error{"the user's own"};
  };
  BOOST_CHECK_EXCEPTION(body(), std::runtime_error, [](const std::exception& e) { return mentions(e, "own"); });
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(commit_of_a_failed_transaction_is_an_error) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  BOOST_CHECK_THROW(session.exec("select 1/0"), QueryError);
  const auto error = caught<QueryError>([&] { session.commit(); });
  BOOST_TEST(error.sqlstate() == "25P02");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(commit_that_the_server_refuses_is_an_error_and_keeps_the_connection) {
  Session session{pool};
  session.exec("insert into marks values (1), (1)");  // found out by COMMIT only
  BOOST_TEST(caught<QueryError>([&] { session.commit(); }).sqlstate() == "23505");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(commit_after_a_statement_ended_the_transaction_is_an_error) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  session.exec("rollback");
  BOOST_TEST(mentions(caught<QueryError>([&] { session.commit(); }), "ended it"));
  BOOST_TEST(!session.is_open());
}

BOOST_AUTO_TEST_CASE(no_statement_runs_after_the_transaction_has_ended) {
  for (const char* end : {"rollback", "commit", "prepare transaction 'whole'", "end; select 1"}) {
    BOOST_TEST_CONTEXT(end) {
      Session session{pool};
      Connection& connection = session.connection();
      connection.exec_script(end);
      const char* const insert = "insert into marks values (1)";
      const auto error = caught<QueryError>([&] { session.exec(insert); });
      BOOST_TEST(error.sqlstate() == "25P01");
      BOOST_TEST(error.statement() == insert);
      Pipeline pipeline;
      pipeline.add(insert);
      BOOST_CHECK_THROW(session.exec_until(soon(), insert), QueryError);
      BOOST_CHECK_THROW(connection.exec(insert), QueryError);
      BOOST_CHECK_THROW(connection.exec_script(insert), QueryError);
      BOOST_CHECK_THROW(connection.run(pipeline), QueryError);
      BOOST_CHECK_THROW(static_cast<void>(connection.stream(insert)), QueryError);
      BOOST_CHECK_THROW(static_cast<void>(connection.copy_out("copy (values (1)) to stdout")), QueryError);
      BOOST_CHECK_THROW(connection.copy_in("copy marks from stdin", std::vector<std::tuple<int>>{{1}}), QueryError);
      BOOST_TEST(connection.is_usable());
      BOOST_TEST(connection.ping(soon()));
      BOOST_CHECK_THROW(session.commit(), QueryError);
    }
    BOOST_TEST(marks() == 0);
    pool.acquire()->exec("select 1");  // which is another one's
  }
  server().ask("rollback prepared 'whole'");
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(a_session_that_is_left_after_its_transaction_gives_a_good_connection_back) {
  {
    Session session{pool};
    session.exec("set work_mem = '5MB'");
    session.exec("commit");
  }
  BOOST_TEST(pool.acquire()->exec("show work_mem").one<std::string>() != "5MB");
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(connection_lost_before_commit_is_told_from_an_unknown_commit) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  terminate(session.connection());
  BOOST_TEST(mentions(caught<ConnectionLost>([&] { session.commit(); }), "nothing is committed"));
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().discarded == 1U);
}

BOOST_AUTO_TEST_CASE(commit_whose_answer_never_came_is_unknown) {
  // A deferred trigger ends the session in the middle of COMMIT.
  server().ask(
      "create or replace function die() returns trigger language plpgsql as "
      "$$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); return null; end $$; "
      "create constraint trigger die after insert on marks deferrable initially deferred for each row "
      "execute function die()");
  Session session{pool};
  session.exec("insert into marks values (1)");
  const auto error = caught<CommitUnknown>([&] { session.commit(); });
  BOOST_TEST(error.sqlstate() == "57P01");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(pool.statistics().discarded == 1U);
}

BOOST_AUTO_TEST_CASE(commit_that_hangs_is_unknown_at_the_statements_deadline) {
  const auto attempt = [&](Duration limit) {
    postgres::Pool hasty{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .statement_timeout = limit}};
    Session session{hasty};
    session.exec("insert into marks values (1)");
    const auto discarded = hasty.statistics().discarded;
    server().sigstop();
    try {
      session.commit();
    } catch (const CommitUnknown&) {
      server().sigcont();
      BOOST_TEST(hasty.statistics().discarded == discarded + 1U);
      throw;
    } catch (const Error&) {  // it was not sent in time
      server().sigcont();
      throw;
    }
    server().sigcont();
  };
  BOOST_CHECK_THROW(once_in_time(100ms, attempt), CommitUnknown);
}

BOOST_AUTO_TEST_CASE(replaces_a_connection_that_is_lost_between_check_and_begin_once) {
  Unchecked one_lost{.lost = 1};
  {
    BasicSession<OwnedLease> session{one_lost};
    BOOST_TEST(session.exec("select 1").one<int>() == 1);
  }
  BOOST_TEST(one_lost.leased == 2);
  Unchecked all_lost{.lost = 9};
  BOOST_CHECK_THROW(BasicSession<OwnedLease>{all_lost}, ConnectionLost);
  BOOST_TEST(all_lost.leased == 2);
}

BOOST_AUTO_TEST_CASE(begins_as_it_is_told) {
  {
    Session session{pool, {.isolation = Isolation::serializable, .read_only = true, .deferrable = true}};
    BOOST_TEST(session.exec("show transaction_isolation").one<std::string>() == "serializable");
    BOOST_TEST(session.exec("show transaction_read_only").one<std::string>() == "on");
    BOOST_TEST(session.exec("show transaction_deferrable").one<std::string>() == "on");
    BOOST_CHECK_THROW(Session(pool, {.acquire_timeout = 0s}), AcquireTimeout);
  }
  Session session{pool, {.isolation = Isolation::repeatable_read}};
  BOOST_TEST(session.exec("show transaction_isolation").one<std::string>() == "repeatable read");
}

BOOST_AUTO_TEST_CASE(sets_for_this_transaction_alone_what_it_is_told_in_one_round_trip) {
  {
    Session session{pool,
                    {.statement_timeout = 61234ms,
                     .lock_timeout = 1us,
                     .application_name = "it's a \\ test",
                     .set_local = {{"search_path", "Marks, \"Odd, \"\"one\"\"\", pg_catalog"},
                                   {"work_mem", "5MB"},
                                   {"my.variable", "'; drop table marks; --"},
                                   {"role", "pg_monitor"}}}};
    const auto now = [&](const std::string& name) {
      return session.exec("select current_setting($1)", name).one<std::string>();
    };
    BOOST_TEST(now("statement_timeout") == "61234ms");
    BOOST_TEST(now("lock_timeout") == "1ms");
    BOOST_TEST(now("application_name") == "it's a \\ test");
    BOOST_TEST(now("search_path") == "marks, \"Odd, \"\"one\"\"\", pg_catalog");
    BOOST_TEST(now("work_mem") == "5MB");
    BOOST_TEST(now("my.variable") == "'; drop table marks; --");
    BOOST_TEST(session.exec("select current_user::text").one<std::string>() == "pg_monitor");
    session.commit();
  }
  const auto connection = pool.acquire();
  for (const auto& [name, value] : {std::pair{"statement_timeout", "0"},
                                    {"lock_timeout", "0"},
                                    {"application_name", ""},
                                    {"search_path", "\"$user\", public"},
                                    {"work_mem", "4MB"},
                                    {"my.variable", ""},
                                    {"role", "none"}})
    BOOST_TEST(connection->exec("select current_setting($1)", name).one<std::string>() == value);
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(serves_tenants_by_the_search_path) {
  server().ask(
      "drop schema if exists tenant_7 cascade; create schema tenant_7; create table tenant_7.notes(text text)");
  const std::string tenant = "tenant_7";
  // [settings]
  Session session{pool,
                  {.isolation = Isolation::repeatable_read,
                   .statement_timeout = 2s,  // the server's: a QueryError, and the connection is kept
                   .lock_timeout = 200ms,
                   .set_local = {{"search_path", tenant}, {"app.tenant", tenant}}}};  // gone when the transaction ends
  session.exec("insert into notes values ('hello')");
  session.commit();
  // [/settings]
  BOOST_TEST(server().ask("select count(*) from tenant_7.notes") == "1");
}

BOOST_AUTO_TEST_CASE(reads_a_list_of_names_as_the_server_does) {
  server().ask(
      "drop schema if exists a, b, \"B c\", \"a\"\"b\" cascade; "
      "create schema a; create schema b; create schema \"B c\"; create schema \"a\"\"b\"");
  for (const char* list : {"a", " A , \"B c\"", "\"$user\",public, b", "\"a\"\"b\"", "\"A\"", "", "pg_catalog,\tb"}) {
    Session session{pool, {.set_local = {{"search_path", list}}}};
    const char* const schemas = "select array_to_string(current_schemas(true), '|')";
    const auto ours = session.exec(schemas).one<std::string>();
    session.exec("select set_config('search_path', $1, true)", list);
    BOOST_TEST(ours == session.exec(schemas).one<std::string>());
  }
}

BOOST_AUTO_TEST_CASE(refuses_a_bad_setting_by_its_name_and_loses_nothing) {
  const auto refused = [&](const TransactionOptions& options) {
    return std::string{caught<InvalidOption>([&] { const Session session{pool, options}; }).field()};
  };
  for (const char* name : {"", "a b", "1a", "a.", ".a", "a..b", "a;b", "a\"b", "\xc3\xa4"})
    BOOST_TEST(refused({.set_local = {{name, "x"}}}) == "TransactionOptions::set_local");
  for (const char* list : {"a b", "a,", ",a", "\"a", "a\"b\""})
    BOOST_TEST(refused({.set_local = {{"search_path", list}}}) == "TransactionOptions::set_local, search_path");
  BOOST_TEST(refused({.set_local = {{"my.x", "\xc3"}}}) == "TransactionOptions::set_local, my.x");
  BOOST_TEST(refused({.set_local = {{"my.x", std::string(1, '\0')}}}) == "TransactionOptions::set_local, my.x");
  BOOST_TEST(refused({.statement_timeout = -1ms}) == "TransactionOptions::statement_timeout");
  BOOST_TEST(refused({.statement_timeout = -100us}) == "TransactionOptions::statement_timeout");
  BOOST_TEST(refused({.lock_timeout = -1ns}) == "TransactionOptions::lock_timeout");
  BOOST_TEST(refused({.lock_timeout = 600h}) == "TransactionOptions::lock_timeout");

  const auto unknown =
      caught<QueryError>([&] { const Session session{pool, {.set_local = {{"nonsense", "secret"}}}}; });
  BOOST_TEST(unknown.sqlstate() == "42704");
  BOOST_TEST(mentions(unknown, "nonsense"));
  BOOST_TEST(unknown.statement() == "BEGIN; SET LOCAL \"nonsense\" TO '***'");
  for (const char* name : {"work_mem", "role", "temp_tablespaces", "session_authorization", "client_encoding"}) {
    const std::string value = std::string_view{name} == "temp_tablespaces" ? "other, hunter2" : "hunter2";
    const auto quoted = caught<QueryError>([&] { const Session session{pool, {.set_local = {{name, value}}}}; });
    BOOST_TEST(!mentions(quoted, "hunter2"), name);
    BOOST_TEST(mentions(quoted, "***"), name);
  }
  BOOST_TEST(pool.statistics().opened == 1U);
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(the_server_s_own_limits_keep_the_connection) {
  server().ask("insert into marks values (1)");
  postgres::Pool other{server().conninfo(), {.pool_size = 1}};
  Session holder{other};
  holder.exec("select * from marks for update");
  Session waits{pool, {.statement_timeout = 20ms}};
  BOOST_TEST(caught<QueryError>([&] { waits.exec("select pg_sleep(10)"); }).sqlstate() == "57014");
  waits.rollback();
  Session wants{pool, {.lock_timeout = 20ms}};
  BOOST_TEST(caught<QueryError>([&] { wants.exec("update marks set id = 2"); }).sqlstate() == "55P03");
  wants.rollback();
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(gives_up_at_its_own_deadline_whatever_limit_a_call_has) {
  server().sigstop();
  const auto start = Clock::now();
  BOOST_CHECK_THROW(Session(pool, {.acquire_timeout = 2min, .until = start + 50ms}), AcquireTimeout);
  BOOST_TEST((Clock::now() - start < 1min));
  server().sigcont();
  static_cast<void>(pool.acquire(1min));  // opened
  std::uint64_t before = 0;               // without one whose BEGIN was not answered in time
  const auto sleeps = [&](Duration span) {
    std::optional<Session> session;
    once_in_time(span,
                 [&](Duration enough) { session.emplace(pool, TransactionOptions{.until = Clock::now() + enough}); });
    before = pool.statistics().discarded;
    session->exec_until(Clock::now() + 10min, "select pg_sleep(60)");
  };
  BOOST_CHECK_THROW(once_sent(200ms, sleeps), QueryTimeout);
  BOOST_TEST(pool.statistics().discarded == before + 1);  // as its answer did not come in time
  std::stop_source stop;
  Session session{pool, {.until = Until{stop.get_token()}}};
  session.exec("insert into marks values (1)");
  stop.request_stop();
  BOOST_TEST(mentions(caught<QueryCancelled>([&] { session.commit(); }), "not sent"));
  BOOST_TEST(!session.is_open());
  BOOST_CHECK_THROW(Session(pool, {.until = Until{stop.get_token()}}), AcquireCancelled);

  std::optional<Session> late;
  TimePoint over;
  once_in_time(300ms, [&](Duration span) {
    late.reset();
    over = Clock::now() + span;
    late.emplace(pool, TransactionOptions{.until = over});
    late->exec("insert into marks values (1)");
  });
  const auto discarded = pool.statistics().discarded;
  postgres::detail::pause_until(over + 10ms);
  BOOST_CHECK_THROW(late->exec("select 1"), QueryTimeout);
  BOOST_TEST(mentions(caught<QueryTimeout>([&] { late->commit(); }), "not sent"));
  BOOST_TEST(!late->is_open());
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().discarded == discarded);
}

BOOST_AUTO_TEST_CASE(a_deadline_that_is_over_leaves_no_time_for_a_check) {
  postgres::Pool checked{server().conninfo(), {.pre_ping_after = 0s, .check_timeout = 1min}};
  static_cast<void>(checked.acquire(1min));
  PostgresServer::wait_until("it is idle", [&] { return checked.statistics().now.idle == 1; });
  server().sigstop();
  const auto start = Clock::now();
  BOOST_CHECK_THROW(Session(checked, {.until = start - 1s}), AcquireTimeout);
  const auto took = Clock::now() - start;
  server().sigcont();
  BOOST_TEST((took < 30s));  // a check would have a minute
}

BOOST_AUTO_TEST_CASE(sends_nothing_once_its_time_is_over_whatever_limit_a_call_has) {
  std::stop_source stop;
  {
    Session session{pool, {.until = Until{stop.get_token()}}};
    session.exec("insert into marks values (1)");
    stop.request_stop();
    BOOST_CHECK_THROW(session.exec("select 1"), QueryCancelled);
    std::stop_source other;  // which has not asked for anything
    BOOST_CHECK_THROW(session.exec_until(Until{other.get_token()}, "select 1"), QueryCancelled);
    BOOST_TEST(session.connection().is_usable());
  }
  BOOST_TEST(pool.statistics().discarded == 0U);
  {
    std::optional<Session> session;
    TimePoint over;
    once_in_time(200ms, [&](Duration span) {
      over = Clock::now() + span;
      session.emplace(pool, TransactionOptions{.until = over});
    });
    const auto discarded = pool.statistics().discarded;
    postgres::detail::pause_until(over + 10ms);
    BOOST_CHECK_THROW(session->exec_until(soon(), "select 1"), QueryTimeout);
    BOOST_TEST(session->connection().is_usable());
    session.reset();
    BOOST_TEST(pool.statistics().discarded == discarded);
  }
  BOOST_TEST(marks() == 0);
}

BOOST_AUTO_TEST_CASE(names_the_line_that_holds_it) {
  const Session session{pool};
  BOOST_REQUIRE(pool.holders().size() == 1U);
  BOOST_TEST(std::string_view{pool.holders()[0].where.file_name()}.ends_with("session_test.cpp"));
}

BOOST_AUTO_TEST_CASE(serves_a_test_pool_by_the_same_type_and_other_pools_by_deduction) {
  TestPool test_pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  {
    Session session{test_pool};
    BOOST_TEST(session.exec("select 1").one<int>() == 1);
  }
  lido::Pool other{Connector{server().conninfo()}, FixedSize{.size = 1}};
  BasicSession session{other};
  BOOST_TEST(session.exec("select 2").one<int>() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
