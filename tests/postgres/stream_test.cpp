#include <malloc.h>

#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

static_assert(std::ranges::input_range<Stream<>> && std::ranges::input_range<Stream<int, std::string>>);

BOOST_AUTO_TEST_SUITE(stream)

BOOST_AUTO_TEST_CASE(hands_out_rows_typed_and_untyped) {
  Connection connection = lido::test::connect();
  long sum = 0;
  for (const Row& row : connection.stream("select i from generate_series(1, $1) i", 1000)) sum += row["i"].as<long>();
  BOOST_TEST(sum == 500500);
  int count = 0;
  for (const auto& [number, text] : connection.stream<int, std::optional<std::string>>(
           "select i, nullif(i::text, '2') from generate_series(1, 3) i")) {
    BOOST_TEST(number == ++count);
    BOOST_TEST(text.has_value() == (number != 2));
  }
  BOOST_TEST(count == 3);
  std::vector<int> numbers;
  for (const int number : connection.stream<int>("select generate_series(1, 3)")) numbers.push_back(number);
  BOOST_TEST((numbers == std::vector<int>{1, 2, 3}));
  for (const Row& row : connection.stream("select 1 where false")) BOOST_TEST(row.size() == 0U);
  for (const Row& row : connection.stream("create temp table nothing()")) BOOST_TEST(row.size() == 0U);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(takes_a_large_result_in_constant_memory) {
  Connection connection = lido::test::connect();
  std::size_t bytes = 0;
  std::size_t most = 0;
  const std::size_t before = ::mallinfo2().uordblks;
  std::size_t rows = 0;
  for (const Row& row : connection.stream("select repeat('x', 10000) from generate_series(1, $1)", 20'000)) {
    bytes += row[0].text().size();
    if (++rows % 1000 == 0) most = std::max(most, ::mallinfo2().uordblks);
  }
  BOOST_TEST(bytes == 200'000'000U);
  BOOST_TEST(most < before + 4'000'000);
}

BOOST_AUTO_TEST_CASE(abandoned_early_it_cancels_the_rest_and_the_connection_is_good) {
  Connection connection = lido::test::connect();
  const auto start = Clock::now();
  for (int i = 0; i < 3; ++i) {
    leave_rows(connection, [](Connection& left) {
      for (const long number : left.stream<long>("select generate_series(1, 1000000000)"))
        if (number == 10) break;
    });
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
  }
  BOOST_TEST((Clock::now() - start < 1min));  // and not as long as a thousand million rows take
  leave_rows(connection, [](Connection& left) {
    const auto never_looked_at = left.stream("select generate_series(1, 1000000000)");
    wait_for_active(std::to_string(left.backend_pid()));  // else the cancel comes before there is one to hit
  });
  BOOST_TEST(connection.exec("select 7").one<int>() == 7);
}

BOOST_AUTO_TEST_CASE(abandoned_with_all_rows_at_hand_it_cancels_nothing) {
  Connection connection = lido::test::connect();
  connection.exec_script("begin");
  {
    auto rows = connection.stream<int>("select generate_series(1, 3)");
    BOOST_TEST(*rows.begin() == 1);
    wait_for_idle(connection);
  }
  BOOST_TEST(!connection.in_failed_transaction());
  BOOST_TEST(connection.in_transaction());
}

BOOST_AUTO_TEST_CASE(abandoned_with_a_server_that_hangs_it_gives_the_connection_up_within_a_bound) {
  Connection connection = lido::test::connect();
  std::optional<Stream<long>> rows;
  rows.emplace(postgres::detail::Call{&connection.channel(), Until{}, {}}, "select generate_series(1, 1000000000)",
               postgres::detail::Bound{});
  BOOST_TEST(*rows->begin() == 1);
  server().sigstop();
  const auto start = Clock::now();
  rows.reset();
  const auto took = Clock::now() - start;
  server().sigcont();
  BOOST_TEST((took < 5s));
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(an_error_comes_where_it_happens_and_the_connection_is_good) {
  Connection connection = lido::test::connect();
  int rows = 0;
  const auto error = caught<QueryError>([&] {
    for (const int each : connection.stream<int>("select 10 / (4 - i) from generate_series(1, $1) i", 8))
      rows += each > 0;
  });
  BOOST_TEST(error.sqlstate() == "22012");
  BOOST_TEST(error.statement() == "select 10 / (4 - i) from generate_series(1, $1) i");
  BOOST_TEST(rows == 3);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  const auto mismatch = caught<ResultError>([&] {
    for (const int each : connection.stream<int>("select nullif(i, 3) from generate_series(1, 8) i")) rows += each;
  });
  BOOST_TEST(mismatch.row() == 2U);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  BOOST_CHECK_THROW(static_cast<void>(connection.stream("nonsense").begin()), QueryError);
  BOOST_CHECK_THROW(static_cast<void>(connection.stream("copy (select 1) to stdout").begin()), QueryError);
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(no_other_statement_runs_meanwhile) {
  Connection connection = lido::test::connect();
  auto rows = connection.stream<int>("select generate_series(1, 3)");
  BOOST_TEST(*rows.begin() == 1);
  BOOST_CHECK_THROW(connection.exec("select 1"), QueryError);
  BOOST_TEST(std::ranges::distance(rows.begin(), rows.end()) == 3);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(ends_at_its_deadline_also_when_rows_never_stop_coming) {
  Connection connection = lido::test::connect();
  const auto read = [&](Duration moment, const char* sql) {
    once_sent(moment, [&](Duration span) {
      for (const Row& row : connection.stream_until(Clock::now() + span, sql)) static_cast<void>(row);
    });
  };
  caught<QueryTimeout>([&] { read(300ms, "select generate_series(1, 1000000000)"); });
  BOOST_TEST(!connection.is_usable());
  connection = lido::test::connect();
  caught<QueryTimeout>([&] { read(30ms, "select pg_sleep(60)"); });
  connection = lido::test::connect();
  std::stop_source stop;  // requested on the way: before it, nothing would be sent
  caught<QueryCancelled>([&] {
    for (const int number : connection.stream_until<int>(stop.get_token(), "select generate_series(1, 1000000000)"))
      if (number == 1000) stop.request_stop();
  });
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(a_lost_session_is_noticed_in_the_middle) {
  Connection connection = lido::test::connect();
  const std::string pid = std::to_string(connection.backend_pid());
  long rows = 0;
  caught<ConnectionLost>([&] {
    for (const long each : connection.stream<long>("select generate_series(1, 1000000000)"))
      if (++rows == 10) server().ask("select pg_terminate_backend(" + pid + ", 60000), " + std::to_string(each));
  });
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(a_pool_never_gets_back_a_connection_with_rows_on_their_way) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  for (int i = 0; i < 3; ++i) {
    try {
      auto lease = pool.acquire();
      for (const long number : lease->stream<long>("select generate_series(1, 1000000000)"))
        if (number == 10) throw std::runtime_error{"in the middle"};
    } catch (const std::runtime_error&) {
    }
    BOOST_TEST(pool.acquire()->exec("select $1::int", i).one<int>() == i);
  }
}

BOOST_AUTO_TEST_SUITE_END()
