// Rows that are structs or tuples, many at a time: by COPY, and as arrays that `unnest` takes apart.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/bulk/arrays.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(bulk_rows)

namespace {

// [reading]
struct Reading {
  int sensor;
  std::string place;
  std::optional<double> value;
};
// [/reading]

struct Everything {
  std::uint64_t number;
  bool flag;
  std::array<std::byte, 2> data;
  std::chrono::year_month_day day;
  const char* text;
};

const std::vector<Reading> readings{{1, "hall, \"3\"\\", 1.5}, {2, "", std::nullopt}, {3, "NULL", -0.25}};

Connection with_readings() {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table readings(sensor int primary key, place text, value float8)");
  return connection;
}
std::string stored(Connection& connection) {
  return connection
      .exec(
          "select string_agg(sensor || '|' || place || '|' || coalesce(value::text, '-'), ' ' "
          "order by sensor) from readings")
      .one<std::string>();
}
const std::string all_of_them = R"(1|hall, "3"\|1.5 2||- 3|NULL|-0.25)";

}  // namespace

static_assert(CopySource<std::vector<Reading>> && !CopySource<std::vector<std::optional<int>>>);

BOOST_AUTO_TEST_CASE(structs_and_tuples_are_inserted_in_one_round_trip) {
  Connection connection = with_readings();
  // [unnest]
  const std::size_t inserted = connection
                                   .exec(
                                       "insert into readings select * from unnest($1::int[], $2::text[], $3::float8[]) "
                                       "on conflict (sensor) do nothing",
                                       lido::postgres::arrays_of(readings))
                                   .affected_rows();
  // [/unnest]
  BOOST_TEST(inserted == 3U);
  BOOST_TEST(stored(connection) == all_of_them);
  // One more parameter behind them, rows that come from a view, and an answer a row.
  Params params = arrays_of(readings | std::views::transform([](const Reading& reading) {
                              return std::pair{reading.sensor + 10, std::string_view{reading.place}};
                            }));
  params.add(7.5);
  const Result result = connection.exec(
      "insert into readings select sensor, place, $3 from unnest($1, $2::text[]) as new(sensor, place) returning "
      "sensor",
      params);
  BOOST_TEST(result.size() == 3U);
  BOOST_TEST(result[2][0].as<int>() == 13);
  BOOST_TEST(connection
                 .exec("delete from readings using unnest($1) as old(id) where sensor = id and sensor > 10",
                       arrays_of(std::vector<std::tuple<int>>{{11}, {13}}))
                 .affected_rows() == 2U);
  BOOST_TEST(
      connection
          .exec("select count(*) from unnest($1::int[], $2::text[], $3::float8[])", arrays_of(std::vector<Reading>{}))
          .one<int>() == 0);
}

BOOST_AUTO_TEST_CASE(each_kind_of_field_is_passed) {
  Connection connection = lido::test::connect();
  using namespace std::chrono;
  std::vector<Everything> rows{{1, true, {std::byte{1}, std::byte{2}}, 2020y / 2 / 29, "a"},
                               {2, false, {}, 1999y / 1 / 1, nullptr}};
  const std::string sql =
      "select string_agg(concat_ws(' ', a, b, c, d, e), ';'), pg_typeof($1)::text from unnest($1, $2::bool[], $3, $4, "
      "$5::text[]) as t(a, b, c, d, e)";
  const auto [all, type] = connection.exec(sql, arrays_of(rows)).one<std::string, std::string>();
  BOOST_TEST(all == "1 t \\x0102 2020-02-29 a;2 f \\x0000 1999-01-01");
  BOOST_TEST(type == "bigint[]");
  rows.front().number = std::numeric_limits<std::uint64_t>::max();
  const Result large = connection.exec(sql, arrays_of(rows));
  BOOST_TEST(large[0][1].text() == "numeric[]");
}

BOOST_AUTO_TEST_CASE(bad_rows_store_nothing_and_are_not_shown) {
  postgres::Pool pool{server().conninfo()};
  std::vector<Reading> bad = readings;
  bad[1].place = std::string{"hunter2\0", 8};
  const auto zero = caught<QueryError>([&] { static_cast<void>(arrays_of(bad)); });
  const std::string_view what = zero.what();
  BOOST_TEST(what.starts_with("parameter $2: holds a zero byte"), what);
  BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
  auto failing = std::views::iota(0) | std::views::transform([](int i) {
                   if (i == 3) throw std::domain_error{"no more"};
                   return std::tuple{i, "x"};
                 });
  BOOST_CHECK_THROW(static_cast<void>(arrays_of(failing)), std::domain_error);
  Connection connection = with_readings();
  BOOST_CHECK_THROW(connection.exec("insert into readings select * from unnest($1, $2::text[])", arrays_of(readings)),
                    QueryError);  // three columns, and a statement that has two
  bad = {{1, "a", {}}, {1, "b", {}}};
  const auto twice = caught<QueryError>(
      [&] { connection.exec("insert into readings select * from unnest($1, $2::text[], $3)", arrays_of(bad)); });
  BOOST_TEST(twice.is_unique_violation());
  BOOST_TEST(connection.exec("select count(*) from readings").one<int>() == 0);
  Session session{pool};
  BOOST_CHECK_THROW(session.exec_until(Clock::now() + 30ms, "select pg_sleep(a) from unnest($1) as t(a)",
                                       arrays_of(std::vector<std::tuple<double>>{{60.}})),
                    QueryTimeout);
}

BOOST_AUTO_TEST_CASE(structs_are_copied) {
  Connection connection = with_readings();
  // [copy]
  const std::size_t copied = connection.copy_in("copy readings from stdin", readings);
  // [/copy]
  BOOST_TEST(copied == 3U);
  BOOST_TEST(stored(connection) == all_of_them);
  std::vector<Reading> bad = readings;
  bad[1].place = std::string{"hunter2\0", 8};
  const auto zero = caught<QueryError>([&] { connection.copy_in("copy readings from stdin", bad); });
  BOOST_TEST(std::string_view{zero.what()}.find("hunter2") == std::string_view::npos);
  BOOST_TEST(connection.is_usable());
  const auto twice = caught<QueryError>([&] { connection.copy_in("copy readings from stdin", readings); });
  BOOST_TEST(twice.is_unique_violation());
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(stored(connection) == all_of_them);
}

BOOST_AUTO_TEST_SUITE_END()
