#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(connecting)

namespace {

// Accepts, as the kernel does it for any listener, and never answers.
class SilentServer {
 public:
  SilentServer() : socket_{::socket(AF_INET, SOCK_STREAM, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    BOOST_REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    BOOST_REQUIRE(::listen(socket_, 16) == 0);
    BOOST_REQUIRE(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  ~SilentServer() { ::close(socket_); }

  [[nodiscard]] std::string conninfo() const {
    return "host=127.0.0.1 user=app password=hunter2-secret dbname=app port=" + std::to_string(port_);
  }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

bool holds(const std::exception& error, std::string_view text) {
  return std::string_view{error.what()}.find(text) != std::string_view::npos;
}

}  // namespace

BOOST_AUTO_TEST_CASE(connects_by_key_value_pairs_and_by_uri) {
  Connection first = Connection::connect(server().conninfo(), soon());
  BOOST_TEST(first.exec("select 1").one<int>() == 1);
  Connection second = Connection::connect("postgresql://postgres@/postgres?host=" + server().host(), soon());
  BOOST_TEST(second.exec("select current_user::text").one<std::string>() == "postgres");
  BOOST_TEST(first.backend_pid() != second.backend_pid());
  BOOST_TEST(first.server_version() >= 120000);
}

BOOST_AUTO_TEST_CASE(connects_by_a_directory_with_an_at_sign_in_its_name) {
  const std::string directory = server().host() + "@15-main";
  std::filesystem::create_symlink(server().host(), directory);
  const auto answers = [](const std::string& text, ConnectionSettings settings = {}) {
    return Connection::connect(text, soon(), {}, std::move(settings)).exec("select 1").one<int>() == 1;
  };
  BOOST_TEST(answers("user=postgres dbname=postgres host=" + directory));
  BOOST_TEST(answers("user=postgres dbname=postgres host=/nowhere@all," + directory));
  // Whatever its length: scanned once.
  BOOST_TEST(!postgres::detail::ConnectionString::has_user("/" + std::string(2'000'000, '@')));
  BOOST_TEST(answers("postgresql:///postgres?user=postgres&host=" + directory));
  BOOST_TEST(answers(server().conninfo(), {.target = [&](const TargetRequest&) { return Target{.host = directory}; }}));
  const Variable variable{"PGHOST", directory};
  BOOST_TEST(answers("user=postgres dbname=postgres"));
  std::filesystem::remove(directory);
}

BOOST_AUTO_TEST_CASE(connects_with_a_password_and_fails_for_good_with_a_wrong_one) {
  server().ask("drop role if exists with_password; create role with_password login password 'hunter2-secret'");
  Connection good = Connection::connect(server().conninfo("with_password") + " password=hunter2-secret", soon());
  BOOST_TEST(good.exec("select 1").one<int>() == 1);

  const auto wrong = caught<PermanentConnectError>([] {
    static_cast<void>(Connection::connect(server().conninfo("with_password") + " password=hunter3-secret", soon()));
  });
  BOOST_TEST(wrong.sqlstate() == "28P01");
  BOOST_TEST(!holds(wrong, "hunter"));
  BOOST_TEST(holds(wrong, "with_password"));

  const auto none = caught<PermanentConnectError>(
      [] { static_cast<void>(Connection::connect(server().conninfo("with_password"), soon())); });
  BOOST_TEST(holds(none, "password"));
}

BOOST_AUTO_TEST_CASE(fails_for_good_without_such_a_database_role_or_setting) {
  const std::string base = "host=" + server().host();
  const auto database = caught<PermanentConnectError>(
      [&] { static_cast<void>(Connection::connect(base + " user=postgres dbname=nowhere", soon())); });
  BOOST_TEST(database.sqlstate() == "3D000");
  BOOST_TEST(holds(database, "\"nowhere\" does not exist"));
  BOOST_TEST(!holds(database, "LOCATION"));
  const auto role = caught<PermanentConnectError>(
      [&] { static_cast<void>(Connection::connect(base + " user=nobody_knows dbname=postgres", soon())); });
  BOOST_TEST(role.sqlstate() == "28000");
  const auto setting = caught<PermanentConnectError>([&] {
    static_cast<void>(
        Connection::connect(base + " user=postgres dbname=postgres options='-c no_such_setting=1'", soon()));
  });
  BOOST_TEST(setting.sqlstate() == "42704");
}

BOOST_AUTO_TEST_CASE(may_recover_from_a_server_that_is_not_there) {
  const auto error = caught<ConnectError>([] {
    static_cast<void>(Connection::connect("host=/nonexistent user=app password=hunter2-secret dbname=app", soon()));
  });
  BOOST_TEST(error.sqlstate().empty());
  BOOST_TEST(!holds(error, "hunter2"));
  BOOST_TEST(!holds(error, "\n"));
}

BOOST_AUTO_TEST_CASE(may_recover_from_too_many_connections) {
  server().ask("drop role if exists one_at_a_time; create role one_at_a_time login connection limit 1");
  const Connection first = Connection::connect(server().conninfo("one_at_a_time"), soon());
  try {
    static_cast<void>(Connection::connect(server().conninfo("one_at_a_time"), soon()));
    BOOST_ERROR("connected");
  } catch (const PermanentConnectError&) {
    BOOST_ERROR("permanent");
  } catch (const ConnectError& error) {
    BOOST_TEST(error.sqlstate() == "53300");
  }
}

BOOST_AUTO_TEST_CASE(never_shows_a_malformed_connection_string) {
  const char* const malformed[] = {
      "host=localhost password=hunter2 secret user=app",  // a space that should have been quoted
      "host=localhost password='hunter2",                 // no closing quote
      "password=a hunter2=b",                             // a piece taken for a keyword
      "postgresql://app:hunter2/db",                      // the host is missing: taken for a port
      "postgresql://app:12345678/db",                     // and so is this one
      "postgresql://app:hun/ter2@localhost/db",           // a slash
      "postgresql://app:12/hunter2@localhost/db",         // a slash, and digits before it
      "postgresql://app:p@hunter2@localhost/db",          // an at sign
      "postgresql://app:p?w@hunter2@localhost/db",        // both
      "postgresql://app@localhost/db?pass word=hunter2",  //
      "postgresql://app:hunter2@localhost/db?hunter2",    //
      "postgresql://app:hunter2@[localhost/db",           //
      "postgresql://app:hunter2%zz@localhost/db",         //
      "host=app:hunter2@localhost",                       // a URL's authority
      "host=@abstract,app:hunter2@localhost",             //
      "postgresql:///db?host=app:hunter2@localhost",      //
      "host=app:hun,/ter2@localhost",                     // a password with a comma, and no directory
      "host=/tmp,app:hunter2@localhost",                  //
      "host=localhost port=hunter2",                      //
      "host=localhost connect_timeout=hunter2",           //
      "hunter2",                                          //
  };
  for (const char* text : malformed) {
    BOOST_TEST_CONTEXT(text) {
      const auto error =
          caught<PermanentConnectError>([&] { static_cast<void>(Connection::connect(text, Clock::now() + 1s)); });
      for (const char* secret : {"hunter", "ter2", "hun", "1234567"}) BOOST_TEST(!holds(error, secret));
      BOOST_TEST(holds(error, "malformed connection string"));
    }
  }
}

BOOST_AUTO_TEST_CASE(blots_a_password_out_of_whatever_libpq_says) {
  // The role has the password's name, and the server quotes the role.
  const auto error = caught<PermanentConnectError>([] {
    static_cast<void>(Connection::connect(
        "host=" + server().host() + " user=hunter2-secret password=hunter2-secret dbname=postgres", soon()));
  });
  BOOST_TEST(!holds(error, "hunter2-secret"));
  BOOST_TEST(holds(error, "***"));
  BOOST_TEST(error.message().find("hunter2") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(gives_up_a_silent_server_at_the_deadline) {
  const SilentServer silent;
  const auto start = Clock::now();
  const auto error =
      caught<ConnectError>([&] { static_cast<void>(Connection::connect(silent.conninfo(), start + 150ms)); });
  const auto took = Clock::now() - start;
  BOOST_TEST((took >= 150ms));
  BOOST_TEST((took < 1min));  // which only a failure reaches
  BOOST_TEST(holds(error, "no answer in time"));
  BOOST_TEST(holds(error, "127.0.0.1"));
  BOOST_TEST(!holds(error, "hunter2"));
}

BOOST_AUTO_TEST_CASE(heeds_the_connect_timeout_of_the_connection_string) {
  const SilentServer silent;
  const auto start = Clock::now();
  BOOST_CHECK_THROW(static_cast<void>(Connection::connect(silent.conninfo() + " connect_timeout=1", start + 30s)),
                    ConnectError);
  const auto took = Clock::now() - start;
  BOOST_TEST((took >= 1s));
  BOOST_TEST((took < 20s));  // which only a failure reaches
}

BOOST_AUTO_TEST_CASE(gives_up_soon_when_stopped) {
  const SilentServer silent;
  std::stop_source stop;
  std::jthread stopper{[&] { postgres::detail::pause_until(Clock::now() + 30ms), stop.request_stop(); }};
  const auto start = Clock::now();
  const auto error = caught<ConnectError>(
      [&] { static_cast<void>(Connection::connect(silent.conninfo(), start + 30s, stop.get_token())); });
  BOOST_TEST((Clock::now() - start < 20s));  // which only a failure reaches
  BOOST_TEST(holds(error, "given up"));
}

BOOST_AUTO_TEST_CASE(shows_its_application_name) {
  Connection connection = connect({.application_name = "seven bridges"});
  BOOST_TEST(connection.exec("show application_name").one<std::string>() == "seven bridges");
}

BOOST_AUTO_TEST_CASE(an_application_name_outside_of_the_program_wins) {
  const auto shown = [](const std::string& more) {
    Connection connection =
        Connection::connect(server().conninfo() + more, soon(), {}, {.application_name = "seven bridges"});
    return connection.exec("show application_name").one<std::string>();
  };
  BOOST_TEST(shown(" application_name=blue") == "blue");
  BOOST_TEST(shown(" application_name=''") == "seven bridges");
  const Variable name{"PGAPPNAME", "green"};
  BOOST_TEST(shown("") == "green");
  BOOST_TEST(shown(" application_name=blue") == "blue");
}

BOOST_AUTO_TEST_SUITE_END()
