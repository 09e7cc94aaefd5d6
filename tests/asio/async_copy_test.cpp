// COPY in both directions, awaited: in Asio's loop and in one of our own.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <ranges>
#include <source_location>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/bulk/arrays.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_copy)

namespace {

// A table that all sessions see, empty at first.
struct Copied {
  Copied() { server().ask("create table copied(id int primary key, name text)"); }
  Copied(const Copied&) = delete;
  Copied& operator=(const Copied&) = delete;
  ~Copied() { server().ask("drop table copied"); }
  // What is committed.
  static int count() { return std::stoi(server().ask("select count(*) from copied")); }
};
constexpr const char* into = "copy copied from stdin";

auto rows_from(int first, int count) {
  return std::views::iota(first, first + count) |
         std::views::transform([](int i) { return std::tuple{i, "row " + std::to_string(i)}; });
}
// Rows that end with an exception.
auto failing_after(int count, const auto& before) {
  return std::views::iota(0) | std::views::transform([count, &before](int i) {
           if (i == count) {
             before();
             throw std::domain_error{"no more"};
           }
           return std::tuple{i, std::string(100, 'x')};
         });
}
constexpr auto nothing_before = [] {};
std::size_t allocated() {
  const auto memory = ::mallinfo2();
  return memory.uordblks + memory.hblkhd;  // and the large pieces
}

const auto endless = std::views::iota(0) | std::views::transform([](int i) { return std::tuple{i, "x"}; });

postgres::Pool pool_of_one() { return postgres::Pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}}; }

template <class Loop>
auto acquire_in(const Loop& loop, postgres::Pool& pool) {
  return loop.runner.acquire(pool, 1min, {}, std::source_location::current());
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_are_written_one_by_one_and_read_as_tuples_and_as_lines) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    const auto session = async_in(loop, connection);
    auto copy = co_await session.copy_in(into);
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.exec("select 1"); }));
    co_await copy.write(std::tuple{1, "one"});
    co_await copy.write(std::pair{2, std::optional<std::string>{}});
    co_await copy.write("3\tth");  // text, in pieces that may end anywhere
    co_await copy.write(std::string{"ree\n"});
    // What cannot be passed is left out, and the rest goes on.
    BOOST_CHECK_THROW(static_cast<void>(copy.write(std::tuple{4, std::string("a\0b", 3)})), postgres::QueryError);
    BOOST_TEST(co_await copy.finish() == 3U);
    BOOST_CHECK_THROW(static_cast<void>(copy.write(std::tuple{5, "late"})), postgres::Error);
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return copy.finish(); }));
    BOOST_TEST(Copied::count() == 3);

    auto rows = co_await session.template copy_out<int, std::optional<std::string>>("copy copied to stdout", soon());
    std::vector<std::tuple<int, std::optional<std::string>>> read;
    while (auto row = co_await rows.next()) read.push_back(*std::move(row));
    BOOST_TEST((read ==
                std::vector<std::tuple<int, std::optional<std::string>>>{{1, "one"}, {2, std::nullopt}, {3, "three"}}));
    std::string text;
    auto lines = co_await session.copy_out("copy copied to stdout (format csv)");
    while (const auto line = co_await lines.next()) text.append(*line);
    BOOST_TEST(text == "1,one\n2,\n3,three\n");
    auto empty = co_await session.template copy_out<int>("copy (select 1 where false) to stdout");
    BOOST_TEST(is_end(co_await empty.next()));
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    co_return true;
  });
}

namespace {

struct Entry {
  int id;
  std::optional<std::string> name;
};

}  // namespace

