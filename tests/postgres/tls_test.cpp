#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/connect/connecting.hpp>
#include <lido/postgres/detail/connect/remote.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/directory.hpp>
#include <support/fault_proxy.hpp>
#include <support/tls_server.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(tls)

namespace {

TlsServer& tls_server() {
  static TlsServer instance;
  return instance;
}

// A home in which libpq finds nothing.
struct EmptyHome {
  Directory directory;
  Variable home{"HOME", directory.path()};
};

// The process may open one file more, and then no other.
class OneMoreFile {
 public:
  OneMoreFile() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);  // that is free
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(lowest) + 1;
    ::close(lowest);
    BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  OneMoreFile(const OneMoreFile&) = delete;
  OneMoreFile& operator=(const OneMoreFile&) = delete;
  ~OneMoreFile() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

Connection open(const std::string& connection_string) { return Connection::connect(connection_string, soon()); }
std::string trusting(const char* authority) { return " sslrootcert=" + tls_server().certificates().file(authority); }
bool encrypted(Connection& connection) { return PQsslInUse(connection.native()) != 0; }

bool holds(const std::exception& error, std::string_view text) {
  return std::string_view{error.what()}.find(text) != std::string_view::npos;
}

std::optional<std::string> mode_for(const std::string& connection_string) {
  postgres::detail::ConnectionString target{connection_string + " sslrootcert=/any"};
  static_cast<void>(postgres::detail::verify_remote(target));
  return target.has("sslmode") ? std::optional<std::string>{target.value("sslmode")} : std::nullopt;
}

}  // namespace

BOOST_AUTO_TEST_CASE(verifies_what_is_neither_a_unix_socket_nor_loopback) {
  for (const char* local :
       {"host=/tmp", "host=@abstract", "host=localhost", "host=LocalHost", "host=127.0.0.1", "host=127.8.9.10",
        "host=::1", "host=0:0:0:0:0:0:0:1", "host=::ffff:127.0.0.1", "dbname=app", "host=/tmp,localhost,127.0.0.1",
        "hostaddr=127.0.0.1", "host=localhost hostaddr=::1", "host=, port=5432,5433"})
    BOOST_TEST(!mode_for(local).has_value(), local);
  for (const char* remote :
       {"host=db.example", "host=10.0.0.1", "host=0.0.0.0", "host=::", "host=127.1", "host=localhost.example",
        "host=128.0.0.1", "host=::ffff:10.0.0.1", "hostaddr=10.0.0.1", "host=localhost hostaddr=10.0.0.1",
        "host=db.example sslmode=''", "host=db.example hostaddr=127.0.0.1", "host=localhost,db.example",
        "host=, hostaddr=127.0.0.1,10.0.0.1"})
    BOOST_TEST((mode_for(remote) == "verify-full"), remote);
}

// Trying again helps once there are files to be had: no setting is to blame. libpq itself is not tried: version 15.18
// reads memory that it has not written where it says why.
BOOST_AUTO_TEST_CASE(a_certificate_that_cannot_be_read_just_now_is_no_failure_for_good) {
  {
    const OneMoreFile limit;
    BOOST_TEST(!postgres::detail::is_out_of_files());
    const int last = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    BOOST_TEST(postgres::detail::is_out_of_files());
    ::close(last);
  }
  // Some of libpq's versions say why.
  const std::string unread = "could not read root certificate file \"root.crt\": ";
  BOOST_TEST(!postgres::detail::blames_settings(unread + "Too many open files"));
  BOOST_TEST(!postgres::detail::blames_settings(unread + "Input/output error"));
  BOOST_TEST(postgres::detail::blames_settings(unread + "no certificate or crl found"));
}

