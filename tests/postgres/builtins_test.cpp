// The table of PostgreSQL's own functions and keywords, against a server.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/sql/builtins.hpp>
#include <lido/postgres/detail/sql/keywords.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres::detail;
using namespace lido::test;

namespace {

std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream{file};
  BOOST_REQUIRE_MESSAGE(stream, file << " cannot be read");
  return {std::istreambuf_iterator<char>{stream}, {}};
}

std::set<std::string> words_of(std::string_view list) {
  std::istringstream stream{std::string{list}};
  return {std::istream_iterator<std::string>{stream}, {}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(builtins)

BOOST_AUTO_TEST_CASE(the_table_is_what_the_catalog_of_its_server_says) {
  const std::filesystem::path here = std::filesystem::path{__FILE__}.parent_path();
  const std::string table = content_of(here / "../../adapters/lido/postgres/detail/sql/builtins.hpp");
  const std::string made = server().ask(content_of(here / "builtins.sql")) + '\n';
  const std::string version = server().ask("select current_setting('server_version_num')::int / 10000");
  if (version == "15") BOOST_TEST((table == made), "tests/postgres/builtins.sql prints now:\n" << made);
  // Of another version: whatever is in the table and there as well is still harmless.
  const auto list = [&](std::string_view name) {
    const std::size_t at = made.find(std::string{name} + " =\n");
    std::string text = made.substr(at, made.find(';', at) - at);
    text.erase(0, text.find('"'));
    std::erase(text, '"');
    return words_of(text);
  };
  const std::set<std::string> here_harmless = list("harmless_functions");
  BOOST_TEST(here_harmless.size() > 400U);
  const std::set<std::string> there =
      words_of(server().ask("select string_agg(distinct proname, ' ') from pg_proc "
                            "where pronamespace = 'pg_catalog'::regnamespace"));
  for (const std::string& name : words_of(harmless_functions))
    BOOST_TEST((here_harmless.contains(name) || !there.contains(name)), name);
  const std::set<std::string> functions_too = list("unreserved_keywords");
  for (const std::string& word : words_of(no_function_names)) BOOST_TEST(!functions_too.contains(word), word);
}

BOOST_AUTO_TEST_CASE(finds_each_word_and_no_other) {
  for (const std::string_view list : {harmless_functions, no_function_names, operator_keywords, unreserved_keywords}) {
    for (const std::string& word : words_of(list)) {
      BOOST_TEST(is_builtin(word, list), word);
      BOOST_TEST(!is_builtin(word + "_", list), word);
      BOOST_TEST((is_builtin(word.substr(1), list) == words_of(list).contains(word.substr(1))), word);
    }
    for (const char* word : {"", " ", "a b", "zzzz", "0"}) BOOST_TEST(!is_builtin(word, list), word);
  }
  BOOST_TEST(is_builtin("LoWeR", harmless_functions));
  BOOST_TEST(!is_builtin("lower", ""));
}

BOOST_AUTO_TEST_CASE(none_that_changes_the_session_is_harmless) {
  for (const char* name :
       {"set_config", "setseed", "nextval", "setval", "pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_unlock",
        "pg_advisory_unlock_all", "query_to_xml", "query_to_xmlschema", "cursor_to_xml", "ts_stat", "ts_rewrite",
        "pg_replication_origin_session_setup", "pg_create_logical_replication_slot", "pg_backup_start"})
    BOOST_TEST(!is_builtin(name, harmless_functions), name);
}

BOOST_AUTO_TEST_SUITE_END()
