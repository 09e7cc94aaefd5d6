// Ranges, multiranges, and what may be infinite.
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/interval.hpp>
#include <lido/postgres/types/range.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono;

BOOST_AUTO_TEST_SUITE(ranges)

namespace {

template <class T>
void goes_there_and_back(Connection& connection, const std::string& type, const T& value, const T& canonical) {
  BOOST_TEST_CONTEXT(type << " as " << *Converter<T>::write(value)) {
    BOOST_TEST((connection.exec("select $1::" + type, value).template one<T>() == canonical));
    const std::vector<std::optional<T>> many{value, std::nullopt, canonical};
    const std::vector<std::optional<T>> expected{canonical, std::nullopt, canonical};
    BOOST_TEST(
        (connection.exec("select $1::" + type + "[]", many).template one<std::vector<std::optional<T>>>() == expected));
    // The server finds the same.
    BOOST_TEST(connection.exec("select $1::" + type + " = $2::" + type, value, canonical).template one<bool>());
  }
}
template <class T>
void goes_there_and_back(Connection& connection, const std::string& type, const T& value) {
  goes_there_and_back(connection, type, value, value);
}

template <class T>
std::string why_not(Connection& connection, const std::string& sql) {
  return caught<ResultError>([&] { static_cast<void>(connection.exec(sql).one<T>()); }).actual();
}

}  // namespace

BOOST_AUTO_TEST_CASE(go_there_and_back_with_all_bounds) {
  Connection connection = connect();
  using Ints = Range<int>;
  goes_there_and_back(connection, "int4range", Ints{.lower = 1, .upper = 5});
  goes_there_and_back(connection, "int4range", Ints{.lower = 1, .upper = 4, .upper_inclusive = true},
                      Ints{.lower = 1, .upper = 5});
  goes_there_and_back(connection, "int4range", Ints{.lower = 0, .upper = 5, .lower_inclusive = false},
                      Ints{.lower = 1, .upper = 5});
  goes_there_and_back(connection, "int4range", Ints{.lower = 3, .upper = 3}, Ints::nothing());
  for (const Ints& range :
       {Ints{}, Ints{.lower = std::numeric_limits<int>::min()}, Ints{.upper = -1}, Ints::nothing()}) {
    goes_there_and_back(connection, "int4range", range);
    goes_there_and_back(connection, "int8range", range);
    goes_there_and_back(connection, "numrange", range);
  }
  goes_there_and_back(connection, "int8range",
                      Range<std::int64_t>{.lower = std::numeric_limits<std::int64_t>::min(),
                                          .upper = std::numeric_limits<std::int64_t>::max()});
  goes_there_and_back(
      connection, "numrange",
      Range<Numeric>{
          .lower = Numeric{"-1.50"}, .upper = Numeric{"1e5"}, .lower_inclusive = false, .upper_inclusive = true},
      Range<Numeric>{
          .lower = Numeric{"-1.50"}, .upper = Numeric{"100000"}, .lower_inclusive = false, .upper_inclusive = true});
  BOOST_CHECK_THROW(connection.exec("select $1::int4range", Ints{.lower = 2, .upper = 1}), QueryError);
}

BOOST_AUTO_TEST_CASE(of_times_have_their_type) {
  Connection connection = connect();
  const sys_days day = 2024y / February / 29;
  // [range]
  const Range<sys_seconds> night{.lower = day + 22h, .upper = day + 30h};
  BOOST_TEST(connection.exec("select $1 @> timestamptz '2024-02-29 23:00 UTC'", night).one<bool>());
  BOOST_TEST(night.contains(day + 23h));
  // [/range]
  goes_there_and_back(connection, "tstzrange", night);
  goes_there_and_back(
      connection, "tsrange",
      Range<local_time<microseconds>>{.lower = local_days{day.time_since_epoch()} + 1us, .upper_inclusive = false});
  goes_there_and_back(connection, "daterange", Range<sys_days>{.lower = sys_days{-4712y / January / 1}, .upper = day});
  goes_there_and_back(connection, "daterange", Range<year_month_day>{.upper = 9999y / December / 31});
  BOOST_TEST((connection.exec("select $1", Range<sys_days>{.lower = day}).one<Range<sys_days>>().lower == day));
  BOOST_TEST(connection.exec("select upper_inf($1)", std::optional{Range<sys_days>{.lower = day}}).one<bool>());
}

