#include <cstdlib>

#include <chrono>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/environment.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/policies.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using lido::test::Variable;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(environment)

namespace {

using Variables = std::map<std::string, std::string>;

Environment read(Variables variables) {
  variables.try_emplace("DATABASE_URL", "postgresql://app:hunter2@localhost/app");
  return options_from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(has_the_defaults_where_nothing_is_set) {
  const Environment environment = read({});
  BOOST_TEST(environment.connection_string == "postgresql://app:hunter2@localhost/app");
  const Options& options = environment.options;
  BOOST_TEST(options.pool_size == 20U);
  BOOST_TEST(options.max_overflow == 40U);
  BOOST_TEST((options.pool_timeout == 30s));
  BOOST_TEST((options.pool_recycle == 1800s));
  BOOST_TEST(options.pre_ping);
  BOOST_TEST(options.pooling);
}

BOOST_AUTO_TEST_CASE(another_size_changes_nothing_else) {
  Options options = read({{"ENVIRONMENT", "test"},
                          {"DATABASE_POOL_MIN_IDLE", "7"},
                          {"DATABASE_POOL_IDLE_TIMEOUT", "11s"},
                          {"DATABASE_POOL_MAX_OVERFLOW", "13"}})
                        .options;
  const Growth small = growth_of(options, 5), large = growth_of(options, 50);
  BOOST_TEST((small.overflow.pool_size == 5U && small.overflow.max_overflow == 0U && small.overflow.min_idle == 5U));
  BOOST_TEST((large.overflow.pool_size == 50U && large.overflow.min_idle == 7U));
  BOOST_TEST((small.overflow.idle_timeout == 11s && !small.pooling));
  options.pooling = true;
  BOOST_TEST(growth_of(options, 5).pooling);
}

BOOST_AUTO_TEST_CASE(reads_each_variable) {
  const Options options = read({{"DATABASE_POOL_SIZE", "3"},
                                {"DATABASE_MAX_OVERFLOW", "0"},
                                {"DATABASE_POOL_TIMEOUT", "7500ms"},
                                {"DATABASE_POOL_RECYCLE", "60"},
                                {"DATABASE_POOL_PRE_PING", "false"},
                                {"ENVIRONMENT", "test"}})
                              .options;
  BOOST_TEST(options.pool_size == 3U);
  BOOST_TEST(options.max_overflow == 0U);
  BOOST_TEST((options.pool_timeout == 7500ms));
  BOOST_TEST((options.pool_recycle == 60s));
  BOOST_TEST(!options.pre_ping);
  BOOST_TEST(!options.pooling);
  BOOST_TEST((read({{"DATABASE_POOL_RECYCLE", "-1"}}).options.pool_recycle == Duration::max()));
  BOOST_TEST(read({{"ENVIRONMENT", "production"}}).options.pooling);
  BOOST_TEST(read({{"ENVIRONMENT", "test"}, {"DATABASE_POOL_POOLING", "yes"}}).options.pooling);
  BOOST_TEST(read({{"DATABASE_POOL_MAX_OVERFLOW", "5"}}).options.max_overflow == 5U);
}

BOOST_AUTO_TEST_CASE(knows_yes_and_no_in_many_words) {
  for (const char* yes : {"true", "TRUE", "1", "yes", "on"})
    BOOST_TEST(read({{"DATABASE_POOL_PRE_PING", yes}}).options.pre_ping);
  for (const char* no : {"false", "False", "0", "no", "off"})
    BOOST_TEST(!read({{"DATABASE_POOL_PRE_PING", no}}).options.pre_ping);
}

BOOST_AUTO_TEST_CASE(names_a_malformed_variable_its_value_and_what_was_expected) {
  struct Case {
    const char* variable;
    const char* value;
  };
  const Case cases[] = {
      {"DATABASE_POOL_SIZE", "many"},  {"DATABASE_POOL_SIZE", "-1"},     {"DATABASE_POOL_SIZE", "20x"},
      {"DATABASE_POOL_SIZE", " 20"},   {"DATABASE_POOL_SIZE", "262144"}, {"DATABASE_POOL_SIZE", "99999999999999999999"},
      {"DATABASE_MAX_OVERFLOW", "-1"}, {"DATABASE_POOL_TIMEOUT", "30m"}, {"DATABASE_POOL_TIMEOUT", "-1"},
      {"DATABASE_POOL_RECYCLE", "0"},  {"DATABASE_POOL_RECYCLE", "-2"},  {"DATABASE_POOL_PRE_PING", "maybe"},
      {"DATABASE_POOL_RESET", "all"},
  };
  for (const Case& one : cases) {
    BOOST_TEST_CONTEXT(one.variable << '=' << one.value) {
      try {
        static_cast<void>(read({{one.variable, one.value}}));
        BOOST_ERROR("accepted");
      } catch (const SettingError& error) {
        BOOST_TEST(error.variable() == one.variable);
        const std::string_view what = error.what();
        BOOST_TEST(what.starts_with(std::string{one.variable} + "=" + one.value + ": expected "));
      }
    }
  }
  BOOST_CHECK_EXCEPTION(static_cast<void>(read({{"DATABASE_POOL_SIZE", ""}})), SettingError, [](const Error& error) {
    return std::string_view{error.what()}.starts_with("DATABASE_POOL_SIZE='': expected");
  });
  BOOST_CHECK_THROW(static_cast<void>(read({{"DATABASE_POOL_SIZE", "0"}, {"DATABASE_MAX_OVERFLOW", "0"}})),
                    InvalidOption);
  BOOST_CHECK_EXCEPTION(
      static_cast<void>(read({{"DATABASE_URL", "dbname=app pool_size=many"}, {"DATABASE_POOL_SIZE", "1"}})),
      SettingError, [](const SettingError& error) { return error.variable() == "pool_size"; });
}

BOOST_AUTO_TEST_CASE(needs_no_connection_string_where_libpq_knows_the_way) {
  const auto alone = [](const char* variable) {
    return options_from_environment([variable](const char* name) -> const char* {
      return std::string_view{name} == variable ? "somewhere" : nullptr;
    });
  };
  for (const char* variable : {"PGHOST", "PGHOSTADDR", "PGSERVICE"})
    BOOST_TEST(alone(variable).connection_string.empty(), variable);
  BOOST_CHECK_THROW(static_cast<void>(alone("PGUSER")), SettingError);
}

BOOST_AUTO_TEST_CASE(shows_no_secret) {
  const auto message = [](const Variables& variables) -> std::string {
    try {
      static_cast<void>(read(variables));
    } catch (const SettingError& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(message({{"DATABASE_URL", "postgresql://app:hunter2/app"}}).find("hunter2") == std::string::npos);
  BOOST_TEST(message({{"DATABASE_URL", "postgresql://app:hunter2/app"}}).starts_with("DATABASE_URL: malformed"));
  for (const char* const nothing : {"", "\n", " \t", "pool_size=5", " pool_size=5 pool_max_overflow=0 "})
    BOOST_TEST(message({{"DATABASE_URL", nothing}}).starts_with("DATABASE_URL: expected"), nothing);
  // Where the fault is, whatever it is.
  BOOST_TEST(message({{"DATABASE_URL", "dbname=app pool_siez=3"}}) ==
             "DATABASE_URL: pool_siez: expected a known name; did you mean pool_size?");
  BOOST_TEST(message({{"DATABASE_URL", "dbname=app conect_timeout=3"}}) ==
             "DATABASE_URL: connection string: no key is called conect_timeout; did you mean connect_timeout?");
  // Two values that changed places.
  BOOST_TEST(message({{"DATABASE_POOL_SIZE", "postgresql://app:hunter2@localhost/app"}}).find("hunter2") ==
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(reads_the_environment_of_the_process_when_told_nothing_else) {
  ::setenv("DATABASE_URL", "postgresql:///app", 1);
  ::setenv("DATABASE_POOL_SIZE", "4", 1);
  const Environment environment = options_from_environment();
  ::unsetenv("DATABASE_POOL_SIZE");
  ::unsetenv("DATABASE_URL");
  BOOST_TEST(environment.connection_string == "postgresql:///app");
  BOOST_TEST(environment.options.pool_size == 4U);
  BOOST_CHECK_THROW(static_cast<void>(options_from_environment()), SettingError);
}

BOOST_AUTO_TEST_CASE(what_a_program_was_compiled_with_holds_where_the_environment_says_nothing) {
  const Variable url{"DATABASE_URL", "postgresql:///app"};
  const Variable size{"DATABASE_POOL_SIZE", "4"};
  const Variable overflow{"DATABASE_POOL_MAX_OVERFLOW", std::nullopt};
  const Environment environment = options_from_environment({.pool_size = 2, .max_overflow = 1, .name = "orders"});
  BOOST_TEST(environment.connection_string == "postgresql:///app");
  BOOST_TEST(environment.options.pool_size == 4U);
  BOOST_TEST(environment.options.max_overflow == 1U);
  BOOST_TEST(environment.options.name == "orders");
}

BOOST_AUTO_TEST_CASE(a_variable_that_is_misspelt_is_named_with_the_one_that_was_meant) {
  const Variable url{"DATABASE_URL", "postgresql:///app"};
  const auto refusal = [](const char* name) -> std::string {
    const Variable variable{name, "hunter2"};
    try {
      static_cast<void>(options_from_environment());
    } catch (const SettingError& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(refusal("DATABASE_POOL_SISE") ==
             "DATABASE_POOL_SISE: expected a known name; did you mean DATABASE_POOL_SIZE?");
  BOOST_TEST(refusal("DATABASE_POOL_MAXOVERFLOW").ends_with("did you mean DATABASE_POOL_MAX_OVERFLOW?"));
  BOOST_TEST(refusal("DATABASE_POOL_COLOUR_OF_THE_WATER")
                 .starts_with("DATABASE_POOL_COLOUR_OF_THE_WATER: expected one of DATABASE_POOL_SIZE "));
  BOOST_TEST(refusal("DATABASE_POOL_1\n2").starts_with("a variable that begins with DATABASE_POOL_: expected one of "));
  BOOST_TEST(refusal("DATABASE_MAX_OVERFLOWS") ==
             "DATABASE_MAX_OVERFLOWS: expected a known name; did you mean DATABASE_MAX_OVERFLOW?");
  BOOST_TEST(refusal("DATABASE_STATEMENT_TIMEOUT") ==
             "DATABASE_STATEMENT_TIMEOUT: expected a known name; did you mean DATABASE_POOL_STATEMENT_TIMEOUT?");
  BOOST_TEST(refusal("DATABASE_POOLSIZE").ends_with("did you mean DATABASE_POOL_SIZE?"));
  // What belongs to other programs, or may.
  for (const char* name : {"DATABASE_NAME",
                           "DATABASE_HOST",
                           "DATABASE_PORT",
                           "DATABASE_USER",
                           "DATABASE_USERNAME",
                           "DATABASE_PASSWORD",
                           "DATABASE_PASSWORD_FILE",
                           "DATABASE_SSL",
                           "DATABASE_SSL_MODE",
                           "DATABASE_SSLMODE",
                           "DATABASE_SCHEMA",
                           "DATABASE_TYPE",
                           "DATABASE_DRIVER",
                           "DATABASE_ENGINE",
                           "DATABASE_CLIENT",
                           "DATABASE_TIMEOUT",
                           "DATABASE_POOL",
                           "DATABASE_SIZE",
                           "DATABASE_DIALECT",
                           "DATABASE_READ_URL",
                           "DATABASE_REPLICA_URL",
                           "DATABASE_TEST_URL",
                           "DATABASE_URLS",
                           "DATABASE_MIGRATIONS",
                           "DATABASE_PORT_5432_TCP_ADDR",
                           "DATABASE_SERVICE_HOST",
                           "DATABASE_"})
    BOOST_TEST(refusal(name) == "accepted", name);
  // What Kubernetes sets for a service that is called database-pool.
  for (const char* name : {"DATABASE_POOL_PORT", "DATABASE_POOL_PORT_5432_TCP_ADDR", "DATABASE_POOL_SERVICE_HOST"})
    BOOST_TEST(refusal(name) == "accepted", name);
}

BOOST_AUTO_TEST_CASE(options_out_of_their_range_are_refused_by_name) {
  const auto field = [](const Options& options) -> std::string {
    try {
      validate(options);
    } catch (const InvalidOption& error) {
      return error.field();
    }
    return "";
  };
  BOOST_TEST(field({}) == "");
  BOOST_TEST(field({.pool_size = 0, .max_overflow = 0}) == "Options::pool_size");
  BOOST_TEST(field({.pool_size = 262'144}) == "Options::pool_size");
  BOOST_TEST(field({.max_overflow = 262'143}) == "Options::max_overflow");
  BOOST_TEST(field({.pool_timeout = -1s}) == "Options::pool_timeout");
  BOOST_TEST(field({.pool_timeout = 0s}) == "");
  BOOST_TEST(field({.pool_recycle = 0s}) == "Options::pool_recycle");
  BOOST_TEST(field({.pre_ping_after = -1s}) == "Options::pre_ping_after");
  BOOST_TEST(field({.pool_size = 3, .min_idle = 4}) == "Options::min_idle");
  BOOST_TEST(field({.max_idle_time = 0s}) == "Options::max_idle_time");
  BOOST_TEST(field({.max_uses = 0}) == "Options::max_uses");
  BOOST_TEST(field({.pooling = false, .max_waiting = 0}) == "Options::max_waiting");
  BOOST_TEST(field({.max_waiting = 0, .workers = 0}) == "Options::max_waiting");
  BOOST_TEST(field({.backoff_min = 2s, .backoff_max = 1s}) == "Options::backoff_max");
  BOOST_TEST(field({.workers = 257}) == "Options::workers");
  BOOST_TEST(field({.idle_timeout = -1s}) == "Options::idle_timeout");
  BOOST_TEST(field({.connect_timeout = 0s}) == "Options::connect_timeout");
  BOOST_TEST(field({.check_timeout = 0s}) == "Options::check_timeout");
  BOOST_TEST(field({.reset_timeout = 0s}) == "Options::reset_timeout");
  BOOST_TEST(field({.keep_alive = 0s}) == "Options::keep_alive");
  BOOST_TEST(field({.leak_after = -1s}) == "Options::leak_after");
  BOOST_TEST(field({.statement_timeout = 0s}) == "Options::statement_timeout");
}

BOOST_AUTO_TEST_CASE(echo_writes_a_line_a_statement) {
  std::ostringstream out;
  const Echo echo = echo_to(out);
  echo("select 1", 1500us);
  BOOST_TEST(out.str() == "[1500 us] select 1\n");
}

BOOST_AUTO_TEST_SUITE_END()
