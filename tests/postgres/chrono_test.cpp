#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/chrono.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono;
using namespace std::chrono_literals;

static_assert(Readable<system_clock::time_point> && Writable<system_clock::time_point> && Readable<sys_days>);
static_assert(Readable<local_seconds> && Readable<hh_mm_ss<microseconds>> && Readable<hours>);
static_assert(Readable<local_days> && Readable<months> && Readable<years> && Writable<duration<int, std::centi>>);
// A month is no number of seconds.
static_assert(!Readable<sys_time<months>> && !Writable<sys_time<years>> && !Writable<local_time<months>>);
static_assert(!Writable<hh_mm_ss<months>>);
static_assert(!Readable<duration<double>> && !Readable<steady_clock::time_point>);

BOOST_AUTO_TEST_SUITE(chrono)

namespace {

using Moment = sys_time<microseconds>;

template <class T>
T there_and_back(Connection& connection, const T& value) {
  return connection.exec("select $1", value).template one<T>();
}

/// What is found where a `T` is wanted.
template <class T>
std::string found(Connection& connection, const char* sql) {
  return caught<ResultError>([&] { static_cast<void>(connection.exec(sql).template one<T>()); }).actual();
}

}  // namespace

BOOST_AUTO_TEST_CASE(passes_times_there_and_back_in_any_zone_and_style) {
  Connection connection = connect();
  const sys_days day = 2024y / February / 29;
  const Moment moments[] = {
      Moment{},
      Moment{-1us},
      day + 23h + 59min + 59s + 999'999us,
      sys_days{1883y / November / 18} + 12h,            // New York kept local mean time, -4:56:02
      sys_days{year{-4712} / January / 1},              // 4713 BC
      Moment{microseconds{9'223'371'244'800'000'000}},  // 294247-01-01, beyond std::chrono::year
  };
  for (const char* zone : {"UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Africa/Monrovia"}) {
    connection.exec("select set_config('timezone', $1, false)", zone);
    for (const char* order : {"ISO, DMY", "ISO, MDY", "ISO, YMD"}) {
      connection.exec("select set_config('datestyle', $1, false)", order);
      for (const Moment& moment : moments) BOOST_TEST((there_and_back(connection, moment) == moment));
      BOOST_TEST(connection.exec("select extract(epoch from $1)::int8", Moment{day}).one<std::int64_t>() ==
                 duration_cast<seconds>(day.time_since_epoch()).count());
    }
  }
  // What is passed depends on no style.
  connection.exec("set datestyle = 'German'");
  BOOST_TEST(connection.exec("select $1 = timestamptz 'epoch' + interval '1.5 s'", Moment{1'500ms}).one<bool>());
  BOOST_TEST(connection.exec("select $1 = make_date(2024, 2, 1)", 2024y / February / 1).one<bool>());
}

BOOST_AUTO_TEST_CASE(holds_exactly_what_a_coarser_or_finer_time_can) {
  Connection connection = connect();
  const char* second = "select timestamptz '2024-02-29 12:34:56+00'";
  const sys_seconds expected = sys_days{2024y / February / 29} + 12h + 34min + 56s;
  BOOST_TEST((connection.exec(second).one<sys_seconds>() == expected));
  BOOST_TEST((connection.exec(second).one<sys_time<nanoseconds>>() == expected));
  BOOST_TEST(found<sys_time<minutes>>(connection, second) == "timestamptz with a value that it cannot hold exactly");
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select timestamptz '2300-01-01'").one<sys_time<nanoseconds>>()),
                    ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select timestamptz '294276-12-31'").one<Moment>()), ResultError);
  // What is finer than the server's is cut off, before and after 1970.
  BOOST_TEST((connection.exec("select $1", sys_time<nanoseconds>{1'999ns}).one<Moment>() == Moment{1us}));
  BOOST_TEST((connection.exec("select $1", sys_time<nanoseconds>{-1ns}).one<Moment>() == Moment{-1us}));
  const auto beyond = caught<QueryError>([&] { connection.exec("select $1", sys_time<hours>::max()); });
  BOOST_TEST(std::string_view{beyond.what()} == "parameter $1: a value of std::chrono::sys_time that cannot be passed");
}

BOOST_AUTO_TEST_CASE(tells_infinity_and_other_styles_apart) {
  Connection connection = connect();
  for (const char* infinite : {"select timestamptz 'infinity'", "select timestamptz '-infinity'"})
    BOOST_TEST(found<Moment>(connection, infinite) == "timestamptz with infinity, which it cannot hold");
  BOOST_TEST(found<year_month_day>(connection, "select date 'infinity'") == "date with infinity, which it cannot hold");
  for (const char* style : {"SQL", "Postgres", "German"}) {
    connection.exec("select set_config('datestyle', $1, false)", style);
    BOOST_TEST(found<Moment>(connection, "select timestamptz '2024-02-01 12:00+00'") ==
               "timestamptz with a text that is not in ISO style (set datestyle to 'ISO')");
    BOOST_TEST(found<local_seconds>(connection, "select timestamp '2024-02-01 12:00'").find("ISO") !=
               std::string::npos);
    BOOST_TEST(found<year_month_day>(connection, "select date '2024-02-01'").find("ISO") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(has_the_usual_styles_for_good_by_an_option_of_the_connection_string) {
  Connection owner = connect();
  owner.exec("create role german login superuser");
  owner.exec("alter role german set datestyle = 'German'");
  const auto as_german = [](const std::string& more) {
    return Connection::connect(server().conninfo("german") + more, soon());
  };
  Connection german = as_german("");
  BOOST_CHECK_THROW(static_cast<void>(german.exec("select date '2024-02-29'").one<year_month_day>()), ResultError);
  Connection usual = as_german(" options='-c datestyle=ISO'");
  usual.exec_script("discard all");
  BOOST_TEST((usual.exec("select date '2024-02-29'").one<year_month_day>() == 2024y / February / 29));
  owner.exec("drop role german");
}

BOOST_AUTO_TEST_CASE(passes_local_times_and_dates_there_and_back) {
  Connection connection = connect();
  connection.exec("set timezone = 'Asia/Kolkata'");
  const local_time<microseconds> local = local_days{2024y / March / 31} + 2h + 30min + 1us;
  BOOST_TEST((there_and_back(connection, local) == local));
  BOOST_TEST(connection.exec("select $1::text", local).one<std::string>() == "2024-03-31 02:30:00.000001");
  for (const year_month_day& day : {year_month_day{2024y / February / 29}, year_month_day{year{1} / January / 1},
                                    year_month_day{year{0} / February / 29}, year_month_day{year{-4712} / January / 1},
                                    year_month_day{year::max() / December / 31}})
    BOOST_TEST((there_and_back(connection, day) == day));
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select date '32768-01-01'").one<year_month_day>()), ResultError);
  BOOST_CHECK_THROW(connection.exec("select $1", 2023y / February / 29), QueryError);
  // A moment is no local time, and neither is a date.
  BOOST_TEST(found<Moment>(connection, "select timestamp '2024-01-01'") == "timestamp");
  BOOST_TEST(found<local_seconds>(connection, "select timestamptz '2024-01-01'") == "timestamptz");
  BOOST_TEST(found<year_month_day>(connection, "select timestamp '2024-01-01'") == "timestamp");
  const std::vector<std::optional<local_seconds>> several{local_days{2024y / March / 1} + 1h, std::nullopt};
  BOOST_TEST((there_and_back(connection, several) == several));
}

BOOST_AUTO_TEST_CASE(takes_times_of_whole_days_for_dates_in_any_zone) {
  Connection connection = connect();
  connection.exec("create temp table days(day date)");
  const sys_days extremes[] = {sys_days{2024y / February / 29}, sys_days{}, sys_days{-1969y / March / 1},
                               sys_days{year{-4712} / January / 1}, sys_days{days{2'145'031'948}}};  // 5874897-12-31
  for (const char* zone : {"UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"}) {
    connection.exec("select set_config('timezone', $1, false)", zone);
    for (const sys_days day : extremes) {
      BOOST_TEST((there_and_back(connection, day) == day));
      BOOST_TEST((connection.exec("insert into days values ($1) returning day", day).one<sys_days>() == day));
      BOOST_TEST((there_and_back(connection, local_days{day.time_since_epoch()}).time_since_epoch() ==
                  day.time_since_epoch()));
      BOOST_TEST(connection.exec("select count(*) from days where day = any($1)", std::vector{day}).one<int>() > 0);
    }
  }
  const sys_time<weeks> week{weeks{-3}};
  BOOST_TEST((there_and_back(connection, week) == week));
  BOOST_TEST(found<sys_time<weeks>>(connection, "select date '1970-01-02'") ==
             "date with a value that it cannot hold exactly");
  BOOST_TEST(found<sys_days>(connection, "select date '-infinity'") == "date with infinity, which it cannot hold");
  BOOST_TEST(found<sys_days>(connection, "select timestamptz '2024-02-29 00:00+00'") == "timestamptz");
  BOOST_TEST(found<local_days>(connection, "select timestamp '2024-02-29'") == "timestamp");
  BOOST_TEST(found<sys_seconds>(connection, "select date '2024-02-29'") == "date");
  using Far = duration<std::int64_t, days::period>;
  for (const Far far : {Far::min(), Far::max(), Far{4'000'000'000}})
    BOOST_CHECK_THROW(connection.exec("select $1", sys_time<Far>{far}), QueryError);
}

BOOST_AUTO_TEST_CASE(passes_times_of_day_there_and_back) {
  Connection connection = connect();
  for (const microseconds since : {0us, 1us, microseconds{24h} - 1us, microseconds{24h}})
    BOOST_TEST((there_and_back(connection, hh_mm_ss{since}).to_duration() == since));
  BOOST_TEST((connection.exec("select time '12:30'").one<hh_mm_ss<minutes>>().to_duration() == 750min));
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select time '12:30:01'").one<hh_mm_ss<minutes>>()), ResultError);
  BOOST_CHECK_THROW(connection.exec("select $1", hh_mm_ss{-1s}), QueryError);
  BOOST_CHECK_THROW(connection.exec("select $1", hh_mm_ss{25h}), QueryError);
  BOOST_TEST(found<hh_mm_ss<seconds>>(connection, "select timetz '12:30+00'") == "timetz");
}

BOOST_AUTO_TEST_CASE(passes_intervals_without_months_there_and_back) {
  Connection connection = connect();
  for (const microseconds interval : {0us, 1us, -1us, microseconds{-90min}, microseconds::max()})
    BOOST_TEST((there_and_back(connection, interval) == interval));
  BOOST_TEST((connection.exec("select $1", days{3}).one<days>() == days{3}));
  BOOST_TEST((connection.exec("select interval '3 days -04:05:06.5'").one<milliseconds>() == 72h - 4h - 5min - 6500ms));
  BOOST_TEST((connection.exec("select interval '-1 days +00:00:01'").one<seconds>() == 1s - 24h));
  BOOST_TEST((connection.exec("select timestamptz '2024-03-01' - timestamptz '2024-02-01'").one<days>() == days{29}));
  BOOST_TEST(found<seconds>(connection, "select interval '1 month'") ==
             "interval with months, which have no fixed length");
  BOOST_TEST(found<seconds>(connection, "select interval '1.5 s'") ==
             "interval with a value that it cannot hold exactly");
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select interval '178000000 days'").one<hours>()), ResultError);
  for (const char* style : {"postgres_verbose", "iso_8601"}) {
    connection.exec("select set_config('intervalstyle', $1, false)", style);
    BOOST_TEST(found<seconds>(connection, "select interval '2 days 3 hours'").find("intervalstyle") !=
               std::string::npos);
  }
  connection.exec("set intervalstyle = 'sql_standard'");
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select interval '2 days 3 hours'").one<seconds>()), ResultError);
  BOOST_TEST(connection.exec("select $1 = interval '-90 minutes -0.5 s'", milliseconds{-90min} - 500ms).one<bool>());
}

BOOST_AUTO_TEST_CASE(passes_months_and_years_by_the_calendar) {
  Connection connection = connect();
  for (const months interval : {months{0}, months{1}, months{-1}, months{11}, months{12}, months{-25},
                                months{std::numeric_limits<std::int32_t>::max()}})
    BOOST_TEST((there_and_back(connection, interval) == interval));
  for (const years interval : {years{0}, years{1}, years{-30}})
    BOOST_TEST((there_and_back(connection, interval) == interval));
  BOOST_TEST((connection.exec("select (date '2024-02-29' + $1)::date", years{1}).one<sys_days>() ==
              sys_days{2025y / February / 28}));
  BOOST_TEST((connection.exec("select (date '2024-01-31' + $1)::date", months{1}).one<sys_days>() ==
              sys_days{2024y / February / 29}));
  BOOST_TEST(found<years>(connection, "select interval '1 year 1 month'") ==
             "interval with a value that it cannot hold exactly");
  for (const char* sql : {"select interval '1 month 1 day'", "select interval '24 hours'", "select interval '1 day'"})
    BOOST_TEST(found<months>(connection, sql).find("days or a time") != std::string::npos);
  BOOST_CHECK_THROW(connection.exec("select $1", years{years::max()}), QueryError);
  // A day has 24 hours, also where the clocks change.
  connection.exec("set timezone = 'Europe/Berlin'");
  BOOST_TEST(connection.exec("select timestamptz '2024-03-30 12:00' + $1 = '2024-03-31 13:00'", days{1}).one<bool>());
  BOOST_TEST(connection.exec("select timestamptz '2024-02-29 12:00' + $1 = '2024-03-29 12:00'", months{1}).one<bool>());
  connection.exec("set intervalstyle = 'iso_8601'");
  BOOST_TEST(found<months>(connection, "select interval '1 month'").find("intervalstyle") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(refuses_malformed_texts) {
  for (const char* text : {"", "2024", "2024-13-01 00:00:00+00", "2024-02-30 00:00:00+00", "2024-02-01 24:00:00+00",
                           "2024-02-01 00:60:00+00", "2024-02-01 00:00:00", "2024-02-01 00:00:00+",
                           "2024-02-01 00:00:00+1", "2024-02-01 00:00:00+01:", "2024-02-01 00:00:00.+00",
                           "2024-02-01 00:00:00.1234567+00", "2024-02-01T00:00:00+00", "0000-01-01 00:00:00+00",
                           "2024-02-01 00:00:00+00 AD", "99999999-01-01 00:00:00+00", "9999999-01-01 00:00:00+00 BC"})
    BOOST_TEST_CONTEXT(text) BOOST_TEST(!Converter<Moment>::read(text).has_value());
  for (const char* text :
       {"", "1", "1 d", "1 day ", " 1 day", "1 day 2", "00:00", "1 year", "00:00:00 1 day", "-", "+-1 day"})
    BOOST_TEST_CONTEXT(text) BOOST_TEST(!Converter<microseconds>::read(text).has_value());
  for (const char* text : {"", "1", "1 year ", "1 year1 mon", "1 mon 1 year", "1 mo", "1 monse", "--1 mon", "mons",
                           "12345678901 mons", "1 year 1 day", "00:00:01", " 1 mon"})
    BOOST_TEST_CONTEXT(text) BOOST_TEST(!Converter<months>::read(text).has_value());
  BOOST_TEST((Converter<microseconds>::read("-2562047788:00:54.775808") == microseconds::min()));
  BOOST_TEST(!Converter<microseconds>::read("2562047788:00:54.775808").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
