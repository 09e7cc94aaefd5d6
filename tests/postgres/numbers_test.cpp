// Every type of number beside every column of numbers, at the edges.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(numbers)

namespace {

constexpr const char* number_columns[] = {"int2", "int4", "int8", "oid", "numeric", "float4", "float8"};

constexpr const char* edges[] = {"0",
                                 "-1",
                                 "127",
                                 "128",
                                 "-129",
                                 "255",
                                 "256",
                                 "32767",
                                 "-32768",
                                 "32768",
                                 "65535",
                                 "65536",
                                 "100000",
                                 "16777216",
                                 "16777217",
                                 "2147483647",
                                 "2147483648",
                                 "-2147483649",
                                 "4294967295",
                                 "4294967296",
                                 "9007199254740992",
                                 "9007199254740993",
                                 "-9007199254740993",
                                 "9223372036854775807",
                                 "-9223372036854775808",
                                 "9223372036854775808",
                                 "18446744073709551615",
                                 "18446744073709551616",
                                 "1e15",
                                 "123456789012345678",
                                 "1e22",
                                 "1e23",
                                 "1e38",
                                 "1e300",
                                 "1e400",
                                 "-1e400",
                                 "1e-5",
                                 "1e-60",
                                 "1e-310",
                                 "1e-400",
                                 "0.5",
                                 "2.00",
                                 "123456.7",
                                 "0.1",
                                 "3.3333333333333333",
                                 "9007199254740993.5",
                                 "'NaN'",
                                 "'Infinity'",
                                 "'-Infinity'"};

// What the server has for `literal` in such a column; nothing where it has none.
std::optional<Result> in_column(Connection& connection, const std::string& literal, const std::string& column) {
  try {
    return connection.exec_script("select " + literal + "::" + column);
  } catch (const QueryError&) {
    return std::nullopt;
  }
}

template <class T>
std::optional<T> read_as(const Result& result) {
  try {
    return result.one<T>();
  } catch (const ResultError&) {
    return std::nullopt;
  }
}

// Reads an edge out of every column, and has the server compare what was read, to the last digit.
template <class T>
void read_all(Connection& connection) {
  for (const char* const column : number_columns)
    for (const std::string literal : edges) {
      const std::optional<Result> there = in_column(connection, literal, column);
      const std::optional<T> value = there ? read_as<T>(*there) : std::nullopt;
      if (!value) continue;
      BOOST_TEST_CONTEXT(Converter<T>::name << " out of " << column << " " << literal) {
        const auto text = (*there)[0][0].as<std::string>();
        const bool exact = std::string_view{column} == "float4" || std::string_view{column} == "float8";
        // What a column of floating point has is what its text means to it.
        const std::string type = exact ? column : "numeric";
        const auto asks = [&](std::string sql, const auto&... values) {
          for (std::size_t at = sql.find('@'); at != std::string::npos; at = sql.find('@')) sql.replace(at, 1, type);
          return connection.exec(sql, values...).template one<bool>();
        };
        if (std::is_integral_v<T> ||
            asks("select $1::text in ('NaN', 'Infinity', '-Infinity') or $1::@ = trunc($1::@)", text)) {
          BOOST_TEST(asks("select $1::@ = $2::@", *value, text));
        } else if constexpr (std::is_floating_point_v<T>) {
          const double expected = *Converter<double>::read(text);
          BOOST_TEST(*value != 0);
          BOOST_TEST(std::fabs(static_cast<double>(*value) - expected) <= std::fabs(expected) * 1e-6);
        }
      }
    }
}

// Passes a value to every column: it is refused, or it is there, rounded by columns that cannot but round alone.
template <class T>
void pass(Connection& connection, T value) {
  for (const std::string column : number_columns) {
    // What is beyond 32 bits the server itself takes for another number.
    if (column == "oid" && (value < 0 || static_cast<double>(value) > 4294967295.0)) continue;
    BOOST_TEST_CONTEXT(Converter<T>::name << " " << Converter<T>::write(value) << " into " << column) {
      try {
        const std::string sql = "select $1::" + column;
        const Result there = connection.exec(sql, value);
        if (column.starts_with("float")) {
          BOOST_TEST(!there[0][0].is_null());
        } else {
          BOOST_TEST(connection.exec("select $1::numeric = $2::numeric", value, there[0][0].as<std::string>())
                         .template one<bool>());
        }
      } catch (const QueryError& error) {
        const std::string& state = error.sqlstate();
        BOOST_TEST((state == "22003" || state == "22P02"));
        if (column == "numeric") BOOST_TEST(false);  // holds all that there is
        if constexpr (std::is_floating_point_v<T>)
          if (column == "float8") BOOST_TEST(false);
      }
    }
  }
}

template <class T>
void pass_all(Connection& connection) {
  using Limits = std::numeric_limits<T>;
  for (const T value : {Limits::lowest(), Limits::max(), T{0}, T{1}, T{100}}) pass(connection, value);
  if constexpr (std::is_floating_point_v<T>)
    for (const double value : {100000.0, 123456.0, 1e15, 1e16, 1e18, 1e19, 1e22, 1e23, -1e5, 0.5, 1e-5, 0.1, 123456.7})
      pass(connection, static_cast<T>(value));
  if constexpr (std::is_floating_point_v<T>)
    for (const T value : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN(),
                          Limits::denorm_min(), Limits::min(), -T{0}})
      pass(connection, value);
}

