// Statements that block no thread, with Asio's loop and with one of our own.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/params.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>
#include <support/task.hpp>

#include "both_loops.hpp"
#include "in_loop.hpp"
#include "poll_reactor.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_connection)

namespace {

int sessions_that_sleep() {
  return std::stoi(
      server().ask("select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> "
                   "pg_backend_pid() and state = 'active'"));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_coroutine_runs_statements) {
  postgres::Connection connection = connect();
  in_loop([&]() -> net::awaitable<void> {
    const std::string text = "some text";
    const auto result = co_await async(connection).exec("select $1::int + 1, $2::text, $3::text", 41, text, nullptr);
    BOOST_TEST(result[0][0].template as<int>() == 42);
    BOOST_TEST(result[0][1].text() == text);
    BOOST_TEST(result[0][2].is_null());
    const auto script = co_await async(connection).exec_script("create temp table t (i int); insert into t values (1)");
    BOOST_TEST(script.affected_rows() == 1U);
    BOOST_TEST(co_await async(connection).ping(soon()));
  });
  BOOST_TEST(connection.is_usable());
}

BOOST_AUTO_TEST_CASE(what_is_refused_reaches_the_coroutine_and_the_connection_stays_usable) {
  postgres::Connection connection = connect();
  in_loop([&]() -> net::awaitable<void> {
    BOOST_TEST(co_await fails_with<postgres::QueryError>(async(connection).exec("select 1 / $1::int", 0)));
    BOOST_CHECK_THROW(async(connection).exec("select $1", std::string(3, '\0')), postgres::QueryError);  // at once
    const auto line = std::source_location::current().line() + 2;
    try {
      static_cast<void>(co_await async(connection).exec("select 2 / $1::int", 0));
    } catch (const postgres::QueryError& error) {
      BOOST_TEST(error.where().line() == line);
    }
    std::string file;
    try {
      co_await async(connection).listen("bad \xff");
    } catch (const postgres::QueryError& error) {
      file = error.where().file_name();
    }
    BOOST_TEST(file.ends_with("async_connection_test.cpp"), file);
    BOOST_TEST((co_await async(connection).exec("select 7"))[0][0].template as<int>() == 7);
  });
}

BOOST_AUTO_TEST_CASE(a_large_statement_and_a_large_answer_pass_through_a_full_socket) {
  postgres::Connection connection = connect();
  in_loop([&]() -> net::awaitable<void> {
    const std::string large(8'000'000, 'x');
    const auto result = co_await async(connection).exec("select $1::text", large);
    BOOST_TEST(result[0][0].text().size() == large.size());
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_cancels_the_statement_on_the_server_and_gives_the_connection_up) {
  postgres::Connection connection = connect();
  in_loop([&]() -> net::awaitable<void> {
    // Long enough for the server to have begun: a cancel that comes before the statement does nothing.
    const auto sleeps = [&](Duration span) {
      return async(connection).exec_until(Clock::now() + span, "select pg_sleep(600)");
    };
    BOOST_TEST(co_await fails_with<postgres::QueryTimeout>(once_sent_in(AsioLoop{}, 500ms, sleeps)));
  });
  BOOST_TEST(!connection.is_usable());
  PostgresServer::wait_until("nobody sleeps", [] { return sessions_that_sleep() == 0; });
}

BOOST_AUTO_TEST_CASE(a_stop_token_cancels_the_statement_from_another_thread) {
  postgres::Connection connection = connect();
  std::stop_source source;
  std::jthread other{[&source, pid = std::to_string(connection.backend_pid())] {
    wait_for_active(pid);
    source.request_stop();
  }};
  in_loop([&]() -> net::awaitable<void> {
    BOOST_TEST(co_await fails_with<postgres::QueryCancelled>(
        async(connection).exec_until(postgres::Until{source.get_token()}, "select pg_sleep(60)")));
    BOOST_TEST(co_await fails_with<postgres::ConnectionLost>(async(connection).exec("select 1")));
  });
}

BOOST_AUTO_TEST_CASE(a_stop_counts_that_comes_to_the_loop_together_with_something_of_the_server) {
  postgres::Connection connection = connect();
  net::io_context loop;
  std::stop_source source;
  bool cancelled = false;
  const auto handler = [&](const std::exception_ptr& error, const postgres::Result&) {
    BOOST_CHECK_THROW(if (error != nullptr) std::rethrow_exception(error), postgres::QueryCancelled);
    cancelled = true;
  };
  async(connection, net::bind_executor(loop, handler))
      .exec_until({Clock::now() + 1h, source.get_token()},
                  "do $$ begin perform pg_sleep(0.3); raise notice 'x'; perform pg_sleep(60); end $$");
  net::post(loop, [&] {
    net::post(loop, [&] { source.request_stop(); });
    std::this_thread::sleep_for(600ms);  // the loop finds the notice behind the stop, and the end of the wait
  });
  loop.run_for(30s);
  BOOST_TEST(cancelled);
}

BOOST_AUTO_TEST_CASE(a_session_that_the_server_ends_is_lost_at_once) {
  postgres::Connection connection = connect();
  std::jthread other;
  in_loop([&]() -> net::awaitable<void> {
    other = std::jthread{[&, pid = std::to_string(connection.backend_pid())] {
      wait_for_active(pid);
      terminate(connection);
    }};
    BOOST_TEST(co_await fails_with<postgres::ConnectionLost>(async(connection).exec("select pg_sleep(60)")));
    BOOST_TEST(!co_await async(connection).ping(soon()));
  });
}

BOOST_AUTO_TEST_CASE(a_connection_is_opened_and_put_in_order_without_blocking) {
  in_loop([]() -> net::awaitable<void> {
    const auto connection = co_await lido::asio::async_connect(server().conninfo(), soon());
    co_await async(*connection).exec_script("set work_mem = '1MB'; begin");
    BOOST_TEST(co_await async(*connection).reset(soon()));
    BOOST_TEST(!connection->in_transaction());
    BOOST_TEST((co_await async(*connection).exec("show work_mem")).template one<std::string>() != "1MB");
    BOOST_TEST(co_await fails_with<postgres::PermanentConnectError>(
        lido::asio::async_connect(server().conninfo("nobody_of_that_name"), soon())));
  });
}

BOOST_AUTO_TEST_CASE(a_connection_is_opened_where_its_target_source_says) {
  in_loop([]() -> net::awaitable<void> {
    postgres::ConnectionSettings settings;
    settings.target = [](const postgres::TargetRequest& request) {
      BOOST_TEST(request.host == "/nowhere");
      return postgres::Target{.host = "/elsewhere," + server().host(), .user = "postgres"};
    };
    auto moved = co_await lido::asio::async_connect("host=/nowhere dbname=postgres", soon(), settings);
    BOOST_TEST((co_await async(*moved).exec("select 1")).template one<int>() == 1);
    settings.target = [](const postgres::TargetRequest&) { return postgres::Target{.host = ""}; };
    BOOST_CHECK_THROW(lido::asio::async_connect(server().conninfo(), soon(), settings), postgres::ConnectError);
    settings.target = [](const postgres::TargetRequest& request) {
      postgres::detail::pause_until(request.deadline);
      return postgres::Target{};
    };
    BOOST_CHECK_THROW(lido::asio::async_connect(server().conninfo(), Clock::now() + 20ms, settings),
                      postgres::ConnectError);
  });
  PollReactor reactor;
  postgres::ConnectionSettings settings;
  settings.target = [](const postgres::TargetRequest&) { return postgres::Target{.host = server().host()}; };
  const auto open = [&]() -> Awaitable<bool> {
    const auto moved = co_await postgres::async_connect(
        "host=/nowhere user=postgres dbname=postgres", postgres::Until{soon()}, postgres::OnReactor{reactor}, settings);
    co_return moved->is_usable();
  };
  const Awaitable<bool> task = open();
  reactor.run_until([&] { return task.done(); });
  BOOST_TEST(task.get());
}

BOOST_AUTO_TEST_CASE(an_error_at_the_begin_of_a_long_pipeline_ends_it) {
  postgres::Connection connection = lido::test::connect();
  postgres::Pipeline pipeline;
  for (int i = 0; i < 4000; ++i) pipeline.add("select $1::text from nowhere", std::string(1000, 'x'));
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    const bool refused =
        co_await fails_in<postgres::PipelineError>(loop, [&] { return session.run(pipeline, soon()); });
    BOOST_TEST(refused);
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(commit_of_a_failed_transaction_is_an_error) {
  postgres::Connection connection = lido::test::connect();
  in_loop([&]() -> net::awaitable<void> {
    postgres::Pipeline pipeline;
    pipeline.add("commit").add("create table behind_commit(id int)");
    for (int form = 0; form < 3; ++form) {
      co_await async(connection).exec("begin");
      BOOST_TEST(co_await fails_with<postgres::QueryError>(async(connection).exec("select 1/0")));
      bool refused = false;
      if (form == 0) refused = co_await fails_with<postgres::QueryError>(async(connection).exec("commit"));
      if (form == 1)
        refused = co_await fails_with<postgres::QueryError>(
            async(connection).exec_script("commit; create table behind_commit(id int)"));
      if (form == 2) refused = co_await fails_with<postgres::PipelineError>(async(connection).run(pipeline));
      BOOST_TEST(refused);
      BOOST_TEST(!connection.in_transaction());
    }
  });
  BOOST_TEST(server().ask("select to_regclass('behind_commit')") == "");
}

BOOST_AUTO_TEST_CASE(a_host_that_never_answers_leaves_time_for_the_next) {
  net::io_context never;
  const net::ip::tcp::acceptor silent{never, {net::ip::address_v4::loopback(), 0}};
  const std::string url = "host=127.0.0.1," + server().host() +
                          " port=" + std::to_string(silent.local_endpoint().port()) +
                          ",5432 user=postgres dbname=postgres";
  in_loop([&]() -> net::awaitable<void> {
    auto shared = co_await lido::asio::async_connect(url, Clock::now() + 20s);
    BOOST_TEST((co_await async(*shared).exec("select 1")).template one<int>() == 1);
    const auto begun = Clock::now();
    auto limited = co_await lido::asio::async_connect(url + " connect_timeout=5", Clock::now() + 1min);
    BOOST_TEST(limited->is_usable());
    BOOST_TEST((Clock::now() - begun < 30s));  // half of what there is would be the first one's
  });
}

BOOST_AUTO_TEST_CASE(arrays_of_types_that_the_server_was_asked_about_are_read) {
  postgres::Connection owner = connect();
  owner.exec_script("create domain whole as int");
  const char* sql = "select array[1, 2]::whole[] as numbers";
  for (int form = 0; form < 3; ++form) {
    postgres::Connection connection = connect();  // which knows nothing yet
    in_loop([&]() -> net::awaitable<void> {
      postgres::Result result;
      if (form == 0) result = co_await async(connection).exec(sql);
      if (form == 1) result = co_await async(connection).exec_script(sql);
      if (form == 2) result = (co_await async(connection).run(postgres::Pipeline{}.add("select 1").add(sql))).at(1);
      BOOST_TEST((result.template one<std::vector<int>>() == std::vector<int>{1, 2}));
    });
  }
  owner.exec_script("drop domain whole");
}

namespace {

template <class Loop>
Body<Loop> passes_run_time_parameters(Loop loop, postgres::Connection& connection) {
  const auto c = async_in(loop, connection);
  postgres::Params params;
  params.add(std::string{"text"}).add(std::set<int>{40, 2}).add(std::vector{std::byte{7}}).add(nullptr);
  const std::string sql =
      "select ($1::text = 'text' and cardinality($2) = 2 and length($3) = 1 and $4::int is null)::int";
  for (int i = 0; i < 3; ++i) {  // as it is, then prepared
    const postgres::Result result = co_await c.exec(sql, params);
    BOOST_TEST(number_in(result) == 1);
  }
  const postgres::Result kept = co_await c.exec_until(soon(), sql, postgres::Params{params});  // they are copied
  params.clear();
  BOOST_TEST(number_in(kept) == 1);
  params.add(1).add(2);
  auto rows = co_await c.template stream<int>("select $1::int + $2::int", params);
  const auto sum = co_await rows.next();
  BOOST_TEST(sum.value() == 3);
  const auto end = co_await rows.next();
  BOOST_TEST(is_end(end));
  postgres::Pipeline pipeline;
  pipeline.add("select $1::int + $2::int", params);
  const auto results = co_await c.run(pipeline);
  BOOST_TEST(number_in(results.at(0)) == 3);
  const bool few = co_await fails_in<postgres::QueryError>(loop, [&] { return c.exec("select $3::int", params); });
  const bool many =
      co_await fails_in<postgres::QueryError>(loop, [&] { return c.template stream<int>("select $1::int", params); });
  BOOST_TEST(few);
  BOOST_TEST(many);
  const bool late = co_await fails_in<postgres::QueryTimeout>(
      loop, [&] { return c.exec_until(Clock::now() + 30ms, "select pg_sleep(10 * ($1::int + $2::int))", params); });
  BOOST_TEST(late);
  co_return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(parameters_that_are_known_at_run_time_are_passed) {
  in_both_loops([](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = connect();
    co_return co_await passes_run_time_parameters(loop, connection);
  });
  postgres::Pool pool{server().conninfo()};
  in_loop([&]() -> net::awaitable<void> {
    const int sum = co_await lido::asio::async_transact(pool, [](auto& session) -> net::awaitable<int> {
      postgres::Params params;
      params.add(1).add(2);
      const postgres::Result result = co_await session.exec("select $1::int + $2::int", params);
      co_return number_in(result);
    });
    BOOST_TEST(sum == 3);
  });
  PostgresServer::wait_until("nobody sleeps", [] { return sessions_that_sleep() == 0; });
}

BOOST_AUTO_TEST_CASE(a_pipeline_and_notifications_are_awaited) {
  postgres::Connection connection = connect();
  in_loop([&]() -> net::awaitable<void> {
    postgres::Pipeline pipeline;
    pipeline.add("select 1").add("select $1::int", 2);
    const auto results = co_await async(connection).run(pipeline);
    BOOST_TEST(results.size() == 2U);
    BOOST_TEST(results[1].template one<int>() == 2);
    co_await async(connection).listen("news of the day");
    BOOST_TEST((co_await async(connection).wait_for_notification(Clock::now() + 5ms)).has_value() == false);
    server().ask("notify \"news of the day\", 'all is well'");
    const auto heard = co_await async(connection).wait_for_notification(soon());
    BOOST_REQUIRE(heard.has_value());
    BOOST_TEST(heard->payload == "all is well");
    BOOST_TEST((co_await async(connection).exec("select 1")).template one<int>() == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_future_and_a_callback_take_results) {
  postgres::Connection connection = connect();
  BOOST_TEST(async(connection, net::use_future).exec("select 1").get().one<int>() == 1);
  auto failing = async(connection, net::use_future).exec("select nothing");
  BOOST_CHECK_THROW(failing.get(), postgres::QueryError);
  net::io_context loop;
  int answer = 0;
  async(connection, net::bind_executor(loop,
                                       [&](const std::exception_ptr& error, const postgres::Result& result) {
                                         if (error == nullptr) answer = result.one<int>();
                                       }))
      .exec("select $1::int", 5);
  BOOST_TEST(answer == 0);
  loop.run();
  BOOST_TEST(answer == 5);
}

BOOST_AUTO_TEST_CASE(a_handler_may_destroy_the_connection_whatever_else_waited_for_the_operation) {
  for (const bool stopped : {false, true}) {
    net::io_context loop;
    bool told = false, handled = false;
    std::stop_source stop;
    // The echo is told at the operation's end, which must not be left to whoever lets go of it last.
    auto connection =
        std::make_unique<postgres::Connection>(connect({.echo = [&](std::string_view, Duration) { told = true; }}));
    const auto handler = [&](const std::exception_ptr&, const postgres::Result&) {
      BOOST_TEST(told);
      connection.reset();
      handled = true;
    };
    async(*connection, net::bind_executor(loop, handler)).exec_until(postgres::Until{stop.get_token()}, "select 1");
    std::this_thread::sleep_for(50ms);  // the answer is there, and the loop will find the stop in the queue, too
    if (stopped) net::post(loop, [&] { stop.request_stop(); });
    loop.run();
    BOOST_TEST(handled);
  }
}

BOOST_AUTO_TEST_CASE(statements_on_a_loop_of_several_threads_need_no_strand) {
  net::thread_pool loop{3};
  std::vector<postgres::Connection> connections;
  for (int i = 0; i < 4; ++i) connections.push_back(connect());
  std::atomic<int> done{0};
  std::mutex mutex;
  std::string failures;
  for (postgres::Connection& connection : connections)
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          for (int i = 0; i < 50; ++i)  // with a deadline: two things are waited for
            co_await async(connection).exec_until(Clock::now() + 1min, "select $1::int", i);
          ++done;
        },
        [&](const std::exception_ptr& error) {
          try {
            if (error != nullptr) std::rethrow_exception(error);
          } catch (const std::exception& failure) {
            const std::lock_guard lock{mutex};
            failures += failure.what();
          }
        });
  loop.join();
  BOOST_TEST(failures == "");
  BOOST_TEST(done.load() == 4);
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_amid_a_statement_gives_the_connection_up_and_closes_nothing_twice) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  {
    net::io_context loop;
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          auto lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
          co_await async(*lease).exec_until(Clock::now() + 1h, "select pg_sleep(600)");
          BOOST_ERROR("the loop has ended");
        },
        Rethrow{});
    run_until(loop, "it sleeps", [] { return sessions_that_sleep() > 0; });
  }
  PostgresServer::wait_until("nobody sleeps", [] { return sessions_that_sleep() == 0; });
  BOOST_TEST(pool.acquire(1min)->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_needs_no_more_of_a_loop_than_a_reactor_has) {
  postgres::Connection connection = connect();
  PollReactor loop;
  const auto body = [&]() -> Task {
    const auto session = postgres::async(connection, loop);
    const auto result = co_await session.exec("select $1::int + 1", 41);
    BOOST_TEST(result.template one<int>() == 42);
    bool refused = false, late = false;
    try {
      co_await session.exec("select 1 / 0");
    } catch (const postgres::QueryError&) {
      refused = true;
    }
    BOOST_TEST(refused);
    const std::string large(4'000'000, 'x');
    BOOST_TEST((co_await session.exec("select length($1::text)", large)).template one<int>() == 4'000'000);
    try {
      co_await session.exec_until(Clock::now() + 20ms, "select pg_sleep(30)");
    } catch (const postgres::QueryTimeout&) {
      late = true;
    }
    BOOST_TEST(late);
  };
  const Task task = body();
  loop.run_until([&] { return task.done(); });
  task.check();
  BOOST_TEST(loop.idle());
  PostgresServer::wait_until("nobody sleeps", [] { return sessions_that_sleep() == 0; });
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_is_destroyed_amid_a_statement_leaves_the_loop_and_the_server) {
  postgres::Connection connection = connect();
  PollReactor loop;
  {
    const auto body = [&]() -> Task { co_await postgres::async(connection, loop).exec("select pg_sleep(600)"); };
    const Task task = body();
    BOOST_TEST(!loop.idle());
    wait_for_active(std::to_string(connection.backend_pid()));
  }
  BOOST_TEST(loop.idle());
  BOOST_TEST(!connection.is_usable());
  PostgresServer::wait_until("nobody sleeps", [] { return sessions_that_sleep() == 0; });
}

BOOST_AUTO_TEST_CASE(a_stop_reaches_a_loop_of_our_own_from_another_thread) {
  postgres::Connection connection = connect();
  PollReactor loop;
  std::stop_source source;
  bool stopped = false;
  const auto body = [&]() -> Task {
    try {
      co_await postgres::async(connection, loop).exec_until(postgres::Until{source.get_token()}, "select pg_sleep(60)");
    } catch (const postgres::QueryCancelled&) {
      stopped = true;
    }
  };
  const Task task = body();
  std::jthread other{[&] { source.request_stop(); }};
  loop.run_until([&] { return task.done(); });
  BOOST_TEST(stopped);
}

BOOST_AUTO_TEST_CASE(once_the_time_is_over_nothing_is_sent_and_the_connection_stays_usable) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    co_await session.exec_script("create temp table if not exists written(number int)");
    const postgres::Until over{Clock::now() - 1s};
    const std::vector<std::string> lines{"1\n"};
    using Late = postgres::QueryTimeout;
    const char* const insert = "insert into written values (1)";
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.exec_until(over, insert); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.exec_script(insert, over); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.stream_until(over, insert); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.copy_out("copy written to stdout", over); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.copy_in("copy written from stdin", over); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] { return session.copy_in("copy written from stdin", lines, over); }));
    BOOST_TEST(co_await fails_in<Late>(loop, [&] {
      postgres::Pipeline pipeline;
      pipeline.add(insert);
      return session.run(std::move(pipeline), over);
    }));
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(number_in(co_await session.exec("select count(*)::int from written")) == 0);
    BOOST_CHECK_THROW(static_cast<void>(session.listen(std::string(64, 'n'))), postgres::QueryError);
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
