// What lido has for other libraries: JSON documents, hashes and formats. That of Boost is in
// asio/newer_boost_json_test.cpp.
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/interop/format.hpp>
#include <lido/postgres/interop/hash.hpp>
#include <postgres/documents.hpp>
#include <postgres/server.hpp>

#if __has_include(<nlohmann/json.hpp>)
#  include <lido/postgres/interop/nlohmann_json.hpp>
#endif

using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(interop)

#if __has_include(<nlohmann/json.hpp>)
BOOST_AUTO_TEST_CASE(nlohmann_documents_go_there_and_back) {
  documents_go_there_and_back<nlohmann::json>([](const char* text) { return nlohmann::json::parse(text); });
  documents_go_there_and_back<nlohmann::ordered_json>(
      [](const char* text) { return nlohmann::ordered_json::parse(text); });
  Connection connection = connect();
  // [nlohmann]
  const nlohmann::json settings = {{"theme", "dark"}, {"sizes", {1, 2, 3}}};
  const auto theme = connection.exec("select $1::jsonb || '{\"theme\": \"light\"}'", settings).one<nlohmann::json>();
  BOOST_TEST(theme["theme"] == "light");
  // [/nlohmann]
  const auto error = caught<QueryError>([&] { connection.exec("select $1::json", nlohmann::json("\xff")); });
  BOOST_TEST(error.what() == std::string{"parameter $1: a value of nlohmann::json that cannot be passed"});
  for (const double number : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    BOOST_CHECK_THROW(connection.exec("select $1::json", nlohmann::json{{"a", {1, {{"b", number}}}}}), QueryError);
}
#endif

BOOST_AUTO_TEST_CASE(values_of_the_server_are_keys) {
  Connection connection = connect();
  // [hash]
  std::unordered_map<Uuid, std::string> names;
  for (const auto& [id, name] : connection.exec("select gen_random_uuid(), 'name ' || i from generate_series(1, 9) i")
                                    .rows_as<Uuid, std::string>())
    names.emplace(id, name);
  // [/hash]
  BOOST_TEST(names.size() == 9U);
  const auto distinct = [&]<class T>(const T&, const char* values) {
    std::unordered_set<T> set;
    for (const T& each : connection.exec(std::string{"select unnest("} + values + ")").template rows_as<T>())
      set.insert(each);
    return set.size();
  };
  BOOST_TEST(distinct(Numeric{}, "'{1,1.0,1,NaN,NaN}'::numeric[]") == 3U);
  BOOST_TEST(distinct(Json{}, "array['{}', '[]', '{}']::json[]") == 2U);
  BOOST_TEST(distinct(Interval{}, "'{1 mon,30 days,1 day,24:00,1 mon,-1 mon}'::interval[]") == 5U);
  BOOST_TEST(distinct(OrInfinity<std::chrono::sys_days>{},
                      "'{infinity,-infinity,2024-01-01,infinity,2024-01-01}'::date[]") == 3U);
  BOOST_TEST(distinct(OrInfinity<std::chrono::year_month_day>{}, "'{infinity,2024-01-01,2024-01-01}'::date[]") == 2U);
  BOOST_TEST(distinct(Range<int>{}, R"sql('{"[1,2)","[1,1]",empty,"[3,3)","(,)","(1,)"}'::int4range[])sql") == 4U);
  BOOST_TEST(distinct(Range<Numeric>{}, R"sql('{"[1,2)","[1,2]","(1,2)","(,2)","[1,2)"}'::numrange[])sql") == 4U);
  BOOST_TEST(distinct(Multirange<int>{}, "array['{[1,2),[3,4)}', '{}', '{[3,4),[1,2)}']::int4multirange[]") == 2U);
}

#ifdef __cpp_lib_format
BOOST_AUTO_TEST_CASE(values_are_formatted_as_they_are_passed) {
  BOOST_TEST(std::format("{}", Uuid{}) == "00000000-0000-0000-0000-000000000000");
  BOOST_TEST(std::format("{:>6}|{:<4}|", Numeric{"-1.50"}, Json{"{}"}) == " -1.50|{}  |");
  BOOST_TEST(std::format("{}", Interval{.months = std::chrono::months{-1}}) == "-1 mons +0 days +00:00:00.000000");
  BOOST_TEST(std::format("{}", OrInfinity<std::chrono::sys_days>::minus_infinity()) == "-infinity");
  BOOST_TEST(std::format("{:.3}", Range<int>{.lower = 1}) == "[1,");
  BOOST_TEST(std::format("{}", Multirange<int>{{{.lower = 1}, {}}}) == "{[1,),(,)}");
}
#endif

BOOST_AUTO_TEST_SUITE_END()
