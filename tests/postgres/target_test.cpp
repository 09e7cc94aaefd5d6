// Where connections go to, asked for anew whenever one is opened.
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(target_source)

namespace {

// Where the application's servers are just now.
class Discovery {
 public:
  std::atomic<int> asked = 0;

  explicit Discovery(Target first) : now_{std::move(first)} {}
  void move_to(Target next) {
    const std::scoped_lock lock{mutex_};
    now_ = std::move(next);
  }
  Target look_up(TimePoint deadline) {
    ++asked;
    if (deadline < Clock::now()) throw std::invalid_argument{"look_up"};
    const std::scoped_lock lock{mutex_};
    return now_;
  }

 private:
  std::mutex mutex_;
  Target now_;
};

std::string where(Connection& connection) {
  return connection.exec("select current_setting('unix_socket_directories')").one<std::string>();
}

std::string where(postgres::Pool& pool) {
  const auto lease = pool.acquire();
  return where(*lease);
}

Connection open(TargetSource source, const std::string& text = server().conninfo(), TimePoint deadline = soon(),
                const std::stop_token& stop = {}) {
  return Connection::connect(text, deadline, stop, {.target = std::move(source)});
}

struct NoSuchService : std::runtime_error, PermanentFailure {
  using std::runtime_error::runtime_error;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_pool_moves_to_another_server_where_it_is_asked_to_let_the_old_ones_leave) {
  PostgresServer green;
  Discovery discovery{{.host = server().host()}};
  const std::string url = server().conninfo() + " pool_size=4";
  // [target]
  lido::postgres::Pool pool{url, {.target = [&](const lido::postgres::TargetRequest& request) {
                              return discovery.look_up(request.deadline);  // {.host = "blue.db.example"}
                            }}};
  // [/target]
  auto held = pool.acquire();
  BOOST_TEST(where(*held) == server().host());
  {
    auto idle = pool.acquire();
  }
  discovery.move_to({.host = green.host()});
  BOOST_TEST(where(pool) == server().host());  // it was open
  // [changed]
  pool.invalidate();  // idle connections are closed now, those that are held when they come back
  // [/changed]
  BOOST_TEST(where(pool) == green.host());
  BOOST_TEST(where(*held) == server().host());
  const int pid = held->backend_pid();
  held.release();
  PostgresServer::wait_until("it has left", [&] {
    return server().ask("select count(*) from pg_stat_activity where pid = " + std::to_string(pid)) == "0";
  });
  BOOST_TEST(where(pool) == green.host());
  BOOST_TEST(discovery.asked >= 3);
}

BOOST_AUTO_TEST_CASE(a_server_that_goes_away_is_left_for_the_one_that_is_named_now) {
  PostgresServer blue, green;
  Discovery discovery{{.host = blue.host()}};
  postgres::Pool pool{blue.conninfo(), {.backoff_min = 1ms, .target = [&](const auto& request) {
                                          return discovery.look_up(request.deadline);
                                        }}};
  const std::string sql = "select $1::int + 1";
  for (int i = 0; i < 3; ++i) BOOST_TEST(pool.acquire()->exec(sql, i).one<int>() == i + 1);  // prepared there
  discovery.move_to({.host = green.host()});
  blue.stop();
  auto lease = pool.acquire();  // what the server ended is seen before it is leased
  BOOST_TEST(where(*lease) == green.host());
  for (int i = 0; i < 3; ++i) BOOST_TEST(lease->exec(sql, i).one<int>() == i + 1);
}

BOOST_AUTO_TEST_CASE(a_statement_is_cancelled_on_the_server_to_which_its_own_connection_goes) {
  PostgresServer green;
  Connection connection = open([&](const TargetRequest&) { return Target{.host = green.host()}; });
  BOOST_CHECK_THROW(connection.exec_until(Clock::now() + 30ms, "select pg_sleep(600)"), QueryTimeout);
  PostgresServer::wait_until("nobody sleeps", [&] {
    return green.ask(
               "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and "
               "pid <> pg_backend_pid()") == "0";
  });
}

BOOST_AUTO_TEST_CASE(a_user_and_password_hold_for_what_is_opened_from_then_on) {
  server().ask("do $$ begin create role with_password login; exception when duplicate_object then end $$");
  server().ask("alter role with_password password 'of-monday'");
  Discovery discovery{{.user = "with_password", .password = "of-monday"}};
  std::atomic<int> wrong = 0;
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 2, .max_overflow = 0, .target = [&](const TargetRequest& request) {
                         if (request.user != "postgres") ++wrong;  // in a worker, where nothing is to be tested
                         return discovery.look_up(request.deadline);
                       }}};
  auto first = pool.acquire();
  BOOST_TEST(first->exec("select current_user::text").one<std::string>() == "with_password");
  server().ask("alter role with_password password 'of-tuesday'");
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire(100ms)), AcquireTimeout);
  discovery.move_to({.user = "with_password", .password = "of-tuesday"});
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(a_password_source_is_asked_behind_it_and_wins) {
  server().ask("do $$ begin create role with_password login; exception when duplicate_object then end $$");
  server().ask("alter role with_password password 'right-secret'");
  std::string user;
  Connection connection = Connection::connect(
      server().conninfo(), soon(), {},
      {.password =
           [&](const PasswordRequest& request) {
             user = request.user;
             return "right-secret";
           },
       .target = [](const TargetRequest&) { return Target{.user = "with_password", .password = "wrong-secret"}; }});
  BOOST_TEST(user == "with_password");
  BOOST_TEST(connection.exec("select current_user::text").one<std::string>() == "with_password");
}

