#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>
#include <support/slow.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(connection)

namespace {

// Sends without waiting for the answer, as an exception in the middle of a query would leave it.
void leave_running(Connection& connection, const char* sql) {
  BOOST_REQUIRE(PQsendQuery(connection.native(), sql) == 1);
  BOOST_REQUIRE(PQflush(connection.native()) == 0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_statement_that_was_sent_in_part_gives_the_connection_up) {
  Connection connection = lido::test::connect();
  const char* const value = "x";
  const int binary = 1;  // without a length libpq refuses it, with the statement in its buffer already
  const postgres::detail::Bound bound{.count = 1, .values = &value, .formats = &binary};
  BOOST_CHECK_THROW(postgres::detail::Execution(connection.channel(), "select $1::bytea", bound),
                    postgres::ConnectionLost);
  BOOST_TEST(!connection.is_usable());

  Connection refusing = lido::test::connect();
  BOOST_CHECK_THROW(refusing.exec(std::string{"select 1\0", 9}), postgres::QueryError);
  BOOST_CHECK_THROW(refusing.exec("select $1::text", std::string{"\0", 1}), postgres::QueryError);
  BOOST_TEST(refusing.is_usable());
  BOOST_TEST(refusing.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(binds_parameters_of_every_kind) {
  Connection connection = lido::test::connect();
  const std::string text = "o'hara \"; drop table users; --";
  const Result result = connection.exec(
      "select $1::int8, $2::float8, $3::bool, $4::text, $5::text, $6::text, $7::int4, $8::int4, $9::text, $10::bytea",
      std::numeric_limits<std::int64_t>::min(), 0.1, true, text, std::string_view{"view"}, "literal",
      std::optional<int>{7}, std::optional<int>{}, nullptr, std::vector<std::byte>{std::byte{0}, std::byte{255}});
  BOOST_REQUIRE(result.rows() == 1U);
  const Row row = result[0];
  BOOST_TEST(row[0].as<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
  BOOST_TEST(row[1].as<double>() == 0.1);
  BOOST_TEST(row[2].as<bool>());
  BOOST_TEST(row[3].as<std::string>() == text);
  BOOST_TEST(row[4].as<std::string>() == "view");
  BOOST_TEST(row[5].as<std::string>() == "literal");
  BOOST_TEST(row[6].as<int>() == 7);
  BOOST_TEST(row[7].is_null());
  BOOST_TEST(row[8].is_null());
  BOOST_TEST((row[9].as<std::vector<std::byte>>() == std::vector<std::byte>{std::byte{0}, std::byte{255}}));
}

BOOST_AUTO_TEST_CASE(refuses_a_zero_byte_instead_of_cutting_the_text_there) {
  Connection connection = lido::test::connect();
  const std::string text{"a\0b", 3};
  const auto error = caught<QueryError>([&] { connection.exec("select $1::text", text); });
  BOOST_TEST(std::string_view{error.what()}.find("parameter $1") != std::string_view::npos);
  BOOST_CHECK_THROW(connection.exec(std::string_view{"select 1\0 + 1", 13}), QueryError);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(tells_what_the_server_says_of_an_error_and_stays_usable) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table users(name text unique); insert into users values ('known')");
  const auto error = caught<QueryError>([&] { connection.exec("insert into users values ($1)", "known"); });
  BOOST_TEST(error.sqlstate() == "23505");
  BOOST_TEST(error.severity() == "ERROR");
  BOOST_TEST(error.statement() == "insert into users values ($1)");
  BOOST_TEST(error.detail().find("already exists") != std::string::npos);
  const std::string_view what = error.what();
  BOOST_TEST(what.find("23505") != std::string_view::npos);
  BOOST_TEST(what.find("known") == std::string_view::npos);  // data stays out of logs
  BOOST_TEST(connection.exec("select count(*) from users").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(shows_no_password_of_a_statement) {
  Connection connection = lido::test::connect();
  const auto error = caught<QueryError>(
      [&] { connection.exec("alter role nobody_knows with password 'hunter2''s' valid until 'tomorrow'"); });
  BOOST_TEST(error.statement() == "alter role nobody_knows with password '***' valid until '***'");
}

BOOST_AUTO_TEST_CASE(takes_one_statement_at_a_time_unless_it_is_a_script) {
  Connection connection = lido::test::connect();
  BOOST_CHECK_THROW(connection.exec("select 1; select 2"), QueryError);
  BOOST_TEST(connection.exec_script("select 1; select 2").one<int>() == 2);
  const auto error = caught<QueryError>([&] { connection.exec_script("select 1; select 1/0; select nonsense"); });
  BOOST_TEST(error.sqlstate() == "22012");
}

namespace {

// An id that is stored where more ran than the end of the transaction.
struct FailedTransaction {
  FailedTransaction() {
    server().ask("drop table if exists behind; create table behind(id int)");
    fail();
  }
  void fail() {
    connection.exec_script("begin; savepoint here");
    BOOST_CHECK_THROW(connection.exec("select 1/0"), QueryError);
    BOOST_TEST(connection.in_failed_transaction());
  }
  static std::string behind() { return server().ask("select count(*) from behind"); }

  Connection connection = lido::test::connect();
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(commit_of_a_failed_transaction_is_an_error_in_every_form, FailedTransaction) {
  for (const std::string sql : {"commit", " /* ; */ END work", "Commit and no chain", "prepare transaction 'a;b'"}) {
    BOOST_TEST_CONTEXT(sql) {
      const auto error = caught<QueryError>([&] { connection.exec(sql); });
      BOOST_TEST(error.sqlstate() == "25P02");
      BOOST_TEST(error.statement() == sql);
      BOOST_TEST(!connection.in_transaction());
      fail();
      BOOST_TEST(caught<QueryError>([&] { connection.exec_script(sql); }).sqlstate() == "25P02");
      BOOST_TEST(!connection.in_transaction());
      fail();
      const std::string more = ";; -- '\n" + sql + "; insert into behind values (1)";
      BOOST_TEST(caught<QueryError>([&] { connection.exec_script(more); }).sqlstate() == "25P02");
      BOOST_TEST(!connection.in_transaction());
      fail();
      Pipeline pipeline;
      pipeline.add(sql).add("insert into behind values (1)");
      const auto refused = caught<PipelineError>([&] { connection.run(pipeline); });
      BOOST_TEST(refused.sqlstate() == "25P02");
      BOOST_TEST(refused.index() == 0U);
      BOOST_TEST(refused.statement() == sql);
      BOOST_TEST(!connection.in_transaction());
      fail();
      BOOST_CHECK_THROW(
          {
            for (const Row& row : connection.stream(sql)) static_cast<void>(row);
          },
          QueryError);
      BOOST_TEST(!connection.in_transaction());
      fail();
    }
  }
  BOOST_TEST(behind() == "0");
}

BOOST_FIXTURE_TEST_CASE(what_ends_or_revives_a_failed_transaction_otherwise_is_no_error, FailedTransaction) {
  for (const char* sql : {"rollback", "rollback to here; insert into behind values (1); commit", "abort; end",
                          "rollback; commit; rollback", "/* commit */ rollback and chain; end"}) {
    BOOST_TEST_CONTEXT(sql) {
      connection.exec_script(sql);
      BOOST_TEST(!connection.in_transaction());
      fail();
    }
  }
  BOOST_TEST(behind() == "1");
  connection.exec("rollback");
  connection.exec("begin");
  connection.exec("commit");
  connection.exec_script("commit; begin; rollback; end");
  BOOST_TEST(caught<QueryError>([&] { connection.exec("commit nonsense"); }).sqlstate() == "42601");
}

BOOST_AUTO_TEST_CASE(stays_usable_after_a_wrong_number_of_parameters) {
  Connection connection = lido::test::connect();
  // 08P01, of a class that otherwise means a lost connection.
  const auto error = caught<QueryError>([&] { connection.exec("select 1", 5); });
  BOOST_TEST(error.sqlstate() == "08P01");
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(sends_and_receives_more_than_the_socket_holds) {
  Connection connection = lido::test::connect();
  const std::string big(20'000'000, 'x');
  BOOST_TEST((connection.exec_until(Clock::now() + 60s, "select $1::text", big).one<std::string>() == big));
}

BOOST_AUTO_TEST_CASE(large_parameters_of_text_and_bytes_flow) {
  constexpr std::size_t size = (slow ? 8U : 64U) << 20U;
  Connection connection = lido::test::connect();
  const std::string text(size, 'x');
  BOOST_TEST(connection.exec_until(Clock::now() + 120s, "select length($1::text)", text).one<std::size_t>() == size);
  const std::vector<std::byte> bytes(size, std::byte{7});
  BOOST_TEST(connection.exec_until(Clock::now() + 120s, "select length($1::bytea)", bytes).one<std::size_t>() == size);
}

BOOST_AUTO_TEST_CASE(a_deadline_holds_against_an_answer_that_never_ends) {
  Connection connection = lido::test::connect();
  caught<QueryTimeout>([&] {
    once_sent(50ms, [&](Duration span) {
      connection.exec_until(Clock::now() + span, "select generate_series(1, 1000000000)");
    });
  });
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(scripts_pings_and_resets_end_at_a_deadline_and_when_stopped) {
  const auto begin = [](Connection& connection) { connection.exec_script("begin"); };
  for (const bool stopped : {false, true}) {
    std::vector<std::jthread> stoppers;
    const auto in_a_moment = [&](Duration moment) {
      if (!stopped) return Until{Clock::now() + moment};
      std::stop_source stop;
      stoppers.emplace_back([stop, moment]() mutable {
        std::this_thread::sleep_for(moment);
        stop.request_stop();
      });
      return Until{stop.get_token()};
    };
    // Whether `action` succeeds. What is over before anything was sent leaves the connection usable, and says nothing.
    const auto succeeds = [&](Connection& connection, auto action) {
      for (Duration moment = 200ms;; moment *= 2)
        if (const bool good = action(in_a_moment(moment)); good || !connection.is_usable() || moment > 1min)
          return good;
    };
    Connection script = lido::test::connect();
    const auto sleeps = [&] {
      once_sent(200ms, [&](Duration span) { script.exec_script("select pg_sleep(60)", in_a_moment(span)); });
    };
    if (stopped)
      caught<QueryCancelled>(sleeps);
    else
      caught<QueryTimeout>(sleeps);
    BOOST_TEST(!script.is_usable());
    Connection pinged = lido::test::connect();
    Connection reset = lido::test::connect();
    Connection rolled_back = lido::test::connect();
    begin(reset);
    begin(rolled_back);
    server().sigstop();
    const bool answers = succeeds(pinged, [&](const Until& until) { return pinged.ping(until); });
    const bool is_clean = succeeds(reset, [&](const Until& until) { return reset.reset(until); });
    const bool is_back = succeeds(rolled_back, [&](const Until& until) { return rolled_back.roll_back(until); });
    server().sigcont();
    BOOST_TEST((!answers && !is_clean && !is_back));
    BOOST_TEST((!pinged.is_usable() && !reset.is_usable() && !rolled_back.is_usable()));
  }
}

BOOST_AUTO_TEST_CASE(once_the_time_is_over_nothing_is_sent_and_the_connection_stays_usable) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table written(number int)");
  std::stop_source stop;
  stop.request_stop();
  const std::vector<std::string> lines{"1\n"};
  Pipeline pipeline;
  pipeline.add("insert into written values (1)");
  for (const Until& over : {Until{Clock::now() - 1s}, Until{TimePoint::min()}, Until{stop.get_token()}}) {
    const auto fails = [&](auto action) {
      if (over.stop.stop_requested())
        caught<QueryCancelled>(action);
      else
        caught<QueryTimeout>(action);
    };
    fails([&] { connection.exec_until(over, "insert into written values ($1)", 1); });
    fails([&] { connection.exec_script("insert into written values (1)", over); });
    fails([&] { static_cast<void>(connection.stream_until(over, "insert into written values (1) returning 1")); });
    fails([&] { connection.copy_in("copy written from stdin", lines, over); });
    fails([&] { static_cast<void>(connection.copy_out("copy written to stdout", over)); });
    fails([&] { connection.run(pipeline, over); });
    fails([&] { connection.begin(over); });
    fails([&] { connection.listen("tidings", over); });
    BOOST_TEST(!connection.ping(over));
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(!connection.in_transaction());
    BOOST_TEST(connection.exec("select count(*) from written").one<int>() == 0);
  }
}

BOOST_AUTO_TEST_CASE(gives_up_at_the_deadline_and_has_the_statement_cancelled) {
  Connection connection = lido::test::connect({.application_name = "sleeper"});
  TimePoint start;
  Duration allowed{};
  const auto error = caught<QueryTimeout>([&] {
    once_sent(100ms, [&](Duration span) {
      allowed = span;
      start = Clock::now();
      connection.exec_until(start + span, "select pg_sleep($1)", 600);
    });
  });
  const auto took = Clock::now() - start;
  BOOST_TEST((took >= allowed));
  BOOST_TEST((took < allowed + 60s));  // which only a failure reaches: the statement takes ten minutes
  BOOST_TEST(error.statement() == "select pg_sleep($1)");
  BOOST_TEST(!connection.is_alive());
  BOOST_TEST(!connection.reset(soon()));
  BOOST_CHECK_THROW(connection.exec("select 1"), ConnectionLost);
  PostgresServer::wait_until("the statement is cancelled", [] {
    return server().ask(
               "select count(*) from pg_stat_activity where application_name = 'sleeper' "
               "and state = 'active'") == "0";
  });
}

BOOST_AUTO_TEST_CASE(a_requested_stop_ends_a_statement_and_cancels_it_on_the_server) {
  auto connection = connect();
  const std::string pid = std::to_string(connection.backend_pid());
  std::stop_source stop;
  std::jthread stopper{[&] {
    PostgresServer::wait_until("the statement runs", [&] {
      return server().ask("select count(*) from pg_stat_activity where state = 'active' and pid = " + pid) == "1";
    });
    stop.request_stop();
  }};
  caught<QueryCancelled>([&] { connection.exec_until(stop.get_token(), "select pg_sleep($1)", 600); });
  BOOST_TEST(!connection.is_usable());
  PostgresServer::wait_until("the statement is cancelled", [&] {
    return server().ask("select count(*) from pg_stat_activity where state = 'active' and pid = " + pid) == "0";
  });
}

BOOST_AUTO_TEST_CASE(has_a_usual_deadline) {
  Connection connection = lido::test::connect({.statement_timeout = 50ms});
  BOOST_CHECK_THROW(connection.exec("select pg_sleep(60)"), QueryTimeout);
}

BOOST_AUTO_TEST_CASE(keeps_the_connection_when_the_server_itself_cancels) {
  Connection connection = lido::test::connect();
  connection.exec("set statement_timeout = '20ms'");
  BOOST_TEST(caught<QueryError>([&] { connection.exec("select pg_sleep(60)"); }).sqlstate() == "57014");
  PostgresServer::wait_until("20 ms have sufficed", [&] {  // each statement has no more, this one as well
    try {
      connection.exec("set statement_timeout = 0");
      return true;
    } catch (const QueryError& late) {
      BOOST_TEST(late.sqlstate() == "57014");
      return false;
    }
  });
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(is_alive_until_the_server_ends_the_session) {
  Connection connection = lido::test::connect();
  BOOST_TEST(connection.is_alive());
  BOOST_TEST(connection.ping(soon()));
  terminate(connection);
  BOOST_TEST(!connection.is_alive());
  BOOST_TEST(!connection.ping(soon()));
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(for_an_instant_an_answer_tells_that_the_session_lives) {
  Connection connection = lido::test::connect();
  lido::postgres::detail::Channel& channel = connection.channel();
  BOOST_TEST(!channel.was_heard(Clock::now()));
  const TimePoint before = Clock::now();
  connection.exec("select 1");
  const TimePoint after = Clock::now();
  BOOST_TEST(!channel.was_heard(before));
  BOOST_TEST(!channel.was_heard(after + 1ms));
  connection.exec_script("select 1; select 2");
  BOOST_TEST(connection.seems_alive());
  terminate(connection);
  BOOST_TEST(!connection.seems_alive());
}

BOOST_AUTO_TEST_CASE(whoever_ever_had_the_handle_may_set_it_later_and_else_nothing_is_put_back) {
  Connection connection = lido::test::connect();
  PGconn* const unseen = connection.channel().raw();
  PQsetErrorVerbosity(unseen, PQERRORS_TERSE);
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(PQsetErrorVerbosity(unseen, PQERRORS_DEFAULT) == PQERRORS_TERSE);
  PGconn* const kept = connection.native();
  for (int again = 0; again < 2; ++again) {
    PQsetErrorVerbosity(kept, PQERRORS_TERSE);
    PQsetnonblocking(kept, 0);
    BOOST_TEST(connection.reset(soon()));
    BOOST_TEST(PQsetErrorVerbosity(kept, PQERRORS_DEFAULT) == PQERRORS_DEFAULT);
    BOOST_TEST(PQisnonblocking(kept) == 1);
  }
}

BOOST_AUTO_TEST_CASE(is_alive_after_a_notification_a_notice_and_a_changed_setting) {
  Connection connection = lido::test::connect();
  connection.exec("listen news");
  server().ask("notify news, 'hello'");
  PostgresServer::wait_until("the notification is there", [&] {
    char byte = 0;
    return ::recv(PQsocket(connection.native()), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
  });
  BOOST_TEST(connection.is_alive());
  BOOST_TEST(connection.ping(soon()));
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST((PQnotifies(connection.native()) == nullptr));
  connection.exec("do $$ begin raise warning 'not on stderr'; end $$");
  BOOST_TEST(connection.is_alive());
}

BOOST_AUTO_TEST_CASE(tells_a_terminated_session_by_the_first_error_of_the_answer) {
  Connection connection = lido::test::connect();
  terminate(connection);
  const auto error = caught<ConnectionLost>([&] { connection.exec("select 1"); });
  BOOST_TEST(error.sqlstate() == "57P01");
  BOOST_TEST(error.severity() == "FATAL");
  Connection other = lido::test::connect();
  const auto own = caught<ConnectionLost>([&] { other.exec("select pg_terminate_backend(pg_backend_pid())"); });
  BOOST_TEST(own.sqlstate() == "57P01");
}

BOOST_AUTO_TEST_CASE(ping_gives_up_a_hung_server_at_its_deadline) {
  Connection connection = lido::test::connect();
  server().sigstop();
  BOOST_TEST(connection.is_alive());  // as far as can be told
  Duration span = 25ms, took{};
  bool answers = false;
  do {  // what was over before anything was sent says nothing
    span *= 2;
    const auto start = Clock::now();
    answers = connection.ping(start + span);
    took = Clock::now() - start;
  } while (!answers && connection.is_usable() && span < 1min);
  server().sigcont();
  BOOST_TEST(!answers);
  BOOST_TEST((took >= span));
  BOOST_TEST((took < 2min));  // which only a failure reaches
  BOOST_TEST(!connection.is_alive());
}

BOOST_AUTO_TEST_CASE(reset_rolls_back_an_open_and_a_failed_transaction) {
  Connection connection = lido::test::connect();
  server().ask("create table if not exists kept(id int); truncate kept");
  connection.exec("begin");
  connection.exec("insert into kept values (1)");
  BOOST_TEST(connection.in_transaction());
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(!connection.in_transaction());
  BOOST_TEST(connection.exec("select count(*) from kept").one<int>() == 0);

  connection.exec("begin");
  BOOST_CHECK_THROW(connection.exec("select 1/0"), QueryError);
  BOOST_TEST(connection.in_failed_transaction());
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(reset_refuses_a_running_statement_a_copy_and_a_pipeline) {
  Connection active = lido::test::connect();
  leave_running(active, "select pg_sleep(0)");
  BOOST_TEST(!active.reset(soon()));
  BOOST_TEST(!active.ping(soon()));
  BOOST_CHECK_THROW(active.exec("select 1"), QueryError);

  Connection copying = lido::test::connect();
  copying.exec("create temp table copied(id int)");
  PQclear(PQexec(copying.native(), "copy copied from stdin"));
  BOOST_TEST(!copying.reset(soon()));

  Connection pipelined = lido::test::connect();
  BOOST_REQUIRE(PQenterPipelineMode(pipelined.native()) == 1);
  BOOST_TEST(!pipelined.reset(soon()));
  BOOST_TEST(!pipelined.is_usable());
}

BOOST_AUTO_TEST_CASE(gives_up_a_connection_whose_statement_began_a_copy) {
  Connection connection = lido::test::connect();
  BOOST_CHECK_THROW(connection.exec("copy (select 1) to stdout"), QueryError);
  BOOST_TEST(!connection.is_alive());
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(reset_leaves_nothing_of_a_session_to_the_next_holder) {
  server().ask(
      "drop role if exists somebody; create role somebody; drop table if exists kept; create table kept(id int)");
  for (const ResetLevel level : {ResetLevel::targeted, ResetLevel::discard_all}) {
    Connection connection = lido::test::connect({.reset = level});
    const auto fresh = connection.exec("show search_path").one<std::string>();
    for (const char* sql :
         {"set search_path = pg_catalog", "set my.variable = 'x'", "create temp table scratch(id int)", "listen news",
          "select pg_advisory_lock(4711)", "prepare plan as select 1", "declare held cursor with hold for select 1",
          "set role somebody"})
      connection.exec(sql);
    BOOST_TEST(connection.reset(soon()));
    BOOST_TEST(connection.exec("show search_path").one<std::string>() == fresh);
    // A variable of one's own is empty afterwards, and not NULL as before it was ever set.
    BOOST_TEST(connection.exec("select current_setting('my.variable', true)").one<std::string>() == "");
    BOOST_TEST(connection.exec("select to_regclass('scratch')::text").one<std::optional<std::string>>().has_value() ==
               false);
    BOOST_TEST(connection.exec("select count(*) from pg_listening_channels()").one<int>() == 0);
    BOOST_TEST(connection.exec("select count(*) from pg_locks where locktype = 'advisory'").one<int>() == 0);
    BOOST_TEST(connection.exec("select count(*) from pg_prepared_statements where from_sql").one<int>() == 0);
    BOOST_TEST(connection.exec("select count(*) from pg_cursors where name = 'held'").one<int>() == 0);
    BOOST_TEST(connection.exec("select current_user::text").one<std::string>() == "postgres");
  }
}

BOOST_AUTO_TEST_CASE(discard_all_is_not_waited_for_and_comes_before_whatever_is_done_next) {
  server().ask(
      "drop table if exists hidden; create table hidden(id int); create or replace function hides() returns trigger "
      "language plpgsql as $$ begin set work_mem = '7MB'; perform pg_advisory_lock(4712); listen hidden; "
      "execute 'prepare hidden as select 1'; create temp table if not exists scratch(id int); return new; end $$; "
      "create trigger hides before insert on hidden for each row execute function hides()");
  const std::string fresh = server().ask("show work_mem");
  const std::string left =
      "select current_setting('work_mem') || (select count(*) from pg_listening_channels()) || "
      "(select count(*) from pg_prepared_statements where from_sql) || "
      "(select count(*) from pg_class where relpersistence = 't')";
  const std::string nothing = fresh + "000";
  using Holder = std::function<void(Connection&)>;
  const Holder holders[] = {
      [&](Connection& c) { BOOST_TEST(c.exec(left).one<std::string>() == nothing); },
      [&](Connection& c) {
        BOOST_TEST(c.exec("select $1::int", 5).one<int>() == 5);
      },  // prepared, from the second time
      [&](Connection& c) { BOOST_TEST(c.exec_script("select 1; " + left).one<std::string>() == nothing); },
      [&](Connection& c) {
        c.begin(soon(), {.lock_timeout = 1s});
        BOOST_TEST(c.in_transaction());
        BOOST_TEST(c.exec(left).one<std::string>() == nothing);
        BOOST_TEST(c.roll_back(soon()));
      },
      [&](Connection& c) {
        int rows = 0;
        for (const int id : c.stream<int>("select generate_series(1, $1::int)", 3000)) rows += id > 0 ? 1 : 0;
        BOOST_TEST(rows == 3000);
      },
      [&](Connection& c) {
        for (const Row& row : c.stream(left)) BOOST_TEST(row[0].as<std::string>() == nothing);
      },
      [&](Connection& c) {
        BOOST_TEST(c.copy_in("copy kept (id) from stdin", std::vector<std::tuple<int>>{{1}, {2}}) == 2U);
      },
      [&](Connection& c) {
        int rows = 0;
        for (const std::string& text : c.copy_out<std::string>("copy (" + left + ") to stdout"))
          rows += text == nothing ? 1 : 0;
        BOOST_TEST(rows == 1);
      },
      [&](Connection& c) {
        Pipeline pipeline;
        pipeline.add(left);
        pipeline.add("select 2");
        const std::vector<Result> results = c.run(pipeline);
        BOOST_TEST(results[0].one<std::string>() == nothing);
        BOOST_TEST(results[1].one<int>() == 2);
      },
      [&](Connection& c) {
        BOOST_CHECK_THROW(c.exec("select 1/0"), QueryError);
        BOOST_TEST(c.exec(left).one<std::string>() == nothing);
      },
      [&](Connection& c) { BOOST_TEST(c.ping(soon())); },
      [&](Connection& c) { BOOST_TEST(c.is_alive()); },
      [&](Connection& c) { BOOST_TEST(!c.wait_for_notification(Clock::now() + 20ms)); },
      [&](Connection& c) {
        const lido::postgres::detail::ResultHandle result{PQexec(c.native(), left.c_str())};
        BOOST_TEST(PQgetvalue(result.get(), 0, 0) == nothing);
      },
      [](Connection&) {}};
  server().ask("drop table if exists kept; create table kept(id int)");
  Connection connection = lido::test::connect({.reset = ResetLevel::discard_all});
  for (int round = 0; round < 3; ++round) {
    for (const Holder& holder : holders) {
      connection.exec("insert into hidden values (1)");
      server().ask("notify hidden");
      BOOST_TEST(!connection.reset_may_block());
      BOOST_REQUIRE(connection.reset(soon()));
      BOOST_TEST(connection.is_usable());
      BOOST_TEST(!connection.in_transaction());
      // Before anybody comes.
      if (round == 0) server().ask("set lock_timeout = '10s'; select pg_advisory_lock(4712)");
      if (round == 1) BOOST_TEST(connection.is_alive());
      holder(connection);
      BOOST_TEST(connection.is_usable());
      BOOST_REQUIRE(connection.reset(soon()));
      BOOST_TEST(connection.exec(left).one<std::string>() == nothing);
      BOOST_TEST(!connection.wait_for_notification(Clock::now()));
      BOOST_REQUIRE(connection.reset(soon()));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_holder_who_sends_nothing_does_not_discard_again) {
  Connection connection = lido::test::connect({.reset = ResetLevel::discard_all});
  connection.exec("select 1");
  BOOST_REQUIRE(connection.reset(soon()));
  for (int i = 0; i < 3; ++i) {
    BOOST_CHECK_THROW(connection.exec_script("select 1", Clock::now() - 1s), QueryTimeout);
    BOOST_CHECK_THROW(connection.begin(Clock::now() - 1s), QueryTimeout);
    BOOST_CHECK_THROW(connection.exec_script(std::string_view{"select 1\0", 9}), QueryError);
    BOOST_REQUIRE(connection.reset(soon()));
  }
  for (int i = 0; i < 3; ++i) BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
}

BOOST_AUTO_TEST_CASE(a_discard_all_that_nobody_waits_for_and_that_fails_costs_the_connection) {
  Connection connection = lido::test::connect({.reset = ResetLevel::discard_all});
  connection.exec("select 1");
  BOOST_REQUIRE(connection.reset(soon()));
  terminate(connection);
  BOOST_CHECK_THROW(connection.exec("select 1"), ConnectionLost);
  BOOST_TEST(!connection.is_usable());
  Connection idle = lido::test::connect({.reset = ResetLevel::discard_all});
  idle.exec("select 1");
  BOOST_REQUIRE(idle.reset(soon()));
  terminate(idle);
  BOOST_TEST(!idle.is_alive());
}

BOOST_AUTO_TEST_CASE(reset_asks_the_server_only_when_something_may_be_left) {
  std::vector<std::string> log;
  const Echo echo = [&](std::string_view sql, Duration) { log.emplace_back(sql); };
  const auto resets = [&](ResetLevel level, const char* sql) {
    Connection connection = lido::test::connect({.reset = level, .echo = echo});
    if (sql != nullptr) connection.exec(sql);
    log.clear();
    const bool clean = connection.reset(soon());
    std::string all = clean ? "" : "refused ";
    for (const std::string& one : log) all += one + ";";
    return all;
  };
  BOOST_TEST(resets(ResetLevel::targeted, nullptr) == "");
  BOOST_TEST(resets(ResetLevel::targeted, "select 1") == "");
  BOOST_TEST(resets(ResetLevel::targeted, "begin") == "ROLLBACK;");
  BOOST_TEST(resets(ResetLevel::targeted, "set role none") == "DISCARD ALL;");
  BOOST_TEST(resets(ResetLevel::discard_all, nullptr) == "");
  BOOST_TEST(resets(ResetLevel::discard_all, "select 1") == "DISCARD ALL;");
  BOOST_TEST(resets(ResetLevel::discard_all, "begin") == "ROLLBACK;DISCARD ALL;");
  BOOST_TEST(resets(ResetLevel::rollback, "set role none") == "");
  BOOST_TEST(resets(ResetLevel::rollback, "begin") == "ROLLBACK;");
  BOOST_TEST(resets(ResetLevel::none, "set role none") == "");
  BOOST_TEST(resets(ResetLevel::none, "begin") == "refused ");
  BOOST_TEST(resets(ResetLevel::reopen, nullptr) == "");
  BOOST_TEST(resets(ResetLevel::reopen, "select 1") == "refused ");
  BOOST_TEST(resets(ResetLevel::targeted, "set local role none") == "");
}

BOOST_AUTO_TEST_CASE(echoes_each_statement_without_passwords_and_survives_a_log_that_throws) {
  std::vector<std::string> log;
  Connection connection = lido::test::connect({.echo = [&](std::string_view sql, Duration took) {
    log.emplace_back(sql);
    BOOST_TEST((took > 0ns));
    throw std::runtime_error{"disk full"};
  }});
  connection.exec("select $1::text", "parameter");
  BOOST_CHECK_THROW(connection.exec("create role x password 'hunter2' nonsense"), QueryError);
  BOOST_REQUIRE(log.size() == 2U);
  BOOST_TEST(log[0] == "select $1::text");
  BOOST_TEST(log[1] == "create role x password '***' nonsense");
}

BOOST_AUTO_TEST_CASE(leaves_the_session_to_the_parent_when_destroyed_after_a_fork) {
  Connection connection = lido::test::connect();
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const Connection inherited = std::move(connection);
    }
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(an_error_has_all_that_the_server_says_of_it) {
  Connection connection = lido::test::connect();
  connection.exec_script(
      "create domain pg_temp.even as int check (value % 2 = 0); "
      "create temp table parts (id int constraint parts_id primary key, "
      "size int not null constraint parts_size check (size > 0), whole int constraint parts_whole references parts); "
      "insert into parts values (1, 1)");
  const auto said = [&](std::string_view sql) { return caught<QueryError>([&] { connection.exec(sql); }); };
  const QueryError twice = said("insert into parts values (1, 1)");
  BOOST_TEST((twice.is_unique_violation() && twice.is_constraint_violation() && !twice.is_deadlock()));
  BOOST_TEST(twice.constraint() == "parts_id");
  BOOST_TEST(twice.diagnostics().table == "parts");
  BOOST_TEST(twice.diagnostics().schema.starts_with("pg_temp"));
  BOOST_TEST(twice.detail().find("(id)=(1)") != std::string::npos);
  BOOST_TEST(std::string_view{twice.what()}.find("(id)=(1)") == std::string_view::npos);
  const QueryError null = said("insert into parts values (2, null)");
  BOOST_TEST((null.is_not_null_violation() && null.diagnostics().column == "size"));
  const QueryError small = said("insert into parts values (2, 0)");
  BOOST_TEST((small.is_check_violation() && small.constraint() == "parts_size"));
  const QueryError lost = said("insert into parts values (2, 2, 9)");
  BOOST_TEST((lost.is_foreign_key_violation() && lost.constraint() == "parts_whole"));
  BOOST_TEST(said("select 3::pg_temp.even").diagnostics().data_type == "even");
  const QueryError nowhere = said("select * from nowhere");
  BOOST_TEST((nowhere.is_undefined_table() && nowhere.diagnostics().position == 15U));
  BOOST_TEST(said("do $$ begin perform 1 / 0; end $$").context().find("PL/pgSQL") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_names_the_statement_and_where_it_was_run) {
  Connection connection = lido::test::connect();
  const auto told = [](const Error& error, const std::uint_least32_t& line, std::string_view statement) {
    const std::string_view what = error.what();
    BOOST_TEST(what.ends_with("; run at " + std::string{__FILE__} + ':' + std::to_string(line)), what);
    BOOST_TEST(what.find(statement) != std::string_view::npos, what);
    BOOST_TEST(error.where().line() == line);
  };
  const auto here = [](std::source_location where = std::source_location::current()) { return where.line(); };
  std::uint_least32_t line = 0;
  // clang-format off: each call stands on the line that is asked for before it
  told(caught<QueryError>([&] { line = here(); connection.exec("select $1::int / 0", 1); }), line, "; statement: select $1");
  told(caught<QueryError>([&] { line = here(); connection.exec_script("select nobody"); }), line, "; statement: select nob");
  told(caught<QueryError>([&] { line = here(); for (auto row : connection.stream<int>("select 1 / 0")) static_cast<void>(row); }),
       line, "; statement: select 1 / 0");
  told(caught<QueryError>([&] {
         line = here(); connection.copy_in("copy nowhere from stdin", std::vector<std::string>{});
       }), line, "; statement: copy nowhere from stdin");
  Pipeline pipeline;
  pipeline.add("select 1");
  line = here(); pipeline.add("select 1 / $1", 0);
  told(caught<PipelineError>([&] { static_cast<void>(connection.run(pipeline)); }), line, "(select 1 / $1)");
  // clang-format on
  // Of a long one the begin, on one line, and no password.
  const std::string secret = "alter role nobody password 'hunter2-secret'";
  const auto error = caught<QueryError>([&] { connection.exec(secret + " /*\n" + std::string(1000, 'x') + "*/"); });
  BOOST_TEST(std::string_view{error.what()}.size() < 500U);
  BOOST_TEST(std::string_view{error.what()}.find("hunter2") == std::string_view::npos);
  BOOST_TEST(std::string_view{error.what()}.find('\n') == std::string_view::npos);
  // What the pool does by itself is nobody's statement.
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(connection.channel().where().line() == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