// OpenSSL would take itself down at exit, under a pool that is still there and its threads. The child is this program.
BOOST_AUTO_TEST_CASE(a_program_may_end_with_a_pool_at_work) {
  const std::string string = tls_server().conninfo() + trusting("ca");
  for (const char* const way : {"static", "never destroyed"}) BOOST_TEST_CONTEXT(way) {
      for (int round = 0; round < 5; ++round) {
        const Variable where{"LIDO_TEST_TLS_SERVER", string}, how{"LIDO_TEST_WAY", way};
        char program[] = "/proc/self/exe", filter[] = "--run_test=tls/ends_with_a_pool";
        char* arguments[] = {program, filter, nullptr};
        pid_t child = 0;
        BOOST_REQUIRE(::posix_spawn(&child, program, nullptr, nullptr, arguments, environ) == 0);
        int status = -1;
        ::waitpid(child, &status, 0);
        BOOST_TEST(WIFEXITED(status));
        BOOST_TEST(WEXITSTATUS(status) == 0);
      }
    }
}

// That child.
BOOST_AUTO_TEST_CASE(ends_with_a_pool) {
  const char* const where = std::getenv("LIDO_TEST_TLS_SERVER");
  if (where == nullptr) return;
  const Options options{.pool_size = 4, .pool_timeout = 1min, .keep_alive = 1ms, .sweep_interval = 1ms};
  static postgres::Pool* pool = nullptr;
  if (std::getenv("LIDO_TEST_WAY") == std::string{"static"}) {
    static postgres::Pool instance{where, options};
    pool = &instance;
  } else {
    pool = new postgres::Pool{where, options};
  }
  // Made before OpenSSL is used, and so it goes after what is taken down in its turn.
  static const struct LastWord {
    ~LastWord() {
      auto idle = pool->acquire(), opened = pool->acquire();
      opened->exec("select 'the last word'");
    }
  } last;
  auto lease = pool->acquire();
  BOOST_TEST(encrypted(*lease));
}

BOOST_AUTO_TEST_CASE(leaves_the_choice_to_who_makes_one) {
  BOOST_TEST((mode_for("host=db.example sslmode=disable") == "disable"));
  BOOST_TEST((mode_for("host=db.example sslmode=prefer") == "prefer"));
  {
    const Variable mode{"PGSSLMODE", "prefer"};
    BOOST_TEST(!mode_for("host=db.example").has_value());
  }
  const Directory directory;
  std::ofstream{directory / "services"} << "[chosen]\nhost=db.example\nsslmode=require\n[silent]\nhost=db.example\n";
  const Variable services{"PGSERVICEFILE", directory / "services"};
  BOOST_TEST(!mode_for("service=chosen").has_value());
  BOOST_TEST((mode_for("service=silent") == "verify-full"));
  BOOST_TEST(!mode_for("service=silent host=/tmp").has_value());
  const Variable service{"PGSERVICE", "silent"};
  BOOST_TEST((mode_for("dbname=app") == "verify-full"));
}

BOOST_AUTO_TEST_CASE(the_host_may_come_from_the_environment) {
  const Variable host{"PGHOST", "db.example"};
  BOOST_TEST((mode_for("dbname=app") == "verify-full"));
  BOOST_TEST(!mode_for("host=localhost").has_value());
}

BOOST_AUTO_TEST_CASE(connects_to_a_server_whose_name_and_authority_are_right) {
  const EmptyHome home;
  Connection connection = open(tls_server().conninfo() + trusting("ca"));
  BOOST_TEST(encrypted(connection));
  BOOST_TEST(connection.exec("select ssl from pg_stat_ssl where pid = pg_backend_pid()").one<bool>());
  {
    const Variable root{"PGSSLROOTCERT", tls_server().certificates().file("ca")};
    Connection by_variable = open(tls_server().conninfo());
    BOOST_TEST(encrypted(by_variable));
  }
  std::filesystem::create_directory(home.directory / ".postgresql");
  std::filesystem::copy(tls_server().certificates().file("ca"), home.directory / ".postgresql/root.crt");
  Connection by_home = open(tls_server().conninfo());
  BOOST_TEST(encrypted(by_home));
}

