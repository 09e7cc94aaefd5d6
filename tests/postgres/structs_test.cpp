// Structs that rows are read as: which column fills which member, and parts of outer joins.
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

namespace {

// [ship]
struct Ship {
  int id;
  std::string name;
  std::string home_port;
  friend bool operator==(const Ship&, const Ship&) = default;
};
// [/ship]

struct Ferry {
  const int id_;
  std::string name_;
};

// [parts]
struct Captain {
  int id;
  std::string name;
  std::optional<int> age;
};

struct Voyage {
  int id;
  std::optional<Captain> captain;  // from captain_id, captain_name and captain_age; empty where all of them are NULL
};
// [/parts]

struct Nicknames {
  std::optional<std::string> first, second;
};
struct Sailor {
  std::string name;
  std::optional<Nicknames> known_as;
};

struct Stamp {
  std::string by, at;
};
struct Log {
  int id;
  Stamp written;
  Stamp deck;
};

struct Alone {
  int number;
};

std::string refusal(const Result& result, auto read) {
  const auto error = caught<ResultError>([&] { static_cast<void>(read(result)); });
  return "column " + error.column() + ": wanted " + error.wanted() + ", found " + error.actual();
}
std::string no_ship(Connection& connection, std::string_view sql) {
  return refusal(connection.exec(sql), [](const Result& result) { return result.rows_as<Ship>(); });
}

}  // namespace

// [names]
template <>
inline constexpr auto lido::postgres::column_names<Ferry> = std::to_array<std::string_view>({"id", "name"});
// [/names]
template <>
inline constexpr auto lido::postgres::column_names<Log> = std::to_array<std::string_view>({"id", "", "deck"});

BOOST_AUTO_TEST_SUITE(structs)

BOOST_AUTO_TEST_CASE(a_column_fills_the_member_of_its_name_wherever_it_stands) {
  Connection connection = connect();
  connection.exec_script(
      "create temp table ships(home_port text, name text, id int); insert into ships values ('Oslo', 'Fram', 1)");
  const Ship fram{1, "Fram", "Oslo"};
  const Result result = connection.exec("select * from ships");
  // [by_name]
  const Ship first = connection.exec("select name, home_port, id from ships where id = $1", 1).one<Ship>();
  // [/by_name]
  BOOST_TEST((first == fram));
  BOOST_TEST((result.one<Ship>() == fram));
  BOOST_TEST((result[0].as<Ship>() == fram));
  BOOST_TEST((result.optional<Ship>() == fram));
  for (const Ship& ship : result.rows_as<Ship>()) BOOST_TEST((ship == fram));
  for (const Ship& ship : connection.stream<Ship>("select name, id, home_port from ships")) BOOST_TEST((ship == fram));
  lido::postgres::Pool pool{server().conninfo()};
  const Ship named = transact(
      pool, [](Session& session) { return session.exec("select 'a' as home_port, 2 as id, 'b' as name").one<Ship>(); });
  BOOST_TEST((named == Ship{2, "b", "a"}));
}

BOOST_AUTO_TEST_CASE(a_column_that_is_missing_or_left_over_or_there_twice_is_named) {
  Connection connection = connect();
  const std::string ship = std::string{lido::postgres::detail::name_of<Ship>()};
  BOOST_TEST(no_ship(connection, "select 1 as id, 'a' as name") ==
             "column home_port: wanted a column of that name for " + ship + ", found none");
  BOOST_TEST(no_ship(connection, "select 1 as id, 'a' as name, 'b' as \"Home_Port\"") ==
             "column home_port: wanted a column of that name for " + ship + ", found none");
  BOOST_TEST(no_ship(connection, "select 1 as id, 'a' as name, 'b' as home_port, 2 as id") ==
             "column id: wanted a column of that name for " + ship + ", found 2 of them");
  BOOST_TEST(no_ship(connection, "select 1 as id, 'a' as name, 'b' as home_port, 2 as length") ==
             "column length: wanted no column beside those of " + ship + ", found one of that name");
  BOOST_TEST(no_ship(connection, "select 'x'::text as id, 'a' as name, 'b' as home_port") ==
             "column id: wanted int32_t, found text");
  BOOST_TEST(no_ship(connection, "select 1, 'a', 'b'") ==
             "column id: wanted a column of that name for " + ship + ", found none");
  BOOST_TEST(refusal(connection.exec("select 'b' as home_port, null as name, 1 as id"), [](const Result& result) {
               return result.one<Ship>();
             }) == "column name: wanted std::string, found NULL");
  auto stream = connection.stream<Ship>(
      "select i as id, i as name, nullif(i, 3)::text as home_port from "
      "generate_series(1, 3) i");
  const auto late = caught<ResultError>([&] {
    for (const Ship& each : stream) BOOST_TEST(each.id < 3);
  });
  BOOST_TEST(late.row() == 2U);
  BOOST_TEST(late.column() == "home_port");
}

