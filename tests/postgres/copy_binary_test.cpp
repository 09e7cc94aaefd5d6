// Rows of values that a COPY moves in the binary format: the same values and errors as by their text.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <ratio>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

// A type of the user's that looks like another in all but what is written.
struct Doubled : Uuid {};
// A time of the standard's that nobody else uses.
using Sevens = sys_time<duration<std::int64_t, std::ratio<7>>>;

}  // namespace

template <>
struct lido::postgres::Converter<Doubled> : lido::postgres::Converter<lido::postgres::Uuid> {
  static std::string write(const Doubled&) { return "ffffffff-ffff-ffff-ffff-ffffffffffff"; }
};
template <>
struct lido::postgres::Converter<Sevens> {
  static constexpr std::string_view name = "Sevens";
  static constexpr Oid type = 1184;
  static std::optional<Sevens> read(std::string_view) { return Sevens{}; }
  static std::string write(Sevens) { return "2001-02-03 04:05:06+00"; }
};

BOOST_AUTO_TEST_SUITE(copy_binary)

namespace {

using Instant = sys_time<microseconds>;
using Wall = local_time<microseconds>;
using Bytes = std::vector<std::byte>;

// A range whose size nobody knows: as few rows as these are sent as text otherwise.
template <class Row>
auto unsized(const std::vector<Row>& rows) {
  return rows | std::views::filter([](const Row&) { return true; });
}

// Two columns of the table that is called `c`, of which the first gains by the binary format; and the statement that
// stored a row, as the server has it.
void make_table(Connection& connection, const std::string& type) {
  connection.exec_script("drop table if exists c; create temp table c(half float8, v " + type +
                         ", statement text default current_query())");
}
bool is_stored_in_binary(Connection& connection) {
  return connection.exec("select bool_and(statement like '%(format binary)%') from c").one<bool>();
}

// What a row with this value becomes: its text, or the SQLSTATE of what refuses it, a dash where this library does.
template <class T>
std::vector<std::string> outcomes(Connection& connection, const std::string& options, const std::vector<T>& values) {
  std::vector<std::string> all;
  for (const T& value : values) {
    connection.exec("truncate c");
    const std::vector<std::tuple<double, T>> row{{0.5, value}};
    try {
      connection.copy_in("copy c(half, v) from stdin" + options, unsized(row));
      all.push_back(connection.exec("select coalesce(v::text, 'none') from c").template one<std::string>());
    } catch (const QueryError& error) {
      all.push_back(error.sqlstate().empty() ? "-" : error.sqlstate());
    }
  }
  return all;
}

// Sessions whose settings change what the text of a value is, or in which zone it is.
struct Sessions {
  std::vector<Connection> all;

  Sessions() {
    for (const char* settings :
         {"select 1", "set datestyle = 'German'", "set datestyle = 'SQL, DMY'", "set timezone = 'Asia/Kolkata'",
          "set timezone = 'Pacific/Apia'", "set timezone = 'America/New_York'", "set intervalstyle = 'iso_8601'",
          "set extra_float_digits = -15", "set extra_float_digits = 0", "set bytea_output = 'escape'"}) {
      all.push_back(connect());
      all.back().exec(settings);
    }
  }

