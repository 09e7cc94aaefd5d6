// What a COPY is asked before its rows go in the binary format: nothing changes for whoever runs it.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/sql/plain_copy.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(copy_question)

namespace {

// A range whose size nobody knows: as few rows as these are sent as text otherwise.
template <class Row>
auto unsized(const std::vector<Row>& rows) {
  return rows | std::views::filter([](const Row&) { return true; });
}
using Rows = std::vector<std::tuple<double, int>>;
const Rows one{{0.5, 7}};

// `c`, with the statement that stored a row.
Connection with_table(const char* more = "") {
  Connection connection = connect();
  connection.exec_script(std::string{"drop table if exists c; drop role if exists writer; "
                                     "create table c(half float8, v int, statement text default current_query())"} +
                         more);
  return connection;
}
constexpr const char* copied = "copy c(half, v) from stdin";
bool is_stored_in_binary(Connection& connection) {
  return connection.exec("select bool_and(statement like '%(format binary)%') from c").one<bool>();
}

std::optional<std::string> question(std::string_view sql) {
  const auto copy = lido::postgres::detail::PlainCopyReader::read(sql);
  return copy ? std::optional{copy->question()} : std::nullopt;
}

}  // namespace

BOOST_AUTO_TEST_CASE(only_the_plainest_statements_are_asked_about) {
  BOOST_TEST((question("copy t from stdin") == "select * from t"));
  BOOST_TEST(
      (question(" /* a */ COPY a . \"b c\".t(\"x\"\"y\", Z) FROM STDIN ;; -- b") == "select * from a . \"b c\".t"));
  BOOST_TEST((question("copy t to stdout") == "select * from t"));
  BOOST_TEST((question("copy (select ')', (1)) to stdout") == "select ')', (1)"));
  const auto named = lido::postgres::detail::PlainCopyReader::read("copy t(\"x\"\"y\", Z) from stdin; -- ;");
  BOOST_TEST((named && named->columns == std::vector<std::string>{"x\"y", "z"}));
  BOOST_TEST((named && named->in_binary() == "copy t(\"x\"\"y\", Z) from stdin (format binary); -- ;"));
  BOOST_TEST((named && named->lock() == "explain insert into t default values"));
  for (const char* const sql : {"",
                                "copy",
                                "copy t",
                                "copy t(",
                                "copy t()",
                                "copy t(a",
                                "copy t(a,",
                                "copy t(a b) from stdin",
                                "copy t(a,) from stdin",
                                "copy t. from stdin",
                                "copy .t from stdin",
                                "copy t from",
                                "copy t from stdout",
                                "copy t to stdin",
                                "copy t from stdin (format text)",
                                "copy t from stdin with",
                                "copy t from stdin csv",
                                "copy t from stdin where a > 1",
                                "copy t from stdin; select 1",
                                "copy binary t from stdin",
                                "copy t from 'file'",
                                "copy t from program 'x'",
                                "copy (select 1) from stdin",
                                "copy (select 1; select 2) to stdout",
                                "copy (select 1 to stdout",
                                "copy (select '\\') to stdout --')",
                                "copy t(U&\"x\") from stdin",
                                "copy t(\"x) from stdin",
                                "copy t(\xc3\x84) from stdin",
                                "copy t(1) from stdin",
                                "insert into t values (1)",
                                "; copy t from stdin"})
    BOOST_TEST(!question(sql), sql);
}

