#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(pipeline)

BOOST_AUTO_TEST_CASE(returns_a_result_for_each_statement) {
  Connection connection = lido::test::connect();
  BOOST_TEST(connection.run(*std::make_unique<Pipeline>()).empty());
  Pipeline pipeline;
  pipeline.add("create temp table t(id int, name text)");
  for (int i = 0; i < 100; ++i) pipeline.add("insert into t values ($1, $2)", i, i % 2 == 0 ? nullptr : "odd");
  pipeline.add("select count(*), count(name) from t").add("").add("select name from t where id = $1", 3);
  for (int again = 0; again < 2; ++again) {
    const std::vector<Result> results = connection.run(pipeline);
    BOOST_REQUIRE(results.size() == 104U);
    BOOST_TEST(results[7].affected_rows() == 1U);
    BOOST_TEST(results[101][0][0].as<int>() == 100);
    BOOST_TEST(results[101][0][1].as<int>() == 50);
    BOOST_TEST(results[103].one<std::string>() == "odd");
    connection.exec_script("drop table t");
  }
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(an_error_names_its_statement_and_undoes_the_others) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table t(id int primary key)");
  Pipeline pipeline;
  for (const int id : {1, 2, 2, 3}) pipeline.add("insert into t values ($1)", id);
  pipeline.add("select 5");
  const auto error = caught<PipelineError>([&] { connection.run(pipeline); });
  BOOST_TEST(error.index() == 2U);
  BOOST_TEST(error.sqlstate() == "23505");
  BOOST_TEST(error.statement() == "insert into t values ($1)");
  BOOST_TEST(error.before().size() == 2U);
  const std::string_view what = error.what();
  BOOST_TEST(what.find("statement [2] of a pipeline of 5 (insert into t values ($1)): duplicate key") == 0U);
  BOOST_TEST(what.find("2 behind it were not run") != std::string_view::npos);
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select count(*) from t").one<int>() == 0);
}

BOOST_AUTO_TEST_CASE(an_error_of_the_whole_is_that_of_its_commit) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table t(id int unique deferrable initially deferred)");
  Pipeline pipeline;
  pipeline.add("insert into t values (1)").add("insert into t values (1)");
  const auto error = caught<PipelineError>([&] { connection.run(pipeline); });
  BOOST_TEST(error.index() == 2U);
  BOOST_TEST(error.statement() == "COMMIT");
  BOOST_TEST(error.sqlstate() == "23505");
  BOOST_TEST(connection.exec("select count(*) from t").one<int>() == 0);
}

BOOST_AUTO_TEST_CASE(in_a_transaction_it_is_part_of_it) {
  Connection connection = lido::test::connect();
  connection.exec_script("begin");
  Pipeline pipeline;
  pipeline.add("select 1").add("select 1/0").add("select 3");
  BOOST_TEST(caught<PipelineError>([&] { connection.run(pipeline); }).index() == 1U);
  BOOST_TEST(connection.in_failed_transaction());
  BOOST_TEST(connection.roll_back(soon()));
}

