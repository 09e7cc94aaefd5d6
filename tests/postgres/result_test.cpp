#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <source_location>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/result.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

namespace {
enum class Colour { red, green };

// [user]
struct User {
  int id;
  std::string name;
  std::optional<std::string> email;
  std::vector<int> scores;
};
// [/user]

struct Sixteen {
  int a, b, c, d, e, f, g, h, i, j, k, l, m, n, o;
  std::optional<bool> p;
};

struct SixtyFour {
  int a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3,
      d4, d5, d6, d7, e0, e1, e2, e3, e4, e5, e6, e7, f0, f1, f2, f3, f4, f5, f6, f7, g0, g1, g2, g3, g4, g5, g6, g7,
      h0, h1, h2, h3, h4, h5, h6;
  std::optional<bool> h7;
};

struct Single {
  std::string_view only;
};
}  // namespace

template <>
struct lido::postgres::Converter<Colour> {
  static constexpr std::string_view name = "Colour";
  static std::optional<Colour> read(std::string_view text) {
    if (text == "red") return Colour::red;
    if (text == "green") return Colour::green;
    return std::nullopt;
  }
  static std::string write(const Colour& colour) { return colour == Colour::red ? "red" : "green"; }
};

static_assert(Readable<int> && Readable<double> && Readable<bool> && Readable<std::string> && Readable<Colour>);
static_assert(!Readable<char> && !Readable<int*> && !Readable<std::vector<int*>>);
static_assert(lido::postgres::detail::Parameter<Colour> && !lido::postgres::detail::is_parameter<int*>);
static_assert(std::ranges::forward_range<Result>);
static_assert(std::ranges::forward_range<TypedRows<int>> && std::ranges::sized_range<TypedRows<int>> &&
              std::ranges::view<TypedRows<int, std::string>>);

BOOST_AUTO_TEST_SUITE(result)

BOOST_AUTO_TEST_CASE(has_rows_columns_and_names) {
  Connection connection = connect();
  const Result result = connection.exec("select i as number, i * 10 as tenfold from generate_series(1, 3) as i");
  BOOST_TEST(result.rows() == 3U);
  BOOST_TEST(result.columns() == 2U);
  BOOST_TEST(result.column_name(1) == "tenfold");
  BOOST_TEST(result.command_tag() == "SELECT 3");
  int sum = 0;
  for (const Row row : result) sum += row["tenfold"].as<int>();
  BOOST_TEST(sum == 60);
  const auto [number, tenfold] = result[2].as<int, std::string>();
  BOOST_TEST(number == 3);
  BOOST_TEST(tenfold == "30");
}

BOOST_AUTO_TEST_CASE(counts_affected_rows) {
  Connection connection = connect();
  connection.exec("create temp table counted(id int)");
  BOOST_TEST(connection.exec("insert into counted select generate_series(1, 5)").affected_rows() == 5U);
  BOOST_TEST(connection.exec("delete from counted where id > $1", 3).affected_rows() == 2U);
  BOOST_TEST(connection.exec("set search_path = public").affected_rows() == 0U);
  BOOST_TEST(Result{}.empty());
}

