// Rows that come one after the other, awaited: in Asio's loop and in one of our own.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>
#include <support/fault_proxy.hpp>
#include <support/task.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_stream)

namespace {

constexpr const char* endless = "select generate_series(1, 1000000000)::bigint";

std::size_t allocated() {
  const auto memory = ::mallinfo2();
  return memory.uordblks + memory.hblkhd;  // and the large pieces
}

postgres::Pool pool_of_one() { return postgres::Pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}}; }

int sessions_that_count() {
  return std::stoi(
      server().ask("select count(*) from pg_stat_activity where query like '%generate_series%' and pid <> "
                   "pg_backend_pid() and state = 'active'"));
}
void wait_until_nobody_counts() {
  PostgresServer::wait_until("nobody counts", [] { return sessions_that_count() == 0; });
}

struct Numbered {
  int number;
  std::optional<std::string> text;
};

}  // namespace

BOOST_AUTO_TEST_CASE(rows_are_read_as_structs_by_the_names_of_their_columns) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    const postgres::Result result = co_await session.exec("select 'a' as text, 1 as number");
    BOOST_TEST(result.template one<Numbered>().number == 1);
    int count = 0;
    auto rows =
        co_await session.template stream<Numbered>("select null as text, i as number from generate_series(1, 3) i");
    while (const auto row = co_await rows.next()) BOOST_TEST((*row).number == ++count);
    BOOST_TEST(count == 3);
    auto lines = co_await session.template copy_out<postgres::ByPosition<Numbered>>("copy (values (7, 'x')) to stdout");
    const auto line = co_await lines.next();
    BOOST_TEST((*line).text.value() == "x");
    BOOST_TEST(is_end(co_await lines.next()));
    auto wrong = co_await session.template stream<Numbered>("select 1 as number");
    bool refused = false;
    try {
      static_cast<void>(*co_await wrong.next());
    } catch (const postgres::ResultError& error) {
      refused = error.column() == "text";
    }
    BOOST_TEST(refused);
    BOOST_TEST(is_end(co_await wrong.next()));
    co_return true;
  });
  BOOST_TEST(connection.is_usable());
}

BOOST_AUTO_TEST_CASE(rows_come_typed_and_untyped_and_the_connection_is_good_afterwards) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    long sum = 0;
    auto untyped = co_await session.stream("select i from generate_series(1, $1) i", 1000);
    while (const auto row = co_await untyped.next()) sum += (*row)["i"].template as<long>();
    BOOST_TEST(sum == 500500);
    int count = 0;
    auto typed = co_await session.template stream<int, std::optional<std::string>>(
        "select i, nullif(i::text, $1) from generate_series(1, 3) i", "2");
    while (const auto row = co_await typed.next()) {
      const auto& [number, text] = *row;
      BOOST_TEST(number == ++count);
      BOOST_TEST(text.has_value() == (number != 2));
    }
    BOOST_TEST(count == 3);
    BOOST_TEST(is_end(co_await typed.next()));  // and again
    auto numbers = co_await session.template stream_until<int>(soon(), "select generate_series(1, 3)");
    for (int i = 1; i <= 3; ++i) BOOST_TEST(*co_await numbers.next() == i);
    BOOST_TEST(is_end(co_await numbers.next()));
    auto none = co_await session.stream("select 1 where false");
    BOOST_TEST(is_end(co_await none.next()));
    auto no_rows = co_await session.stream("create temp table if not exists nothing()");
    BOOST_TEST(is_end(co_await no_rows.next()));
    co_await no_rows.close();  // harmless
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(rows_in_the_binary_format_come_as_any) {
  postgres::Connection connection = connect();
  connection.exec("set datestyle = 'German'");  // whose text cannot be read
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Moment = std::chrono::sys_seconds;
    const auto session = async_in(loop, connection);
    int count = 0;
    auto rows = co_await session.template stream<Moment, std::optional<double>, std::string>(
        "select to_timestamp(n), nullif(n, 2)::float8, $1 || n from generate_series(1, 1000) n", "at ");
    while (const auto row = co_await rows.next()) {
      const auto& [at, value, text] = *row;
      ++count;
      BOOST_TEST((at == Moment{std::chrono::seconds{count}}));
      BOOST_TEST((value == (count == 2 ? std::nullopt : std::optional<double>{count})));
      BOOST_TEST(text == "at " + std::to_string(count));
    }
    BOOST_TEST(count == 1000);
    bool kept = false;
    for (int tries = 0; tries < 5 && !kept; ++tries) {
      auto left = co_await session.template stream<double>("select generate_series(1, 1000000000)::float8");
      BOOST_TEST(*co_await left.next() == 1);
      kept = co_await closes_in(loop, left, connection);
      if (kept) break;
      connection = connect();
      connection.exec("set datestyle = 'German'");
    }
    BOOST_TEST(kept);
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    std::string state;
    for (const char* sql : {"select nonsense", "select 1::float8 / 0"}) try {
        auto none = co_await session.template stream<double>(sql);
        static_cast<void>(co_await none.next());
      } catch (const postgres::QueryError& error) {
        state += error.sqlstate() + ' ';
      }
    BOOST_TEST(state == "42703 22012 ");
    BOOST_TEST(number_in(co_await session.exec("select 2")) == 2);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_rows_take_constant_memory) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const std::size_t before = allocated();
    std::size_t bytes = 0, most = 0, rows = 0;
    auto stream = co_await async_in(loop, connection)
                      .template stream<std::string>("select repeat('x', 1000) from generate_series(1, $1)", 100'000);
    while (const auto row = co_await stream.next()) {
      bytes += row->size();
      if (++rows % 1000 == 0) most = std::max(most, allocated());
    }
    BOOST_TEST(bytes == 100'000'000U);
    BOOST_TEST(most < before + 4'000'000);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(an_error_comes_where_it_happens_and_the_connection_is_good) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    auto rows = co_await session.template stream<int>("select 10 / (4 - i) from generate_series(1, $1) i", 8);
    for (int i = 0; i < 3; ++i) BOOST_TEST(!is_end(co_await rows.next()));
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return rows.next(); }));
    BOOST_TEST(is_end(co_await rows.next()));
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    // A row that is not as it was asked for: the others are.
    auto some = co_await session.template stream<int>("select nullif(i, 2) from generate_series(1, 3) i");
    BOOST_TEST(*co_await some.next() == 1);
    BOOST_TEST(co_await fails_in<postgres::ResultError>(loop, [&] { return some.next(); }));
    BOOST_TEST(*co_await some.next() == 3);
    BOOST_TEST(is_end(co_await some.next()));
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.stream("nonsense"); }));
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    BOOST_CHECK_THROW(static_cast<void>(session.stream("select $1", std::string(3, '\0'))), postgres::QueryError);
    co_return true;
  });
}

