#include <malloc.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

static_assert(std::ranges::input_range<CopyOut<>> && std::ranges::input_range<CopyOut<int, std::string>>);
static_assert(CopySource<std::vector<std::pair<int, std::string>>> && CopySource<std::vector<std::string>>);
static_assert(!CopySource<std::vector<int>>);

BOOST_AUTO_TEST_SUITE(copy)

namespace {

using Bytes = std::vector<std::byte>;

Connection with_table() {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table t(id int, name text, data bytea)");
  return connection;
}
int rows_in(Connection& connection) { return connection.exec_script("select count(*) from t").one<int>(); }

// What COPY can be asked for: a statement is what stands between these.
constexpr const char* options[] = {
    // those of the text format as it is by default
    "", ";", " with", " (format text)", " with (format 'text', freeze false)", " (header false)", " (encoding 'UTF8')",
    " (encoding \"utf-8\")", " (delimiter e'\\t', null '\\N')", " (null E'\\\\N')", " (delimiter '\t')",
    " /* csv */ -- csv",
    // others
    " (format csv)", " with (FORMAT CSV)", " (format 'csv')", " (\"format\" \"csv\")", " (format 'c'\n'sv')",
    " (format binary)", " csv", " with csv", " binary", " with binary", " with delimiter ';'", " delimiter as ';'",
    " using delimiters ';'", " (delimiter ';')", " (delimiter U&'\\003b')", " (format text, delimiter ',')",
    " (null 'x')", " (null '')", " with null as 'x'", " (header)", " (header true)", " (header 1)", " csv header",
    " (encoding 'LATIN1')", " encoding 'LATIN1'", " (freeze false, format csv, quote '~')", " (format csv, escape '~')",
    " (format csv, force_quote (id, name))", " (format csv, force_quote *)", " (format csv, force_null (name))",
    " (/* ( */ format /* ) */ csv)", " (default 'x')"};
bool is_default(const char* option) {
  const auto* const found = std::ranges::find(options, option);
  return found - std::begin(options) < 12;
}

// Numbers that end with an exception, as a source that fails.
auto failing_after(int count) {
  return std::views::iota(0) | std::views::transform([count](int i) {
           if (i == count) throw std::domain_error{"no more"};
           return std::tuple{i, std::string(100, 'x'), std::optional<Bytes>{}};
         });
}

}  // namespace

BOOST_AUTO_TEST_CASE(rows_go_in_and_come_out_whatever_they_hold) {
  Connection connection = with_table();
  const std::string awkward = "tab\t line\n return\r back\\slash \\N \\. \b\f\v 'quote' \"\" \xc3\xa4 end\\";
  const std::vector<std::tuple<std::optional<int>, std::optional<std::string>, Bytes>> rows{
      {1, awkward, {std::byte{0}, std::byte{'\\'}, std::byte{255}}},
      {std::nullopt, std::nullopt, {}},
      {2, "", {}},
      {3, "\\N", {}},
      {4, "\\.", {}}};
  BOOST_TEST(connection.copy_in("copy t from stdin", rows) == rows.size());
  BOOST_TEST(connection.exec("select name from t where id = 1").one<std::string>() == awkward);
  std::vector<std::tuple<std::optional<int>, std::optional<std::string>, Bytes>> back;
  for (auto&& row : connection.copy_out<std::optional<int>, std::optional<std::string>, Bytes>("copy t to stdout"))
    back.push_back(row);
  BOOST_TEST((back == rows));
  BOOST_TEST(connection.copy_in("copy t(id, name) from stdin", std::array{std::pair{9, "literal"}}) == 1U);
  std::vector<std::string> names;
  for (const std::string& name : connection.copy_out<std::string>("copy (select name from t where id = 9) to stdout"))
    names.push_back(name);
  BOOST_TEST((names == std::vector<std::string>{"literal"}));
}

