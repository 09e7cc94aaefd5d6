// Rows that a COPY reads in the binary format: the same values and errors as from their text.
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(copy_out_binary)

namespace {

using Instant = sys_time<microseconds>;
using Wall = local_time<microseconds>;
using Bytes = std::vector<std::byte>;

template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_floating_point_v<T>) {  // what is no number, and the sign of a zero
    using Bits = std::conditional_t<sizeof(T) == sizeof(float), std::uint32_t, std::uint64_t>;
    return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
  } else {
    return a == b;
  }
}

template <class T>
bool same(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || same(*a, *b));
}

// What became of one row: its value, or why there is none.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::string error;

  friend bool operator==(const Outcome& a, const Outcome& b) { return a.error == b.error && same(a.value, b.value); }
};

// Of a column beside one by which the binary format gains.
template <class T>
std::vector<Outcome<T>> read(Connection& connection, const std::string& sql) {
  std::vector<Outcome<T>> all;
  auto rows = connection.copy_out<double, T>(sql);
  for (auto at = rows.begin(); at != rows.end(); ++at) {
    try {
      all.push_back({std::get<1>(*at), {}});
    } catch (const ResultError& error) {
      all.push_back(
          {{}, std::to_string(error.row()) + ' ' + error.column() + ' ' + error.wanted() + ' ' + error.actual()});
    }
  }
  return all;
}

// Whether the rows of a statement come in the binary format.
template <class... T>
bool is_binary(Connection& connection, const std::string& sql) {
  postgres::detail::IncomingLines<T...> rows{connection.channel(), sql};
  bool binary = false;
  for (;;) {
    if (rows.advance()) return binary;
    postgres::detail::complete(rows.operation(), soon());
    rows.arrived();
    if (!rows.present()) return binary;
    binary = !rows.operation().columns().empty();
  }
}

std::string column(const std::string& type, std::initializer_list<const char*> values) {
  std::string sql = "select 0.5::float8 as half, v::" + type + " as v from (values (null)";
  for (const char* value : values) sql.append(", ($$").append(value).append("$$)");
  return sql + ") as t(v)";
}

// Sessions whose settings change what the text of a value is, or in which zone it is.
struct Sessions {
  Connection usual = connect();
  std::vector<Connection> others;

  Sessions() {
    for (const char* settings :
         {"select 1", "set datestyle = 'German'", "set datestyle = 'SQL, DMY'", "set timezone = 'Asia/Kolkata'",
          "set timezone = 'Pacific/Apia'", "set timezone = 'Africa/Monrovia'", "set intervalstyle = 'iso_8601'",
          "set extra_float_digits = -15", "set extra_float_digits = 0", "set bytea_output = 'escape'"}) {
      others.push_back(connect());
      others.back().exec(settings);
    }
    usual.exec("set timezone = 'UTC'");
  }

