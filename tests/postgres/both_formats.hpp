// The same rows from their text and in the binary format: the same values, and the same errors where there are none.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

namespace lido::test {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;
using Wall = std::chrono::local_time<std::chrono::microseconds>;
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

/// What became of one row: its value, or why there is none.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::string error;

  friend bool operator==(const Outcome& a, const Outcome& b) { return a.error == b.error && same(a.value, b.value); }
};

template <class T, class Read>
Outcome<T> outcome(Read read) {
  try {
    return {read(), {}};
  } catch (const postgres::ResultError& error) {
    return {{}, std::to_string(error.row()) + ' ' + error.column() + ' ' + error.wanted() + ' ' + error.actual()};
  }
}

/// The outcomes of all rows of a walk, of whose second column each makes a `T`.
template <class T, class Rows>
std::vector<Outcome<T>> outcomes(Rows rows) {
  std::vector<Outcome<T>> all;
  for (auto at = rows.begin(); at != rows.end(); ++at) all.push_back(outcome<T>([&] { return std::get<1>(*at); }));
  return all;
}

/// A query for a column v, beside one by which the binary format gains: a NULL, and each of the values.
inline std::string column(const std::string& type, std::initializer_list<const char*> values) {
  std::string sql = "select 0.5::float8 as half, v::" + type + " as v from (values (null)";
  for (const char* value : values) sql.append(", ($$").append(value).append("$$)");
  return sql + ") as t(v)";
}

/// Sessions whose settings change what the text of a value is, or in which zone it is. `Way` says how the rows of a
/// query are read: `by_text<T>(connection, query)`, `in_binary<T>(connection, query)`, and whether they come in it:
/// `is_binary<T...>(connection, query)`.
template <class Way>
struct Sessions {
  postgres::Connection usual = connect();
  std::vector<postgres::Connection> others;

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

  template <class T>
  void compare(const std::string& query, std::size_t errors) {
    const auto text = Way::template by_text<T>(usual, query);
    std::size_t failed = 0;
    for (const Outcome<T>& each : text) failed += each.error.empty() ? 0 : 1;
    BOOST_TEST(failed == errors, query << ": " << failed << " errors");
    for (postgres::Connection& other : others) {
      BOOST_TEST((Way::template is_binary<double, T>(other, query)), query);
      const auto binary = Way::template in_binary<T>(other, query);
      BOOST_REQUIRE(binary.size() == text.size());
      for (std::size_t i = 0; i < text.size(); ++i)
        BOOST_TEST((binary[i] == text[i]), query << ", row " << i << ": " << text[i].error << " / " << binary[i].error);
    }
  }
  /// As a `T`, of which `errors` cannot be, and a NULL; and as an optional one.
  template <class T>
  void compare(const std::string& type, std::initializer_list<const char*> values, std::size_t errors) {
    compare<T>(column(type, values), errors + 1);
    compare<std::optional<T>>(column(type, values), errors);
  }
};