BOOST_AUTO_TEST_CASE(columns_may_have_other_names_than_members) {
  Connection connection = connect();
  const Result result = connection.exec("select 'Kronborg' as name, 7 as id");
  BOOST_TEST(result.one<Ferry>().id_ == 7);
  BOOST_TEST(result.one<Ferry>().name_ == "Kronborg");
}

BOOST_AUTO_TEST_CASE(a_struct_is_filled_by_position_where_that_is_asked_for) {
  Connection connection = connect();
  // [position]
  const Ship ship = connection.exec("values (1, 'Fram', 'Oslo')").one<ByPosition<Ship>>();
  // [/position]
  BOOST_TEST((ship == Ship{1, "Fram", "Oslo"}));
  for (const Ship& each : connection.stream<ByPosition<Ship>>("values (1, 'Fram', 'Oslo')")) BOOST_TEST((each == ship));
  const Result wide = connection.exec("select 1, 'Fram', 'Oslo', 'x'");
  BOOST_TEST(refusal(wide, [](const Result& result) { return result.one<ByPosition<Ship>>(); }) ==
             "column *: wanted 3 columns, found 4");
  const Result other = connection.exec("select 'Fram' as name, 'Oslo', 'x'");
  BOOST_TEST(refusal(other, [](const Result& result) { return result.one<ByPosition<Ship>>(); }) ==
             "column name: wanted int32_t, found text");
}

BOOST_AUTO_TEST_CASE(a_single_column_is_the_only_member) {
  Connection connection = connect();
  BOOST_TEST(connection.exec("select count(*) from pg_class where false").one<Alone>().number == 0);
  BOOST_TEST(refusal(connection.exec("select 1, 2"), [](const Result& result) { return result.one<Alone>(); }) ==
             "column *: wanted 1 column, found 2");
}

BOOST_AUTO_TEST_CASE(a_part_of_an_outer_join_is_there_or_is_not) {
  Connection connection = connect();
  connection.exec_script(
      "create temp table captains(id int, name text, age int); insert into captains values (1, 'Sverdrup', null);"
      "create temp table voyages(id int, captain_id int); insert into voyages values (10, 1), (11, null)");
  // [outer]
  const Result result = connection.exec(
      "select v.id, c.id as captain_id, c.name as captain_name, c.age as captain_age "
      "from voyages v left join captains c on c.id = v.captain_id order by v.id");
  for (const Voyage& voyage : result.rows_as<Voyage>())
    BOOST_TEST((voyage.captain ? voyage.captain->name : "nobody") == (voyage.id == 10 ? "Sverdrup" : "nobody"));
  // [/outer]
  BOOST_TEST(!result[0].as<Voyage>().captain->age.has_value());
  BOOST_TEST(!result[1].as<ByPosition<Voyage>>().captain.has_value());
  int there = 0;
  for (const Voyage& voyage : connection.stream<Voyage>("select 1 as captain_age, 2 as id, 3 as captain_id, 'x' as "
                                                        "captain_name union all select null, 1, null, null"))
    there += voyage.captain ? 1 : 0;
  BOOST_TEST(there == 1);
  const Result half = connection.exec("select 1 as id, 2 as captain_id, null as captain_name, 3 as captain_age");
  BOOST_TEST(refusal(half, [](const Result& of) { return of.one<Voyage>(); }) ==
             "column captain_name: wanted std::string, found NULL");
  const auto aliases = [&](const char* values) {
    return connection
        .exec(std::string{"select 'Ann' as name, a as known_as_first, b as known_as_second from (values ("} + values +
              ")) v(a, b)")
        .one<Sailor>();
  };
  BOOST_TEST(!aliases("null, null").known_as.has_value());
  BOOST_TEST(!aliases("'x', null").known_as->second.has_value());
  BOOST_TEST(aliases("null, ''").known_as->second.value() == "");
}

