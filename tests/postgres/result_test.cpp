#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
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
static_assert(!Readable<char> && !Readable<int*> && !Readable<std::vector<int>> && !Readable<std::string_view>);
static_assert(lido::postgres::detail::Parameter<Colour> && !lido::postgres::detail::Parameter<int*>);
static_assert(std::ranges::forward_range<Result>);

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
  BOOST_TEST(std::string_view{error.what()} == "row 1, column word: wanted int32_t, found text");
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
  const Result result = connection->exec("select 1");
  connection.reset();
  BOOST_TEST(row["word"].as<std::string>() == "kept");
  BOOST_TEST(field.text() == "kept too");
  BOOST_TEST(result.one<int>() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