BOOST_AUTO_TEST_CASE(fails_for_good_and_in_words_where_name_or_authority_are_wrong) {
  const EmptyHome home;
  const auto authority =
      caught<PermanentConnectError>([] { static_cast<void>(open(tls_server().conninfo() + trusting("other"))); });
  BOOST_TEST(holds(authority, "certificate verify failed"), authority.what());
  BOOST_TEST(holds(authority, "sslmode=require"));
  const auto name = caught<PermanentConnectError>(
      [] { static_cast<void>(open(tls_server().conninfo("other.example") + trusting("ca"))); });
  BOOST_TEST(holds(name, "\"db.example\" does not match host name \"other.example\""), name.what());
  BOOST_TEST(holds(name, "sslmode=verify-full"));
  // Who has chosen is not told how to choose.
  const auto chosen = caught<PermanentConnectError>([] {
    static_cast<void>(
        open(tls_server().conninfo() + trusting("other") + " sslmode=verify-full password=hunter2-secret"));
  });
  BOOST_TEST(holds(chosen, "certificate verify failed"));
  BOOST_TEST(!holds(chosen, "hunter2"));
  BOOST_TEST(!holds(chosen, "sslmode"));
}

BOOST_AUTO_TEST_CASE(says_how_to_choose_where_there_is_nothing_to_verify_with) {
  const EmptyHome home;
  const auto error = caught<PermanentConnectError>([] { static_cast<void>(open(tls_server().conninfo())); });
  for (const char* words : {"db.example", "certificate", "sslrootcert=", "sslmode=require", "PGSSLMODE"})
    BOOST_TEST(holds(error, words), error.what());
  Connection unverified = open(tls_server().conninfo() + " sslmode=require");
  BOOST_TEST(encrypted(unverified));
}

BOOST_AUTO_TEST_CASE(says_how_to_choose_where_the_server_has_no_tls) {
  // To the server behind it the proxy is a Unix socket, on which there is none.
  FaultProxy proxy{server().socket()};
  std::string target = proxy.conninfo("postgres");
  target.replace(target.find(" sslmode="), std::string::npos, " host=db.example hostaddr=127.0.0.1");
  const auto error = caught<PermanentConnectError>([&] { static_cast<void>(open(target + trusting("ca"))); });
  BOOST_TEST(holds(error, "does not support SSL"), error.what());
  BOOST_TEST(holds(error, "sslmode=disable"));
  Connection connection = open(target + " sslmode=disable");
  BOOST_TEST(!encrypted(connection));
}

BOOST_AUTO_TEST_CASE(a_loopback_address_needs_no_certificate) {
  Connection connection = open("host=" + tls_server().address() + " user=postgres dbname=postgres");
  BOOST_TEST(encrypted(connection));
}

BOOST_AUTO_TEST_CASE(sees_a_session_that_ended_while_it_was_idle) {
  Connection connection = open(tls_server().conninfo() + trusting("ca"));
  BOOST_TEST(connection.is_alive());
  connection.exec("select 1");
  BOOST_TEST(connection.is_alive());
  const int pid = connection.backend_pid();
  tls_server().server().ask("select pg_terminate_backend(" + std::to_string(pid) + ", 60000)");
  PostgresServer::wait_until("the end is seen", [&] { return !connection.is_alive(); });
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(a_notification_is_no_end) {
  Connection connection = open(tls_server().conninfo() + trusting("ca"));
  connection.exec("listen tidings");
  tls_server().server().ask("notify tidings, 'good'");
  PostgresServer::wait_until("it has come", [&] {
    BOOST_TEST(connection.is_alive());
    const postgres::detail::LibpqMemory<PGnotify> notification{PQnotifies(connection.native())};
    return notification != nullptr;
  });
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_pool_replaces_what_the_server_ended) {
  postgres::Pool pool{tls_server().conninfo() + trusting("ca"), {.pool_size = 4, .max_overflow = 0}};
  const auto round = [&] {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (int n = 0; n < 20; ++n)
          if (pool.acquire()->exec("select repeat('x', 100000)")[0][0].as<std::string>().size() != 100000) std::abort();
      });
  };
  round();
  tls_server().server().terminate_backends();
  round();
  const Statistics statistics = pool.statistics();
  BOOST_TEST(statistics.acquired == 320U);
  BOOST_TEST(statistics.found_dead >= 1U);
  BOOST_TEST(statistics.now.leased == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