BOOST_AUTO_TEST_CASE(reads_every_kind_of_value) {
  Connection connection = connect();
  const auto value = [&](const char* sql) { return std::move(connection.exec(sql))[0][0]; };
  BOOST_TEST(value("select 32767::int2").as<std::int16_t>() == 32767);
  BOOST_TEST(value("select -9223372036854775808").as<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
  BOOST_TEST(value("select 18446744073709551615").as<std::uint64_t>() == std::numeric_limits<std::uint64_t>::max());
  BOOST_TEST(value("select 255").as<std::uint8_t>() == 255);
  BOOST_TEST(value("select 0.1::float8").as<double>() == 0.1);
  BOOST_TEST(value("select 1e-300::float8").as<double>() == 1e-300);
  BOOST_TEST(value("select 0.1::float4").as<float>() == 0.1F);
  BOOST_TEST(value("select 2.5").as<double>() == 2.5);
  BOOST_TEST(std::isnan(value("select 'nan'::float8").as<double>()));
  BOOST_TEST(value("select '-infinity'::float8").as<double>() == -std::numeric_limits<double>::infinity());
  BOOST_TEST(!value("select false").as<bool>());
  BOOST_TEST(value("select 12::int8").as<std::string>() == "12");
  BOOST_TEST(value("select ''").as<std::string>() == "");
  BOOST_TEST(!value("select ''").is_null());
  BOOST_TEST((value("select null::int").as<std::optional<int>>() == std::nullopt));
  BOOST_TEST((value("select 5").as<std::optional<int>>() == 5));
}

BOOST_AUTO_TEST_CASE(passes_every_kind_of_number_there_and_back) {
  Connection connection = connect();
  for (const double number : {0.1, -1e300, 5e-324, std::numeric_limits<double>::infinity()})
    BOOST_TEST(connection.exec("select $1::float8", number).one<double>() == number);
  BOOST_TEST(connection.exec("select $1::numeric", std::numeric_limits<std::uint64_t>::max()).one<std::uint64_t>() ==
             std::numeric_limits<std::uint64_t>::max());
}

BOOST_AUTO_TEST_CASE(converts_a_type_of_the_users) {
  Connection connection = connect();
  BOOST_TEST((connection.exec("select $1::text", Colour::green).one<Colour>() == Colour::green));
  const auto error = caught<ResultError>([&] { static_cast<void>(connection.exec("select 'blue'").one<Colour>()); });
  BOOST_TEST(error.wanted() == "Colour");
}

BOOST_AUTO_TEST_CASE(names_row_column_and_types_of_a_wrong_type) {
  Connection connection = connect();
  const Result result = connection.exec("select 'secret'::text as word from generate_series(1, 2)");
  const auto error = caught<ResultError>([&] { static_cast<void>(result[1]["word"].as<int>()); });
  BOOST_TEST(error.row() == 1U);
  BOOST_TEST(error.column() == "word");
  BOOST_TEST(error.wanted() == "int32_t");
  BOOST_TEST(error.actual() == "text");
  BOOST_TEST(
      std::string_view{error.what()}.starts_with("row 1, column word: wanted int32_t, found text; statement: select "),
      error.what());
}

BOOST_AUTO_TEST_CASE(finds_a_wrong_type_behind_rows_that_were_read_as_a_right_one) {
  Connection connection = connect();
  const Result result = connection.exec("select i, 'word' from generate_series(1, 3) as i");
  for (const Row& row : result) {
    BOOST_TEST(std::get<0>(row.as<std::string, std::string>()) == row[0].as<std::string>());
    BOOST_TEST(std::get<0>(row.as<int, std::string>()) == row[0].as<int>());
    BOOST_TEST(caught<ResultError>([&] { static_cast<void>(row.as<int, int>()); }).wanted() == "int32_t");
    BOOST_TEST(caught<ResultError>([&] { static_cast<void>(row.as<int>()); }).wanted() == "1 column");
  }
}

BOOST_AUTO_TEST_CASE(refuses_a_value_that_does_not_fit) {
  Connection connection = connect();
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 256").one<std::uint8_t>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select -1").one<unsigned>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1.5").one<int>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1").one<bool>()), ResultError);
  const auto error = caught<ResultError>([&] { static_cast<void>(connection.exec("select null::int").one<int>()); });
  BOOST_TEST(error.actual() == "NULL");
}

BOOST_AUTO_TEST_CASE(refuses_rows_and_columns_that_are_not_there) {
  Connection connection = connect();
  const Result result = connection.exec("select 1 as only");
  BOOST_CHECK_THROW(static_cast<void>(result[1]), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(result[0][1]), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(result[0][-1]), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(result[0]["ONLY"]), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(result.column_name(1)), ResultError);
  BOOST_CHECK_THROW(static_cast<void>((result[0].as<int, int>())), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1 where false").one<int>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1, 2").one<int>()), ResultError);
}

