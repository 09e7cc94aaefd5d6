#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/array.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

namespace {

// One whose arrays have no commas.
struct Box {
  std::string text;
  friend bool operator==(const Box&, const Box&) = default;
};

}  // namespace
template <>
struct lido::postgres::Converter<Box> {
  static constexpr std::string_view name = "Box";
  static constexpr char delimiter = ';';
  static std::optional<Box> read(std::string_view text) { return Box{std::string{text}}; }
  static std::string write(const Box& box) { return box.text; }
};

static_assert(Readable<std::vector<int>> && Readable<std::vector<std::optional<std::string>>>);
static_assert(Readable<std::vector<std::vector<std::vector<double>>>> && Writable<std::vector<std::vector<Uuid>>>);
static_assert(!Readable<std::vector<std::string_view>> && Writable<std::vector<std::string_view>>);
static_assert(!Readable<std::vector<std::optional<std::vector<int>>>> && !Readable<std::vector<char>>);
static_assert(Converter<std::vector<std::vector<std::optional<int>>>>::name ==
              "std::vector<std::vector<std::optional<int32_t>>>");

BOOST_AUTO_TEST_SUITE(array)

namespace {

/// What the server makes of `value` as a parameter of its own type.
template <class T>
T there_and_back(Connection& connection, const T& value) {
  return connection.exec("select $1", value).template one<T>();
}

template <class T>
std::optional<T> read(std::string_view text) {
  return Converter<T>::read(text);
}

}  // namespace