BOOST_AUTO_TEST_CASE(the_columns_are_those_of_the_statement) {
  Connection connection = connect();
  const std::vector<std::tuple<double, std::int64_t, std::string>> rows{{0.5, 7, "x"}};
  const auto stored = [&](const std::string& table, const std::string& what) {
    connection.exec_script("drop schema if exists \"Odd\" cascade; create schema \"Odd\"; create table \"Odd\"." +
                           table);
    connection.copy_in("copy " + what, unsized(rows));
    return connection.exec("select h = 0.5 and n = 7 and t = 'x' and q like '%(format binary)%' from \"Odd\".\"to\"")
        .one<bool>();
  };
  const std::string more = ", q text default current_query())";
  const std::string table = "\"to\"(h float8, n int8, t text" + more;
  BOOST_TEST(stored(table, "\"Odd\".\"to\"(h, n, t) from stdin"));
  BOOST_TEST(stored(table, "\"Odd\" . \"to\" ( H , \"n\", /* ) */ t ) FROM STDIN /* , */ ;; -- yes"));
  BOOST_TEST(stored("\"to\"(t text, n int8, h float8" + more, "\"Odd\".to (h, n, t) from stdin"));
  BOOST_TEST(stored("\"to\"(d int, h float8, n int8, t text" + more + "; alter table \"Odd\".to drop column d",
                    "\"Odd\".to(h,n,t) from stdin"));
  BOOST_TEST(
      stored("\"to\"(n int8 generated always as identity, h float8, t text" + more, "\"Odd\".to(h,n,t) from stdin"));
  BOOST_TEST(stored(table + "; create view \"Odd\".v as select h, n, t from \"Odd\".\"to\"; "
                            "create function \"Odd\".f() returns trigger language plpgsql as "
                            "$$ begin insert into \"Odd\".\"to\" values (new.*); return new; end $$; create trigger f "
                            "instead of insert on \"Odd\".v for each row execute function \"Odd\".f()",
                    "\"Odd\".v from stdin"));
  BOOST_TEST(
      stored("\"to\"(h float8, n int8, t text" + more +
                 " partition by list (n); create table \"Odd\".p (t text, q text default current_query(), n int8, "
                 "h float8); alter table \"Odd\".to attach partition \"Odd\".p for values in (7)",
             "\"Odd\".to(h,n,t) from stdin"));
  // A rule is nothing to a COPY.
  BOOST_TEST(
      stored(table + "; create rule no as on insert to \"Odd\".to do instead nothing", "\"Odd\".to(h,n,t) from stdin"));
  connection.exec("drop schema \"Odd\" cascade");
  // All columns, of which one is generated and takes nothing: they are not what they seem to be.
  connection.exec_script(
      "drop table if exists c; create temp table c(h float8, g float8 generated always as (h * 2) stored, n float8)");
  connection.exec("begin");
  BOOST_TEST(connection.copy_in("copy c from stdin", unsized(std::vector<std::tuple<double, double>>{{1, 2}})) == 1U);
  BOOST_TEST(connection.exec("select h = 1 and g = 2 and n = 2 from c").one<bool>());
  connection.exec("commit");
  const auto three = caught<QueryError>([&] {
    connection.copy_in("copy c from stdin", unsized(std::vector<std::tuple<double, double, double>>{{1, 2, 3}}));
  });
  BOOST_TEST(three.sqlstate() == "22P04");
}

BOOST_AUTO_TEST_CASE(a_domain_is_checked) {
  Connection connection = connect();
  connection.exec_script(
      "create domain pg_temp.half as float8 check (value < 1); "
      "create temp table d(half pg_temp.half, v int, statement text default current_query())");
  connection.copy_in("copy d(half, v) from stdin", unsized(one));
  BOOST_TEST(connection.exec("select statement like '%(format binary)' from d").one<bool>());
  const auto error =
      caught<QueryError>([&] { connection.copy_in("copy d(half, v) from stdin", unsized(Rows{{1.5, 1}})); });
  BOOST_TEST(error.sqlstate() == "23514");
}

BOOST_AUTO_TEST_CASE(it_wants_no_privilege_but_those_of_the_copy) {
  Connection connection = with_table();
  for (const char* const grant : {"grant insert on c to writer", "grant insert (half, v) on c to writer"}) {
    connection.exec_script(std::string{"drop role if exists writer; create role writer; truncate c; "} + grant);
    connection.exec("set role writer");
    BOOST_TEST(caught<QueryError>([&] { connection.exec("select * from c"); }).sqlstate() == "42501");
    BOOST_TEST(connection.copy_in(copied, unsized(one)) == 1U);
    connection.exec("reset role");
    BOOST_TEST(is_stored_in_binary(connection));
    connection.exec_script("drop owned by writer");
  }
  connection.exec("set role writer");
  BOOST_TEST(caught<QueryError>([&] { connection.copy_in(copied, unsized(one)); }).sqlstate() == "42501");
  connection.exec("reset role");
}

