// Drives everything that can fail with a secret in reach, keeps all that was said, and looks for the secret in it.
#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <syncstream>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/check_health.hpp>
#include <lido/log.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(secrets)

namespace {

// Made of what has to be escaped, and of what has not, so that a part of it would be found as well.
const std::string secret = "hunter2'S\\sec/ret@%";

std::string escaped_for_uri(std::string_view text) {
  std::string uri;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      uri += c;
    else
      ((uri += '%') += digits[byte / 16]) += digits[byte % 16];
  }
  return uri;
}
std::string with_doubled(std::string_view text, std::string_view which, char before) {
  std::string whole;
  for (const char c : text) {
    if (which.find(c) != std::string_view::npos) whole += before == '\0' ? c : before;
    whole += c;
  }
  return whole;
}
const std::string in_uri = escaped_for_uri(secret);
const std::string in_pairs = with_doubled(secret, "'\\", '\\');
const std::string in_sql = with_doubled(secret, "'", '\0');

// All that was said.
class Transcript {
 public:
  template <class Action>
  void drive(const std::string& name, Action action) {
    try {
      static_cast<void>(action());
      say() << name << ": nothing thrown\n";
    } catch (const std::exception& error) {
      ++thrown_;
      say() << name << ": ";
      tell(error);
    }
  }

  std::ostream& stream() noexcept { return said_; }
  [[nodiscard]] std::string text() const { return said_.str(); }
  [[nodiscard]] int thrown() const noexcept { return thrown_; }

 private:
  // Together with workers that log into the same stream.
  std::osyncstream say() { return std::osyncstream{said_}; }

  void tell(const std::exception& error) {
    say() << error.what() << '\n';
    if (const auto* known = dynamic_cast<const postgres::Error*>(&error)) {
      const Diagnostics& all = known->diagnostics();
      say() << "  " << all.message << " | " << all.detail << " | " << all.hint << " | " << all.statement << '\n';
    }
    if (const auto* setting = dynamic_cast<const SettingError*>(&error)) say() << "  " << setting->variable() << '\n';
    const auto* const nesting = dynamic_cast<const std::nested_exception*>(&error);
    if (nesting == nullptr || nesting->nested_ptr() == nullptr) return;
    try {
      nesting->rethrow_nested();
    } catch (const std::exception& cause) {
      say() << "  because ";
      tell(cause);
    }
  }

  std::ostringstream said_;
  int thrown_ = 0;
};

// Ours while what fails may write to the process's own streams.
class Captured {
 public:
  explicit Captured(std::ostream& into)
      : cout_{std::cout.rdbuf(into.rdbuf())},
        cerr_{std::cerr.rdbuf(into.rdbuf())},
        clog_{std::clog.rdbuf(into.rdbuf())} {}
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() {
    std::cout.rdbuf(cout_);
    std::cerr.rdbuf(cerr_);
    std::clog.rdbuf(clog_);
  }

 private:
  std::streambuf *cout_, *cerr_, *clog_;
};

void strings(Transcript& all) {
  const std::pair<const char*, std::string> malformed[] = {
      {"unescaped", "postgresql://app:" + secret + "@localhost/db"},
      {"no host", "postgresql://app:" + in_uri + "/db"},
      {"bad escape", "postgresql://app:" + in_uri + "%zz@localhost/db"},
      {"unknown key", "postgresql://app:" + in_uri + "@localhost/db?" + in_uri + "=1"},
      {"unknown key of ours", "postgresql://app:" + in_uri + "@localhost/db?pool_" + in_uri + "=1"},
      {"unknown value of ours", "postgresql://app:" + in_uri + "@localhost/db?pool_size=" + in_uri},
      {"misspelt key of ours", "postgresql://app:" + in_uri + "@localhost/db?pool_sise=" + in_uri},
      {"duration", "password='" + in_pairs + "' pool_timeout='" + in_pairs + "'"},
      {"flag", "password='" + in_pairs + "' pool_pre_ping='" + in_pairs + "'"},
      {"level", "password='" + in_pairs + "' pool_reset='" + in_pairs + "'"},
      {"port", "password='" + in_pairs + "' port='" + in_pairs + "'"},
      {"number", "password='" + in_pairs + "' connect_timeout='" + in_pairs + "'"},
      {"space", "password=a " + secret + " host=localhost"},
      {"quote", "host=localhost password='" + in_pairs},
      {"unquoted", "host=localhost password='" + secret + "' user=app"},
      {"a key alone", "password='" + in_pairs + "' " + secret},
      {"zero byte", "password='" + in_pairs + std::string{"\0'", 2}},
      {"range", "password='" + in_pairs + "' pool_size=0 pool_max_overflow=0"},
      {"mode", "host=/nowhere password='" + in_pairs + "' sslmode=nonsense"},
  };
  for (const auto& [name, text] : malformed) {
    const std::string& url = text;
    all.drive(name, [&] { return postgres::Pool{url}.acquire(100ms); });
    all.drive(name, [&] { return Connection::connect(url, Clock::now() + 100ms); });
    all.drive(name, [&] {
      return options_from_environment(
          [&](const char* variable) { return std::string_view{variable} == "DATABASE_URL" ? url.c_str() : nullptr; });
    });
  }
  for (const char* wrong : {"DATABASE_POOL_SIZE", "DATABASE_POOL_TIMEOUT", "DATABASE_POOL_PRE_PING"})
    all.drive(wrong, [&] {
      return options_from_environment([&](const char* variable) -> const char* {
        if (std::string_view{variable} == "DATABASE_URL") return "dbname=app";
        return std::string_view{variable} == wrong ? secret.c_str() : nullptr;
      });
    });
}