BOOST_AUTO_TEST_CASE(passes_arrays_there_and_back) {
  Connection connection = connect();
  const auto same = [&](const auto& value) { return there_and_back(connection, value) == value; };
  BOOST_TEST(same(std::vector<int>{}));
  BOOST_TEST(same(std::vector<int>{1, -2, std::numeric_limits<int>::min()}));
  BOOST_TEST(same(std::vector<std::optional<std::int64_t>>{std::numeric_limits<std::int64_t>::max(), std::nullopt}));
  BOOST_TEST(same(std::vector<std::uint64_t>{0, std::numeric_limits<std::uint64_t>::max()}));
  BOOST_TEST(same(std::vector<std::uint8_t>{0, 255}));
  BOOST_TEST(same(std::vector<double>{0.1, -1e300, std::numeric_limits<double>::infinity()}));
  BOOST_TEST(same(std::vector<bool>{true, false}));
  BOOST_TEST(same(std::vector<std::vector<int>>{{1, 2, 3}, {4, 5, 6}}));
  BOOST_TEST(same(std::vector<std::vector<std::vector<std::optional<int>>>>{{{1}, {std::nullopt}}, {{3}, {4}}}));
  BOOST_TEST(same(std::vector<std::vector<std::byte>>{{}, {std::byte{0}, std::byte{255}}}));
  BOOST_TEST(same(std::vector<Uuid>{Uuid{}, *Uuid::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")}));
  BOOST_TEST(same(std::vector<Numeric>{{"1.50"}, {"NaN"}}));
}

BOOST_AUTO_TEST_CASE(quotes_and_escapes_texts) {
  Connection connection = connect();
  const std::vector<std::optional<std::string>> texts{
      "",     "plain",   "with space", "comma,",     "{brace}",  "quo\"te",      "back\\slash", "null",
      "NULL", "nullify", "\t ",        "line\nfeed", "'single'", "\xc3\xa4\\\"", "{}",          std::nullopt};
  const Result result = connection.exec("select $1::text[], ($1::text[])[8]", texts);
  BOOST_TEST((result[0][0].as<std::vector<std::optional<std::string>>>() == texts));
  BOOST_TEST(result[0][1].as<std::string>() == "null");
  const std::vector<std::string_view> views{"a", "b c"};
  BOOST_TEST(connection.exec("select array_to_string($1::text[], '|')", views).one<std::string>() == "a|b c");
}

BOOST_AUTO_TEST_CASE(gives_numbers_the_type_of_their_elements_and_lets_the_server_infer_that_of_texts) {
  Connection connection = connect();
  BOOST_TEST(connection.exec("select sum(i) from unnest($1) as i", std::vector<int>{1, 2, 3}).one<int>() == 6);
  BOOST_TEST(connection.exec("select 2::int8 = any($1)", std::vector<int>{1, 2}).one<bool>());
  BOOST_TEST(connection.exec("select 'b' = any($1)", std::vector<std::string>{"a", "b"}).one<bool>());
  const std::optional<std::vector<int>> none;
  BOOST_TEST(connection.exec("select cardinality($1) is null", none).one<bool>());
}

BOOST_AUTO_TEST_CASE(counts_from_zero_whatever_the_lower_bound) {
  Connection connection = connect();
  BOOST_TEST((connection.exec("select '[2:4]={1,2,3}'::int[]").one<std::vector<int>>() == std::vector<int>{1, 2, 3}));
  BOOST_TEST((connection.exec("select '[-1:0][5:5]={{1},{2}}'::int[]").one<std::vector<std::vector<int>>>() ==
              std::vector<std::vector<int>>{{1}, {2}}));
}

BOOST_AUTO_TEST_CASE(refuses_other_dimensions_nulls_and_types) {
  Connection connection = connect();
  const Result result = connection.exec(
      "select array[[1], [2]] as nested, array[1, null] as gaps, array['x'] as texts, array[300] as large, 1 as "
      "scalar");
  const Row row = result[0];
  const auto flat = caught<ResultError>([&] { static_cast<void>(row["nested"].as<std::vector<int>>()); });
  BOOST_TEST(std::string_view{flat.what()}.starts_with(
                 "row 0, column nested: wanted std::vector<int32_t>, found int4[] with other dimensions, a NULL, or an "
                 "element that does not fit"),
             flat.what());
  BOOST_CHECK_THROW(static_cast<void>(row["nested"].as<std::vector<std::string>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["gaps"].as<std::vector<std::vector<int>>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["gaps"].as<std::vector<int>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["large"].as<std::vector<std::uint8_t>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["scalar"].as<std::vector<int>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["scalar"].as<std::vector<std::string>>()), ResultError);
  const auto texts = caught<ResultError>([&] { static_cast<void>(row["texts"].as<std::vector<int>>()); });
  BOOST_TEST(texts.actual() == "text[]");
}

BOOST_AUTO_TEST_CASE(knows_the_arrays_of_the_server) {
  Connection connection = connect();
  const Result types = connection.exec(
      "select oid, typarray, typname, typdelim::text from pg_type where typarray between 1 and 9999 and oid < 10000");
  for (const auto& [type, array, name, delimiter] : types.rows_as<Oid, Oid, std::string, std::string>())
    BOOST_TEST_CONTEXT(name) {
      const auto* const entry = lido::postgres::detail::find_array(array);
      BOOST_REQUIRE(entry != nullptr);
      BOOST_TEST(entry->type == type);
      BOOST_TEST(entry->name == name);
      BOOST_TEST(entry->delimiter == delimiter.front());
    }
  using Texts = std::vector<std::string>;
  for (const auto& [literal, texts] : std::vector<std::pair<std::string, Texts>>{
           {"'{int4,text}'::regtype[]", {"integer", "text"}},
           {"array['<a/>', '<b/>']::xml[]", {"<a/>", "<b/>"}},
           {"array['(1,2)', '(3,4)']::point[]", {"(1,2)", "(3,4)"}},
           {"array['[1,3)', 'empty']::int4range[]", {"[1,3)", "empty"}},
           {"array[acldefault('r', 10)]", {}},
           {"'{(1,1),(0,0);(2,2),(0,0)}'::box[]", {"(1,1),(0,0)", "(2,2),(0,0)"}}})
    BOOST_TEST_CONTEXT(literal) {
      const Result result = connection.exec("select " + literal + " as them");
      if (texts.empty())
        BOOST_TEST(result.one<std::vector<Texts>>().at(0).size() == 1U);
      else
        BOOST_TEST((result.one<Texts>() == texts));
    }
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select '1 2'::int2vector").one<std::vector<int>>()),
                    ResultError);
}

BOOST_AUTO_TEST_CASE(asks_once_for_the_arrays_of_other_types) {
  Connection connection = connect();
  connection.exec_script(
      "drop schema if exists other cascade; create schema other; set search_path = other, public;"
      "create domain whole as int; create domain smaller as whole; create domain list as int[];"
      "create type shape; create function shape_in(cstring) returns shape as 'textin' language internal strict;"
      "create function shape_out(shape) returns cstring as 'textout' language internal strict;"
      "create type shape (input = shape_in, output = shape_out, like = text, delimiter = ':');"
      "create type mood as enum ('sad', 'a:b'); create type pair as (a int, b text);"
      "create table t(numbers smaller[], shapes shape[], moods mood[], pairs pair[], lists list[], one list);"
      "insert into t values ('{1,2}', '{a,b:c:d}', '{sad,a:b}', '{\"(1,x)\"}', '{\"{1,2}\"}', '{7,8}')");
  const std::vector<int> numbers{1, 2};
  const std::vector<std::string> shapes{"a,b", "c", "d"}, moods{"sad", "a:b"}, pairs{"(1,x)"}, lists{"{1,2}"};
  const auto check = [&](const Row& row) {
    BOOST_TEST((row["numbers"].as<std::vector<int>>() == numbers));
    BOOST_TEST((row["numbers"].as<std::vector<std::string>>() == std::vector<std::string>{"1", "2"}));
    BOOST_TEST((row["shapes"].as<std::vector<std::string>>() == shapes));
    BOOST_TEST((row["moods"].as<std::vector<std::string>>() == moods));
    BOOST_TEST((row["pairs"].as<std::vector<std::string>>() == pairs));
    BOOST_TEST((row["lists"].as<std::vector<std::string>>() == lists));
    BOOST_TEST((row["one"].as<std::vector<int>>() == std::vector<int>{7, 8}));
    BOOST_CHECK_THROW(static_cast<void>(row["shapes"].as<std::vector<int>>()), ResultError);
  };
  const char* sql = "select * from other.t";
  // In each way to a result, each in a session that knows nothing yet; in a transaction and with a strange path.
  check(connect().exec(sql)[0]);
  check(connect().exec_script(sql)[0]);
  Connection fresh = connect();
  check(fresh.run(Pipeline{}.add("select 1").add(sql)).at(1)[0]);
  Connection within = connect();
  within.exec_script("begin; set local search_path = other; create table other.made(id int)");
  check(within.exec(sql)[0]);
  BOOST_TEST(within.in_transaction());
  BOOST_TEST(!within.in_failed_transaction());
  // A stream knows what a result before it had; else it refuses what could be another delimiter.
  for (const Row& row : within.stream(sql)) check(row);
  within.exec_script("rollback");
  Connection new_one = connect();
  for (const Row& row : new_one.stream("select numbers, shapes from other.t")) {
    BOOST_TEST((row[0].as<std::vector<std::string>>() == std::vector<std::string>{"1", "2"}));
    BOOST_CHECK_THROW(static_cast<void>(row[1].as<std::vector<std::string>>()), ResultError);
  }
  // Once a type, and for arrays alone.
  const auto looks = [&](Connection& asking) {
    const auto before = asking.channel().array_types();
    static_cast<void>(asking.exec("select numbers, 'sad'::other.mood from other.t"));
    return asking.channel().array_types() != before;
  };
  Connection once = connect();
  BOOST_TEST(looks(once));
  BOOST_TEST(!looks(once));
  BOOST_TEST(once.channel().array_types()->size() == 1U);
  connection.exec_script("drop schema other cascade");
}

BOOST_AUTO_TEST_CASE(is_refused_where_another_delimiter_is_wanted) {
  Connection connection = connect();
  const std::vector<std::optional<std::string>> boxes{"(1,1),(0,0)", "(2,2),(0,0)"};
  BOOST_TEST(caught<QueryError>([&] { connection.exec("select $1::box[]", boxes); }).sqlstate() == "22P02");
  const std::vector<Box> own{{"(1,1),(0,0)"}, {"(2,2),(0,0)"}};
  const Result result = connection.exec("select $1::box[], cardinality($1::box[])", own);
  BOOST_TEST(result[0][1].as<int>() == 2);
  BOOST_TEST((result[0][0].as<std::vector<Box>>() == own));
  connection.exec("create temp table boxes(them box[])");
  BOOST_TEST(connection.copy_in("copy boxes from stdin", std::vector{std::tuple{own}}) == 1U);
  for (const std::vector<Box>& them : connection.copy_out<std::vector<Box>>("copy boxes to stdout"))
    BOOST_TEST((them == own));
  BOOST_CHECK_THROW(connection.copy_in("copy boxes from stdin", std::vector{std::tuple{boxes}}), QueryError);
}

BOOST_AUTO_TEST_CASE(refuses_malformed_texts) {
  const char* const malformed[] = {"",      "{",      "}",         "{1",     "{1,",    "{1,}",  "{,1}",  "{1}}",
                                   "{1} ",  "{{1}",   "{\"1}",     "{\"1\"", "{\"\\",  "{1\"}", "{a}",   "1,2",
                                   "[1:2]", "[1:2]=", "[x:2]={1}", "={1}",   "{1\\2}", "{1{}",  "{{1}}", "{\"\"}"};
  for (const char* text : malformed) BOOST_TEST_CONTEXT(text) BOOST_TEST(!read<std::vector<int>>(text).has_value());
  BOOST_TEST((read<std::vector<std::string>>("{\"\"}") == std::vector<std::string>{""}));
  BOOST_TEST((read<std::vector<std::string>>("{\"\\\\\"}") == std::vector<std::string>{"\\"}));
}

BOOST_AUTO_TEST_SUITE_END()