BOOST_AUTO_TEST_CASE(chunks_go_in_and_come_out_as_they_are) {
  Connection connection = with_table();
  const std::vector<std::string_view> chunks{"1,on", "e,\n2,\"t", "w,o\",\n"};
  BOOST_TEST(connection.copy_in("copy t from stdin (format csv)", chunks) == 2U);
  std::string text;
  for (const std::string_view line : connection.copy_out("copy t to stdout (format csv)")) text.append(line);
  BOOST_TEST(text == "1,one,\n2,\"tw,o\",\n");
  std::vector<std::string> binary;
  for (const std::string_view piece : connection.copy_out("copy t to stdout (format binary)"))
    binary.emplace_back(piece);
  BOOST_TEST(connection.copy_in("copy t from stdin (format binary)", binary) == 2U);
  BOOST_TEST(connection.copy_in("copy t from stdin", std::vector<std::string>{}) == 0U);
  BOOST_TEST(rows_in(connection) == 4);
}

BOOST_AUTO_TEST_CASE(rows_of_values_go_through_as_they_are_or_not_at_all) {
  Connection connection = lido::test::connect();
  connection.exec_script("set client_encoding = 'UTF8'");
  const std::vector<std::tuple<int, std::optional<std::string>>> rows{
      {1, "x"}, {2, "a;b,c"}, {3, std::nullopt}, {4, ""}, {5, "~\"'\\ \xc3\xa4"}, {6, "\\N"}, {7, "1\t2"}};
  for (const char* const option : options) BOOST_TEST_CONTEXT(option) {
      connection.exec_script("drop table if exists t; create temp table t(id int, name text)");
      const std::string in = std::string{"copy t(id, name) from stdin"} + option;
      const std::string out =
          std::string{
              "copy (select id, name from t /* ) to stdout */ where name is distinct from "
              "')' order by id) to stdout"} +
          option;
      bool refused = false;
      try {
        BOOST_TEST(connection.copy_in(in, rows) == rows.size());
      } catch (const QueryError& error) {
        refused = true;
        BOOST_TEST((error.sqlstate().empty() || error.sqlstate() == "42601"));  // by us, or no option at all
      }
      BOOST_TEST(refused == !is_default(option));
      connection.exec_script("truncate t");
      connection.copy_in("copy t from stdin", rows);
      std::vector<std::tuple<int, std::optional<std::string>>> back;
      refused = false;
      try {
        for (const auto& row : connection.copy_out<int, std::optional<std::string>>(out)) back.push_back(row);
      } catch (const QueryError&) {
        refused = true;
      }
      BOOST_TEST(refused == !is_default(option));
      BOOST_TEST((refused || back == rows));
      BOOST_TEST(connection.is_usable());
    }
  const auto refuses = [&](const char* sql) {
    const auto error = caught<QueryError>([&] { connection.copy_in(sql, rows); });
    return error.sqlstate().empty() && error.statement() == sql && connection.is_usable();
  };
  BOOST_TEST(refuses("copy binary t from stdin"));
  BOOST_TEST(refuses("/* */; copy t from stdin (format csv)"));
  BOOST_TEST(refuses("copy \"from stdin\"(\"to\", name) from stdin (format csv)"));
  BOOST_TEST(refuses("copy s.from from stdin (format csv)"));
  BOOST_TEST(refuses("copy s . to (id, name) from stdin (format csv)"));
  BOOST_TEST(refuses("copy t from stdout csv"));
  connection.exec_script("truncate t");
  BOOST_TEST(connection.copy_in("copy t from stdin where name <> 'csv' and id > 4", rows) == 3U);
  BOOST_TEST(connection.copy_in("COPY t FROM STDOUT", rows) == rows.size());
  for (const std::string& name : connection.copy_out<std::string>("copy (select 'it''s \\!') to stdout"))
    BOOST_TEST(name == "it's \\!");
  // Where that text ends depends on standard_conforming_strings.
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out<int>("copy (select '\\') to stdout (format csv) --')")),
                    QueryError);
  connection.exec("set standard_conforming_strings = off");
  BOOST_TEST(refuses("copy t from stdin (null '\\N')"));
  connection.exec("reset standard_conforming_strings");
  const auto error = caught<QueryError>([&] { connection.copy_in("copy t from stdin CSV", rows); });
  BOOST_TEST(std::string_view{error.what()}.find("leave CSV away") != std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(an_exception_in_the_middle_stores_nothing_and_leaves_the_connection_good) {
  Connection connection = with_table();
  for (const int count : {0, 3, 5000})  // before anything was sent, and after
    BOOST_CHECK_THROW(connection.copy_in("copy t from stdin", failing_after(count)), std::domain_error);
  BOOST_CHECK_THROW(connection.copy_in("copy t(name) from stdin", std::vector{std::tuple{std::string("a\0b", 3)}}),
                    QueryError);
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(!connection.in_transaction());
  BOOST_TEST(rows_in(connection) == 0);
}

BOOST_AUTO_TEST_CASE(what_the_server_refuses_names_the_statement_and_leaves_the_connection_good) {
  Connection connection = with_table();
  const auto many = std::views::iota(0, 20'000) | std::views::transform([](int i) {
                      return std::pair{i == 100 ? std::string{"none"} : std::to_string(i), std::string(100, 'x')};
                    });
  const auto error = caught<QueryError>([&] { connection.copy_in("copy t(id, name) from stdin", many); });
  BOOST_TEST(error.sqlstate() == "22P02");
  BOOST_TEST(error.statement() == "copy t(id, name) from stdin");
  BOOST_TEST(rows_in(connection) == 0);
  const std::vector<std::tuple<int>> one{{1}};
  BOOST_TEST(caught<QueryError>([&] { connection.copy_in("copy nowhere from stdin", one); }).sqlstate() == "42P01");
  BOOST_CHECK_THROW(connection.copy_in("select 1", one), QueryError);
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out("select 1").begin()), QueryError);
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out<int>("copy (select 'a') to stdout").begin().operator*()),
                    ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out<int>("copy (select 1, 2) to stdout").begin().operator*()),
                    ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out<int>("copy (select 1) to stdout binary").begin().operator*()),
                    QueryError);
  BOOST_TEST(rows_in(connection) == 0);
}