BOOST_AUTO_TEST_CASE(a_whole_connection_string_takes_the_place_of_the_other) {
  Connection connection = Connection::connect(
      "host=/nowhere user=nobody dbname=nowhere", soon(), {},
      {.application_name = "mover", .target = [&](const TargetRequest& request) {
         BOOST_TEST(request.host == "/nowhere");
         BOOST_TEST(request.database == "nowhere");
         return Target{.connection_string = "postgresql://postgres@/nowhere?host=" + server().host(),
                       .database = "postgres"};
       }});
  BOOST_TEST(connection.exec("select current_setting('application_name')").one<std::string>() == "mover");
  BOOST_TEST(connection.exec("select current_database()::text").one<std::string>() == "postgres");
}

BOOST_AUTO_TEST_CASE(says_nothing_where_nothing_changes) {
  postgres::Pool pool{server().conninfo(), {.target = [](const TargetRequest&) { return Target{}; }}};
  BOOST_TEST(where(pool) == server().host());
}

BOOST_AUTO_TEST_CASE(several_hosts_are_tried_one_after_the_other) {
  Connection named = open([](const TargetRequest&) { return Target{.host = "/nowhere," + server().host()}; });
  BOOST_TEST(where(named) == server().host());
  FaultProxy proxy{server().socket()};
  const std::string text = proxy.conninfo("postgres");
  const std::size_t at = text.find("port=") + 5;
  const std::string port = text.substr(at, text.find(' ', at) - at);
  Connection by_ports =
      open([&](const TargetRequest&) { return Target{.host = "127.0.0.1,127.0.0.1", .port = "1," + port}; }, text);
  BOOST_TEST(by_ports.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_host_wins_over_an_address_of_the_connection_string_but_not_silently_loses_to_one_of_libpq) {
  const TargetSource source = [](const TargetRequest&) { return Target{.host = server().host()}; };
  Connection connection = open(source, server().conninfo() + " hostaddr=127.0.0.9 port=5432");
  BOOST_TEST(where(connection) == server().host());
  const Variable address{"PGHOSTADDR", "127.0.0.9"};
  const auto error = caught<ConnectError>([&] { static_cast<void>(open(source)); });
  BOOST_TEST(std::string_view{error.what()}.find("Options::target, host: PGHOSTADDR") != std::string_view::npos,
             error.what());
}

BOOST_AUTO_TEST_CASE(a_malformed_answer_is_a_failed_open_that_names_the_field_and_does_not_show_it) {
  const std::pair<Target, std::string> wrong[] = {
      {{.connection_string = ""}, "connection_string"},
      {{.connection_string = "hunter2"}, "connection_string"},
      {{.connection_string = "host=localhost password='hunter2"}, "connection_string"},
      {{.connection_string = "hots=localhost password=hunter2"}, "connection_string"},
      {{.connection_string = "postgresql://app:hunter2/x@db.example/app"}, "connection_string"},
      {{.connection_string = std::string{"password=hunter2\0", 17}}, "connection_string"},
      {{.connection_string = "host=localhost password=hunter2 pool_size=3"}, "connection_string"},
      {{.connection_string = "dbname=postgresql://app:hunter2@db/app"}, "connection_string"},
      {{.host = ""}, "host"},
      {{.host = std::string{"hunter2\0x", 9}}, "host"},
      {{.host = "postgresql://app:hunter2@db.example/app"}, "host"},
      {{.host = "app:hunter2@db.example"}, "host"},
      {{.host = "host=db.example password=hunter2"}, "host"},
      {{.host = "a,b", .hostaddr = "127.0.0.1"}, "hostaddr"},
      {{.hostaddr = ""}, "hostaddr"},
      {{.port = ""}, "port"},
      {{.port = "hunter2"}, "port"},
      {{.port = "0"}, "port"},
      {{.port = "65536"}, "port"},
      {{.port = "5432,5433"}, "port"},
      {{.host = "a,b,c", .port = "5432,5433"}, "port"},
      {{.user = ""}, "user"},
      {{.user = "postgresql://app:hunter2@db.example/app"}, "user"},
      {{.password = ""}, "password"},
      {{.password = std::string{"hunter2\0x", 9}}, "password"},
      {{.database = ""}, "database"},
      {{.database = "dbname=app password=hunter2"}, "database"},
  };
  for (const auto& [answer, field] : wrong) {
    const auto error = caught<ConnectError>(
        [&] { static_cast<void>(open([&given = answer](const TargetRequest&) { return given; })); });
    const std::string_view what = error.what();
    BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
    BOOST_TEST(what.find("Options::target, " + field + ": ") != std::string_view::npos, what);
    BOOST_TEST(what.find(server().host()) != std::string_view::npos, what);
  }
  const auto unknown = caught<ConnectError>([] {
    static_cast<void>(open([](const TargetRequest&) { return Target{.connection_string = "hots=a password=b"}; }));
  });
  BOOST_TEST(std::string_view{unknown.what()}.find("did you mean host?") != std::string_view::npos, unknown.what());
}

BOOST_AUTO_TEST_CASE(what_it_throws_is_a_failed_open_that_does_not_show_it) {
  const auto transient = caught<ConnectError>(
      [] { static_cast<void>(open([](const TargetRequest&) -> Target { throw std::runtime_error{"hunter2"}; })); });
  const auto odd =
      caught<ConnectError>([] { static_cast<void>(open([](const TargetRequest&) -> Target { throw "hunter2"; })); });
  const auto permanent = caught<PermanentConnectError>(
      [] { static_cast<void>(open([](const TargetRequest&) -> Target { throw NoSuchService{"hunter2"}; })); });
  for (const Error& error : {Error{transient}, Error{odd}, Error{permanent}}) {
    const std::string_view what = error.what();
    BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
    BOOST_TEST(what.find("Options::target threw") != std::string_view::npos, what);
  }
}

BOOST_AUTO_TEST_CASE(a_bad_answer_is_followed_by_a_good_one) {
  std::atomic<int> asked = 0;
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 1, .max_overflow = 0, .backoff_min = 1ms, .target = [&](const TargetRequest&) {
                         if (++asked < 3) return Target{.host = ""};
                         return Target{.host = server().host()};
                       }}};
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  BOOST_TEST(asked == 3);
}