void connecting(Transcript& all) {
  server().ask("do $$ begin create role with_password login; exception when duplicate_object then end $$");
  server().ask("alter role with_password password 'another'");
  const std::string password = " password='" + in_pairs + "'";
  const std::string good = server().conninfo("with_password");
  const auto attempt = [&](const std::string& name, const std::string& target, PasswordSource source = {}) {
    postgres::Pool pool{target, {.pool_timeout = 150ms, .connect_timeout = 100ms, .password = std::move(source)}};
    log_events(pool, all.stream(), {.level = LogLevel::debug});
    all.drive(name, [&] { return pool.acquire(); });
    const HealthReport report = check_health(pool, 150ms);
    // An attempt may still be about to fail.
    std::osyncstream{all.stream()} << report << '\n' << to_json(report) << '\n' << pool.close(1s).complete << '\n';
  };
  attempt("wrong password", good + password);
  attempt("wrong password by uri", "postgresql://with_password:" + in_uri + "@/postgres?host=" + server().host());
  attempt("a role of that name", "host=" + server().host() + " dbname=postgres user='" + in_pairs + "'" + password);
  attempt("a database of that name", server().conninfo() + " dbname='" + in_pairs + "'" + password);
  attempt("unreachable", "host=/nowhere user=app" + password);
  attempt("refused", "host=127.0.0.1 port=1 user=app" + password);
  attempt("no certificate", "host=db.example hostaddr=127.0.0.1 port=1 user=app" + password);
  attempt("no such certificate",
          "host=db.example hostaddr=127.0.0.1 port=1 user=app sslrootcert=/nowhere sslpassword=" + in_uri + password);
  attempt("a source that is wrong", good, [](const PasswordRequest&) { return secret; });
  attempt("a source that throws", good,
          [](const PasswordRequest&) -> std::string { throw std::runtime_error{secret}; });
  attempt("a source that nests", good, [](const PasswordRequest&) -> std::string {
    try {
      throw std::runtime_error{secret};
    } catch (...) {
      std::throw_with_nested(PermanentConnectError{secret});
    }
  });
  const auto moved = [&](const std::string& name, const std::function<Target()>& source) {
    all.drive(name, [&] {
      return Connection::connect(good, Clock::now() + 150ms, {},
                                 {.target = [&](const TargetRequest&) { return source(); }});
    });
  };
  moved("a target with a wrong password", [] { return Target{.user = "with_password", .password = secret}; });
  moved("a target of a string", [] { return Target{.connection_string = "host=/nowhere password=" + in_uri}; });
  moved("a target of a malformed string", [] { return Target{.connection_string = "password=" + secret}; });
  moved("a target of a string with an unknown key",
        [] { return Target{.connection_string = "hots=a password=" + in_uri}; });
  moved("a target with it in its host", [] { return Target{.host = "app:" + in_uri + "@db.example"}; });
  moved("a target with it as port", [] { return Target{.port = secret}; });
  moved("a target that throws", []() -> Target { throw std::runtime_error{secret}; });
  // The pool may throw as soon as it is made.
  const auto refused = [&](const std::string& name, const std::string& target) {
    all.drive(name, [&] {
      attempt(name, target);
      return 0;
    });
    all.drive(name, [&] { return Connection::connect(target, Clock::now() + 150ms); });
  };
  const std::string host = "host=" + server().host() + " user=postgres ";
  const std::string pasted = "postgresql://app:" + in_uri + "@db.example/app";
  const std::string pairs = with_doubled("host=db.example password='" + in_pairs + "'", "'\\", '\\');
  refused("a string as database", host + "dbname='" + pasted + "'");
  refused("a string with a blank before it as database", host + "dbname=' " + pasted + "'");
  refused("pairs as database", host + "dbname='" + pairs + "'");
  refused("malformed pairs as database", host + "dbname='" + pairs + " hots=x'");
  refused("a string as database of a string",
          "postgresql://postgres@/" + escaped_for_uri(pasted) + "?host=" + server().host());
  refused("a string as user", "host=" + server().host() + " dbname=postgres user='" + pasted + "'");
  refused("a string as host", "host='" + pasted + "'");
  refused("a string as service", host + "service='" + pasted + "'");
  for (const char* name : {"PGDATABASE", "PGUSER", "PGHOST"}) {
    const Variable variable{name, pasted};
    const bool is_host = std::string_view{name} == "PGHOST";
    refused(std::string{"a string as "} + name, is_host ? "user=postgres" : "host=" + server().host());
  }
  const Variable variable{"PGPASSWORD", secret};
  attempt("wrong password of the environment", good);
  attempt("a role of that name, by the environment",
          "host=" + server().host() + " dbname=postgres user='" + in_pairs + "'");
}