// Closing has two seconds. A server that got no processor in that time costs the connection, and then the next one
// answers; else it is the same one.
BOOST_AUTO_TEST_CASE(closed_half_way_it_is_cancelled_and_the_next_answer_is_that_of_the_next_statement) {
  postgres::Pool pool = pool_of_one();
  unsigned kept = 0, starved = 0;
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    auto lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
    for (int i = 0; i < 5; ++i) {
      auto rows = co_await async_in(loop, *lease).template stream<long>(endless);
      for (long number = 1; number <= i * 300L; ++number) BOOST_TEST(*co_await rows.next() == number);
      const bool good = co_await closes_in(loop, rows, *lease);
      BOOST_TEST(is_end(co_await rows.next()));
      if (!good) {
        ++starved;
        lease.release();
        lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
      } else {
        ++kept;
      }
      BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select $1::int", -i)) == -i);
    }
    co_return true;
  });
  BOOST_TEST(kept > 0U);
  BOOST_TEST(pool.statistics().opened == 1U + starved);
}

BOOST_AUTO_TEST_CASE(dropped_half_way_it_costs_the_connection_and_no_other_gets_its_answer) {
  postgres::Pool pool = pool_of_one();
  for (unsigned round = 1; round <= 2; ++round) {
    in_both_loops([&](auto loop) -> Body<decltype(loop)> {
      auto lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
      {
        auto rows = co_await async_in(loop, *lease).template stream<long>(endless);
        BOOST_TEST(*co_await rows.next() == 1);
        BOOST_TEST(co_await fails_in<postgres::QueryError>(
            loop, [&] { return async_in(loop, *lease).exec("select 'another is under way'"); }));
      }
      BOOST_TEST(!lease->is_usable());
      lease.release();
      lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
      BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select $1::int", 7)) == 7);
      co_return true;
    });
    BOOST_TEST(pool.statistics().opened == 1U + 2 * round);
    wait_until_nobody_counts();
  }
}

