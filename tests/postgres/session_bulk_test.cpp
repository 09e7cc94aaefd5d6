// Streams, COPY, scripts and pipelines in a transaction.
#include <chrono>
#include <concepts>
#include <optional>
#include <ranges>
#include <source_location>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

struct Readings {
  Readings() { server().ask("drop table if exists readings; create table readings(sensor int, place text)"); }
  ~Readings() {
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_TEST(static_cast<bool>(pool.acquire(1min)));
  }
  static std::string stored() { return server().ask("select count(*) from readings"); }

  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
};

const std::vector<std::string> one_reading{"7\thall\n"};

// Has `session` do `what` in each way that there is, and calls `check` with how it is called and a function that does
// it. What returns rows is walked over to its end.
template <class Check>
void in_each_way(Session& session, const std::string& what, const std::string& in, const std::string& out,
                 Check check) {
  check("exec", [&] { session.exec(what); });
  check("exec_script", [&] { session.exec_script(what); });
  check("stream", [&] {
    for (const Row& row : session.stream(what)) static_cast<void>(row);
  });
  check("run", [&] {
    Pipeline pipeline;
    pipeline.add(what);
    session.run(pipeline);
  });
  check("copy_in", [&] { session.copy_in(in, one_reading); });
  check("copy_out", [&] {
    for (const std::string_view line : session.copy_out(out)) static_cast<void>(line);
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session_bulk, Readings)

BOOST_AUTO_TEST_CASE(a_session_has_what_a_connection_has) {
  const auto half = [](int sensor) { return sensor % 2 == 0; };
  // [session_bulk]
  Session session{pool, {.until = Clock::now() + 30s}};  // for all of it
  auto readings = std::views::iota(0, 1000) | std::views::transform([](int i) { return std::tuple{i, "hall 1"}; });
  session.copy_in("copy readings from stdin", readings);

  Pipeline pipeline;  // one round trip
  for (const auto& [sensor, place] : session.stream<int, std::string>("select * from readings"))
    if (half(sensor)) pipeline.add("update readings set place = $1 where sensor = $2", "hall 2", sensor);
  session.run(pipeline);
  session.commit();  // all of it, or nothing
  // [/session_bulk]
  BOOST_TEST(pipeline.size() == 500U);
  Session second{pool};
  second.exec_script("insert into readings values (1000, 'hall 2'); update readings set place = 'hall 3'");
  int in_hall_3 = 0;
  for (const auto& [sensor, place] : second.copy_out<int, std::string>("copy readings to stdout"))
    in_hall_3 += place == "hall 3" && sensor <= 1000 ? 1 : 0;
  BOOST_TEST(in_hall_3 == 1001);
  BOOST_TEST(second.exec("select count(*) from readings").one<int>() == 1001);
  second.rollback();
  BOOST_TEST(server().ask("select count(*) from readings where place = 'hall 2'") == "500");
}

BOOST_AUTO_TEST_CASE(each_gives_up_when_the_time_of_the_session_is_over) {
  std::vector<std::string> given_up;
  for (int way = 0; way < 6; ++way) {
    std::optional<Session> session;
    once_in_time(300ms,
                 [&](Duration span) { session.emplace(pool, TransactionOptions{.until = Clock::now() + span}); });
    int number = 0;
    const std::string sleep = "select pg_sleep(60)";
    in_each_way(*session, sleep, "copy readings from stdin where pg_sleep(60) is not null",
                "copy (" + sleep + ") to stdout", [&](const char* name, auto action) {
                  if (number++ != way) return;
                  const TimePoint begin = Clock::now();
                  BOOST_CHECK_THROW(action(), QueryTimeout);
                  BOOST_TEST((Clock::now() - begin < 60s));
                  given_up.emplace_back(name);
                });
  }
  BOOST_TEST(given_up.size() == 6U);
  BOOST_TEST(stored() == "0");
}

BOOST_AUTO_TEST_CASE(each_sends_nothing_once_the_time_of_the_session_is_over) {
  std::stop_source stop;
  Session session{pool, {.until = stop.get_token()}};
  stop.request_stop();
  in_each_way(session, "insert into readings values (1)", "copy readings from stdin", "copy readings to stdout",
              [](const char* name, auto action) {
                BOOST_TEST_CONTEXT(name) { BOOST_CHECK_THROW(action(), QueryCancelled); }
              });
  BOOST_TEST(session.connection().is_usable());
  session.rollback();
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(a_limit_of_the_call_counts_where_it_is_sooner) {
  Session session{pool, {.until = Clock::now() + 60s}};
  BOOST_CHECK_THROW(session.exec_script("select pg_sleep(60)", Clock::now() + 200ms), QueryTimeout);
}

BOOST_AUTO_TEST_CASE(each_is_refused_behind_the_end_of_the_transaction) {
  Session session{pool};
  session.exec("rollback");
  in_each_way(session, "insert into readings values (1)", "copy readings from stdin", "copy readings to stdout",
              [](const char* name, auto action) {
                BOOST_TEST_CONTEXT(name) { BOOST_TEST(caught<QueryError>(action).sqlstate() == "25P01"); }
              });
  session.rollback();
  in_each_way(session, "insert into readings values (1)", "copy readings from stdin", "copy readings to stdout",
              [](const char* name, auto action) {
                BOOST_TEST_CONTEXT(name) {
                  const std::string said = caught<Error>(action).what();
                  BOOST_TEST(said.find("the session has ended") != std::string::npos);
                }
              });
  BOOST_TEST(stored() == "0");
}

BOOST_AUTO_TEST_CASE(each_error_names_the_statement_and_its_place) {
  const std::string what = "select 1 / (select 0)";
  Session session{pool};
  in_each_way(session, what, "copy missing from stdin", "copy (" + what + ") to stdout",
              [&](const char* name, auto action) {
                BOOST_TEST_CONTEXT(name) {
                  Savepoint savepoint{session};
                  Diagnostics about;
                  try {
                    action();
                  } catch (const QueryError& error) {  // that of a pipeline among them
                    about = error.diagnostics();
                  }
                  BOOST_TEST(!about.statement.empty());
                  BOOST_TEST(std::string{about.where.file_name()}.find("session_bulk_test") != std::string::npos);
                  savepoint.rollback();
                }
              });
  // Rows that cannot be read are of a statement, too.
  unsigned line = 0;
  const auto of_stream = caught<ResultError>([&] {
    line = std::source_location::current().line() + 1;
    for (const int x : session.stream<int>("select 'x'")) static_cast<void>(x);
  });
  BOOST_TEST(of_stream.diagnostics().statement == "select 'x'");
  BOOST_TEST(of_stream.where().line() == line);
  const auto of_copy = caught<ResultError>([&] {
    for (const int x : session.copy_out<int>("copy (select 'x') to stdout")) static_cast<void>(x);
  });
  BOOST_TEST(of_copy.diagnostics().statement == "copy (select 'x') to stdout");
}

BOOST_AUTO_TEST_CASE(a_statement_that_is_refused_meanwhile_does_not_lend_its_place_to_a_stream) {
  Session session{pool};
  const auto line = std::source_location::current().line() + 1;
  auto rows = session.stream<int>("select 1 / (100000 - n) from generate_series(1, 100000) n");
  BOOST_TEST(*rows.begin() == 0);
  BOOST_CHECK_THROW(session.exec("select 1"), QueryError);
  const auto error = caught<QueryError>([&] {
    for (const int n : rows) static_cast<void>(n);
  });
  BOOST_TEST(error.sqlstate() == "22012");
  BOOST_TEST(error.where().line() == line);
}

BOOST_AUTO_TEST_CASE(an_open_stream_keeps_a_session_from_being_committed) {
  Session session{pool};
  session.exec("insert into readings values (1)");
  {
    auto rows = session.stream<int>("select n from generate_series(1, 100000) n");
    BOOST_TEST(*rows.begin() == 1);
    const std::string said = caught<Error>([&] { session.commit(); }).what();
    BOOST_TEST(said.find("a stream or a COPY is still open") != std::string::npos);
    BOOST_TEST(session.is_open());
    int more = 0;
    for (const int n : rows) more += n > 1 ? 1 : 0;
    BOOST_TEST(more == 99'999);
    session.commit();
    BOOST_TEST(session.is_committed());
  }
  BOOST_TEST(stored() == "1");
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(rows_that_outlive_their_session_are_an_error_and_not_an_early_end) {
  std::optional<Session> session{std::in_place, pool};
  auto rows = session->stream<int>("select n from generate_series(1, 1000000) n");
  BOOST_TEST(*rows.begin() == 1);
  session->rollback();
  BOOST_CHECK_THROW(static_cast<void>(rows.begin()), Error);
  BOOST_CHECK_THROW(static_cast<void>(rows.value()), Error);
  session.emplace(pool);
  {
    auto lines = session->copy_out("copy (select generate_series(1, 1000000)) to stdout");
    BOOST_TEST(*lines.begin() == "1\n");
    session.reset();
    BOOST_CHECK_THROW(static_cast<void>(lines.begin()), Error);
  }
  BOOST_TEST(pool.acquire(1min)->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(rows_may_outlive_their_connection) {
  std::optional<Connection> connection{lido::test::connect()};
  auto rows = connection->stream<int>("select n from generate_series(1, 1000000) n");
  BOOST_TEST(*rows.begin() == 1);
  connection.reset();
  BOOST_CHECK_THROW(static_cast<void>(rows.begin()), Error);
}

BOOST_AUTO_TEST_CASE(a_savepoint_undoes_a_copy) {
  Session session{pool};
  {
    const Savepoint undone{session};
    BOOST_TEST(session.copy_in("copy readings from stdin", one_reading) == 1U);
  }
  BOOST_TEST(session.copy_in("copy readings from stdin", one_reading) == 1U);
  session.commit();
  BOOST_TEST(stored() == "1");
}

BOOST_AUTO_TEST_SUITE_END()