void statements(Transcript& all) {
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 1, .max_overflow = 0, .pool_timeout = 50ms, .echo = echo_to(all.stream())}};
  log_events(pool, all.stream(), {.level = LogLevel::debug});
  const std::string literal = "'" + in_sql + "'";
  const std::string statements[] = {
      "create role nobody_new password " + literal + " nonsense",
      "alter role no_such_role password " + literal,
      "alter role no_such_role encrypted password E'" + with_doubled(in_sql, "\\", '\\') + "'",
      "alter role no_such_role password $$" + secret + "$$",
      "alter role no_such_role password \"" + secret + "\"",
      "select '{\"password\": hunter2}'::json",
      "select 1 from pg_authid where rolpassword = \"" + secret + "\"",
      "alter role no_such_role password $tag$" + secret + "$tag$",
      "alter role no_such_role password U&'" + with_doubled(in_sql, "\\", '\\') + "'",
      "create user mapping for no_such_role server no_such_server options (user 'app', password " + literal + ")",
      "select no_such_function(password => " + literal + ")",
      "select set_config('app.password', " + literal + ", false), 1 / 0",
      "select 1 where password = md5(" + literal + ")",
      "alter role no_such_role password /* */ " + literal,
      "create subscription no_such connection 'host=/nowhere password=" + in_uri + "' publication no_such",
      "create subscription no_such connection 'postgresql://app:" + in_uri + "@/nowhere' publication no_such",
      "select no_such_function('postgresql://app:" + in_uri + "@db.example/app')",
      "select no_such_function('postgresql://app:" + in_sql + "@db.example/app')",
  };
  for (const std::string& sql : statements) {
    all.drive("statement", [&] { return pool.acquire()->exec(sql); });
    all.drive("script", [&] { return pool.acquire()->exec_script(sql); });
    all.drive("session", [&] { return Session{pool}.exec(sql); });
  }
  all.drive("parameter", [&] { return pool.acquire()->exec("select 1 / (length($1::text) - length($1))", secret); });
  all.drive("parameter of another type", [&] { return pool.acquire()->exec("select pg_sleep($1)", 0); });
  // Beside a result only the begin of its statement is kept, which may end within a URL.
  for (std::size_t length = 150; length < 270; length += 10)
    all.drive("result of a long statement", [&] {
      return pool.acquire()
          ->exec("select $1::text, '" + std::string(length, 'x') + " postgresql://app:" + in_sql + "@db.example/app'",
                 1)
          .one<int>();
    });
  all.drive("result", [&] { return pool.acquire()->exec("select $1::text", secret).one<int>(); });
  all.drive("time-out", [&] {
    const auto holder = pool.acquire();
    holder->exec("select set_config('app.password', $1, false)", secret);
    return pool.acquire();
  });
  all.drive("query time-out",
            [&] { return pool.acquire()->exec_until(Clock::now() + 20ms, "select pg_sleep(5), length($1)", secret); });
  all.drive("lost", [&] {
    auto lease = pool.acquire(1min);
    terminate(*lease);
    lease->exec("alter role no_such_role password " + literal);
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_value_that_a_message_quotes_cannot_make_the_search_for_one_long) {
  std::string value;
  for (int i = 0; i < 20'000; ++i) value += " $a" + std::to_string(i) + "$";
  value += " password";
  Connection connection = connect();
  const auto error = caught<QueryError>(
      [&] { connection.exec_until(Clock::now() + 30s, "select * from pg_class where oid = $1::int", value); });
  BOOST_TEST(error.diagnostics().sqlstate == "22P02");
  BOOST_TEST(error.diagnostics().message.size() < 70'000U);
  BOOST_TEST(connection.is_usable());
}

BOOST_AUTO_TEST_CASE(no_failing_path_shows_one) {
  Transcript all;
  {
    const Captured captured{all.stream()};
    strings(all);
    connecting(all);
    statements(all);
    all.stream() << Options{.password = [](const PasswordRequest&) { return secret; }} << '\n';
  }
  const std::string said = all.text();
  BOOST_TEST(all.thrown() >= 97);
  for (const std::string& form : {secret, in_uri, in_pairs, in_sql, std::string{"hunter2"}, std::string{"sec/ret"},
                                  std::string{"ret@%"}, std::string{"ret%40"}}) {
    const auto at = said.find(form);
    const auto from = at == std::string::npos ? 0 : said.rfind('\n', at - std::min<std::size_t>(at, 200)) + 1;
    BOOST_TEST(at == std::string::npos, form << " is shown: " << said.substr(from, 600));
  }
}

BOOST_AUTO_TEST_SUITE_END()