template <class Way>
void compare_numbers() {
  Sessions<Way> sessions;
  sessions.template compare<bool>("bool", {"t", "f"}, 0);
  const auto int2 = {"0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "32767", "-32768"};
  sessions.template compare<std::int16_t>("int2", int2, 0);
  sessions.template compare<std::int8_t>("int2", int2, 6);
  sessions.template compare<std::uint8_t>("int2", int2, 6);
  const auto int4 = {"0", "1", "-1", "32768", "65535", "65536", "2147483647", "-2147483648"};
  sessions.template compare<int>("int4", int4, 0);
  sessions.template compare<std::uint64_t>("int4", int4, 2);
  sessions.template compare<std::uint16_t>("int4", int4, 4);
  const auto int8 = {"0", "-1", "2147483648", "4294967296", "9223372036854775807", "-9223372036854775808"};
  sessions.template compare<std::int64_t>("int8", int8, 0);
  sessions.template compare<std::uint64_t>("int8", int8, 2);
  sessions.template compare<std::int32_t>("int8", int8, 4);
  const auto object = {"0", "1", "2147483647", "2147483648", "4294967295"};
  sessions.template compare<std::uint32_t>("oid", object, 0);
  sessions.template compare<std::int64_t>("oid", object, 0);
  sessions.template compare<std::int32_t>("oid", object, 2);
  sessions.template compare<double>("float8",
                                    {"0", "-0", "0.1", "1", "-1.5", "1e15", "123456789012345678", "9007199254740993",
                                     "1e22", "1e23", "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324",
                                     "-5e-324", "Infinity", "-Infinity", "NaN", "0.30000000000000004", "1e-5"},
                                    0);
  sessions.template compare<double>("select 0.5::float8, (n::float8 ^ 7) / 3 from generate_series(-3000, 3000) n", 0);
  sessions.template compare<float>(
      "float4",
      {"0", "-0", "0.1", "1", "-1.5", "16777216", "16777218", "123456789", "1e10", "3.4028235e38", "1.17549435e-38",
       "1e-45", "-1e-45", "Infinity", "-Infinity", "NaN"},
      0);
  sessions.template compare<float>(
      "select 0.5::float8, ((n::float8 ^ 7) / 3)::float4 from generate_series(-3000, 3000) n", 0);
}

template <class Way>
void compare_texts_bytes_and_uuids() {
  Sessions<Way> sessions;
  for (const char* type : {"text", "varchar", "name", "bpchar"})
    sessions.template compare<std::string>(
        type,
        {"", " ", "a", "it's", "\\x00", "{}", "\\N", "\\.", "infinity", "\xc3\xa4\xe2\x82\xac", "a\nb\t", "PGCOPY\n"},
        0);
  sessions.template compare<std::string>("char(5)", {"", "a", "a b", "abcde", "\xc3\xa4"}, 0);
  sessions.template compare<std::string>(
      "select 0.5::float8, repeat('x', n) from unnest(array[0, 1, 8191, 8192, 3000000]) n", 0);
  sessions.template compare<Bytes>("bytea", {"", "\\x00", "\\x00ff007f80", "\\x5c", "\\x275c00"}, 0);
  sessions.template compare<Bytes>("select 0.5::float8, sha256(n::text::bytea) from generate_series(1, 1000) n", 0);
  sessions.template compare<Bytes>(
      "select 0.5::float8, decode(repeat('00ff', n), 'hex') from unnest(array[0, 1, 500000]) n", 0);
  sessions.template compare<postgres::Uuid>(
      "uuid",
      {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
       "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
      0);
  postgres::Connection& latin = sessions.others.front();
  for (postgres::Connection* connection : {&sessions.usual, &latin}) connection->exec("set client_encoding = 'LATIN1'");
  const std::string query = "select 0.5::float8, chr(n) || 'x' from generate_series(160, 255) n";
  BOOST_TEST((Way::template is_binary<double, std::string>(latin, query)));
  const auto binary = Way::template in_binary<std::string>(latin, query);
  BOOST_TEST((binary == Way::template by_text<std::string>(sessions.usual, query)));
  BOOST_TEST(binary.at(0).value.value() == "\xa0x");
}

template <class Way>
void compare_dates_and_moments() {
  using namespace std::chrono;
  using postgres::OrInfinity;
  Sessions<Way> sessions;
  const auto dates = {"1970-01-01",  "2000-01-01",    "1999-12-31",    "2000-02-29",    "1900-02-28",
                      "0001-01-01",  "0001-12-31 BC", "4713-11-24 BC", "4714-11-24 BC", "32767-12-31",
                      "32768-01-01", "5874897-12-31", "infinity",      "-infinity"};
  sessions.template compare<sys_days>("date", dates, 2);
  sessions.template compare<local_days>("date", dates, 2);
  sessions.template compare<OrInfinity<sys_days>>("date", dates, 0);
  sessions.template compare<year_month_day>("date", dates, 4);
  sessions.template compare<sys_time<weeks>>("date", dates, 13);
  sessions.template compare<sys_time<duration<std::int16_t, days::period>>>("date", dates, 9);
  sessions.template compare<sys_days>(
      "select 0.5::float8, date '2000-01-01' + n from generate_series(-2400000, 5000000, 997) n", 0);
  const auto moments = {"1970-01-01 00:00:00+00",
                        "2000-01-01 00:00:00+00",
                        "1999-12-31 23:59:59.999999+00",
                        "2024-02-29 12:34:56.7+00",
                        "0001-01-01 00:00:00+00",
                        "0001-12-31 23:59:59.999999+00 BC",
                        "4714-11-24 00:00:00+00 BC",
                        "1883-11-18 12:00:00+00",
                        "294246-12-31 00:00:00+00",
                        "294276-12-31 23:59:59.999999+00",
                        "infinity",
                        "-infinity"};
  sessions.template compare<Instant>("timestamptz", moments, 3);
  sessions.template compare<OrInfinity<Instant>>("timestamptz", moments, 1);
  sessions.template compare<sys_seconds>("timestamptz", moments, 6);
  sessions.template compare<sys_time<nanoseconds>>("timestamptz", moments, 7);
  sessions.template compare<Instant>(
      "select 0.5::float8, timestamptz '2000-01-01 00:00+00' + (n * n * n || ' us')::interval from "
      "generate_series(-40000::int8, 40000, 7) n",
      0);
  const auto walls = {"1970-01-01 00:00:00",
                      "2000-01-01 00:00:00",
                      "1999-12-31 23:59:59.999999",
                      "2024-02-29 12:34:56.7",
                      "0001-01-01 00:00:00",
                      "0001-12-31 23:59:59.999999 BC",
                      "4714-11-24 00:00:00 BC",
                      "294246-12-31 00:00:00",
                      "294276-12-31 23:59:59.999999",
                      "infinity",
                      "-infinity"};
  sessions.template compare<Wall>("timestamp", walls, 3);
  sessions.template compare<OrInfinity<Wall>>("timestamp", walls, 1);
  sessions.template compare<local_time<milliseconds>>("timestamp", walls, 5);
}

}  // namespace lido::test