  // As a `T`, of which `errors` cannot be.
  template <class T>
  void compare(const std::string& query, std::size_t errors) {
    const std::string sql = "copy (" + query + ") to stdout";
    const auto text = read<T>(usual, sql + " (format text)");
    std::size_t failed = 0;
    for (const auto& each : text) failed += each.error.empty() ? 0 : 1;
    BOOST_TEST(failed == errors, sql << ": " << failed << " errors");
    for (Connection& other : others) {
      BOOST_TEST((is_binary<double, T>(other, sql)), sql);
      const auto binary = read<T>(other, sql);
      BOOST_REQUIRE(binary.size() == text.size());
      for (std::size_t i = 0; i < text.size(); ++i)
        BOOST_TEST((binary[i] == text[i]), sql << ", row " << i << ": " << text[i].error << " / " << binary[i].error);
    }
  }
  template <class T>
  void compare(const std::string& type, std::initializer_list<const char*> values, std::size_t errors) {
    compare<T>(column(type, values), errors + 1);
    compare<std::optional<T>>(column(type, values), errors);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_and_truth_are_read_as_their_text_is) {
  Sessions sessions;
  sessions.compare<bool>("bool", {"t", "f"}, 0);
  const auto int2 = {"0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "32767", "-32768"};
  sessions.compare<std::int16_t>("int2", int2, 0);
  sessions.compare<std::uint8_t>("int2", int2, 6);
  const auto int4 = {"0", "1", "-1", "32768", "65535", "65536", "2147483647", "-2147483648"};
  sessions.compare<int>("int4", int4, 0);
  sessions.compare<std::uint64_t>("int4", int4, 2);
  const auto int8 = {"0", "-1", "2147483648", "4294967296", "9223372036854775807", "-9223372036854775808"};
  sessions.compare<std::int64_t>("int8", int8, 0);
  sessions.compare<std::int32_t>("int8", int8, 4);
  sessions.compare<std::uint32_t>("oid", {"0", "1", "2147483648", "4294967295"}, 0);
  sessions.compare<std::int32_t>("oid", {"0", "1", "2147483648", "4294967295"}, 2);
  sessions.compare<double>("float8",
                           {"0", "-0", "0.1", "1", "-1.5", "1e15", "123456789012345678", "1e22", "1e23",
                            "1.7976931348623157e308", "5e-324", "Infinity", "-Infinity", "NaN", "0.30000000000000004"},
                           0);
  sessions.compare<float>("float4", {"0", "-0", "0.1", "1", "16777218", "3.4028235e38", "1e-45", "-Infinity", "NaN"},
                          0);
}

BOOST_AUTO_TEST_CASE(texts_bytes_and_uuids_are_read_as_they_are) {
  Sessions sessions;
  for (const char* type : {"text", "varchar", "name", "bpchar"})
    sessions.compare<std::string>(
        type, {"", " ", "a", "it's", "\\x00", "\\N", "\\.", "infinity", "\xc3\xa4\xe2\x82\xac", "a\nb\t", "PGCOPY\n"},
        0);
  sessions.compare<std::string>("char(5)", {"", "a", "a b", "abcde", "\xc3\xa4"}, 0);
  sessions.compare<std::string>("select 0.5::float8, repeat('x', n) from unnest(array[0, 1, 8191, 3000000]) n", 0);
  sessions.compare<Bytes>("bytea", {"", "\\x00", "\\x00ff007f80", "\\x5c", "\\x275c00"}, 0);
  sessions.compare<Uuid>("uuid", {"00000000-0000-0000-0000-000000000000", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}, 0);
  Connection& latin = sessions.others.front();
  latin.exec("set client_encoding = 'LATIN1'");
  BOOST_TEST(read<std::string>(latin, "copy (select 0.5::float8, chr(228)) to stdout").front().value.value() == "\xe4");
}

BOOST_AUTO_TEST_CASE(dates_and_moments_are_read_as_their_text_is) {
  Sessions sessions;
  const auto dates = {"1970-01-01",  "2000-01-01",  "1999-12-31",    "2000-02-29", "0001-12-31 BC", "4714-11-24 BC",
                      "32767-12-31", "32768-01-01", "5874897-12-31", "infinity",   "-infinity"};
  sessions.compare<sys_days>("date", dates, 2);
  sessions.compare<local_days>("date", dates, 2);
  sessions.compare<OrInfinity<sys_days>>("date", dates, 0);
  sessions.compare<year_month_day>("date", dates, 4);
  const auto moments = {"1970-01-01 00:00:00+00",
                        "2000-01-01 00:00:00+00",
                        "1999-12-31 23:59:59.999999+00",
                        "2024-02-29 12:34:56.7+00",
                        "0001-12-31 23:59:59.999999+00 BC",
                        "4714-11-24 00:00:00+00 BC",
                        "294276-12-31 23:59:59.999999+00",
                        "infinity",
                        "-infinity"};
  sessions.compare<Instant>("timestamptz", moments, 3);
  sessions.compare<OrInfinity<Instant>>("timestamptz", moments, 1);
  sessions.compare<sys_seconds>("timestamptz", moments, 6);
  const auto walls = {"1970-01-01 00:00:00", "2024-02-29 12:34:56.7", "4714-11-24 00:00:00 BC",
                      "294276-12-31 23:59:59.999999", "infinity"};
  sessions.compare<Wall>("timestamp", walls, 2);
  sessions.compare<OrInfinity<Wall>>("timestamp", walls, 1);
  sessions.compare<Instant>(
      "select 0.5::float8, timestamptz '2000-01-01 00:00+00' + (n * n * n || ' us')::interval from "
      "generate_series(-40000::int8, 40000, 7) n",
      0);
  sessions.compare<double>("select 0.5::float8, (n::float8 ^ 7) / 3 from generate_series(-3000, 3000) n", 0);
}

namespace {

struct Reading {
  int sensor;
  double value;
  std::optional<Instant> at;
};

}  // namespace

BOOST_AUTO_TEST_CASE(tables_with_all_or_some_columns_and_structs) {
  Connection connection = connect();
  connection.exec_script(
      "drop table if exists c; create table c(sensor int, gone text, value float8, at timestamptz);"
      "alter table c drop gone; insert into c values (1, 0.5, null), (2, 1.5, to_timestamp(7))");
  const auto check = [&](const char* sql) {
    BOOST_TEST((is_binary<int, double, std::optional<Instant>>(connection, sql)));
    int count = 0;
    for (const Reading& each : connection.copy_out<ByPosition<Reading>>(sql)) {
      ++count;
      BOOST_TEST((each.sensor == count && each.value == count - 0.5));
      BOOST_TEST((each.at == (count == 1 ? std::nullopt : std::optional{Instant{7s}})));
    }
    BOOST_TEST(count == 2);
  };
  check("copy c to stdout");
  check("copy public.c (SENSOR, \"value\", at) to stdout; -- yes");
  check("copy (select sensor, value, at from c order by sensor) to stdout");
  for (const auto& [value, sensor] : connection.copy_out<double, int>("copy c(value, sensor) to stdout"))
    BOOST_TEST(value == sensor - 0.5);
  for (const double value : connection.copy_out<double>("copy c(value) to stdout")) BOOST_TEST(value > 0);
  for (const double value : connection.copy_out<double>("copy (select 0.5::float8 where false) to stdout"))
    BOOST_TEST(value == 1);
  for (const std::string_view line : connection.copy_out("copy (select 0.5::float8) to stdout"))
    BOOST_TEST(line == "0.5\n");
  // A generated column does not come with the others.
  connection.exec_script(
      "drop table c; create table c(a float8, g float8 generated always as (a * 2) stored); insert into c values (1)");
  for (const double a : connection.copy_out<double>("copy c to stdout")) BOOST_TEST(a == 1);
  BOOST_CHECK_THROW((static_cast<void>(*connection.copy_out<double, double>("copy c to stdout").begin())), ResultError);
  connection.exec("drop table c");
}

BOOST_AUTO_TEST_CASE(what_is_not_exact_or_gains_nothing_is_read_from_its_text) {
  Connection connection = connect();
  BOOST_TEST((is_binary<double, int>(connection, "copy (select 0.5::float8, 1) to stdout")));
  BOOST_TEST((!is_binary<int, std::string>(connection, "copy (select 1, 'a'::text) to stdout")));
  BOOST_TEST((!is_binary<double, int>(connection, "copy (select 0.5::float8, 1::numeric) to stdout")));
  BOOST_TEST((!is_binary<double>(connection, "copy (select 0.1::float4) to stdout")));
  BOOST_TEST((!is_binary<double, std::string>(connection, "copy (select 0.5::float8, 1) to stdout")));
  BOOST_TEST((!is_binary<double, std::string>(connection, "copy (select 0.5::float8, now()) to stdout")));
  BOOST_TEST((!is_binary<double, std::vector<int>>(connection, "copy (select 0.5::float8, '{1}'::int[]) to stdout")));
  BOOST_TEST((!is_binary<double, int>(connection, "copy (select 0.5::float8) to stdout")));
  BOOST_TEST((!is_binary<double, int>(connection, "copy (select 0.5::float8, 1) to stdout (format text)")));
  for (const auto& [half, tenth] :
       connection.copy_out<double, double>("copy (select 0.5::float8, 0.1::float4) to stdout"))
    BOOST_TEST(tenth == 0.1);
  BOOST_CHECK_THROW(
      (static_cast<void>(*connection.copy_out<double>("copy (select 0.5::float8) to stdout binary").begin())),
      QueryError);
}

BOOST_AUTO_TEST_CASE(its_errors_are_those_of_the_copy) {
  Connection connection = connect();
  connection.exec("drop view if exists v");
  connection.exec("create view v as select 0.5::float8 as half");
  for (const bool inside : {false, true})
    for (const char* const sql :
         {"copy nowhere to stdout", "copy (select nonsense) to stdout", "copy (selct) to stdout",
          "copy (select 1; select 2) to stdout", "copy (select $1::float8) to stdout",
          "copy (select 1::float8 / 0) to stdout", "copy v to stdout", "copy v(a) to stdout"}) {
      const auto fails = [&](const std::string& statement) {
        if (inside) connection.exec("begin");
        const auto error =
            caught<QueryError>([&] { static_cast<void>(connection.copy_out<double>(statement).begin()); });
        BOOST_TEST(connection.is_usable());
        BOOST_TEST(connection.in_failed_transaction() == inside);
        if (inside) connection.exec("rollback");
        return error.sqlstate() + ' ' + error.message() + ' ' +
               error.statement().substr(0, std::string_view{sql}.size()) + ' ' +
               std::to_string(error.diagnostics().position);
      };
      BOOST_TEST(fails(sql) == fails(std::string{sql} + " (format text)"));
      BOOST_TEST(connection.exec("select 7").one<int>() == 7);
    }
  connection.exec("drop view v");
}

BOOST_AUTO_TEST_CASE(an_error_names_its_row_and_the_rest_is_read) {
  Connection connection = connect();
  std::vector<std::string> texts;
  auto rows = connection.copy_out<double, std::int16_t>(
      "copy (select 0.5::float8, case when n < 250 then n else 100000 end::int4 from generate_series(0, 299) n) to "
      "stdout");
  for (auto at = rows.begin(); at != std::default_sentinel; ++at) try {
      static_cast<void>(*at);
    } catch (const ResultError& error) {
      texts.emplace_back(error.what());
    }
  BOOST_TEST(texts.size() == 50U);
  BOOST_TEST(texts.front().find("row 250, column 1") != std::string::npos, texts.front());
}

BOOST_AUTO_TEST_CASE(left_early_or_never_looked_at_the_connection_is_good) {
  Connection connection = connect();
  for (const double value :
       connection.copy_out<double>("copy (select generate_series(1, 1000000000)::float8) to stdout"))
    if (value == 10) break;
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  {
    const auto never = connection.copy_out<double>("copy (select pg_sleep(60)::text::float8) to stdout");
  }
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 2").one<int>() == 2);
  {
    const auto wrong = connection.copy_out<double>("copy (select nonsense) to stdout");
  }
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 3").one<int>() == 3);
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .reset = ResetLevel::discard_all}};
  for (int i = 0; i < 3; ++i) {
    Session session{pool};
    for (const auto& [half, n] :
         session.copy_out<double, int>("copy (select 0.5::float8, " + std::to_string(i) + ") to stdout"))
      BOOST_TEST(n == i);
    session.commit();
  }
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(a_row_of_others_is_refused) {
  using lido::postgres::detail::read_received_row;
  const std::vector<Oid> columns{701, 23};
  const auto refuses = [&](std::string_view row) {
    try {
      static_cast<void>(read_received_row<double, int>(row, columns, 7));
      return std::string{};
    } catch (const ResultError& error) {
      return error.wanted() + ", " + error.actual();
    }
  };
  const std::string good{"\0\2\0\0\0\10\77\340\0\0\0\0\0\0\0\0\0\4\0\0\0\7", 22};
  BOOST_TEST(refuses(good).empty());
  for (std::size_t size = 0; size < good.size(); ++size)
    BOOST_TEST(refuses({good.data(), size}) == "2 columns, others");
  BOOST_TEST(refuses(good + '\0') == "2 columns, others");
  BOOST_TEST(refuses({"\0\1\0\0\0\0", 6}) == "2 columns, others");
  BOOST_TEST(refuses({"\0\2\377\377\377\377\377\377\377\377", 10}) == "double, NULL");
  BOOST_TEST(refuses({"\0\2\0\0\0\0\377\377\377\377", 10}) == "double, a text that is none");
}

BOOST_AUTO_TEST_SUITE_END()
