// Parameters of which the number or the types are known only when the program runs, and ranges as arrays.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/params.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(params)

namespace {

// Counts up to 3, and is walked over once.
struct Once {
  struct Iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int at = 0;
    int operator*() const { return at; }
    Iterator& operator++() { return ++at, *this; }
    void operator++(int) { ++at; }
    bool operator==(std::default_sentinel_t) const { return at == 3; }
  };
  [[nodiscard]] Iterator begin() const { return {}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
};

// One that has a text.
struct Named {
  std::string name;
  operator std::string_view() const { return name; }  // NOLINT(google-explicit-constructor)
};

template <class T>
inline constexpr bool passes = lido::postgres::detail::is_parameter<T>;

std::string text_of(Connection& connection, const auto& values, const std::string& type) {
  return connection.exec("select $1::" + type + "::text", values).template one<std::string>();
}

}  // namespace

static_assert(passes<std::span<const int>> && passes<std::span<int>> && passes<std::array<std::string, 3>>);
static_assert(passes<std::set<std::int64_t>> && passes<std::unordered_set<std::string>> && passes<std::deque<bool>>);
static_assert(passes<std::initializer_list<double>> && passes<std::vector<const char*>> && passes<std::vector<Named>>);
static_assert(passes<std::optional<std::span<const int>>> && passes<std::span<const std::optional<int>>>);
static_assert(passes<std::span<std::vector<int>>> && passes<std::vector<std::array<int, 2>>>);
static_assert(passes<std::array<std::byte, 16>> && passes<std::span<std::byte>>);
static_assert(!passes<std::vector<char>> && !passes<std::wstring> && !passes<std::filesystem::path>);
static_assert(!passes<std::vector<std::pair<int, int>>> && !passes<Once> && !passes<std::optional<Params>>);
static_assert(!passes<std::list<std::byte>> && !passes<std::vector<std::unique_ptr<int>>>);
static_assert(std::is_nothrow_move_constructible_v<Params> && std::is_nothrow_move_assignable_v<Params>);

BOOST_AUTO_TEST_CASE(as_many_as_the_program_finds_are_bound_to_a_statement) {
  Connection connection = connect();
  connection.exec_script(
      "create temp table users(id int, name text, born date); "
      "insert into users values (1, 'a', '1999-01-01'), (2, 'b', null), (3, 'b', '2001-02-03')");
  const std::optional<std::string> name = "b";
  const std::optional<std::chrono::year_month_day> born;
  const std::optional<int> above = 2;
  // [params]
  std::string sql = "select id from users where true";
  lido::postgres::Params params;
  const auto matches = [&](const char* condition, const auto& value) {
    if (!value) return;
    params.add(*value);
    sql += std::string{" and "} + condition + " $" + std::to_string(params.size());
  };
  matches("name =", name);
  matches("born =", born);
  matches("id >", above);
  const lido::postgres::Result found = connection.exec(sql, params);  // where true and name = $1 and id > $2
  // [/params]
  BOOST_TEST(params.size() == 2U);
  BOOST_TEST(found.one<int>() == 3);
}