BOOST_AUTO_TEST_CASE(the_next_statement_gets_its_answer_whenever_a_copy_fails) {
  Connection connection = with_table();
  const auto connect_again = [&] {
    connection = with_table();
    connection.exec_script(
        "create function pg_temp.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$; "
        "create trigger refuse before insert on t for each statement execute function pg_temp.refuse()");
  };
  connect_again();
  // Where the last literal ends depends on the session.
  for (const char* const condition : {"", " where id <> 7", " where name <> '\\'"})
    for (int i = 0; i < 3; ++i) {
      const std::string sql = std::string{"copy t(id) from stdin"} + condition;
      const auto error = caught<QueryError>([&] { connection.copy_in(sql, std::vector{std::tuple{1}}); });
      BOOST_TEST(error.message() == "no");
      if (condition[0] == '\0') BOOST_TEST(connection.is_usable());
      if (!connection.is_usable()) connect_again();
      BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
      BOOST_TEST(rows_in(connection) == 0);
    }
  const std::vector<std::string> text{"1\n"};
  BOOST_TEST(caught<QueryError>([&] { connection.copy_in("copy t from stdin; select 1", text); }).sqlstate() ==
             "42601");
}

BOOST_AUTO_TEST_CASE(the_wrong_direction_gives_the_connection_up) {
  Connection connection = with_table();
  BOOST_CHECK_THROW(static_cast<void>(connection.copy_out("copy t from stdin").begin()), QueryError);
  BOOST_TEST(!connection.is_usable());
  connection = with_table();
  BOOST_CHECK_THROW(connection.copy_in("copy t to stdout", std::vector{std::tuple{1}}), QueryError);
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(abandoned_early_the_rest_is_cancelled_and_the_connection_is_good) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) {
    leave_rows(connection, [](Connection& left) {
      for (const long number : left.copy_out<long>("copy (select generate_series(1, 1000000000)) to stdout"))
        if (number == 10) break;
    });
    BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
  }
}