BOOST_AUTO_TEST_CASE(of_a_users_type_have_bounds_of_any_text) {
  Connection connection = connect();
  connection.exec_script(
      "create schema spans; create type spans.words as range (subtype = text, collation = \"C\"); create type "
      "spans.spells as range (subtype = interval); create type spans.floats as range (subtype = float8, subtype_diff = "
      "float8mi)");
  for (const char* const edge :
       {"", " ", ",", "\"", "\\", "(", "]", "a\"b", "\\\\", "NULL", "empty", "{", "größe", "\t\n"})
    goes_there_and_back(connection, "spans.words", Range<std::string>{.lower = edge, .upper_inclusive = false});
  goes_there_and_back(
      connection, "spans.floats",
      Range<double>{.lower = -0.1, .upper = std::numeric_limits<double>::infinity(), .upper_inclusive = true});
  goes_there_and_back(
      connection, "spans.spells",
      Range<Interval>{.lower = Interval{months{-1}, days{2}, 3us}, .upper = Interval{.months = years{1}}});
  const Multirange<std::string> words{{{.lower = "", .upper = "a,\"{}\\"}, {.lower = "b"}}};
  BOOST_TEST((connection.exec("select $1::spans.words_multirange", words).one<Multirange<std::string>>() == words));
  connection.exec_script("drop schema spans cascade");
}

BOOST_AUTO_TEST_CASE(multiranges_go_there_and_back) {
  Connection connection = connect();
  // [multirange]
  const Multirange<int> shifts{{{.lower = 8, .upper = 12}, {.lower = 13, .upper = 17}}};
  BOOST_TEST(connection.exec("select $1::int4multirange @> 9", shifts).one<bool>());
  // [/multirange]
  goes_there_and_back(connection, "int4multirange", shifts);
  goes_there_and_back(connection, "int4multirange", Multirange<int>{});
  goes_there_and_back(connection, "int4multirange",
                      Multirange<int>{{{.lower = 1, .upper = 3}, {.lower = 2, .upper = 4}, Range<int>::nothing()}},
                      Multirange<int>{{{.lower = 1, .upper = 4}}});
  goes_there_and_back(connection, "int8multirange", Multirange<std::int64_t>{{{}}});
  const sys_days day = 2024y / February / 29;
  goes_there_and_back(connection, "tstzmultirange",
                      Multirange<sys_seconds>{{{.upper = day}, {.lower = day + 1h, .upper = day + 2h}}});
  goes_there_and_back(connection, "datemultirange", Multirange<sys_days>{{{.lower = day, .upper = day + days{1}}}});
}

BOOST_AUTO_TEST_CASE(infinities_go_there_and_back) {
  Connection connection = connect();
  // [infinity]
  using Until = OrInfinity<sys_seconds>;
  BOOST_TEST((connection.exec("select timestamptz 'infinity'").one<Until>() == Until::infinity()));
  BOOST_TEST(connection.exec("select $1 > now()", Until::infinity()).one<bool>());
  // [/infinity]
  const sys_days day = 2024y / February / 29;
  for (const Until& until : {Until::infinity(), Until::minus_infinity(), Until{day + 1s}})
    goes_there_and_back(connection, "timestamptz", until);
  using Local = OrInfinity<local_seconds>;
  for (const Local& until : {Local::infinity(), Local::minus_infinity(), Local{}})
    goes_there_and_back(connection, "timestamp", until);
  using Day = OrInfinity<sys_days>;
  for (const Day& until : {Day::infinity(), Day::minus_infinity(), Day{day}})
    goes_there_and_back(connection, "date", until);
  goes_there_and_back(connection, "date", OrInfinity<year_month_day>{2024y / February / 29});
  goes_there_and_back(connection, "interval", OrInfinity<Interval>{Interval{months{1}, days{-1}, 1us}});
  // A bound that is infinity is not the same as none.
  const Range<Day> always{.lower = Day::minus_infinity(), .upper = Day::infinity(), .upper_inclusive = true};
  goes_there_and_back(connection, "daterange", always);
  BOOST_TEST(!connection.exec("select upper_inf($1)", always).one<bool>());
  BOOST_TEST(always.contains(day));
  BOOST_TEST((Day::minus_infinity() < Day{day} && Day{day} < Day::infinity() && Day{day} <= Day{day}));
  BOOST_TEST((connection.exec("select null::date").one<std::optional<Day>>() == std::nullopt));
  BOOST_CHECK_THROW(static_cast<void>(Day::infinity().value()), std::bad_optional_access);
}