  // Of the values `errors` are refused.
  template <class T>
  void compare(const std::string& type, const std::vector<T>& values, std::size_t errors = 0) {
    for (Connection& connection : all) {
      make_table(connection, type);
      const auto by_text = outcomes(connection, " (format text)", values);
      const auto by_binary = outcomes(connection, "", values);
      BOOST_TEST(by_text == by_binary, type << boost::test_tools::per_element());
      BOOST_TEST(refused(by_text) == errors, type);
      std::vector<std::tuple<double, std::optional<T>>> rows{{0.25, std::nullopt}};
      for (std::size_t i = 0; i < values.size(); ++i)
        if (!is_error(by_text[i])) rows.emplace_back(0.5, values[i]);
      connection.exec("truncate c");
      BOOST_TEST(connection.copy_in("copy c(half, v) from stdin", unsized(rows)) == rows.size());
      BOOST_TEST(is_stored_in_binary(connection), type);
      BOOST_TEST(connection.exec("select count(*) from c where v is null").template one<int>() == 1);
      BOOST_TEST(connection.exec("select count(*) from c where half = 0.5").template one<std::size_t>() + 1 ==
                 rows.size());
    }
  }
  static bool is_error(const std::string& outcome) {
    return outcome == "-" || (outcome.size() == 5 && outcome.starts_with("22"));
  }
  static std::size_t refused(const std::vector<std::string>& outcomes) {
    return static_cast<std::size_t>(std::count_if(outcomes.begin(), outcomes.end(), is_error));
  }
};

template <class T>
using Limits = std::numeric_limits<T>;

// How a row of `Row` for columns of `types` was stored.
template <class... T>
bool goes_in_binary(Connection& connection, const std::string& columns, const std::tuple<T...>& row) {
  connection.exec_script("drop table if exists c; create temp table c(" + columns +
                         ", statement text default current_query())");
  std::string names = "a";
  for (char name = 'b'; names.size() < 2 * sizeof...(T) - 1; ++name) names.append(1, ',').append(1, name);
  connection.copy_in("copy c(" + names + ") from stdin", unsized(std::vector{row}));
  return is_stored_in_binary(connection);
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_and_truth_are_stored_as_by_their_text) {
  Sessions sessions;
  sessions.compare<bool>("bool", {true, false});
  const auto integers = [&]<class T>(const char* type, T) {
    sessions.compare<T>(type, {0, 1, T(-1), 127, Limits<T>::min(), Limits<T>::max()});
  };
  integers("int2", std::int16_t{});
  integers("int2", std::int8_t{});
  integers("int2", std::uint8_t{});
  integers("int4", std::int16_t{});
  integers("int4", std::uint16_t{});
  integers("int4", std::int32_t{});
  integers("int8", std::int16_t{});
  integers("int8", std::int32_t{});
  integers("int8", std::uint32_t{});
  integers("int8", std::int64_t{});
  integers("int8", long{});
  integers("oid", std::uint32_t{});
  integers("oid", std::uint16_t{});
  sessions.compare<double>("float8",
                           {0., -0., 0.1, 1., -1.5, 1e15, 9007199254740993., 1e22, 1e23, Limits<double>::max(),
                            Limits<double>::min(), Limits<double>::denorm_min(), Limits<double>::infinity(),
                            -Limits<double>::infinity(), Limits<double>::quiet_NaN(), 0.30000000000000004});
  sessions.compare<float>("float4", {0.F, -0.F, 0.1F, 1.F, -1.5F, 16777216.F, 123456789.F, 1e10F, Limits<float>::max(),
                                     Limits<float>::min(), Limits<float>::denorm_min(), Limits<float>::infinity(),
                                     -Limits<float>::infinity(), Limits<float>::quiet_NaN()});
  Connection connection = connect();
  make_table(connection, "float4");
  const std::vector<std::tuple<double, float>> none{
      {std::copysign(Limits<double>::quiet_NaN(), -1.), std::copysign(Limits<float>::quiet_NaN(), -1.F)}};
  connection.copy_in("copy c(half, v) from stdin", unsized(none));
  BOOST_TEST(is_stored_in_binary(connection));
  BOOST_TEST(connection.exec("select float8send(half) = float8send('NaN') and float4send(v) = float4send('NaN') from c")
                 .one<bool>());
}

BOOST_AUTO_TEST_CASE(texts_are_stored_as_they_are) {
  Sessions sessions;
  const std::vector<std::string> texts{
      "", " ", "a", "it's", "\\x00", "\\N", "\\.", "\xc3\xa4\xe2\x82\xac", "a\nb\t\\", "PGCOPY\n"};
  for (const char* type : {"text", "varchar", "bpchar", "text collate \"C\""}) sessions.compare(type, texts);
  sessions.compare<std::string>("varchar(3)", {"", "abc", "ab  ", "abcd", "\xc3\xa4\xc3\xa4\xc3\xa4"}, 1);
  sessions.compare<std::string>("char(3)", {"", "a", "abc", "ab  ", "abcd"}, 1);
  sessions.compare<std::string>("text", {{"a\0b", 3}, {"\0", 1}, "\xff", "\xc3"}, 4);
  sessions.compare<std::string_view>("text", {"", "a view"});
  Connection connection = connect();
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple<const char*, double>{"literal", 1}));
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple<const char*, double>{nullptr, 1}));
  BOOST_TEST(connection.exec("select a is null from c").one<bool>());
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple{nullptr, 1.}));
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple{std::string(3'000'000, 'x'), 1.}));
  BOOST_TEST(connection.exec("select a = repeat('x', 3000000) from c").one<bool>());
  connection.exec("set client_encoding = 'LATIN1'");
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple{std::string{"\xe4"}, 1.}));
  BOOST_TEST(connection.exec("select a = chr(228) from c").one<bool>());
  // Of which the second byte would be a backslash in a text.
  connection.exec("set client_encoding = 'SJIS'");
  BOOST_TEST(goes_in_binary(connection, "a text, b float8", std::tuple{std::string{"\x95\x5c"}, 1.}));
  BOOST_TEST(connection.exec("select a = chr(34920) from c").one<bool>());
}