BOOST_AUTO_TEST_CASE(what_has_ended_refers_to_the_connection_no_more) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = connect();
    const auto session = async_in(loop, connection);
    const auto let_go = [&] { return connection.channel().guests().empty(); };
    auto rows = co_await session.template stream<int>("select generate_series(1, 3)");
    BOOST_TEST(!let_go());
    while (co_await rows.next()) continue;
    BOOST_TEST(let_go());
    BOOST_TEST(is_end(co_await rows.next()));
    auto none = co_await session.stream("select 1 where false");
    BOOST_TEST(let_go());
    auto failing = co_await session.template stream<int>("select 10 / (2 - i) from generate_series(1, 8) i");
    BOOST_TEST(!is_end(co_await failing.next()));
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return failing.next(); }));
    BOOST_TEST(let_go());
    BOOST_TEST(is_end(co_await failing.next()));
    auto lines = co_await session.copy_out("copy (select generate_series(1, 3)) to stdout");
    BOOST_TEST(!let_go());
    while (co_await lines.next()) continue;
    BOOST_TEST(let_go());
    auto closed = co_await session.template stream<long>(endless);
    co_await closed.close();
    BOOST_TEST(let_go());
    BOOST_TEST(is_end(co_await closed.next()));
    co_await closed.close();  // harmless
    connection = connect();
    auto lost = co_await session.template stream<long>(endless);
    BOOST_TEST(!is_end(co_await lost.next()));
    terminate(connection);
    for (int i = 0; i < 2; ++i)
      BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&]() -> Body<decltype(loop)> {
        while (co_await lost.next()) continue;
        co_return false;
      }));
    BOOST_TEST(let_go());
    co_return true;
  });
  postgres::Connection connection = connect();
  auto rows = connection.stream<int>("select generate_series(1, 3)");
  auto at = rows.begin();
  BOOST_TEST(!connection.channel().guests().empty());
  while (at != rows.end()) ++at;
  BOOST_TEST(connection.channel().guests().empty());
  BOOST_TEST((rows.begin() == rows.end()));
  auto lines = connection.copy_out("copy (select 1 where false) to stdout");
  BOOST_TEST((lines.begin() == lines.end()));
  BOOST_TEST(connection.channel().guests().empty());
}

BOOST_AUTO_TEST_CASE(rows_that_have_ended_are_kept_while_another_thread_has_the_connection) {
  postgres::Pool pool = pool_of_one();
  std::atomic<bool> end{false};
  std::jthread other{[&] {
    while (!end) {
      auto lease = pool.acquire(1min);
      for (const int number : lease->stream<int>("select generate_series(1, 3)")) static_cast<void>(number);
    }
  }};
  for (int i = 0; i < 50; ++i) {
    in_loop([&]() -> net::awaitable<void> {
      auto lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
      auto rows = co_await async(*lease).stream<int>("select generate_series(1, 3)");
      while (co_await rows.next()) continue;
      lease.release();
      auto again = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);  // the other had it meanwhile
    });
  }
  end = true;
}

BOOST_AUTO_TEST_CASE(dropped_when_all_has_come_it_costs_nothing) {
  postgres::Connection connection = connect();
  connection.exec_script("begin");
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    {
      auto rows = co_await async_in(loop, connection).template stream<int>("select generate_series(1, 3)");
      BOOST_TEST(*co_await rows.next() == 1);
      wait_for_idle(connection);
    }
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(!connection.in_failed_transaction());
    BOOST_TEST(connection.in_transaction());
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_and_a_stop_end_it_in_the_middle_and_the_connection_is_discarded) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    for (const bool by_deadline : {true, false}) {
      for (Duration span = 500ms;; span *= 2) {
        auto lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
        std::stop_source stop;
        std::atomic<bool> begun{false};
        std::jthread stopper{[&] {
          begun.wait(false);
          if (!by_deadline) stop.request_stop();
        }};
        const postgres::Until until{by_deadline ? Clock::now() + span : TimePoint::max(), stop.get_token()};
        bool late = false, stopped = false;
        long last = 0;
        try {  // also when rows never stop coming
          auto rows = co_await async_in(loop, *lease).template stream_until<long>(until, endless);
          while (const auto row = co_await rows.next()) {
            if (*row != ++last) break;
            begun = true;
            begun.notify_one();
          }
        } catch (const postgres::QueryTimeout&) {
          late = true;
        } catch (const postgres::QueryCancelled&) {
          stopped = true;
        }
        begun = true;
        begun.notify_one();
        if (by_deadline && last == 0 && span < 1min) continue;  // it was over before the first row came
        BOOST_TEST(last > 0);
        BOOST_TEST(late == by_deadline);
        BOOST_TEST(stopped == !by_deadline);
        BOOST_TEST(!lease->is_usable());
        break;
      }
    }
    auto lease = co_await loop.runner.acquire(pool, 1min, {}, std::source_location::current());
    BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select 5")) == 5);
    co_return true;
  });
  wait_until_nobody_counts();
}

BOOST_AUTO_TEST_CASE(after_it_was_given_up_there_is_no_next_row) {
  bool begun = false;
  for (Duration span = 500ms; !begun; span *= 2) {
    postgres::Connection connection = connect();
    in_loop([&]() -> net::awaitable<void> {
      try {
        auto rows =
            co_await async(connection)
                .stream_until<std::string>(
                    Clock::now() + span, "select repeat('x', 1000) || pg_sleep(i / 20) from generate_series(1, 100) i");
        begun = true;
        const auto read_all = [&]() -> net::awaitable<void> {
          while (co_await rows.next()) continue;
        };
        BOOST_TEST(co_await fails_with<postgres::QueryTimeout>(read_all()));
        BOOST_TEST(co_await fails_with<postgres::ConnectionLost>(rows.next()));
        co_await rows.close();
      } catch (const postgres::QueryTimeout&) {  // before the first row came
        if (begun || span > 1min) throw;
      }
    });
  }
}