BOOST_AUTO_TEST_CASE(of_times_are_read_in_iso_style_and_refused_in_others_and_passed_in_all) {
  const sys_days day = 2024y / February / 29;
  for (const char* const style :
       {"ISO, MDY", "ISO, DMY", "ISO, YMD", "SQL, MDY", "SQL, DMY", "German", "Postgres, MDY", "Postgres, DMY"})
    for (const char* const zone : {"UTC", "Asia/Kolkata", "America/St_Johns"})
      BOOST_TEST_CONTEXT(style << " " << zone) {
        Connection connection = connect();
        connection.exec("select set_config('DateStyle', $1, false), set_config('TimeZone', $2, false)", style, zone);
        const Range<OrInfinity<sys_seconds>> range{.lower = sys_seconds{day + 1h},
                                                   .upper = OrInfinity<sys_seconds>::infinity()};
        const bool iso = std::string_view{style}.starts_with("ISO");
        BOOST_TEST(connection.exec("select $1 = tstzrange('2024-02-29 01:00+00', 'infinity')", range).one<bool>());
        BOOST_TEST(connection
                       .exec("select $1 = '[2024-02-29,2024-03-01)'::daterange",
                             Range<sys_days>{.lower = day, .upper = day + days{1}})
                       .one<bool>());
        BOOST_TEST((connection.exec("select '-infinity'::date").one<OrInfinity<sys_days>>() ==
                    OrInfinity<sys_days>::minus_infinity()));
        if (iso) {
          goes_there_and_back(connection, "tstzrange", range);
        } else {
          BOOST_TEST(why_not<Range<OrInfinity<sys_seconds>>>(connection,
                                                             "select tstzrange('2024-02-29 01:00+00', 'infinity')") ==
                     "tstzrange with a lower bound that is no lido::postgres::OrInfinity<std::chrono::sys_time>: a "
                     "text that is not in ISO style (set datestyle to 'ISO')");
        }
      }
}