BOOST_AUTO_TEST_CASE(an_answer_that_comes_too_late_is_none) {
  const TimePoint deadline = Clock::now() + 50ms;
  const auto late = caught<ConnectError>([&] {
    static_cast<void>(open(
        [&](const TargetRequest& request) {
          BOOST_TEST((request.deadline == deadline));
          postgres::detail::pause_until(request.deadline);
          return Target{};
        },
        server().conninfo(), deadline));
  });
  BOOST_TEST(std::string_view{late.what()}.ends_with("Options::target: no answer in time"), late.what());
  std::stop_source stop;
  const auto stopped = caught<ConnectError>([&] {
    static_cast<void>(open(
        [&](const TargetRequest& request) {
          stop.request_stop();
          BOOST_TEST(request.stop.stop_requested());
          return Target{};
        },
        server().conninfo(), soon(), stop.get_token()));
  });
  BOOST_TEST(std::string_view{stopped.what()}.ends_with("Options::target: given up"), stopped.what());
}

BOOST_AUTO_TEST_CASE(a_caller_does_not_wait_for_one_that_takes_long) {
  std::atomic<bool> go = false;
  postgres::Pool pool{server().conninfo(), {.target = [&](const TargetRequest& request) {
                        while (!go && Clock::now() < request.deadline)
                          postgres::detail::pause_until(Clock::now() + 1ms);
                        return Target{};
                      }}};
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire(50ms)), AcquireTimeout);
  go = true;
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