BOOST_AUTO_TEST_CASE(closing_it_waits_no_longer_than_its_bound_for_a_server_that_hangs) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = connect();
    auto rows = co_await async_in(loop, connection).template stream<long>(endless);
    BOOST_TEST(*co_await rows.next() == 1);
    server().sigstop();
    const auto start = Clock::now();
    co_await rows.close();
    const auto took = Clock::now() - start;
    server().sigcont();
    BOOST_TEST((took < 60s));
    BOOST_TEST(!connection.is_usable());
    co_return true;
  });
  wait_until_nobody_counts();
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_meanwhile_is_lost) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = connect();
    auto rows = co_await async_in(loop, connection).template stream<long>(endless);
    terminate(connection);
    BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&]() -> Body<decltype(loop)> {
      while (co_await rows.next()) continue;
      co_return false;
    }));
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_is_destroyed_while_it_waits_for_a_row_leaves_the_loop_and_the_server) {
  postgres::Connection connection = connect();
  PollReactor loop;
  bool begun = false;
  {
    const auto body = [&]() -> Task {
      auto rows = co_await postgres::async(connection, loop)
                      .stream<std::string>(
                          "select repeat('x', 1000) || pg_sleep(case i when 20 then 60 else 0 end) from "
                          "generate_series(1, 30) i");
      while (co_await rows.next()) begun = true;
    };
    const Task task = body();
    loop.run_until([&] { return begun; });
    BOOST_TEST(!task.done());
  }
  BOOST_TEST(loop.idle());
  BOOST_TEST(!connection.is_usable());
  connection = connect();  // a server that is sending hears of nothing else until the connection ends
  wait_until_nobody_counts();
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_amid_a_stream_gives_the_connection_up) {
  postgres::Pool pool = pool_of_one();
  {
    net::io_context loop;
    int rows = 0;
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          auto lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
          auto stream = co_await async(*lease).stream<long>(endless);
          while (co_await stream.next()) ++rows;
        },
        Rethrow{});
    run_until(loop, "rows have come", [&] { return rows >= 10; });
  }
  wait_until_nobody_counts();
  BOOST_TEST(pool.acquire(1min)->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(another_completion_token_is_that_of_each_row) {
  postgres::Connection connection = connect();
  auto rows = async(connection, net::use_future).stream<int, std::string>("select 1, 'one'").get();
  BOOST_TEST((rows.next().get() == std::tuple{1, std::string{"one"}}));
  BOOST_TEST(!rows.next().get().has_value());
  // Two seconds are there to close it: a server that got no processor in that time costs the connection.
  bool kept = false;
  for (int tries = 0; tries < 5 && !kept; ++tries) {
    if (!connection.is_usable()) connection = connect();
    rows = async(connection, net::use_future)
               .stream<int, std::string>("select i, '' from generate_series(1, 1000000) i")
               .get();
    long sum = 0;
    for (int i = 0; i < 20'000; ++i) sum += std::get<0>(*rows.next().get());
    BOOST_TEST(sum == 200'010'000);
    const TimePoint begun = Clock::now();
    rows.close().get();
    kept = connection.is_usable();
    BOOST_TEST((kept || Clock::now() - begun >= 2s));
  }
  BOOST_TEST(kept);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(closed_early_it_keeps_the_connection_only_if_the_cancel_has_ended_it) {
  FaultProxy proxy{server().socket()};
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = postgres::Connection::connect(proxy.conninfo("postgres"), soon());
    const auto session = async_in(loop, connection);
    proxy.acknowledge_cancels_early(50ms);
    // Slow, so that there is little to read after the cancel, however slow this is.
    bool kept = false;
    for (int tries = 0; tries < 5 && !kept; ++tries) {
      auto rows = co_await session.stream("select repeat('x', 9000), pg_sleep(0.01) from generate_series(1, 1000000)");
      kept = co_await closes_in(loop, rows, connection);
      if (!kept) connection = postgres::Connection::connect(proxy.conninfo("postgres"), soon());
    }
    BOOST_TEST(kept);
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    proxy.acknowledge_cancels_early(1h);
    // If the whole answer is there before it is closed, the connection is kept: a busy machine may make us that late.
    for (int round = 0; round < 10 && connection.is_usable(); ++round) {
      auto short_rows = co_await session.stream("select repeat('x', 9000), pg_sleep(0.2) from generate_series(1, 4)");
      co_await short_rows.close();
    }
    BOOST_TEST(!connection.is_usable());
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
