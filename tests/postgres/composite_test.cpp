// Composite types, as structs and as tuples, in both directions.
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/types/composite.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

// [address]
struct Address {
  std::string street;
  std::optional<std::string> town;
  friend bool operator==(const Address&, const Address&) = default;
};
template <>
inline constexpr bool lido::postgres::is_composite<Address> = true;
// [/address]

namespace {

struct Person {
  std::string name;
  Address home;
  std::vector<std::optional<Address>> others;
  std::optional<std::vector<int>> lucky;
  std::optional<std::vector<std::byte>> picture;
  friend bool operator==(const Person&, const Person&) = default;
};

// A row with a composite value in it.
struct Visit {
  int id;
  std::optional<Address> at;
};

}  // namespace

template <>
inline constexpr bool lido::postgres::is_composite<Person> = true;

BOOST_AUTO_TEST_SUITE(composite)

namespace {

struct Types {
  Types() {
    connection.exec_script(
        "create schema town; set search_path = town; create type address as (street text, town text);"
        "create type person as (name text, home address, others address[], lucky int[], picture bytea);"
        "create domain home as address check ((value).street <> 'nowhere'); create table streets (street text, town "
        "text)");
  }
  ~Types() { connection.exec_script("drop schema town cascade"); }
  Types(const Types&) = delete;
  Types& operator=(const Types&) = delete;
  template <class T>
  std::string refusal(std::string_view sql) {
    return caught<ResultError>([&] { static_cast<void>(connection.exec(sql).template one<T>()); }).actual();
  }
  Connection connection = connect();
};

constexpr std::array edges{"",    " ",    ",",    "a,b",     "(",     ")",    "()",    "\"",       "\"\"",
                           "\\",  "\\\\", "\\\"", "a \"b\"", "NULL",  "null", "{}",    "{",        "}",
                           "\t",  "\n",   "\r\n", "a\vb",    "\f",    "'",    "größe", "[",        "]",
                           "a\\", "\"a",  "(,)",  "x y z",   "\\x00", "\b",   "$1::a", "(\"\",\")"};

}  // namespace

BOOST_FIXTURE_TEST_CASE(passes_structs_there_and_back, Types) {
  // [composite]
  const Address home{"Kongens gate 1", "Oslo"};
  const auto back = connection.exec("select $1::address", home).one<Address>();
  BOOST_TEST((back == home));
  // [/composite]
  BOOST_TEST(connection.exec("select ($1::address).town", home).one<std::string>() == "Oslo");
  BOOST_TEST((connection.exec("select $1::home", home).one<Address>() == home));  // a domain
  connection.exec("insert into streets select ($1::address).*", home);
  BOOST_TEST((connection.exec("select streets from streets").one<Address>() == home));  // the row of a table
  BOOST_TEST((connection.exec("select $1::address is null", std::optional<Address>{}).one<bool>()));
  BOOST_TEST((connection.exec("select null::address").one<std::optional<Address>>() == std::nullopt));
  BOOST_TEST((connection.exec("select row(null, null)::address")
                  .one<std::tuple<std::optional<std::string>, std::optional<std::string>>>() ==
              std::tuple<std::optional<std::string>, std::optional<std::string>>{}));
}

BOOST_FIXTURE_TEST_CASE(passes_every_text_there_and_back_however_deep_it_stands, Types) {
  for (const char* const edge : edges) BOOST_TEST_CONTEXT(edge) {
      const Address address{edge, edge};
      const auto sent = connection.exec("select a, (a).street, (a).town from (select $1::address a) of", address);
      const auto [back, street, town] = sent.one<Address, std::string, std::string>();
      BOOST_TEST((back == address));
      BOOST_TEST(street == edge);
      BOOST_TEST(town == edge);
      const Person person{edge,
                          address,
                          {address, std::nullopt, Address{"x", std::nullopt}},
                          std::vector{1, -2},
                          std::vector<std::byte>{std::byte{0}, std::byte{34}}};
      BOOST_TEST((connection.exec("select $1::person", person).one<Person>() == person));
      BOOST_TEST(connection.exec("select (($1::person).others)[1].street", person).one<std::string>() == edge);
      const std::vector<std::optional<Person>> people{person, std::nullopt, Person{"", {"", ""}, {}, {}, {}}};
      BOOST_TEST((connection.exec("select $1::person[]", people).one<std::vector<std::optional<Person>>>() == people));
    }
}