BOOST_AUTO_TEST_CASE(outlives_its_connection_and_a_part_outlives_a_temporary) {
  std::optional<Connection> connection{connect()};
  const Row row = connection->exec("select 'kept' as word")[0];
  const Field field = connection->exec("select 'kept too'")[0][0];
  const Field named = connection->exec("select 'also kept' as word")[0]["word"];
  const Result result = connection->exec("select 1");
  connection.reset();
  BOOST_TEST(row["word"].as<std::string>() == "kept");
  BOOST_TEST(field.text() == "kept too");
  BOOST_TEST(named.as<std::string_view>() == "also kept");
  BOOST_TEST(result.one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(reads_the_only_row_as_values_a_tuple_or_an_aggregate) {
  Connection connection = connect();
  const Result result = connection.exec("select 7 as id, 'Ada' as name, null as email, array[1, 2] as scores");
  const auto [id, name, email, scores] = result.one<int, std::string, std::optional<std::string>, std::vector<int>>();
  BOOST_TEST(id == 7);
  BOOST_TEST(name == "Ada");
  BOOST_TEST(!email.has_value());
  BOOST_TEST(scores.size() == 2U);
  const User user = result.as<User>();
  BOOST_TEST(user.id == 7);
  BOOST_TEST(user.name == "Ada");
  BOOST_TEST(!user.email.has_value());
  BOOST_TEST(user.scores.back() == 2);
  const Result narrow = connection.exec("select 'seen' as only");
  BOOST_TEST(narrow.one<Single>().only == "seen");
  BOOST_TEST(narrow.one<std::string_view>() == "seen");
  BOOST_TEST(narrow.as<std::string>() == "seen");
}

BOOST_AUTO_TEST_CASE(fills_an_aggregate_of_sixteen_members_in_their_order) {
  Connection connection = connect();
  const char* sql = "select 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, true";
  const auto all = connection.exec(sql).one<ByPosition<Sixteen>>();
  BOOST_TEST(all.a == 1);
  BOOST_TEST(all.h == 8);
  BOOST_TEST(all.o == 15);
  BOOST_TEST(all.p.value());
}

BOOST_AUTO_TEST_CASE(fills_an_aggregate_of_sixty_four_members) {
  Connection connection = connect();
  std::string sql = "select ";
  for (int i = 0; i < 63; ++i) sql += std::to_string(i) + " as " + "abcdefgh"[i / 8] + "01234567"[i % 8] + ", ";
  const SixtyFour all = connection.exec(sql + "true as h7").one<SixtyFour>();
  BOOST_TEST(all.a0 == 0);
  BOOST_TEST(all.c1 == 17);
  BOOST_TEST(all.h6 == 62);
  BOOST_TEST(all.h7.value());
}

BOOST_AUTO_TEST_CASE(has_an_optional_row_but_never_the_first_of_several) {
  Connection connection = connect();
  const char* sql = "select i, 'x' from generate_series(1, $1::int) as i";
  BOOST_TEST((connection.exec(sql, 0).optional<int, std::string>() == std::nullopt));
  BOOST_TEST(std::get<0>(connection.exec(sql, 1).optional<int, std::string>().value()) == 1);
  const auto many =
      caught<ResultError>([&] { static_cast<void>(connection.exec(sql, 3).optional<int, std::string>()); });
  BOOST_TEST(many.wanted() == "at most one row");
  BOOST_TEST(many.actual() == "3 rows");
  const auto none = caught<ResultError>([&] { static_cast<void>(connection.exec(sql, 0).one<int, std::string>()); });
  BOOST_TEST(
      std::string_view{none.what()}.starts_with("row 0, column *: wanted one row, found 0 rows; statement: select "),
      none.what());
}

BOOST_AUTO_TEST_CASE(walks_over_typed_rows) {
  Connection connection = connect();
  const Result result = connection.exec("select i as id, 'name ' || i as name from generate_series(1, 4) as i");
  int sum = 0;
  std::string names;
  for (const auto& [id, name] : result.rows_as<int, std::string_view>()) {
    sum += id;
    names += name;
  }
  BOOST_TEST(sum == 10);
  BOOST_TEST(names == "name 1name 2name 3name 4");
  // The rows of a temporary keep it.
  const auto rows = connection.exec("select i from generate_series(1, 4) as i").rows_as<int>();
  BOOST_TEST(rows.size() == 4U);
  BOOST_TEST(rows.front() == 1);
  const auto even = [](int i) { return i % 2 == 0; };
  BOOST_TEST(std::ranges::count_if(rows, even) == 2);
  sum = 0;
  for (const int i : rows | std::views::filter(even) | std::views::transform([](int i) { return 10 * i; })) sum += i;
  BOOST_TEST(sum == 60);
}

BOOST_AUTO_TEST_CASE(has_rows_as_the_pages_show) {
  Connection connection = connect();
  connection.exec("create temp table users(id int, name text, email text, scores int[])");
  connection.exec("insert into users values (7, 'Ada', null, '{1,2}')");
  // [rows]
  const auto [id, name] = connection.exec("select id, name from users where id = $1", 7).one<int, std::string>();

  const Result users = connection.exec("select * from users where id = any($1)", std::vector{7, 8, 9});
  for (const User& user : users.rows_as<User>()) BOOST_TEST(user.scores.size() == 2U);

  const std::optional<User> nobody = connection.exec("select * from users where id = $1", 8).optional<User>();
  // [/rows]
  BOOST_TEST(id == 7);
  BOOST_TEST(name == "Ada");
  BOOST_TEST(!nobody.has_value());
}

BOOST_AUTO_TEST_CASE(checks_columns_before_the_first_row_and_values_where_they_are) {
  Connection connection = connect();
  const Result empty = connection.exec("select 1 as number, 'x'::text as word where false");
  const auto type = caught<ResultError>([&] { static_cast<void>(empty.rows_as<int, int>()); });
  BOOST_TEST(type.column() == "word");
  BOOST_TEST(type.wanted() == "int32_t");
  BOOST_TEST(type.actual() == "text");
  const auto count = caught<ResultError>([&] { static_cast<void>(empty.rows_as<int>()); });
  BOOST_TEST(
      std::string_view{count.what()}.starts_with("row 0, column *: wanted 1 column, found 2; statement: select "),
      count.what());
  const Result gap = connection.exec("select nullif(i, 3) as number from generate_series(1, 4) as i");
  const auto null = caught<ResultError>([&] {
    for (const int i : gap.rows_as<int>()) BOOST_TEST(i < 3);
  });
  BOOST_TEST(
      std::string_view{null.what()}.starts_with("row 2, column number: wanted int32_t, found NULL; statement: select "),
      null.what());
  BOOST_CHECK_THROW(static_cast<void>(gap[0].as<User>()), ResultError);
}

BOOST_AUTO_TEST_CASE(refuses_what_a_binary_cursor_returns) {
  Connection connection = connect();
  connection.exec_script("begin; declare numbers binary cursor for select 1");
  const auto error = caught<ResultError>([&] { connection.exec_script("fetch from numbers"); });
  BOOST_TEST(error.actual() == "values in binary format");
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(an_error_of_reading_names_the_statement_and_where_it_was_run) {
  Connection connection = lido::test::connect();
  const auto line = std::source_location::current().line() + 1;
  const Result result = connection.exec("select 'x'::text as word,\n 1 as number");
  const std::string place = "; run at " + std::string{__FILE__} + ':' + std::to_string(line);
  const auto ends = [&](const ResultError& error) {
    const std::string_view what = error.what();
    return what.ends_with("; statement: select 'x'::text as word,  1 as number" + place);
  };
  BOOST_CHECK_EXCEPTION(static_cast<void>(result[0][0].as<int>()), ResultError, ends);
  BOOST_CHECK_EXCEPTION(static_cast<void>(result[0]["none"]), ResultError, ends);
  BOOST_CHECK_EXCEPTION(static_cast<void>(result[1]), ResultError, ends);
  BOOST_CHECK_EXCEPTION(static_cast<void>(result.one<int>()), ResultError, ends);
  BOOST_CHECK_EXCEPTION(static_cast<void>(result.rows_as<int, int>()), ResultError, ends);
  // A copy of it, when the connection does something else by then.
  static_cast<void>(connection.exec("select 2"));
  const std::vector<Result> copies{result};
  BOOST_CHECK_EXCEPTION(static_cast<void>(copies[0][0][0].as<int>()), ResultError, ends);
}

BOOST_AUTO_TEST_SUITE_END()