bool there_are_no_exponents_in(std::string_view text) { return text.find('e') == std::string_view::npos; }

bool uses_index(Connection& connection, const std::string& sql, const auto& value) {
  std::string plan;
  for (const Row& row : connection.exec("explain (costs off) " + sql, value)) plan += row[0].as<std::string>() + '\n';
  return plan.find("Index Cond") != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(are_read_exactly_or_refused) {
  Connection connection = connect();
  read_all<std::int8_t>(connection);
  read_all<std::uint8_t>(connection);
  read_all<std::int16_t>(connection);
  read_all<std::uint16_t>(connection);
  read_all<std::int32_t>(connection);
  read_all<std::uint32_t>(connection);
  read_all<std::int64_t>(connection);
  read_all<std::uint64_t>(connection);
  read_all<float>(connection);
  read_all<double>(connection);
}

BOOST_AUTO_TEST_CASE(are_passed_exactly_or_refused) {
  Connection connection = connect();
  pass_all<std::int8_t>(connection);
  pass_all<std::uint8_t>(connection);
  pass_all<std::int16_t>(connection);
  pass_all<std::uint16_t>(connection);
  pass_all<std::int32_t>(connection);
  pass_all<std::uint32_t>(connection);
  pass_all<std::int64_t>(connection);
  pass_all<std::uint64_t>(connection);
  pass_all<float>(connection);
  pass_all<double>(connection);
}

BOOST_AUTO_TEST_CASE(are_read_where_they_fit) {
  Connection connection = connect();
  const auto read = [&](const char* sql) { return read_as<double>(connection.exec(sql)); };
  BOOST_TEST((read("select 9007199254740992") == 9007199254740992.0));
  BOOST_TEST(!read("select 9007199254740993").has_value());
  BOOST_TEST((read("select 9007199254740994.00") == 9007199254740994.0));
  BOOST_TEST(!read("select 9007199254740994.5").has_value());
  BOOST_TEST((read("select 1e22") == 1e22));
  BOOST_TEST((read("select 1e23::float8") == 1e23));
  BOOST_TEST((read("select 1e300::float8") == 1e300));
  BOOST_TEST(!read("select 1e400").has_value());
  BOOST_TEST(!read("select -1e400").has_value());
  BOOST_TEST(!read("select 1e-400").has_value());
  BOOST_TEST((read("select 1e-60") == 1e-60));
  BOOST_TEST((read("select 5e-324::float8") == 5e-324));
  BOOST_TEST((read("select avg(i) from generate_series(1, 3) as i, generate_series(1, i)") == 7.0 / 3));
  BOOST_TEST(std::isnan(read("select 'NaN'::numeric").value()));
  BOOST_TEST((read("select '-Infinity'::numeric") == -std::numeric_limits<double>::infinity()));
  BOOST_TEST(!read_as<float>(connection.exec("select 1e300::float8")).has_value());
  BOOST_TEST(!read_as<float>(connection.exec("select 1e-60")).has_value());
  BOOST_TEST(!read_as<float>(connection.exec("select 16777217")).has_value());
  BOOST_TEST((read_as<float>(connection.exec("select 16777216::float4")) == 16777216.0F));
  BOOST_TEST((read_as<float>(connection.exec("select 123456789::float4")) == 123456789.0F));
  BOOST_TEST((read_as<float>(connection.exec("select 3.4028235e38::float4")) == std::numeric_limits<float>::max()));
  BOOST_TEST(connection.exec("select 2.00").one<int>() == 2);
  BOOST_TEST(!read_as<int>(connection.exec("select 2.01")).has_value());
  for (const char* wrong : {"", "-", "nan", "inf", "-nan", " 1", "1 ", "+1", "0x1p3", ".5", "5.", "1e", "1e+", "1.2.3",
                            "NaN1", "infinity", "1f"})
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(!Converter<double>::read(wrong).has_value());
      BOOST_TEST(!Converter<float>::read(wrong).has_value());
      BOOST_TEST(!Converter<int>::read(wrong).has_value());
    }
}