BOOST_AUTO_TEST_CASE(bytes_and_uuids_are_stored_as_by_their_text) {
  Sessions sessions;
  sessions.compare<Bytes>("bytea",
                          {{}, {std::byte{0}}, {std::byte{0}, std::byte{'\\'}, std::byte{255}}, Bytes(100'000)});
  const std::array<std::byte, 2> two{std::byte{1}, std::byte{2}};
  sessions.compare<std::span<const std::byte>>("bytea", {two, {}});
  sessions.compare<std::array<std::byte, 2>>("bytea", {two});
  sessions.compare<Uuid>("uuid", {{}, Uuid::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").value()});
}

BOOST_AUTO_TEST_CASE(dates_are_stored_as_by_their_text) {
  Sessions sessions;
  const sys_days first{year{-4713} / 11 / 24};
  const sys_days last = sys_days{year{2000} / 1 / 1} + days{2'145'031'948};
  const std::vector<sys_days> dates{sys_days{},
                                    sys_days{year{2000} / 1 / 1},
                                    sys_days{year{1999} / 12 / 31},
                                    sys_days{year{2000} / 2 / 29},
                                    sys_days{year{1} / 1 / 1},
                                    sys_days{year{0} / 12 / 31},
                                    first,
                                    last,
                                    first - days{1},
                                    last + days{1},
                                    sys_days{days{Limits<int>::max()}},
                                    sys_days{days{Limits<int>::min()}}};
  sessions.compare<sys_days>("date", dates, 4);
  std::vector<local_days> local;
  std::vector<OrInfinity<sys_days>> infinite{OrInfinity<sys_days>::infinity(), OrInfinity<sys_days>::minus_infinity()};
  using Long = sys_time<duration<std::int64_t, days::period>>;
  std::vector<Long> far{Long{}};
  for (const sys_days date : dates) {
    local.emplace_back(date.time_since_epoch());
    infinite.emplace_back(date);
  }
  for (const std::int64_t days : {Limits<std::int64_t>::min(), Limits<std::int64_t>::max(), std::int64_t{1} << 32,
                                  -2'147'483'648 + 10'957L, 2'147'483'647 + 10'957L, -2'147'483'647 + 10'957L})
    far.emplace_back(Long::duration{days});
  sessions.compare<local_days>("date", local, 4);
  sessions.compare<OrInfinity<sys_days>>("date", infinite, 4);
  sessions.compare<Long>("date", far, 6);
  sessions.compare<sys_time<weeks>>("date", {sys_time<weeks>{weeks{1}}, sys_time<weeks>{weeks{-5000}}});
  sessions.compare<year_month_day>(
      "date", {year{2024} / 2 / 29, year{2023} / 2 / 29, year{0} / 1 / 1, year{-4713} / 11 / 24, year{32767} / 12 / 31},
      1);
}

BOOST_AUTO_TEST_CASE(moments_are_stored_as_by_their_text) {
  Sessions sessions;
  constexpr std::int64_t begin = 946'684'800'000'000;  // of 2000
  std::vector<std::int64_t> counts{0,
                                   begin,
                                   begin - 1,
                                   -1,
                                   1'700'000'000'123'456,
                                   -211'813'488'000'000'000 + begin,
                                   -211'813'488'000'000'000 + begin - 1,
                                   9'223'371'331'200'000'000 - 1,
                                   Limits<std::int64_t>::max(),
                                   Limits<std::int64_t>::min(),
                                   Limits<std::int64_t>::min() + begin,
                                   Limits<std::int64_t>::min() + begin + 1};
  std::vector<Instant> instants;
  std::vector<Wall> walls;
  std::vector<OrInfinity<Instant>> infinite{OrInfinity<Instant>::infinity(), OrInfinity<Instant>::minus_infinity()};
  for (const std::int64_t count : counts) {
    instants.emplace_back(microseconds{count});
    walls.emplace_back(microseconds{count});
    infinite.emplace_back(Instant{microseconds{count}});
  }
  sessions.compare<Instant>("timestamptz", instants, 4);
  sessions.compare<Wall>("timestamp", walls, 4);
  sessions.compare<Instant>("timestamptz(2)", instants, 4);
  sessions.compare<Wall>("timestamp(0)", walls, 4);
  sessions.compare<OrInfinity<Instant>>("timestamptz", infinite, 4);
  using Nano = sys_time<nanoseconds>;
  sessions.compare<Nano>("timestamptz", {Nano{}, Nano{1ns}, Nano{-1ns}, Nano{1999ns}, Nano{nanoseconds::max()}});
  using Second = sys_seconds;
  sessions.compare<Second>("timestamptz", {Second{}, Second{1s}, Second{seconds::max()}, Second{seconds::min()}}, 2);
  sessions.compare<local_time<hours>>("timestamp", {local_time<hours>{1h}, local_time<hours>{-1'000'000h}});
}

BOOST_AUTO_TEST_CASE(what_is_not_the_same_or_gains_nothing_is_sent_as_text) {
  Connection connection = connect();
  connection.exec_script("create type pg_temp.mood as enum ('glad')");
  const auto text = [&](const char* type, auto value) {
    return !goes_in_binary(connection, std::string{"a "} + type + ", b float8", std::tuple{value, 0.5});
  };
  BOOST_TEST((!goes_in_binary(connection, "a int, b text", std::tuple{1, std::string{"a"}})));  // gains nothing
  BOOST_TEST(!text("int4", 7));
  BOOST_TEST(text("int4", std::int64_t{7}));  // another might be too large
  BOOST_TEST(text("int4", std::uint32_t{7}));
  BOOST_TEST(text("int8", std::uint64_t{7}));
  BOOST_TEST(text("int2", 7));
  BOOST_TEST(text("oid", 7));
  BOOST_TEST(text("numeric", 7));
  BOOST_TEST(text("text", 7));
  BOOST_TEST(text("float8", 7));
  BOOST_TEST(text("float8", 0.1F));  // the double of these digits
  BOOST_TEST(connection.exec("select a = 0.1 from c").one<bool>());
  BOOST_TEST(text("float4", 0.1));
  BOOST_TEST(text("int4", std::string{"7"}));
  BOOST_TEST(text("name", std::string(100, 'x')));  // which is cut
  BOOST_TEST(text("json", std::string{"{}"}));
  BOOST_TEST(text("pg_temp.mood", std::string{"glad"}));
  BOOST_TEST(text("text[]", std::string{"{a}"}));
  BOOST_TEST(text("int[]", std::vector<int>{1}));
  BOOST_TEST(text("bytea", std::string{"\\x00"}));
  BOOST_TEST(text("timestamp", Instant{}));
  BOOST_TEST(text("timestamptz", Wall{}));
  BOOST_TEST(text("timestamptz", sys_days{}));
  BOOST_TEST(text("time", hh_mm_ss{1h}));
  BOOST_TEST(text("interval", 1h));
  BOOST_TEST(text("uuid", std::string{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}));
  BOOST_TEST(text("bool", 1));
}

BOOST_AUTO_TEST_CASE(types_of_ones_own_are_written_by_their_converters) {
  Connection connection = connect();
  BOOST_TEST(!goes_in_binary(connection, "a uuid, b float8", std::tuple{Doubled{}, 0.5}));
  BOOST_TEST(connection.exec("select a::text from c").one<std::string>() == "ffffffff-ffff-ffff-ffff-ffffffffffff");
  const auto goes_as_written = [&](auto time) {
    const bool text = !goes_in_binary(connection, "a timestamptz, b float8", std::tuple{time, 0.5});
    return text && connection.exec("select a = '2001-02-03 04:05:06+00' from c").one<bool>();
  };
  BOOST_TEST(goes_as_written(Sevens{}));
  BOOST_TEST(goes_as_written(OrInfinity<Sevens>{Sevens{}}));
}

BOOST_AUTO_TEST_CASE(few_rows_are_not_worth_asking) {
  Connection connection = connect();
  for (const auto& [count, binary] : {std::pair{999, false}, std::pair{1000, true}}) {
    make_table(connection, "int");
    const auto rows = std::views::iota(0, count) | std::views::transform([](int i) { return std::tuple{0.5, i}; });
    BOOST_TEST(connection.copy_in("copy c(half, v) from stdin", rows) == static_cast<std::size_t>(count));
    BOOST_TEST(is_stored_in_binary(connection) == binary);
    BOOST_TEST(connection.exec("select sum(v) from c").one<int>() == count * (count - 1) / 2);
  }
  make_table(connection, "int");
  BOOST_TEST(connection.copy_in("copy c(half, v) from stdin", unsized(std::vector<std::tuple<double, int>>{})) == 0U);
  const auto many = std::views::iota(0, 300'000) | std::views::transform([](int i) { return std::tuple{0.5, i}; });
  BOOST_TEST(connection.copy_in("copy c(half, v) from stdin", many) == 300'000U);
  BOOST_TEST(connection.exec("select sum(v::int8) from c").one<std::int64_t>() == 44'999'850'000);
}

BOOST_AUTO_TEST_SUITE_END()