BOOST_AUTO_TEST_CASE(the_columns_of_a_part_begin_with_its_name_unless_that_is_empty) {
  Connection connection = connect();
  const Log log = connection.exec("select 'c' as deck_by, 'a' as by, 1 as id, 'b' as at, 'd' as deck_at").one<Log>();
  BOOST_TEST(log.written.by == "a");
  BOOST_TEST(log.written.at == "b");
  BOOST_TEST(log.deck.by == "c");
  BOOST_TEST(log.deck.at == "d");
}

BOOST_AUTO_TEST_CASE(names_are_those_that_the_program_has) {
  struct Local {
    int größe;
    std::optional<std::chrono::system_clock::time_point> _at;
    std::vector<std::string> operator_;
  };
  namespace detail = lido::postgres::detail;
  BOOST_TEST(detail::names_of_members<Local>[0] == "größe");
  BOOST_TEST(detail::names_of_members<Local>[1] == "_at");
  BOOST_TEST(detail::names_of_members<Local>[2] == "operator_");
  BOOST_TEST(detail::ColumnNames<Voyage>::names[3] == "captain_age");
  Connection connection = connect();
  BOOST_TEST(connection.exec("select null::timestamptz as _at, 7 as \"größe\", '{a}'::text[] as operator_")
                 .one<Local>()
                 .größe == 7);
}

BOOST_AUTO_TEST_CASE(a_copy_is_read_into_structs_by_position) {
  Connection connection = connect();
  connection.exec_script(
      "create temp table ships(home_port text, name text, id int);"
      "insert into ships values ('Oslo', 'Fram', 1), ('a\tb', E'\\\\N', 2)");
  std::vector<Ship> ships;
  // [copy_out]
  for (Ship ship : connection.copy_out<ByPosition<Ship>>("copy ships (id, name, home_port) to stdout"))
    ships.push_back(std::move(ship));
  // [/copy_out]
  BOOST_TEST((ships == std::vector<Ship>{{1, "Fram", "Oslo"}, {2, "\\N", "a\tb"}}));
  for (const Voyage& voyage : connection.copy_out<ByPosition<Voyage>>("copy (values (1, null, null, null)) to stdout"))
    BOOST_TEST(!voyage.captain.has_value());
  const auto error = caught<ResultError>([&] {
    for (const Ship& ship : connection.copy_out<ByPosition<Ship>>("copy ships to stdout")) BOOST_TEST(ship.id == 0);
  });
  BOOST_TEST(error.wanted() == "int32_t");
}

BOOST_AUTO_TEST_CASE(several_threads_read_one_result_as_several_structs) {
  Connection connection = connect();
  const Result result = connection.exec("select 'b' as home_port, 'a' as name, i as id from generate_series(0, 99) i");
  struct Other {
    std::string_view home_port, name;
    long id;
  };
  const auto count = [&]<class T>(const T&) {
    long sum = 0;
    for (const Row row : result) sum += row.as<T>().id;
    return sum;
  };
  std::array<long, 4> sums{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < sums.size(); ++i)
      threads.emplace_back([&, i] { sums[i] = i % 2 == 0 ? count(Ship{}) : count(Other{}); });
  }
  for (const long sum : sums) BOOST_TEST(sum == 4950);
}

BOOST_AUTO_TEST_SUITE_END()