BOOST_AUTO_TEST_CASE(its_errors_are_those_of_the_copy) {
  Connection connection = with_table();
  for (const bool inside : {false, true}) {
    for (const char* const sql :
         {"copy nowhere from stdin", "copy pg_catalog.nowhere from stdin", "copy c(half, w) from stdin",
          "copy c(half, half) from stdin", "copy c(half) from stdin", "copy from from stdin", "copy c_pkey from stdin",
          "copy c(half, ctid) from stdin", "copy pg_tables from stdin"}) {
      const auto fails = [&](const std::string& statement) {
        if (inside) connection.exec("begin");
        const auto error = caught<QueryError>([&] { connection.copy_in(statement, unsized(one)); });
        BOOST_TEST(error.statement() == statement);
        BOOST_TEST(connection.is_usable());
        BOOST_TEST(connection.in_failed_transaction() == inside);
        if (inside) connection.exec("rollback");
        return error.sqlstate() + ' ' + error.message();
      };
      BOOST_TEST(fails(sql) == fails(std::string{sql} + " (format text)"));
      BOOST_TEST(connection.exec("select count(*) from c").one<int>() == 0);
    }
  }
  BOOST_TEST(caught<QueryError>([&] { connection.copy_in("copy nowhere.c from stdin", unsized(one)); }).sqlstate() ==
             "3F000");
  // What is stored before is undone.
  for (const char* const more :
       {"; alter table c add unique (v)", "; alter table c add unique (v) deferrable initially deferred",
        "; alter table c add check (half < 1)", "; alter table c alter v set not null"}) {
    Connection other = with_table(more);
    const std::vector<std::tuple<double, std::optional<int>>> bad{{0.5, 7}, {0.5, 8}, {1.5, 7}, {1.5, std::nullopt}};
    const auto error = caught<QueryError>([&] { other.copy_in(copied, unsized(bad)); });
    BOOST_TEST(error.sqlstate().starts_with("23"));
    BOOST_TEST(error.statement() == copied);
    BOOST_TEST(!other.in_transaction());
    BOOST_TEST(other.exec("select count(*) from c").one<int>() == 0);
  }
}

BOOST_AUTO_TEST_CASE(the_next_statement_gets_its_answer_whenever_a_copy_fails) {
  Connection connection = with_table(
      "; create or replace function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end "
      "$$; "
      "create trigger refuse before insert on c for each statement execute function refuse()");
  for (const char* const options : {"", " (format text)", " where half <> 1", " where 'a\\' <> ''"})
    for (int i = 0; i < 5; ++i) {
      BOOST_TEST(caught<QueryError>([&] {
                   connection.copy_in(copied + std::string{options}, unsized(one));
                 }).message() == "no");
      if (!connection.is_usable()) connection = connect();
      BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
      BOOST_TEST(connection.exec_script("select 7").one<int>() == 7);
    }
}