BOOST_FIXTURE_TEST_CASE(passes_tuples_there_and_back, Types) {
  using Pair = std::tuple<std::string, std::optional<std::string>>;
  const Pair pair{"a,\"b", std::nullopt};
  BOOST_TEST((connection.exec("select $1::address", pair).one<Pair>() == pair));
  const std::vector<Pair> pairs{pair, {"", ""}};
  BOOST_TEST((connection.exec("select $1::address[]", pairs).one<std::vector<Pair>>() == pairs));
  using Record = std::tuple<int, double, bool, std::optional<int>>;
  BOOST_TEST((connection.exec("select row(-2147483648, 0.1::float8, true, null)").one<Record>() ==
              Record{std::numeric_limits<int>::min(), 0.1, true, std::nullopt}));
  BOOST_TEST((connection.exec("select array_agg(r) from (values (1, 'a'), (2, null)) r(x, y)")
                  .one<std::vector<std::tuple<int, std::optional<std::string>>>>()
                  .size() == 2U));
}

BOOST_FIXTURE_TEST_CASE(a_struct_that_is_a_row_has_composite_members, Types) {
  const Result result =
      connection.exec("select row('a', null)::address as at, 1 as id union all select null, 2 order by id");
  BOOST_TEST(result[0].as<Visit>().at.value().street == "a");
  BOOST_TEST(!result[1].as<Visit>().at.has_value());
  std::vector<Address> streamed;
  for (const Address& each : connection.stream<Address>("select row(i, i)::address from generate_series(1, 3) i"))
    streamed.push_back(each);
  BOOST_TEST((streamed.back() == Address{"3", "3"}));
  const std::vector<std::tuple<Address>> rows{{{"a\tb\\", std::nullopt}}, {{"", "\n"}}};
  connection.exec_script("create temp table copied (at town.address)");
  BOOST_TEST(connection.copy_in("copy copied from stdin", rows) == 2U);
  std::vector<Address> copied;
  for (const Address& each : connection.copy_out<Address>("copy copied to stdout")) copied.push_back(each);
  BOOST_TEST((copied == std::vector{std::get<0>(rows[0]), std::get<0>(rows[1])}));
}

BOOST_FIXTURE_TEST_CASE(says_which_field_does_not_fit, Types) {
  const auto ends = [&](const std::string& actual, std::string_view with) {
    return actual.ends_with(" with " + std::string{with});
  };
  BOOST_TEST(ends(refusal<Address>("select row(null, 'x')::address"), "NULL in its field street"));
  BOOST_TEST(ends(refusal<Address>("select row(1, 2, 3)"), "another number of fields than 2"));
  BOOST_TEST(ends(refusal<Address>("select row(1)"), "another number of fields than 2"));
  BOOST_TEST(ends(refusal<std::tuple<int, int>>("select row(1, 'secret')"), "a field 2 that is no int32_t"));
  BOOST_TEST(refusal<Address>("select 'x'::text") == "text");
  BOOST_TEST(refusal<Address>("select array[row('a', 'b')::address]").ends_with("a text that is no composite value"));
  const auto wanted = caught<ResultError>(
      [&] { static_cast<void>(connection.exec("select 1").one<std::tuple<int, std::optional<int>>>()); });
  BOOST_TEST(wanted.wanted() == "std::tuple<int32_t, std::optional<int32_t>>");
}

BOOST_AUTO_TEST_CASE(a_text_of_any_length_takes_linear_time_and_little_stack) {
  const std::string quotes(1'000'000, '"');
  BOOST_TEST(!Converter<Address>::read("(" + quotes + "\",)").has_value());
  BOOST_TEST(!Converter<Address>::read(std::string(1'000'000, '(')).has_value());
  const std::optional<std::string> written = Converter<Address>::write(Address{quotes, quotes});
  BOOST_TEST((Converter<Address>::read(*written) == Address{quotes, quotes}));
}

BOOST_AUTO_TEST_SUITE_END()
