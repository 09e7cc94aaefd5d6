#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/array.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/values.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

static_assert(Readable<std::vector<int>> && Readable<std::vector<std::optional<std::string>>>);
static_assert(Readable<std::vector<std::vector<std::vector<double>>>> && Writable<std::vector<std::vector<Uuid>>>);
static_assert(!Readable<std::vector<std::string_view>> && Writable<std::vector<std::string_view>>);
static_assert(!Readable<std::vector<std::optional<std::vector<int>>>> && !Readable<std::vector<char>>);
static_assert(Converter<std::vector<std::vector<std::optional<int>>>>::name ==
              "std::vector<std::vector<std::optional<int32_t>>>");

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

BOOST_AUTO_TEST_SUITE(array)

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
  BOOST_TEST(std::string_view{flat.what()} ==
             "row 0, column nested: wanted std::vector<int32_t>, found int4[] with other dimensions, a NULL, or an "
             "element that does not fit");
  BOOST_CHECK_THROW(static_cast<void>(row["nested"].as<std::vector<std::string>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["gaps"].as<std::vector<std::vector<int>>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["gaps"].as<std::vector<int>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["large"].as<std::vector<std::uint8_t>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["scalar"].as<std::vector<int>>()), ResultError);
  BOOST_CHECK_THROW(static_cast<void>(row["scalar"].as<std::vector<std::string>>()), ResultError);
  const auto texts = caught<ResultError>([&] { static_cast<void>(row["texts"].as<std::vector<int>>()); });
  BOOST_TEST(texts.actual() == "text[]");
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