BOOST_AUTO_TEST_CASE(much_goes_through_in_constant_memory) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table big(data text)");
  const std::string line(10'000, 'x');
  const std::size_t before = ::mallinfo2().uordblks;
  std::size_t most = 0;
  const auto lines = std::views::iota(0, 5000) | std::views::transform([&](int i) {
                       if (i % 500 == 0) most = std::max(most, ::mallinfo2().uordblks);
                       return std::tuple<std::string_view>{line};
                     });
  BOOST_TEST(connection.copy_in("copy big from stdin", lines) == 5000U);
  std::size_t bytes = 0;
  for (const std::string_view row : connection.copy_out("copy big to stdout")) {
    bytes += row.size();
    most = std::max(most, bytes % 7 == 0 ? ::mallinfo2().uordblks : 0);
  }
  BOOST_TEST(bytes == 50'005'000U);
  BOOST_TEST(most < before + 4'000'000);
}

BOOST_AUTO_TEST_CASE(a_server_that_says_much_meanwhile_is_heard) {
  Connection connection = with_table();
  connection.exec_script(
      "create function pg_temp.talk() returns trigger language plpgsql as "
      "$$ begin raise notice '%', repeat('x', 500); return new; end $$;"
      "create trigger talk before insert on t for each row execute function pg_temp.talk()");
  const auto rows = std::views::iota(0, 200'000) | std::views::transform([](int i) { return std::tuple{i}; });
  BOOST_TEST(connection.copy_in("copy t(id) from stdin", rows, soon()) == 200'000U);
}

BOOST_AUTO_TEST_CASE(gives_up_at_the_deadline_and_when_stopped) {
  const auto endless = std::views::iota(0) | std::views::transform([](int i) { return std::tuple{i}; });
  Connection connection = with_table();
  caught<QueryTimeout>([&] {
    once_sent(300ms, [&](Duration span) { connection.copy_in("copy t(id) from stdin", endless, Clock::now() + span); });
  });
  BOOST_TEST(!connection.is_usable());
  connection = with_table();
  caught<QueryTimeout>([&] {
    once_sent(300ms, [&](Duration span) {
      for (const auto line :
           connection.copy_out("copy (select generate_series(1, 1000000000)) to stdout", Clock::now() + span))
        static_cast<void>(line);
    });
  });
  BOOST_TEST(!connection.is_usable());
  connection = with_table();
  std::stop_source stop;  // requested on the way: before it, nothing would be sent
  const auto stopping = std::views::iota(0) | std::views::transform([&](int i) {
                          if (i == 100'000) stop.request_stop();
                          return std::tuple{i};
                        });
  caught<QueryCancelled>([&] { connection.copy_in("copy t(id) from stdin", stopping, Until{stop.get_token()}); });
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(a_lost_session_is_noticed_in_the_middle) {
  Connection connection = with_table();
  const std::string pid = std::to_string(connection.backend_pid());
  const auto endless = std::views::iota(0) | std::views::transform([&](int i) {
                         if (i == 10) server().ask("select pg_terminate_backend(" + pid + ", 60000)");
                         return std::tuple{i};
                       });
  const auto error = caught<ConnectionLost>([&] { connection.copy_in("copy t(id) from stdin", endless); });
  BOOST_TEST(error.sqlstate() == "57P01");  // which libpq leaves unread while rows are sent
  BOOST_TEST(error.message() == "terminating connection due to administrator command");
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(a_pool_gets_a_good_connection_back_or_none) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  try {
    auto lease = pool.acquire();
    lease->exec_script("create temp table t(id int, name text, data bytea)");
    lease->copy_in("copy t from stdin", failing_after(10));
  } catch (const std::domain_error&) {
  }
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
