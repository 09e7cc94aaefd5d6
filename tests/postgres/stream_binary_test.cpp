// Typed rows of a stream that come in the binary format: the same values and errors as from their text.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/both_formats.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(stream_binary)

namespace {

// Whether the rows of a statement come in the binary format.
template <class... T>
bool is_binary(Connection& connection, const std::string& sql) {
  postgres::detail::IncomingRows<T...> rows{connection.channel(), sql, {}};
  bool binary = false;
  for (;;) {
    if (rows.advance()) continue;
    postgres::detail::complete(rows.operation(), soon());
    rows.arrived();
    if (!rows.present()) return binary;
    binary = rows.is_binary();
  }
}

struct ByStream {
  template <class T>
  static std::vector<Outcome<T>> by_text(Connection& connection, const std::string& query) {
    const Result result = connection.exec(query);
    std::vector<Outcome<T>> all;
    for (const Row& row : result) all.push_back(outcome<T>([&] { return std::get<1>(row.as<double, T>()); }));
    return all;
  }
  template <class T>
  static std::vector<Outcome<T>> in_binary(Connection& connection, const std::string& query) {
    return outcomes<T>(connection.stream<double, T>(query));
  }
  template <class... T>
  static bool is_binary(Connection& connection, const std::string& query) {
    return stream_binary::is_binary<T...>(connection, query);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_and_truth_are_read_as_their_text_is) { compare_numbers<ByStream>(); }
BOOST_AUTO_TEST_CASE(texts_bytes_and_uuids_are_read_as_they_are) { compare_texts_bytes_and_uuids<ByStream>(); }
BOOST_AUTO_TEST_CASE(dates_and_moments_are_read_as_their_text_is) { compare_dates_and_moments<ByStream>(); }

BOOST_AUTO_TEST_CASE(a_view_is_one_of_what_has_come) {
  Connection connection = connect();
  std::string joined;
  for (const auto& [half, text] : connection.stream<double, std::string_view>("select 0.5::float8, 'a'::text"))
    joined.append(text);
  BOOST_TEST(joined == "a");
}

namespace {

struct Reading {
  double value;
  std::optional<Instant> at;
  int sensor;
};
struct Place {
  std::string name;
  std::optional<double> height;
};
struct Placed {
  int sensor;
  std::optional<Place> place;
};

}  // namespace

BOOST_AUTO_TEST_CASE(reads_single_values_structs_and_parts_of_structs) {
  Connection connection = connect();
  connection.exec("set datestyle = 'German'");  // so that the text of a moment cannot be read
  for (const double value : connection.stream<double>("select 0.5::float8")) BOOST_TEST(value == 0.5);
  for (const Instant at : connection.stream<Instant>("select timestamptz '1970-01-01 00:00:01+00'"))
    BOOST_TEST((at == Instant{1s}));
  const char* const by_name =
      "select n as sensor, nullif(to_timestamp(n), to_timestamp(2)) as at, n / 2.0::float8 as value "
      "from generate_series(1, 300) n";
  BOOST_TEST((is_binary<Reading>(connection, by_name)));
  int count = 0;
  for (const Reading& each : connection.stream<Reading>(by_name)) {
    BOOST_TEST(each.sensor == ++count);
    BOOST_TEST(each.value == count / 2.0);
    BOOST_TEST((each.at == (count == 2 ? std::nullopt : std::optional{Instant{seconds{count}}})));
  }
  BOOST_TEST(count == 300);
  for (const Reading& each : connection.stream<ByPosition<Reading>>("select 1.5::float8, null::timestamptz, 7"))
    BOOST_TEST((each.sensor == 7 && each.value == 1.5 && !each.at));
  std::vector<bool> there;
  for (const Placed& each : connection.stream<Placed>("select 1 as sensor, 'hall'::text as place_name, null::float8 as "
                                                      "place_height union all select 2, null, null"))
    there.push_back(each.place.has_value());
  BOOST_TEST((there == std::vector{true, false}));
  const auto error = caught<ResultError>([&] {
    for (const Reading& each : connection.stream<Reading>("select 1 as sensor, 0.5::float8 as value"))
      static_cast<void>(each);
  });
  BOOST_TEST(error.column() == "at");
  BOOST_TEST(error.actual() == "none");
}

BOOST_AUTO_TEST_CASE(an_error_names_its_row_its_column_and_its_statement) {
  Connection connection = connect();
  const std::string sql =
      "select 0.5::float8 as half, case when n < 250 then n else 100000 end::int4 as number from "
      "generate_series(0, 299) n";
  std::vector<std::string> texts;
  auto rows = connection.stream<double, std::int16_t>(sql);
  for (auto at = rows.begin(); at != std::default_sentinel; ++at) try {
      static_cast<void>(*at);
    } catch (const ResultError& error) {
      BOOST_TEST(error.statement() == sql);
      BOOST_TEST(error.where().line() != 0U);
      texts.emplace_back(error.what());
    }
  BOOST_TEST(texts.size() == 50U);
  BOOST_TEST(texts.front().find("row 250, column number") != std::string::npos, texts.front());
}

BOOST_AUTO_TEST_CASE(what_is_not_exact_or_gains_nothing_is_read_from_its_text) {
  Connection connection = connect();
  BOOST_TEST((is_binary<double, int>(connection, "select 0.5::float8, 1")));
  BOOST_TEST((!is_binary<int, std::string>(connection, "select 1, 'a'::text")));        // gains nothing
  BOOST_TEST((!is_binary<double, int>(connection, "select 0.5::float8, 1::numeric")));  // another type of number
  BOOST_TEST((!is_binary<double>(connection, "select 0.1::float4")));                   // other digits
  BOOST_TEST((!is_binary<float>(connection, "select 0.1::float8")));
  BOOST_TEST((!is_binary<double, std::string>(connection, "select 0.5::float8, 1")));  // a text by its settings
  BOOST_TEST((!is_binary<double, std::string>(connection, "select 0.5::float8, now()")));
  BOOST_TEST((!is_binary<double, std::string>(connection, "select 0.5::float8, '{}'::jsonb")));
  BOOST_TEST((!is_binary<double, std::vector<int>>(connection, "select 0.5::float8, '{1}'::int[]")));
  BOOST_TEST((!is_binary<>(connection, "select 0.5::float8")));
  BOOST_TEST((!is_binary<double>(connection, "select 0.5::float8, 1")));  // not so many columns
  BOOST_TEST((!is_binary<double, bool>(connection, "select 0.5::float8, 1")));
  for (const Row& row : connection.stream("select 0.5::float8, 7, now()")) BOOST_TEST(row[1].text() == "7");
  // The values and the errors of these.
  for (const auto& [half, tenth] : connection.stream<double, double>("select 0.5::float8, 0.1::float4"))
    BOOST_TEST(tenth == 0.1);
  const auto wrong = [&](auto run) { return std::string{caught<ResultError>(run).what()}; };
  for (const char* sql : {"select 0.5::float8 as half, 'x'::text as v", "select 0.5::float8 as half, now() as v",
                          "select 0.5::float8 as half, null::int as v", "select 0.5::float8 as half"}) {
    const std::string by_stream = wrong([&] {
      for (const auto& row : connection.stream<double, int>(sql)) static_cast<void>(row);
    });
    const Result result = connection.exec(sql);
    const std::string by_exec = wrong([&] { static_cast<void>(result[0].as<double, int>()); });
    const auto begin = [](const std::string& text) { return text.substr(0, text.find("; run at")); };
    BOOST_TEST(begin(by_stream) == begin(by_exec));
  }
  // Without a row nobody asks.
  for (const auto& row : connection.stream<double, int>("select 'x' where false")) static_cast<void>(row);
  for (const auto& row : connection.stream<double, int>("create temp table nothing()")) static_cast<void>(row);
  for (const auto& row : connection.stream<double, int>("")) static_cast<void>(row);
}

// The columns of a result that no server sends.
postgres::detail::ResultHandle made(const std::vector<Oid>& types, int format) {
  postgres::detail::ResultHandle result{PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK)};
  std::vector<PGresAttDesc> columns;
  std::string name = "v";
  for (const Oid type : types) columns.push_back({name.data(), 0, 0, format, type, 4, -1});
  BOOST_REQUIRE(PQsetResultAttrs(result.get(), static_cast<int>(columns.size()), columns.data()) != 0);
  return result;
}

BOOST_AUTO_TEST_CASE(what_comes_in_the_binary_format_unasked_is_not_read_as_a_text) {
  using Shape = postgres::detail::RowShape<double, int>;
  using postgres::detail::check_format;
  check_format<Shape>(made({701, 23}, 1).get(), 0);
  check_format<Shape>(made({701, 20}, 1).get(), 0);
  const std::vector<std::vector<Oid>> others{{701, 1700}, {700, 23}, {701, 25}, {701}, {701, 23, 23}};
  for (const std::vector<Oid>& types : others)
    BOOST_TEST(caught<ResultError>([&] { check_format<Shape>(made(types, 1).get(), 7); }).actual() ==
               "values in binary format");
  check_format<Shape>(made({701, 1700}, 0).get(), 0);
}

BOOST_AUTO_TEST_CASE(takes_parameters_of_each_kind) {
  Connection connection = connect();
  const Instant moment{1us};
  const Bytes bytes{std::byte{0}, std::byte{255}};
  std::size_t count = 0;
  for (const auto& [at, raw, text, number, none] :
       connection.stream<Instant, Bytes, std::string, int, std::optional<int>>(
           "select $1::timestamptz, $2::bytea, $3::text, $4::int, $5::int from generate_series(1, 200)", moment, bytes,
           std::string{"it's"}, 7, std::optional<int>{})) {
    ++count;
    BOOST_TEST((at == moment && raw == bytes && text == "it's" && number == 7 && !none));
  }
  BOOST_TEST(count == 200U);
  BOOST_CHECK_THROW((static_cast<void>(connection.stream<double>("select $1::float8").begin())), QueryError);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(an_error_of_the_server_leaves_the_connection_good) {
  Connection connection = connect();
  int before = 0;
  const auto middle = caught<QueryError>([&] {
    for (const double value : connection.stream<double>("select 1::float8 / (100 - n) from generate_series(1, 200) n"))
      before += value > 0 ? 1 : 0;
  });
  BOOST_TEST(middle.sqlstate() == "22012");
  BOOST_TEST(before <= 99);
  for (const char* sql : {"select nonsense", "selct", "select 1; select 2", "select $1::float8"}) {
    const auto typed = caught<QueryError>([&] { static_cast<void>(connection.stream<double>(sql).begin()); });
    const auto plain = caught<QueryError>([&] { connection.exec(sql); });
    BOOST_TEST(typed.sqlstate() == plain.sqlstate());
    BOOST_TEST(typed.message() == plain.message());
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  }
  connection.exec("begin");
  BOOST_CHECK_THROW((static_cast<void>(connection.stream<double>("select 1::float8 / 0").begin())), QueryError);
  BOOST_TEST(connection.in_failed_transaction());
  const auto failed = caught<QueryError>([&] { static_cast<void>(connection.stream<double>("select 1").begin()); });
  BOOST_TEST(failed.sqlstate() == "25P02");
  connection.exec("rollback");
  BOOST_CHECK_THROW(static_cast<void>(connection.stream<double>("copy (select 1) to stdout").begin()), QueryError);
}

BOOST_AUTO_TEST_CASE(columns_may_change_between_two_streams) {
  Connection connection = connect();
  connection.exec_script(
      "drop table if exists changing; create table changing(at timestamptz, n int4);"
      "insert into changing values ('1970-01-01 00:00:00+00', 7)");
  const std::string sql = "select * from changing";
  const auto read = [&] {
    int sum = 0;
    for (const auto& [at, n] : connection.stream<Instant, int>(sql)) sum += at == Instant{} ? n : -1;
    return sum;
  };
  for (const bool inside : {false, true}) {
    for (const char* type : {"int4", "int8", "numeric", "int2", "oid", "int4"}) {
      if (inside) connection.exec("begin");
      BOOST_TEST(read() == 7);
      if (inside) connection.exec("commit");
      server().ask(std::string{"alter table changing alter n type "} + type + " using n::text::" + type);
      if (inside) connection.exec("begin");
      BOOST_TEST(read() == 7);
      BOOST_TEST((is_binary<Instant, int>(connection, sql) == (std::string_view{type} != "numeric")));
      if (inside) connection.exec("commit");
    }
  }
  server().ask("alter table changing alter n type text");
  BOOST_CHECK_THROW(read(), ResultError);
  server().ask("alter table changing drop n");
  BOOST_CHECK_THROW(read(), ResultError);
  connection.exec("drop table changing");
}

BOOST_AUTO_TEST_CASE(left_early_or_never_looked_at_the_connection_is_good) {
  Connection connection = connect();
  leave_rows(connection, [](Connection& left) {
    for (const double value : left.stream<double>("select generate_series(1, 1000000000)::float8"))
      if (value == 10) break;
  });
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  leave_rows(connection,
             [](Connection& left) { const auto never = left.stream<double>("select pg_sleep(60)::text::float8"); });
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 2").one<int>() == 2);
  {
    const auto wrong = connection.stream<double>("select nonsense");
  }
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 3").one<int>() == 3);
  // The next one of any kind is as it always was.
  Pipeline pipeline;
  pipeline.add("select n from generate_series(1, 3) n");
  for (const double value : connection.stream<double>("select 0.5::float8")) BOOST_TEST(value == 0.5);
  BOOST_TEST(connection.run(pipeline).at(0).size() == 3U);
  for (const Row& row : connection.stream("select 0.5::float8")) BOOST_TEST(row[0].text() == "0.5");
}

BOOST_AUTO_TEST_CASE(in_sessions_and_in_pools_of_any_kind) {
  for (const ResetLevel reset : {ResetLevel::rollback, ResetLevel::discard_all}) {
    for (const std::size_t cache : {0U, 1U, 100U}) {
      postgres::Pool pool{server().conninfo(),
                          {.pool_size = 1, .max_overflow = 0, .reset = reset, .statement_cache = cache}};
      for (int i = 0; i < 4; ++i) {
        auto connection = pool.acquire();
        const int pid = connection->backend_pid();
        if (i % 2 == 1) connection->exec("select 1");
        for (const auto& [half, sum] : connection->stream<double, int>("select 0.5::float8, $1::int + 1", i))
          BOOST_TEST(sum == i + 1);
        BOOST_TEST((is_binary<double, int>(*connection, "select 0.5::float8, 7")));
        connection.release();
        Session session{pool};
        for (const auto& [half, n] : session.stream<double, int>("select 0.5::float8, $1::int", i)) BOOST_TEST(n == i);
        BOOST_TEST(session.exec("select pg_backend_pid()").one<int>() == pid);
        session.commit();
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