BOOST_AUTO_TEST_CASE(neither_side_waits_for_the_other_however_much_there_is) {
  Connection connection = lido::test::connect();
  const std::string big(100'000, 'x');
  Pipeline pipeline;
  for (int i = 0; i < 200; ++i) pipeline.add("select $1::text", big);
  const std::vector<Result> results = connection.run(pipeline, Clock::now() + 60s);
  BOOST_REQUIRE(results.size() == 200U);
  for (const Result& result : results) BOOST_REQUIRE(result[0][0].text() == big);
  Pipeline many;
  for (int i = 0; i < 5000; ++i) many.add("select $1::int, repeat('y', 200)", i);
  const std::vector<Result> more = connection.run(many, Clock::now() + 60s);
  for (std::size_t i = 0; i < more.size(); ++i) BOOST_REQUIRE(more[i][0][0].as<std::size_t>() == i);
}

// The server tells of it before all has been sent.
BOOST_AUTO_TEST_CASE(an_error_at_the_begin_of_a_long_one_ends_it) {
  Connection connection = lido::test::connect();
  connection.exec("create temp table places(id int primary key, name text)");
  const std::string name(1000, 'x');
  for (const int at : {0, 1, 20, 3000}) {
    Pipeline pipeline;
    for (int i = 0; i < 4000; ++i) pipeline.add("insert into places values ($1, $2)", i == at ? -1 : i, name);
    connection.exec("truncate places");
    connection.exec("insert into places values (-1, '')");
    const auto error = caught<PipelineError>([&] { connection.run(pipeline, soon()); });
    BOOST_TEST(error.is_unique_violation());
    BOOST_TEST(error.index() == static_cast<std::size_t>(at));
    BOOST_TEST(error.before().size() == static_cast<std::size_t>(at));
    BOOST_TEST(connection.exec("select count(*) from places").one<int>() == 1);
  }
  Pipeline nowhere;
  for (int i = 0; i < 4000; ++i) nowhere.add("insert into nowhere values ($1)", name);
  BOOST_TEST(caught<PipelineError>([&] { connection.run(nowhere, soon()); }).sqlstate() == "42P01");
  connection.exec("begin");
  BOOST_TEST(caught<PipelineError>([&] { connection.run(nowhere, soon()); }).index() == 0U);
  connection.exec("rollback");
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

// Whoever takes the steps looks at the time between them, and lets others have their turn.
BOOST_AUTO_TEST_CASE(a_step_ends_where_there_is_room_for_more) {
  Connection connection = lido::test::connect();
  Pipeline pipeline;
  for (int i = 0; i < 1000; ++i) pipeline.add("select $1::text", std::string(1000, 'x'));
  postgres::detail::Pipelining pipelining{connection.channel(), pipeline.statements()};
  int batches = 0;
  for (auto need = pipelining.step(); need != postgres::detail::Need::nothing; need = pipelining.step()) {
    if (need != postgres::detail::Need::at_once)
      static_cast<void>(postgres::detail::wait_for(pipelining.socket(), need, soon()));
    else
      ++batches;
  }
  BOOST_TEST(batches > 0);  // where no results had come meanwhile, and the server took all
  BOOST_TEST(!pipelining.error().has_value());
}

BOOST_AUTO_TEST_CASE(gives_up_at_the_deadline_and_when_stopped_and_names_the_statement) {
  Pipeline pipeline;
  pipeline.add("select 1").add("select pg_sleep(60)").add("select 3");
  Connection connection = lido::test::connect();
  caught<QueryTimeout>([&] { once_sent(50ms, [&](Duration span) { connection.run(pipeline, Clock::now() + span); }); });
  BOOST_TEST(!connection.is_usable());
  connection = lido::test::connect();
  const std::string pid = std::to_string(connection.backend_pid());
  std::stop_source stop;
  std::jthread stopper{[&] { wait_for_active(pid), stop.request_stop(); }};
  caught<QueryCancelled>([&] { connection.run(pipeline, Until{stop.get_token()}); });
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(a_lost_session_is_noticed_in_the_middle) {
  Connection connection = lido::test::connect();
  Pipeline pipeline;
  pipeline.add("select 1").add("select pg_terminate_backend(pg_backend_pid())").add("select 3");
  BOOST_TEST(caught<ConnectionLost>([&] { connection.run(pipeline); }).sqlstate() == "57P01");
  BOOST_CHECK_THROW(connection.run(pipeline), ConnectionLost);
}

BOOST_AUTO_TEST_CASE(what_it_leaves_in_the_session_is_cleared) {
  Connection connection = lido::test::connect();
  Pipeline pipeline;
  pipeline.add("select 1").add("set search_path = pg_catalog").add("listen news");
  connection.run(pipeline);
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(connection.exec("show search_path").one<std::string>() == "\"$user\", public");
  BOOST_TEST(connection.exec("select count(*) from pg_listening_channels()").one<int>() == 0);
}

BOOST_AUTO_TEST_CASE(is_echoed_statement_by_statement) {
  std::vector<std::string> log;
  Connection connection = lido::test::connect({.echo = [&](std::string_view sql, Duration) { log.emplace_back(sql); }});
  Pipeline pipeline;
  pipeline.add("select 1").add("select 2").add("select 3");
  connection.run(pipeline);
  BOOST_TEST((log == std::vector<std::string>{"select 1", "select 2", "select 3"}));
}

BOOST_AUTO_TEST_CASE(has_all_rows_of_its_first_statement_also_behind_a_stream) {
  Connection connection = lido::test::connect();
  const auto take_three = [&] {
    int rows = 0;
    for (const int row : connection.stream<int>("select i from generate_series(1, 3) as i")) rows += row > 0 ? 1 : 0;
    BOOST_TEST(rows == 3);
  };
  Pipeline pipeline;
  pipeline.add("select 7 from generate_series(1, 5)").add("select 8");
  take_three();
  const std::vector<Result> results = connection.run(pipeline);
  BOOST_TEST(results.at(0).size() == 5U);
  BOOST_TEST(results.at(1).one<int>() == 8);
  // What may change the meaning of names is a pipeline, too, with a question behind it.
  take_three();
  BOOST_TEST(connection.exec("select set_config('search_path', 'pg_catalog', false)").one<std::string>() ==
             "pg_catalog");
  take_three();
  BOOST_TEST(connection.exec("select 9").one<int>() == 9);
}

BOOST_AUTO_TEST_CASE(refuses_what_cannot_be_sent_and_a_copy) {
  Connection connection = lido::test::connect();
  Pipeline pipeline;
  BOOST_CHECK_THROW(pipeline.add(std::string_view{"select 1\0", 9}), QueryError);
  BOOST_CHECK_THROW(pipeline.add("select $1", std::string("\0", 1)), QueryError);
  BOOST_TEST(pipeline.empty());
  pipeline.add("copy (select 1) to stdout");
  BOOST_CHECK_THROW(connection.run(pipeline), Error);
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_SUITE_END()
