// Rows that a COPY reads in the binary format: the same values and errors as from their text.
#include <chrono>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stop_token>
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

BOOST_AUTO_TEST_SUITE(copy_out_binary)

namespace {

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

struct ByCopy {
  template <class T>
  static std::vector<Outcome<T>> by_text(Connection& connection, const std::string& query) {
    return outcomes<T>(connection.copy_out<double, T>("copy (" + query + ") to stdout (format text)"));
  }
  template <class T>
  static std::vector<Outcome<T>> in_binary(Connection& connection, const std::string& query) {
    return outcomes<T>(connection.copy_out<double, T>("copy (" + query + ") to stdout"));
  }
  template <class... T>
  static bool is_binary(Connection& connection, const std::string& query) {
    return copy_out_binary::is_binary<T...>(connection, "copy (" + query + ") to stdout");
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_and_truth_are_read_as_their_text_is) { compare_numbers<ByCopy>(); }
BOOST_AUTO_TEST_CASE(texts_bytes_and_uuids_are_read_as_they_are) { compare_texts_bytes_and_uuids<ByCopy>(); }
BOOST_AUTO_TEST_CASE(dates_and_moments_are_read_as_their_text_is) { compare_dates_and_moments<ByCopy>(); }

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
  leave_rows(connection, [](Connection& left) {
    for (const double value : left.copy_out<double>("copy (select generate_series(1, 1000000000)::float8) to stdout"))
      if (value == 10) break;
  });
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  leave_rows(connection, [](Connection& left) {
    const auto never = left.copy_out<double>("copy (select pg_sleep(60)::text::float8) to stdout");
  });
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

BOOST_AUTO_TEST_CASE(where_the_next_row_never_comes_there_is_none) {
  // Large ones, so that the server sends the first of them before it sleeps.
  const std::string sql =
      "copy (select case n when 4 then length(pg_sleep(60)::text)::float8 else 0.5 end, repeat('x', 20000) from "
      "generate_series(1, 4) n) to stdout";
  const auto reads = [](Connection& connection, const std::string& statement, const Until& until, auto end) {
    std::size_t bytes = 0;
    int thrown = 0;
    auto rows = connection.copy_out<double, std::string>(statement, until);
    auto at = rows.begin();
    end();
    while (at != std::default_sentinel && thrown < 3) try {
        bytes += std::get<1>(*at).size();
        ++at;
      } catch (const Error&) {
        ++thrown;
      }
    BOOST_TEST(thrown == 1);
    BOOST_TEST((at == std::default_sentinel));
    BOOST_TEST((bytes > 0 && bytes % 20'000 == 0));
    BOOST_CHECK_THROW(static_cast<void>(rows.begin()), Error);
    BOOST_TEST(!connection.is_usable());
  };
  for (const char* const options : {"", " (format text)"}) {
    Connection ended = connect();
    reads(ended, sql + options, Until{soon()}, [&] { terminate(ended); });
    Connection stopped = connect();
    std::stop_source stop;
    reads(stopped, sql + options, Until{stop.get_token()}, [&] { stop.request_stop(); });
    once_in_time(300ms, [&](Duration span) {
      Connection late = connect();
      reads(late, sql + options, Until{Clock::now() + span}, [] {});
    });
  }
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