BOOST_AUTO_TEST_CASE(say_what_does_not_fit) {
  Connection connection = connect();
  BOOST_TEST(why_not<Range<int>>(connection, "select 'x'::text") == "text");
  BOOST_TEST(why_not<Range<int>>(connection, "select '[2024-01-01,)'::daterange") == "daterange");
  BOOST_TEST(why_not<Range<int>>(connection, "select '{[1,2)}'::int4multirange") == "int4multirange");
  BOOST_TEST(why_not<Multirange<int>>(connection, "select '[1,2)'::int4range") == "int4range");
  BOOST_TEST(why_not<Range<int>>(connection, "select '[1,3000000000)'::int8range") ==
             "int8range with an upper bound that is no int32_t");
  BOOST_TEST(why_not<Multirange<int>>(connection, "select '{[1,2),[3,3000000000)}'::int8multirange") ==
             "int8multirange with an upper bound that is no int32_t");
  BOOST_TEST(why_not<Range<sys_days>>(connection, "select '[infinity,)'::daterange") ==
             "daterange with a lower bound that is no std::chrono::sys_days: infinity, which it cannot hold");
  BOOST_TEST(why_not<OrInfinity<sys_days>>(connection, "select timestamp 'infinity'") == "timestamp");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(intervals)

BOOST_AUTO_TEST_CASE(go_there_and_back_in_every_style) {
  const auto most = std::numeric_limits<std::int32_t>::max(), least = std::numeric_limits<std::int32_t>::min();
  std::vector<Interval> edges{{months{most}, days{least}, microseconds::max()},
                              {months{least}, days{most}, microseconds::min()}};
  for (const int month : {0, 1, -1, 12, -14, 25})
    for (const int day : {0, 1, -3, 40})
      for (const auto time : {0us, microseconds{1}, microseconds{-1}, microseconds{500ms},
                              microseconds{-4h - 5min - 6s - 700ms}, microseconds{100h}, microseconds{-59min}})
        edges.push_back({months{month}, days{day}, time});
  for (const char* const style : {"postgres", "postgres_verbose", "sql_standard", "iso_8601"}) {
    Connection connection = connect();
    connection.exec("select set_config('IntervalStyle', $1, false)", style);
    const Result back = connection.exec("select unnest($1)", edges);
    BOOST_TEST_REQUIRE(back.size() == edges.size());
    for (std::size_t i = 0; i < edges.size(); ++i)
      BOOST_TEST_CONTEXT(style << ": " << back[i][0].text()) BOOST_TEST((back[i].as<Interval>() == edges[i]));
    BOOST_TEST((connection.exec("select $1", edges).one<std::vector<Interval>>() == edges));
    const std::vector<std::optional<Interval>> some{edges[5], std::nullopt};
    BOOST_TEST((connection.exec("select $1", some).one<std::vector<std::optional<Interval>>>() == some));
    // The server has each part as it was passed.
    const auto parts = connection
                           .exec(
                               "select extract(year from $1) * 12 + extract(month from $1), extract(day from $1), "
                               "extract(microseconds from $1) + extract(hour from $1) * 3600000000 + extract(minute "
                               "from $1) * 60000000",
                               edges[40])
                           .one<std::int64_t, std::int64_t, std::int64_t>();
    BOOST_TEST((parts == std::tuple{edges[40].months.count(), edges[40].days.count(), edges[40].time.count()}));
  }
}

BOOST_AUTO_TEST_CASE(hold_months_days_and_time_apart) {
  Connection connection = connect();
  // [interval]
  const auto age = connection.exec("select interval '1 year 2 months -3 days 04:05:06.7'").one<Interval>();
  BOOST_TEST((age == Interval{.months = years{1} + months{2}, .days = -days{3}, .time = 4h + 5min + 6s + 700ms}));
  // [/interval]
  BOOST_TEST(
      connection.exec("select date '2024-01-31' + $1 = '2024-02-29'", Interval{.months = months{1}}).one<bool>());
  if constexpr (sizeof(months::rep) > sizeof(std::int32_t))  // with libc++ they cannot be too many
    BOOST_CHECK_THROW(connection.exec("select $1", Interval{.months = months{std::int64_t{1} << 31}}), QueryError);
  const auto error =
      caught<ResultError>([&] { static_cast<void>(connection.exec("select '1 day'::text").one<Interval>()); });
  BOOST_TEST(error.actual() == "text");
}

BOOST_AUTO_TEST_CASE(what_is_no_interval_is_not_read) {
  for (const char* const wrong : {"",
                                  "x",
                                  "P",
                                  "PT",
                                  "P1",
                                  "P1S",
                                  "PT1D",
                                  "P1YT",
                                  "@",
                                  "@ ",
                                  "@ ago",
                                  "1",
                                  "1 day 1 year",
                                  "1 day 2 day",
                                  "1 year x",
                                  "1:2:3",
                                  "1-12",
                                  "1-2-3",
                                  "3",
                                  "1 day ",
                                  " 1 day",
                                  "1 days ago",
                                  "--1 day",
                                  "99999999999 days",
                                  "1-2 3",
                                  "1:05",
                                  "@ 1",
                                  "3 4",
                                  "@ 1 sec 1 sec",
                                  "1 hour",
                                  "0 ",
                                  "P1.5D",
                                  "99999999999999999999:00:00",
                                  "999999999999:00:00",
                                  "infinity",
                                  "P1D1Y",
                                  "1 mon 00:00:60"})
    BOOST_TEST_CONTEXT(wrong) {
      BOOST_TEST(!Converter<Interval>::read(wrong).has_value());
      BOOST_TEST(!Converter<Interval>::reason(wrong).empty());
    }
}

BOOST_AUTO_TEST_SUITE_END()