BOOST_AUTO_TEST_CASE(each_kind_of_value_is_bound_as_in_a_list) {
  Connection connection = connect();
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}};
  Params all;
  all.add(1).add("text").add(nullptr).add(std::optional<int>{}).add(bytes).add(std::vector{1, 2}).add(true);
  all.add(std::string(100'000, 'x')).add(std::chrono::year{2020} / 2 / 29).add(std::vector<std::byte>{}).add("");
  const std::string sql =
      "select $1::int, $2::text, $3::text, $4::int, $5, $6, $7::bool, length($8), $9, length($10), $11::text";
  for (int i = 0; i < 3; ++i) {  // as it is, then prepared
    const Row row = connection.exec(sql, all)[0];
    BOOST_TEST(row[0].as<int>() == 1);
    BOOST_TEST(row[1].text() == "text");
    BOOST_TEST(row[2].is_null());
    BOOST_TEST(row[3].is_null());
    BOOST_TEST((row[4].as<std::vector<std::byte>>() == bytes));
    BOOST_TEST((row[5].as<std::vector<int>>() == std::vector{1, 2}));
    BOOST_TEST(row[6].as<bool>());
    BOOST_TEST(row[7].as<int>() == 100'000);
    BOOST_TEST((row[8].as<std::chrono::year_month_day>() == std::chrono::year{2020} / 2 / 29));
    BOOST_TEST(row[9].as<int>() == 0);
    BOOST_TEST(row[10].text() == "");
  }
  BOOST_TEST(connection.exec("select 7", Params{}).one<int>() == 7);
}

BOOST_AUTO_TEST_CASE(copies_are_independent_and_what_was_moved_from_is_empty) {
  Connection connection = connect();
  Params one;
  {
    const std::string gone = "added by value";
    one.add(gone);
  }
  Params two = one;
  two.add(2);
  Params three = std::move(one);
  BOOST_TEST(one.empty());  // NOLINT(bugprone-use-after-move): that is what it says
  one.add("again");
  BOOST_TEST(connection.exec("select $1::text || $2::int", two).one<std::string>() == "added by value2");
  BOOST_TEST(connection.exec("select $1::text", three).one<std::string>() == "added by value");
  BOOST_TEST(connection.exec("select $1::text", one).one<std::string>() == "again");
  three = two;
  two.clear();
  BOOST_TEST(two.empty());
  BOOST_TEST(three.size() == 2U);
  const Params& same = three;
  three = same;  // also to itself
  BOOST_TEST(connection.exec("select $1::text || $2::int", three).one<std::string>() == "added by value2");
}

BOOST_AUTO_TEST_CASE(wherever_a_statement_takes_parameters) {
  postgres::Pool pool{server().conninfo()};
  Params params;
  params.add(20).add(22);
  const std::string sql = "select $1::int + $2::int";
  BOOST_TEST(pool.acquire()->exec(sql, params).one<int>() == 42);
  BOOST_TEST(pool.acquire()->exec_until(soon(), sql, params).one<int>() == 42);
  auto lease = pool.acquire();
  for (const int sum : lease->stream<int>(sql, params)) BOOST_TEST(sum == 42);
  for (const int sum : lease->stream_until<int>(soon(), sql, params)) BOOST_TEST(sum == 42);
  Pipeline pipeline;
  pipeline.add(sql, params).add("select 1").add(sql, params);
  params.clear();  // it has its own
  BOOST_TEST(lease->run(pipeline).at(2).one<int>() == 42);
  params.add(20).add(22);
  Session session{pool};
  BOOST_TEST(session.exec(sql, params).one<int>() == 42);
  BOOST_TEST(session.exec_until(soon(), sql, params).one<int>() == 42);
  {
    Savepoint savepoint{session};
    BOOST_TEST(session.exec(sql, params).one<int>() == 42);
    savepoint.release();
  }
  BOOST_TEST(transact(pool, [&](Session& inner) { return inner.exec(sql, params).one<int>(); }) == 42);
  BOOST_CHECK_THROW(lease->exec_until(Clock::now() + 30ms, "select pg_sleep($1::int + $2::int)", params), QueryTimeout);
}

BOOST_AUTO_TEST_CASE(another_number_than_the_statement_has_is_refused_before_anything_is_sent) {
  postgres::Pool pool{server().conninfo()};
  auto connection = pool.acquire();
  Params two;
  two.add("hunter2").add("hunter2");
  const std::pair<const char*, std::string> wrong[] = {
      {"select $1::text", "Params has 2 parameters, and the statement has $1 to $1"},
      {"select $3::text", "Params has 2 parameters, and the statement has $1 to $3"},
      {"select 1 /* $1, $2 */", "Params has 2 parameters, and the statement takes none"},
      {"select '$1', \"$2\", $$ $2 $$, a$2 from t", "Params has 2 parameters, and the statement takes none"},
      {"select $99999999999999999999999", "Params has 2 parameters, and the statement has $1 to $18446744073709551615"},
  };
  for (const auto& [sql, message] : wrong) {
    const char* const text = sql;
    const auto check = [&](const QueryError& error) {
      BOOST_TEST(error.message() == message);
      BOOST_TEST(error.statement() == text);
      BOOST_TEST(error.where().line() != 0U);
      BOOST_TEST(std::string_view{error.what()}.find("hunter2") == std::string_view::npos);
    };
    check(caught<QueryError>([&] { connection->exec(text, two); }));
    check(caught<QueryError>([&] { static_cast<void>(connection->stream(text, two)); }));
    check(caught<QueryError>([&] { Pipeline{}.add(text, two); }));
    Session session{pool};
    check(caught<QueryError>([&] { session.exec(text, two); }));
    BOOST_TEST(session.exec("select 1").one<int>() == 1);  // its transaction has not failed
  }
  BOOST_TEST(caught<QueryError>([&] { connection->exec("select $1", Params{}); }).message() ==
             "Params has 0 parameters, and the statement has $1 to $1");
  BOOST_TEST(connection->is_usable());
  // Where a literal ends, only the session knows: the server says it.
  Params one;
  one.add(1);
  BOOST_TEST(connection->exec(R"(select '\' || $1::int::text)", one).one<std::string>() == "\\1");
  const auto said = caught<QueryError>([&] { connection->exec(R"(select '\' || $1::int::text)", two); });
  BOOST_TEST(!said.sqlstate().empty());
}

BOOST_AUTO_TEST_CASE(a_parameter_behind_an_operator_behind_a_letter_beyond_ascii_is_one) {
  postgres::Pool pool{server().conninfo()};
  auto connection = pool.acquire();
  connection->exec_script("create temp table имена(имя text, ряд int[], größe float8)");
  connection->exec_script("insert into имена values ('имя', '{5,6,7}', 3)");
  Params index, pattern, power, two;
  index.add(2);
  pattern.add("^и");
  power.add(2.0);
  two.add(3).add("b");
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(connection->exec("select ряд[$1] from имена", index).one<int>() == 6);
    BOOST_TEST(connection->exec("select count(*) from имена where имя~$1", pattern).one<int>() == 1);
    BOOST_TEST(connection->exec("select größe^$1 from имена", power).one<double>() == 9.0);
    BOOST_TEST(connection->exec("select ряд[$1] || $2::text from имена", two).one<std::string>() == "7b");
  }
  for (const int found : connection->stream<int>("select ряд[$1] from имена", index)) BOOST_TEST(found == 6);
  Pipeline pipeline;
  pipeline.add("select ряд[$1] from имена", index);
  BOOST_TEST(connection->run(pipeline)[0].one<int>() == 6);
  // The server says it where it is none, or another number.
  BOOST_TEST(!caught<QueryError>([&] { connection->exec("select ряд[$1] from имена", two); }).sqlstate().empty());
  // A `$` behind a letter belongs to the name.
  BOOST_TEST(caught<QueryError>([&] { connection->exec("select größe$1 from имена", power); }).message() ==
             "Params has 1 parameter, and the statement takes none");
}

BOOST_AUTO_TEST_CASE(no_more_than_a_statement_takes) {
  Connection connection = connect();
  Params params;
  while (params.size() < 65'535) params.add(1);
  const auto error = caught<QueryError>([&] { params.add(1); });
  BOOST_TEST(std::string_view{error.what()} == "a statement takes at most 65535 parameters");
  BOOST_TEST(params.size() == 65'535U);
  std::string list = "select cardinality(array[$1::int";
  for (int i = 2; i <= 65'535; ++i) list += ",$" + std::to_string(i);
  BOOST_TEST(connection.exec(list + "])", params).one<int>() == 65'535);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_passed_is_named_and_leaves_the_rest_as_it_was) {
  Connection connection = connect();
  Params params;
  params.add(1);
  const auto zero = caught<QueryError>([&] { params.add(std::string{"hunter2\0", 8}); });
  const std::string_view what = zero.what();
  BOOST_TEST(what.starts_with("parameter $2: holds a zero byte"), what);
  BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
  params.add("next");
  BOOST_TEST(connection.exec("select $1::int || $2::text", params).one<std::string>() == "1next");
}

BOOST_AUTO_TEST_CASE(ranges_are_passed_as_arrays) {
  Connection connection = connect();
  const std::vector<int> numbers{3, 1, 2};
  // [ranges]
  const std::set<std::string> names{"anna", "bert"};
  connection.exec("select 'anna' = any($1)", names);
  connection.exec("select sum(i) from unnest($1) as i", std::span{numbers}.first(2));
  connection.exec("select array_agg(i) from unnest($1) as i",
                  numbers | std::views::transform([](int i) { return i * 10; }));
  // [/ranges]
  BOOST_TEST(text_of(connection, std::span{numbers}.subspan(1), "int[]") == "{1,2}");
  BOOST_TEST(text_of(connection, std::array{1.5, 2.5}, "float8[]") == "{1.5,2.5}");
  BOOST_TEST(text_of(connection, std::set<int>{2, 1}, "int[]") == "{1,2}");
  BOOST_TEST(text_of(connection, std::unordered_set<std::string>{"a b"}, "text[]") == "{\"a b\"}");
  BOOST_TEST(text_of(connection, std::deque<bool>{true, false}, "bool[]") == "{t,f}");
  BOOST_TEST(text_of(connection, std::vector<const char*>{"a", nullptr, "NULL"}, "text[]") == "{a,NULL,\"NULL\"}");
  BOOST_TEST(text_of(connection, std::vector<Named>{{"x,y"}}, "text[]") == "{\"x,y\"}");
  BOOST_TEST(text_of(connection, std::array<std::optional<int>, 2>{1, std::nullopt}, "int[]") == "{1,NULL}");
  BOOST_TEST(text_of(connection, std::vector<std::array<int, 2>>{{1, 2}, {3, 4}}, "int[]") == "{{1,2},{3,4}}");
  BOOST_TEST(text_of(connection, std::array<std::vector<int>, 2>{{{1}, {2}}}, "int[]") == "{{1},{2}}");
  BOOST_TEST(text_of(connection, std::span<const int>{}, "int[]") == "{}");
  BOOST_TEST(text_of(connection, std::array{std::byte{1}, std::byte{255}}, "bytea") == "\\x01ff");
  BOOST_TEST(text_of(connection, std::set<std::array<std::byte, 1>>{{std::byte{7}}}, "bytea[]") == "{\"\\\\x07\"}");
  const auto odd = [](int i) { return i % 2 == 1; };  // a view that is walked over only while it is not const
  BOOST_TEST(text_of(connection, numbers | std::views::filter(odd), "int[]") == "{3,1}");
  BOOST_TEST(text_of(connection, std::views::iota(1, 4), "int[]") == "{1,2,3}");
  BOOST_TEST(connection.exec("select $1::int[] is null", std::optional<std::span<const int>>{}).one<bool>());
  // With the types of their elements, as vectors.
  BOOST_TEST(connection.exec("select pg_typeof($1)::text", std::set<std::uint64_t>{1}).one<std::string>() ==
             "bigint[]");
  constexpr auto large = std::numeric_limits<std::uint64_t>::max();
  BOOST_TEST(connection.exec("select pg_typeof($1)::text", std::set{large}).one<std::string>() == "numeric[]");
  BOOST_TEST(connection.exec("select pg_typeof($1)::text", std::array<std::vector<std::uint64_t>, 1>{{{large}}})
                 .one<std::string>() == "numeric[]");
  BOOST_TEST(connection.exec("select pg_typeof($1)::text", std::span<const std::int16_t>{}).one<std::string>() ==
             "smallint[]");
  // In a COPY and among parameters that are known at run time.
  connection.exec("create temp table t(numbers int[], data bytea)");
  const std::vector rows{std::tuple{std::set<int>{1, 2}, std::array{std::byte{1}}}};
  BOOST_TEST(connection.copy_in("copy t from stdin", rows) == 1U);
  Params params;
  params.add(std::span{numbers}).add(std::array{std::byte{2}});
  BOOST_TEST(connection.exec("insert into t values ($1, $2)", params).affected_rows() == 1U);
  BOOST_TEST(
      connection.exec("select string_agg(numbers::text || data::text, ' ' order by data) from t").one<std::string>() ==
      "{1,2}\\x01 {3,1,2}\\x02");
}

BOOST_AUTO_TEST_CASE(a_range_with_a_value_that_cannot_be_passed_is_named_by_its_place) {
  Connection connection = connect();
  const std::array<std::string, 2> texts{"good", std::string{"hunter2\0", 8}};
  const auto error = caught<QueryError>([&] { connection.exec("select $2::text[], $1::int", 1, texts); });
  const std::string_view what = error.what();
  BOOST_TEST(what.starts_with("parameter $2: holds a zero byte"), what);
  BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
  // The server wants each row as long as the others.
  BOOST_TEST(caught<QueryError>([&] {
               connection.exec("select $1::int[]", std::array<std::vector<int>, 2>{{{1}, {2, 3}}});
             }).sqlstate() == "22P02");
}

BOOST_AUTO_TEST_SUITE_END()