BOOST_AUTO_TEST_CASE(structs_are_rows_of_a_copy_and_of_arrays) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    const auto session = async_in(loop, connection);
    const std::vector<Entry> entries{{1, "one"}, {2, std::nullopt}};
    const std::size_t copied_rows = co_await session.copy_in(into, entries);
    BOOST_TEST(copied_rows == 2U);
    auto copy = co_await session.copy_in(into);
    const Entry third{3, "three"};  // GCC 12 destroys an aggregate twice that is made where it is awaited
    co_await copy.write(third);
    BOOST_CHECK_THROW(static_cast<void>(copy.write(Entry{4, std::string("a\0b", 3)})), postgres::QueryError);
    const std::size_t written = co_await copy.finish();
    BOOST_TEST(written == 1U);
    const std::string sql = "insert into copied select id + 10, name from unnest($1, $2::text[]) as t(id, name)";
    const postgres::Result result = co_await session.exec(sql, postgres::arrays_of(entries));
    BOOST_TEST(result.affected_rows() == 2U);
    BOOST_TEST(server().ask("select string_agg(id || coalesce(name, '-'), ' ' order by id) from copied") ==
               "1one 2- 3three 11one 12-");
    const bool twice =
        co_await fails_in<postgres::QueryError>(loop, [&] { return session.exec(sql, postgres::arrays_of(entries)); });
    BOOST_TEST(twice);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(rows_of_values_are_refused_where_the_format_is_another) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    const auto session = async_in(loop, connection);
    const char* csv = "copy copied from stdin (format csv)";
    const std::vector<std::pair<int, std::string>> rows{{1, "a,b"}};
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.copy_in(csv, rows); }));
    auto copy = co_await session.copy_in(csv);
    BOOST_CHECK_THROW(static_cast<void>(copy.write(std::tuple{1, "a"})), postgres::QueryError);
    co_await copy.write("2,b\n");  // the COPY goes on without it
    BOOST_TEST(co_await copy.finish() == 1U);
    BOOST_TEST(co_await fails_in<postgres::QueryError>(
        loop, [&] { return session.template copy_out<int, std::string>("copy copied to stdout csv"); }));
    BOOST_TEST(Copied::count() == 1);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_range_is_copied_as_a_whole) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    const auto session = async_in(loop, connection);
    const std::vector<std::pair<int, std::string>> named{{1, "one"}, {2, "two"}};
    std::vector<std::string> pieces{"3\tthr", "ee\n"};
    BOOST_TEST(co_await session.copy_in(into, named) == 2U);
    BOOST_TEST(co_await session.copy_in(into, std::move(pieces), soon()) == 1U);
    BOOST_TEST(co_await session.copy_in(into, std::vector<std::string>{}) == 0U);
    BOOST_TEST(co_await session.copy_in(into, rows_from(10, 50'000)) == 50'000U);
    BOOST_TEST(Copied::count() == 50'003);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(rows_of_a_range_go_and_come_in_the_binary_format) {
  server().ask("create table measured(half float8, n int, statement text default current_query())");
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    connection.exec("truncate measured");
    const auto session = async_in(loop, connection);
    const auto rows = std::views::iota(0, 20'000) | std::views::transform([](int i) { return std::tuple{i / 2., i}; });
    const std::size_t stored = co_await session.copy_in("copy measured(half, n) from stdin", rows, soon());
    BOOST_TEST(stored == 20'000U);
    BOOST_TEST(connection.exec("select bool_and(statement like '%(format binary)' and half * 2 = n) from measured")
                   .one<bool>());
    long sum = 0;
    auto back = co_await session.template copy_out<double, int>("copy measured(half, n) to stdout", soon());
    while (auto row = co_await back.next()) sum += std::get<0>(*row) * 2 == std::get<1>(*row) ? std::get<1>(*row) : -1;
    BOOST_TEST(sum == 199'990'000);
    co_return true;
  });
  server().ask("drop table measured");
}

BOOST_AUTO_TEST_CASE(what_the_server_refuses_is_stored_in_no_part_and_the_connection_is_good) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    const auto session = async_in(loop, connection);
    std::string state;
    try {  // the same key twice, and much behind it
      auto copy = co_await session.copy_in(into);
      for (int i = 0; i < 20'000; ++i) co_await copy.write(std::tuple{i == 100 ? 99 : i, "x"});
      co_await copy.finish();
    } catch (const postgres::QueryError& error) {
      state = error.sqlstate();
    }
    BOOST_TEST(state == "23505");
    BOOST_TEST(co_await fails_in<postgres::QueryError>(
        loop, [&] { return session.copy_in(into, std::views::single(std::string{"no number\tx\n"})); }));
    BOOST_TEST(
        co_await fails_in<postgres::QueryError>(loop, [&] { return session.copy_in("copy nowhere from stdin"); }));
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.copy_in("select 1"); }));
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.copy_out("select 1"); }));
    auto odd = co_await session.template copy_out<int>("copy (select 'a') to stdout");
    BOOST_TEST(co_await fails_in<postgres::ResultError>(loop, [&] { return odd.next(); }));
    BOOST_TEST(is_end(co_await odd.next()));
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(Copied::count() == 0);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_range_that_throws_stores_nothing_and_leaves_the_connection_good) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    for (const int count : {0, 3, 5000}) {  // before anything was sent, and after
      BOOST_TEST(co_await fails_in<std::domain_error>(
          loop, [&] { return async_in(loop, connection).copy_in(into, failing_after(count, nothing_before)); }));
      BOOST_TEST(connection.is_usable());
    }
    BOOST_TEST(number_in(co_await async_in(loop, connection).exec("select count(*) from copied")) == 0);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_range_that_throws_waits_no_longer_than_two_seconds_for_a_server_that_hangs) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = connect();
    TimePoint start;
    const auto hang = [&] {
      server().sigstop();
      start = Clock::now();
    };
    co_await async_in(loop, connection).exec_script("create temp table hung(id int, name text)");
    BOOST_TEST(co_await fails_in<std::domain_error>(
        loop, [&] { return async_in(loop, connection).copy_in("copy hung from stdin", failing_after(3, hang)); }));
    const auto took = Clock::now() - start;
    server().sigcont();
    BOOST_TEST((took >= 2s && took < 60s));
    BOOST_TEST(!connection.is_usable());
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(an_aborted_copy_stores_nothing_and_leaves_the_connection_good) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    auto copy = co_await async_in(loop, connection).copy_in(into);
    for (int i = 0; i < 20'000; ++i) co_await copy.write(std::tuple{i, "x"});
    co_await copy.abort();
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return copy.abort(); }));
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(number_in(co_await async_in(loop, connection).exec("select count(*) from copied")) == 0);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(one_that_has_ended_refers_to_the_connection_no_more) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    postgres::Connection connection = connect();
    const auto session = async_in(loop, connection);
    const auto let_go = [&] { return connection.channel().guests().empty(); };
    auto finished = co_await session.copy_in(into);
    co_await finished.write(std::tuple{1, "one"});
    BOOST_TEST(!let_go());
    BOOST_TEST(co_await finished.finish() == 1U);
    BOOST_TEST(let_go());
    auto aborted = co_await session.copy_in(into);
    co_await aborted.write(std::tuple{2, "two"});
    co_await aborted.abort();
    BOOST_TEST(let_go());
    auto refused = co_await session.copy_in(into);
    co_await refused.write(std::tuple{1, "twice"});
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return refused.finish(); }));
    BOOST_TEST(let_go());
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return refused.finish(); }));
    auto lost = co_await session.copy_in(into);
    co_await lost.write(std::tuple{3, "three"});
    terminate(connection);
    BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&] { return lost.finish(); }));
    BOOST_TEST(let_go());
    BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&] { return lost.finish(); }));
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_copy_that_is_dropped_fails_on_the_server_at_once_and_costs_the_connection) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    auto lease = co_await acquire_in(loop, pool);
    {
      auto copy = co_await async_in(loop, *lease).copy_in(into);
      for (int i = 0; i < 20'000; ++i) co_await copy.write(std::tuple{i, "x"});
    }
    BOOST_TEST(!lease->is_usable());
    // Also while the connection is still there.
    const std::string pid = std::to_string(lease->backend_pid());
    PostgresServer::wait_until("it has ended", [&] {
      return server().ask("select count(*) from pg_stat_activity where state = 'active' and pid = " + pid) == "0";
    });
    BOOST_TEST(Copied::count() == 0);
    lease.release();
    lease = co_await acquire_in(loop, pool);
    BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select 7")) == 7);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(copy_out_is_left_half_way_as_a_stream_is) {
  postgres::Pool pool = pool_of_one();
  unsigned kept = 0;
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    constexpr const char* many = "copy (select generate_series(1, 1000000000)) to stdout";
    auto lease = co_await acquire_in(loop, pool);
    for (int i = 0; i < 3; ++i) {
      auto rows = co_await async_in(loop, *lease).template copy_out<int>(many);
      for (int number = 1; number <= i * 300; ++number) BOOST_TEST(*co_await rows.next() == number);
      if (co_await closes_in(loop, rows, *lease)) {
        ++kept;
      } else {
        lease.release();
        lease = co_await acquire_in(loop, pool);
      }
      BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select $1::int", -i)) == -i);
    }
    {
      const auto dropped = co_await async_in(loop, *lease).template copy_out<int>(many);
    }
    BOOST_TEST(!lease->is_usable());
    lease.release();
    lease = co_await acquire_in(loop, pool);
    BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select 7")) == 7);
    co_return true;
  });
  BOOST_TEST(kept > 0U);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_rows_go_through_in_constant_memory) {
  postgres::Connection connection = connect();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    co_await session.exec_script("drop table if exists big; create temp table big(data text)");
    const std::string line(500, 'x');
    const std::size_t before = allocated();
    std::size_t most = 0;
    const auto look = [&] { most = std::max(most, allocated()); };
    // The server is slower than who writes.
    auto copy = co_await session.copy_in("copy big from stdin where length(repeat(data, 50)) > 0");
    for (int i = 0; i < 20'000; ++i) {
      co_await copy.write(std::tuple<std::string_view>{line});
      if (i % 500 == 0) look();
    }
    BOOST_TEST(co_await copy.finish() == 20'000U);
    const auto lines = std::views::iota(0, 80'000) | std::views::transform([&](int i) {
                         if (i % 500 == 0) look();
                         return std::tuple<std::string_view>{line};
                       });
    BOOST_TEST(co_await session.copy_in("copy big from stdin", lines) == 80'000U);
    std::size_t bytes = 0;
    auto rows = co_await session.copy_out("copy big to stdout");
    while (const auto row = co_await rows.next()) {
      bytes += row->size();
      if (bytes % 501'000 == 0) look();
    }
    BOOST_TEST(bytes == 50'100'000U);
    BOOST_TEST(most < before + 4'000'000);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_and_a_stop_end_it_in_the_middle_and_the_connection_is_discarded) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    enum class What { range, writing, idle, reading };
    for (const What what : {What::range, What::writing, What::idle, What::reading}) {
      for (const bool by_deadline : {true, false}) {
        for (Duration span = 100ms;; span *= 2) {
          auto lease = co_await acquire_in(loop, pool);
          const auto session = async_in(loop, *lease);
          std::stop_source stop;
          std::jthread stopper{[&] {
            std::this_thread::sleep_for(span);
            if (!by_deadline) stop.request_stop();
          }};
          const postgres::Until until{by_deadline ? Clock::now() + span : TimePoint::max(), stop.get_token()};
          bool late = false, stopped = false;
          try {
            if (what == What::range) {
              co_await session.copy_in(into, endless, until);
            } else if (what == What::reading) {
              auto rows = co_await session.copy_out("copy (select generate_series(1, 1000000000)) to stdout", until);
              while (co_await rows.next()) continue;
            } else {
              auto copy = co_await session.copy_in(into, until);
              for (int i = 0; what == What::writing; ++i) co_await copy.write(std::tuple{i, "x"});
              while (until.left() > 0ns && !stop.stop_requested()) std::this_thread::sleep_for(1ms);
              co_await copy.finish();  // too late, although the server would take it
            }
          } catch (const postgres::QueryTimeout&) {
            late = true;
          } catch (const postgres::QueryCancelled&) {
            stopped = true;
          }
          if (lease->is_usable() && span < 1min) continue;  // it was over before anything was sent
          BOOST_TEST(late == by_deadline);
          BOOST_TEST(stopped == !by_deadline);
          BOOST_TEST(!lease->is_usable());
          break;
        }
      }
    }
    auto lease = co_await acquire_in(loop, pool);
    BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select 5")) == 5);
    BOOST_TEST(Copied::count() == 0);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(the_wrong_direction_and_a_lost_session_end_it) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Copied copied;
    postgres::Connection connection = connect();
    BOOST_TEST(
        co_await fails_in<postgres::QueryError>(loop, [&] { return async_in(loop, connection).copy_out(into); }));
    BOOST_TEST(!connection.is_usable());
    connection = connect();
    BOOST_TEST(co_await fails_in<postgres::QueryError>(
        loop, [&] { return async_in(loop, connection).copy_in("copy copied to stdout"); }));
    BOOST_TEST(!connection.is_usable());
    connection = connect();
    auto copy = co_await async_in(loop, connection).copy_in(into);
    co_await copy.write(std::tuple{1, "x"});
    terminate(connection);
    BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&] { return copy.finish(); }));
    BOOST_CHECK_THROW(static_cast<void>(copy.write(std::tuple{2, "x"})), postgres::ConnectionLost);
    connection = connect();
    auto long_copy = co_await async_in(loop, connection).copy_in(into);
    terminate(connection);
    std::string sqlstate;
    try {
      for (int i = 0; sqlstate.empty(); ++i) co_await long_copy.write(std::tuple{i, "x"});
    } catch (const postgres::ConnectionLost& error) {
      sqlstate = error.sqlstate();
    }
    BOOST_TEST(sqlstate == "57P01");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(the_loop_goes_on_while_a_range_is_copied) {
  const Copied copied;
  postgres::Connection connection = connect();
  net::io_context loop;
  bool done = false;
  int turns = 0;
  net::co_spawn(
      loop, [&]() -> net::awaitable<void> { co_await async(connection).copy_in(into, rows_from(0, 200'000)); },
      [&](const std::exception_ptr& error) { done = error == nullptr; });
  while (!done && loop.run_one() != 0) ++turns;
  BOOST_TEST(done);
  BOOST_TEST(turns > 40);  // some 4 MB in batches of 64 KiB
}

BOOST_AUTO_TEST_CASE(a_server_that_says_much_meanwhile_is_heard) {
  postgres::Connection connection = connect();
  connection.exec_script(
      "create temp table talking(id int, name text);"
      "create function pg_temp.talk() returns trigger language plpgsql as "
      "$$ begin raise notice '%', repeat('x', 500); return new; end $$;"
      "create trigger talk before insert on talking for each row execute function pg_temp.talk()");
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    // A sanitizer on a busy machine may need more than a minute.
    const TimePoint late = Clock::now() + 15min;
    BOOST_TEST(co_await session.copy_in("copy talking from stdin", rows_from(0, 100'000), late) == 100'000U);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(another_completion_token_is_that_of_each_step) {
  const Copied copied;
  postgres::Connection connection = connect();
  const auto session = async(connection, net::use_future);
  auto copy = session.copy_in(into).get();
  for (int i = 0; i < 10'000; ++i) copy.write(std::tuple{i, std::string(100, 'x')}).get();
  BOOST_TEST(copy.finish().get() == 10'000U);
  BOOST_TEST(session.copy_in(into, rows_from(10'000, 10)).get() == 10U);
  auto rows = session.copy_out<int>("copy copied(id) to stdout").get();
  int count = 0;
  while (rows.next().get()) ++count;
  BOOST_TEST(count == 10'010);
}

BOOST_AUTO_TEST_SUITE_END()