BOOST_AUTO_TEST_CASE(an_error_names_its_row_and_column) {
  Connection connection = with_table();
  const std::vector<std::tuple<double, std::chrono::sys_days>> days{
      {0.5, {}}, {0.5, std::chrono::sys_days{std::chrono::days{3'000'000'000}}}};
  connection.exec("alter table c alter v type date using null");
  const auto error = caught<QueryError>([&] { connection.copy_in(copied, unsized(days)); });
  BOOST_TEST(error.sqlstate() == "22008");
  BOOST_TEST(error.context() == "COPY c, line 2, column v");
}

BOOST_AUTO_TEST_CASE(it_is_one_transaction_that_ends_as_it_did) {
  Connection connection = with_table();
  const auto committed = [&] { return std::stoi(server().ask("select count(*) from c")); };
  connection.copy_in(copied, unsized(one));
  BOOST_TEST(!connection.in_transaction());
  BOOST_TEST(committed() == 1);
  connection.exec("begin");
  connection.copy_in(copied, unsized(one));
  BOOST_TEST(connection.in_transaction());
  BOOST_TEST(committed() == 1);
  connection.exec("rollback");
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  {
    Session session{pool};
    BOOST_TEST(session.copy_in(copied, unsized(one)) == 1U);
    BOOST_TEST(session.exec("select count(*) from c").one<int>() == 2);
  }
  BOOST_TEST(committed() == 1);
  {
    Session session{pool};
    BOOST_TEST(session.copy_in(copied, unsized(one)) == 1U);
    session.commit();
  }
  BOOST_TEST(committed() == 2);
  BOOST_TEST(is_stored_in_binary(connection));
  connection.exec("begin");
  BOOST_CHECK_THROW(connection.exec("select 1 / 0"), QueryError);
  BOOST_TEST(caught<QueryError>([&] { connection.copy_in(copied, unsized(one)); }).sqlstate() == "25P02");
  connection.exec("rollback");
}

BOOST_AUTO_TEST_CASE(behind_a_discard_and_around_all_else) {
  for (const ResetLevel reset : {ResetLevel::rollback, ResetLevel::discard_all}) {
    Connection connection = with_table();
    postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .reset = reset}};
    for (int i = 0; i < 3; ++i) {
      auto lease = pool.acquire();
      BOOST_TEST(lease->copy_in(copied, unsized(one)) == 1U);
      BOOST_TEST(lease->exec("select $1::int", i).one<int>() == i);
      Pipeline pipeline;
      pipeline.add("select 1");
      pipeline.add("select 2");
      BOOST_TEST(lease->run(pipeline).size() == 2U);
      for (const double value : lease->stream<double>("select 0.5::float8")) BOOST_TEST(value == 0.5);
      BOOST_TEST(caught<QueryError>([&] { lease->copy_in("copy nowhere from stdin", unsized(one)); }).sqlstate() ==
                 "42P01");
      BOOST_TEST(lease->copy_in("copy c(half, v) from stdin", unsized(Rows{{1, 2}, {3, 4}})) == 2U);
    }
    BOOST_TEST(pool.statistics().opened == 1U);
    BOOST_TEST(is_stored_in_binary(connection));
  }
}

BOOST_AUTO_TEST_CASE(what_the_rows_throw_undoes_all) {
  Connection connection = with_table();
  for (const int count : {0, 3, 5000}) {
    const auto failing = std::views::iota(0) | std::views::transform([count](int i) {
                           if (i == count) throw std::domain_error{"no more"};
                           return std::tuple{0.5, i};
                         });
    BOOST_CHECK_THROW(connection.copy_in(copied, failing), std::domain_error);
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(!connection.in_transaction());
    BOOST_TEST(connection.exec("select count(*) from c").one<int>() == 0);
  }
}

BOOST_AUTO_TEST_CASE(columns_may_change_between_two_copies) {
  Connection connection = with_table();
  const auto store = [&] { connection.copy_in(copied, unsized(one)); };
  for (const bool inside : {false, true})
    for (const auto& [type, binary] : {std::pair{"int8", true}, std::pair{"numeric", false}, std::pair{"text", false},
                                       std::pair{"float4", false}, std::pair{"int4", true}}) {
      server().ask(std::string{"alter table c alter v type "} + type + " using 7; truncate c");
      if (inside) connection.exec("begin");
      store();
      if (inside) connection.exec("commit");
      BOOST_TEST(is_stored_in_binary(connection) == binary, type);
      BOOST_TEST(connection.exec("select bool_and(v::text = '7' and half = 0.5) from c").one<bool>(), type);
    }
}

namespace {

// What a session waits for and has, once it waits.
std::string locks(int pid) {
  const std::string sql =
      "select string_agg(mode || case when granted then '' else ' to come' end, ', ' order by mode) from pg_locks "
      "where "
      "relation = 'c'::regclass and pid = " +
      std::to_string(pid) + " having bool_or(not granted)";
  const TimePoint end = soon();
  for (;;) {
    const std::string found = server().ask(sql);
    if (!found.empty() || Clock::now() > end) return found;
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_table_is_locked_once_and_for_all) {
  Connection connection = with_table();
  Connection other = connect();
  other.exec("begin");
  other.exec("lock table c in share mode");  // in which it is read, and nothing is stored
  auto copying = std::async(std::launch::async, [&] { return connection.copy_in(copied, unsized(one), soon()); });
  // Had it a lock for reading, the other one could not go on.
  BOOST_TEST(locks(connection.backend_pid()) == "RowExclusiveLock to come");
  other.exec("alter table c alter v type text");
  other.exec("commit");
  BOOST_TEST(copying.get() == 1U);
  BOOST_TEST(!is_stored_in_binary(connection));
  BOOST_TEST(connection.exec("select v from c").one<std::string>() == "7");
}

BOOST_AUTO_TEST_CASE(is_given_up_while_it_waits_for_the_answer) {
  Connection connection = with_table();
  Connection other = connect();
  other.exec("begin");
  other.exec("lock table c");
  caught<QueryTimeout>(
      [&] { once_sent(200ms, [&](Duration span) { connection.copy_in(copied, unsized(one), Clock::now() + span); }); });
  BOOST_TEST(!connection.is_usable());
  // Of the server's own limit it is not tried again.
  for (const char* const set : {"set statement_timeout = '50ms'", "set lock_timeout = '50ms'"}) {
    connection = connect();
    connection.exec(set);
    const auto error = caught<QueryError>([&] { connection.copy_in(copied, unsized(one)); });
    BOOST_TEST((error.sqlstate() == "57014" || error.sqlstate() == "55P03"));
    BOOST_TEST(connection.is_usable());
    BOOST_TEST(!connection.in_transaction());
  }
  other.exec("rollback");
  BOOST_TEST(connection.copy_in(copied, unsized(one)) == 1U);
  connection = connect();
  terminate(connection);
  BOOST_CHECK_THROW(connection.copy_in(copied, unsized(one)), ConnectionLost);
}

BOOST_AUTO_TEST_SUITE_END()