BOOST_AUTO_TEST_CASE(go_into_a_column_whatever_their_digits) {
  Connection connection = connect();
  connection.exec("create temp table whole(id bigint, amount numeric)");
  for (const double value : {123456.0, 100000.0, 1e15, 1e18, -1e5})
    BOOST_TEST(connection.exec("insert into whole values ($1, $2) returning id = amount", value, value).one<bool>());
  for (const double value : {0.5, 1e-5, 1e19, std::numeric_limits<double>::infinity()})
    BOOST_CHECK_THROW(connection.exec("insert into whole values ($1)", value), QueryError);
  connection.exec("insert into whole(amount) values ($1)", -std::numeric_limits<double>::quiet_NaN());
  const std::vector<std::pair<double, double>> rows{{1e5, -std::numeric_limits<double>::quiet_NaN()}};
  BOOST_TEST(connection.copy_in("copy whole from stdin", rows) == 1U);
  BOOST_TEST((there_are_no_exponents_in(Converter<double>::write(std::numeric_limits<double>::max())) &&
              there_are_no_exponents_in(Converter<double>::write(std::numeric_limits<double>::denorm_min()))));
}

BOOST_AUTO_TEST_CASE(find_the_index_of_an_integer_column) {
  Connection connection = connect();
  connection.exec_script(
      "create temp table indexed(id bigint primary key); insert into indexed select generate_series(1, 10000);"
      "analyze indexed; set enable_seqscan = off; set enable_bitmapscan = off");
  const std::string any = "select from indexed where id = any($1)";
  BOOST_TEST(uses_index(connection, any, std::vector<std::size_t>{1, 2, 3}));
  BOOST_TEST(uses_index(connection, any, std::vector<std::optional<std::uint64_t>>{1, std::nullopt}));
  BOOST_TEST(uses_index(connection, any, std::vector<int>{1, 2}));
  BOOST_TEST(uses_index(connection, "select from indexed where id = $1", std::uint64_t{1}));
  BOOST_TEST(uses_index(connection, "select from indexed where id = $1", Numeric{"1"}));
  BOOST_TEST(uses_index(connection, "select from indexed where id = $1", std::optional{Numeric{"1"}}));
  BOOST_TEST(uses_index(connection, "select from indexed where id = $1", 100000.0));
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  for (const std::vector<std::uint64_t>& some : {std::vector<std::uint64_t>{}, {0, most}, {most >> 1}, {7}})
    BOOST_TEST((connection.exec("select $1", some).one<std::vector<std::uint64_t>>() == some));
  const std::vector<std::vector<std::uint64_t>> nested{{1}, {most}};
  BOOST_TEST((connection.exec("select $1", nested).one<std::vector<std::vector<std::uint64_t>>>() == nested));
}

BOOST_AUTO_TEST_SUITE_END()
