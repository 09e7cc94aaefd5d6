#include <chrono>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/connect/pool_keys.hpp>
#include <lido/postgres/detail/connect/settings.hpp>
#include <lido/postgres/environment.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(settings)

namespace {

// No member has its default.
Options unusual() {
  return {.pool_size = 3,
          .max_overflow = 7,
          .min_idle = 2,
          .pool_timeout = 500ms,
          .pool_recycle = Duration::max(),
          .pre_ping = false,
          .pre_ping_after = 0s,
          .pooling = false,
          .idle_timeout = 90s,
          .max_idle_time = 91s,
          .max_uses = 92,
          .max_waiting = 93,
          .refuse_nested_wait = true,
          .fail_fast_after = 94s,
          .max_standing_wait = 95ms,
          .refuse_hopeless = false,
          .barging_limit = 0s,
          .connect_timeout = 1500us,
          .check_timeout = 24h,
          .reset_timeout = 2h,
          .statement_timeout = 1ns,
          .reset = ResetLevel::discard_all,
          .statement_cache = 7,
          .keep_alive = 59s,
          .sweep_interval = 5s,
          .backoff_min = 7ms,
          .backoff_max = 8ms,
          .workers = 4,
          .leak_after = 61min,
          .load_balance_hosts = true,
          .max_lag = 3s,
          .name = "it's a \\ name & more=50%, @home"};
}

std::string escaped(std::string_view text) {
  std::string uri;
  for (const char c : text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    uri += '%';
    uri += digits[byte / 16];
    uri += digits[byte % 16];
  }
  return uri;
}

using Variables = std::map<std::string, std::string>;

GetVariable from(Variables variables) {
  return [variables = std::move(variables)](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

std::string refusal(const std::string& connection_string) {
  try {
    static_cast<void>(options_from_string(connection_string));
  } catch (const SettingError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

// Initialises any member.
struct Anything {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor): that is what it is for
};
template <class T, class... Members>
constexpr std::size_t members_of() {
  if constexpr (requires { T{Members{}..., Anything{}}; })
    return members_of<T, Members..., Anything>();
  else
    return sizeof...(Members);
}

BOOST_AUTO_TEST_CASE(the_same_options_each_way_are_the_same) {
  const Options code = unusual();
  std::string uri = "postgresql://app@localhost/app?connect_timeout=3";
  Variables variables{{"DATABASE_URL", "dbname=app"}};
  for (const postgres::detail::OptionSetting& setting : postgres::detail::settings) {
    const std::string text = postgres::detail::print(code, setting);
    BOOST_TEST(text != postgres::detail::print({}, setting));
    uri += '&' + setting.key() + '=' + escaped(text);
    variables[setting.variable()] = text;
  }
  const Environment by_uri = options_from_string(uri);
  BOOST_TEST(by_uri.connection_string == "postgresql://app@localhost/app?connect_timeout=3");
  BOOST_TEST(to_string(by_uri.options) == to_string(code));
  const Environment by_pairs = options_from_string("host='a b' " + to_string(code) + " dbname=app");
  BOOST_TEST(by_pairs.connection_string == "host='a b' dbname=app");
  BOOST_TEST(to_string(by_pairs.options) == to_string(code));
  BOOST_TEST(to_string(options_from_environment(from(variables)).options) == to_string(code));
  BOOST_TEST(by_uri.options.name == code.name);
  std::ostringstream out;
  out << code;
  BOOST_TEST(out.str() == to_string(code));
}

BOOST_AUTO_TEST_CASE(every_option_can_be_set_each_way_but_for_functions_and_what_libpq_has) {
  // `echo`, `on_notice`, `password`, `target`, `start_worker` and `application_name`. Whoever adds an option adds a row
  // to `postgres::detail::settings`, or one here.
  BOOST_TEST(members_of<Options>() == postgres::detail::settings.size() + 6);
}

BOOST_AUTO_TEST_CASE(reads_durations_in_many_units) {
  const std::pair<const char*, Duration> good[] = {
      {"0", 0s},
      {"30", 30s},
      {"30s", 30s},
      {"500ms", 500ms},
      {"250us", 250us},
      {"7ns", 7ns},
      {"5min", 5min},
      {"2h", 2h},
      {"1d", 24h},
      {"007", 7s},
      {"never", Duration::max()},
      {"0ms", 0s},
      {"0.5", 500ms},
      {"1.5s", 1500ms},
      {"0.25min", 15s},
      {"1.5h", 90min},
      {"0.000000001", 1ns},
      {"2.0", 2s},
      {"9223372036854775806ns", Duration::max() - 1ns},
  };
  for (const auto& [text, span] : good) BOOST_TEST((postgres::detail::parse_duration(text) == span), text);
  for (const char* text : {"",
                           " ",
                           "s",
                           "-1",
                           "+1",
                           "1m",
                           "1 s",
                           " 1",
                           "1s ",
                           "1.",
                           ".5",
                           "1..5",
                           "1.5.5s",
                           "0.5ns",
                           "0.0000000001",
                           "9223372036.9",
                           "9223372036854775806.0ns",
                           "1S",
                           "never ",
                           "1e3",
                           "0x10",
                           "9223372036854775807",
                           "106752d",
                           "9223372036854775807ns",
                           "99999999999999999999"})
    BOOST_TEST(!postgres::detail::parse_duration(text).has_value(), text);
  for (const auto& [text, span] : good)
    BOOST_TEST((postgres::detail::parse_duration(postgres::detail::print_duration(span)) == span));
}

BOOST_AUTO_TEST_CASE(takes_its_keys_out_and_leaves_the_rest_as_it_is) {
  struct Case {
    const char* text;
    const char* rest;
    const char* keys;
  };
  const Case cases[] = {
      {"", "", ""},
      {"dbname=app", "dbname=app", ""},
      {"pool_size=3", "", "pool_size:3 "},
      {"pool_size = 3 dbname = 'a b'", "dbname = 'a b'", "pool_size:3 "},
      {"dbname='pool_size=3' pool_name='it\\'s' user=u", "dbname='pool_size=3' user=u", "pool_name:it's "},
      {"password=a\\ pool_size=3 pool_size=4\tuser=u", "password=a\\ pool_size=3 user=u", "pool_size:4 "},
      {"user=u pool_size='3", "user=u pool_size='3", ""},
      {"user=u pool_size", "user=u pool_size", ""},
      {"user=u pool_size=", "user=u", "pool_size: "},
      {"postgres://u:p@h:1/db", "postgres://u:p@h:1/db", ""},
      {"postgres://u@h/db?pool_size=3", "postgres://u@h/db", "pool_size:3 "},
      {"postgres://u@h/db?a=1&pool_size=3&b=2", "postgres://u@h/db?a=1&b=2", "pool_size:3 "},
      {"postgres://u@h/db?pool_size=3&b=%32", "postgres://u@h/db?b=%32", "pool_size:3 "},
      {"postgres://u@h/db?pool_size=3&pool_name=a%20b%26", "postgres://u@h/db", "pool_size:3 pool_name:a b& "},
      {"postgres://u@h/db?pool%5Fsize=3", "postgres://u@h/db", "pool_size:3 "},
      {"postgres://u:x?pool_size=3@h/db?pool_size=4", "postgres://u:x?pool_size=3@h/db", "pool_size:4 "},
      {"postgres:///db?host=@abstract&pool_size=4", "postgres:///db?host=@abstract", "pool_size:4 "},
      {"postgres://u@h/db?pool_name=%zz", "postgres://u@h/db?pool_name=%zz", ""},
      {"postgres://u@h/db?pool_size", "postgres://u@h/db?pool_size", ""},
      {"postgres://h/db?pool_x=1@y", "postgres://h/db?pool_x=1@y", ""},
  };
  for (const Case& one : cases) {
    const postgres::detail::SplitString split{one.text};
    std::string keys;
    for (const auto& [key, value] : split.pool) keys.append(key).append(":").append(value).append(" ");
    BOOST_TEST(split.rest == one.rest, one.text);
    BOOST_TEST(keys == one.keys, one.text);
  }
}

BOOST_AUTO_TEST_CASE(names_an_unknown_key) {
  BOOST_TEST(refusal("postgres://h/db?pool_sise=3") == "pool_sise: expected a known name; did you mean pool_size?");
  BOOST_TEST(refusal("dbname=app pool_sise=3") == "pool_sise: expected a known name; did you mean pool_size?");
  BOOST_TEST(
      refusal("pool_conection_string=3").starts_with("pool_conection_string: expected one of pool_size pool_max"));
}

BOOST_AUTO_TEST_CASE(names_an_unknown_key_of_libpq_but_no_piece_of_a_password) {
  const auto refused = [](const std::string& connection_string) -> std::string {
    try {
      static_cast<void>(options_from_string(connection_string));
    } catch (const PermanentConnectError& error) {
      return error.what();
    }
    return "accepted";
  };
  const std::string meant = "connection string: no key is called poolsize; did you mean pool_size?";
  BOOST_TEST(refused("dbname=app poolsize=3") == meant);
  BOOST_TEST(refused("password='x y' poolsize=3") == meant);
  BOOST_TEST(refused("postgres://u:p@h/db?poolsize=3") == meant);
  BOOST_TEST(refused("dbname=app sslmod=require") ==
             "connection string: no key is called sslmod; did you mean sslmode?");
  BOOST_TEST(refused("dbname=app max_overflow=1") ==
             "connection string: no key is called max_overflow; did you mean pool_max_overflow?");
  BOOST_TEST(refused("dbname=app frobnicate=1") == "connection string: no key is called frobnicate");
  // What libpq takes without having an option of that name.
  const std::string sslmod = "connection string: no key is called sslmod; did you mean sslmode?";
  BOOST_TEST(refused("postgres://u:p@h/db?ssl=true&sslmod=require") == sslmod);
  BOOST_TEST(refused("postgres://u:p@h/db?ss%6c=tru%65&sslmod=require") == sslmod);
  BOOST_TEST(refused("dbname=app requiressl=1 sslmod=require") == sslmod);
  BOOST_TEST(refused("postgres://u:p@h/db?ssl=true&requiressl=1") == "accepted");
  BOOST_TEST(refused("postgres://u:p@h/%zz?ssl=true").starts_with("malformed connection string (not shown"));
  BOOST_TEST(refused("postgres://u:p@h/db?ssl=false").starts_with("connection string: no key is called ssl"));
  BOOST_TEST(refused("dbname=app ssl=true").starts_with("connection string: no key is called ssl"));
  // A password that should have been quoted or escaped.
  for (const char* careless : {"password=correct horse=battery", "password=correct horse battery=1",
                               "postgres://u:p/q?horse=1@h/db", "sslpassword=a horse=1 dbname=b", "horse2=1"})
    BOOST_TEST(refused(careless).starts_with("malformed connection string (not shown"), careless);
}

BOOST_AUTO_TEST_CASE(names_a_malformed_key_and_what_was_expected_but_not_its_value) {
  const std::pair<const char*, const char*> cases[] = {
      {"pool_size=hunter2", "pool_size: expected a whole number from 0 to 262143"},
      {"pool_size=-1", "pool_size: expected a whole number from 0 to 262143"},
      {"pool_size=", "pool_size: expected a whole number from 0 to 262143"},
      {"pool_max_overflow=262144", "pool_max_overflow: expected a whole number from 0 to 262143"},
      {"pool_workers=257", "pool_workers: expected a whole number from 0 to 256, or default"},
      {"pool_max_uses=0", "pool_max_uses: expected a whole number of at least 1, or unlimited"},
      {"pool_max_waiting=-1", "pool_max_waiting: expected a whole number of at least 0, or unlimited"},
      {"pool_timeout=30m", "pool_timeout: expected a duration of zero or more: 500ms, "},
      {"pool_timeout=-1", "pool_timeout: expected a duration of zero or more: 500ms, "},
      {"pool_recycle=0", "pool_recycle: expected a duration above zero: 500ms, "},
      {"pool_recycle=-2", "pool_recycle: expected a duration above zero: 500ms, "},
      {"pool_pre_ping=hunter2", "pool_pre_ping: expected true, 1, yes or on, or false, 0, no or off"},
      {"pool_reset=hunter2", "pool_reset: expected one of none, rollback, targeted, "},
  };
  for (const auto& [text, expected] : cases)
    for (const std::string& whole : {std::string{text}, std::string{"postgres://h/db?user=u&"} + text})
      BOOST_TEST(refusal(whole).starts_with(expected), whole << " -> " << refusal(whole));
  BOOST_TEST(refusal("pool_size=hunter2").find("hunter2") == std::string::npos);
  BOOST_CHECK_THROW(static_cast<void>(options_from_string("pool_size=0 pool_max_overflow=0")), InvalidOption);
}

BOOST_AUTO_TEST_CASE(the_string_wins_over_the_environment_and_that_over_the_defaults_of_the_program) {
  const Variables variables{{"DATABASE_URL", "dbname=app pool_size=5 pool_size=6"},
                            {"DATABASE_POOL_SIZE", "7"},
                            {"DATABASE_MAX_OVERFLOW", "8"},
                            {"DATABASE_POOL_IDLE_TIMEOUT", "9"}};
  const Environment environment = options_from_environment(
      from(variables), {.pool_size = 1, .max_overflow = 1, .idle_timeout = 1s, .keep_alive = 1s});
  BOOST_TEST(environment.options.pool_size == 6U);
  BOOST_TEST(environment.options.max_overflow == 8U);
  BOOST_TEST((environment.options.idle_timeout == 9s));
  BOOST_TEST((environment.options.keep_alive == 1s));
  BOOST_TEST((environment.options.leak_after == 5min));
  BOOST_TEST(environment.connection_string == "dbname=app");
  BOOST_TEST(options_from_string("pool_size=5", {.pool_size = 1}).options.pool_size == 5U);
}

BOOST_AUTO_TEST_CASE(a_connection_alone_takes_no_keys_of_a_pool) {
  BOOST_CHECK_EXCEPTION(
      postgres::detail::ConnectionString{"dbname=app pool_size=3"}, PermanentConnectError, [](const Error& e) {
        return std::string_view{e.what()}.find("no key that begins with pool_") != std::string_view::npos;
      });
}

BOOST_AUTO_TEST_SUITE_END()
