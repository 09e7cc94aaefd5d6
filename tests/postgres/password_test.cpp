#include <atomic>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(password)

namespace {

// The role that pg_hba.conf wants a password of, by SCRAM.
void give_password(const std::string& password) {
  server().ask("do $$ begin create role with_password login; exception when duplicate_object then end $$");
  server().ask("alter role with_password password '" + password + "'");
}

Connection open(PasswordSource source, const std::string& more = "") {
  return Connection::connect(server().conninfo("with_password") + more, soon(), {}, {.password = std::move(source)});
}

// Knows the password of the day.
class Tokens {
 public:
  std::atomic<int> asked = 0;

  void issue(const std::string& token) {
    give_password(token);
    const std::scoped_lock lock{mutex_};
    token_ = token;
  }
  std::string fetch(const std::string& user, TimePoint deadline) {
    ++asked;
    if (user != "with_password" || deadline < Clock::now()) throw std::invalid_argument{"fetch"};
    const std::scoped_lock lock{mutex_};
    return token_;
  }

 private:
  std::mutex mutex_;
  std::string token_;
};

struct OutOfTokens : std::runtime_error, PermanentFailure {
  using std::runtime_error::runtime_error;
};

}  // namespace

BOOST_AUTO_TEST_CASE(is_asked_for_anew_when_a_connection_is_opened) {
  Tokens tokens;
  tokens.issue("token-of-monday");
  const std::string url = server().conninfo("with_password") + " pool_size=2 pool_max_overflow=0";
  // [password]
  lido::postgres::Pool pool{url, {.password = [&](const lido::postgres::PasswordRequest& request) {
                              return tokens.fetch(request.user, request.deadline);
                            }}};
  // [/password]
  auto first = pool.acquire();
  BOOST_TEST(first->exec("select current_user::text").one<std::string>() == "with_password");
  BOOST_TEST(tokens.asked == 1);
  give_password("token-of-tuesday");
  // There is still `first` to wait for, so that the refusal is the cause of a time-out.
  const TimePoint late = soon();
  do {
    BOOST_CHECK_THROW(static_cast<void>(pool.acquire(100ms)), AcquireTimeout);
  } while (pool.statistics().open_failures == 0 && Clock::now() < late);  // no attempt may have had its turn
  tokens.issue("token-of-tuesday");
  auto second = pool.acquire();
  BOOST_TEST(second->exec("select 1").one<int>() == 1);
  BOOST_TEST(first->exec("select 1").one<int>() == 1);
  BOOST_TEST(tokens.asked >= 3);
}

BOOST_AUTO_TEST_CASE(is_told_where_it_is_for_and_until_when) {
  give_password("right-secret");
  const Variable port{"PGPORT", "5432"};
  const TimePoint deadline = soon();
  PasswordRequest told;
  Connection connection = Connection::connect(server().conninfo("with_password"), deadline, {},
                                              {.password = [&](const PasswordRequest& request) {
                                                told = request;
                                                return "right-secret";
                                              }});
  BOOST_TEST(told.host == server().host());
  BOOST_TEST(told.port == "5432");
  BOOST_TEST(told.user == "with_password");
  BOOST_TEST(told.database == "postgres");
  BOOST_TEST((told.deadline == deadline));
}

BOOST_AUTO_TEST_CASE(wins_over_the_connection_string_and_the_environment) {
  give_password("right-secret");
  const Variable wrong{"PGPASSWORD", "wrong-secret"};
  Connection connection = open([](const PasswordRequest&) { return "right-secret"; }, " password=wrong-secret");
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_throw_is_a_failed_open_that_does_not_show_it) {
  const auto transient = caught<ConnectError>([] {
    static_cast<void>(open([](const PasswordRequest&) -> std::string { throw std::runtime_error{"hunter2"}; }));
  });
  const auto odd = caught<ConnectError>(
      [] { static_cast<void>(open([](const PasswordRequest&) -> std::string { throw "hunter2"; })); });
  const auto permanent = caught<PermanentConnectError>(
      [] { static_cast<void>(open([](const PasswordRequest&) -> std::string { throw OutOfTokens{"hunter2"}; })); });
  for (const Error& error : {Error{transient}, Error{odd}, Error{permanent}}) {
    const std::string_view what = error.what();
    BOOST_TEST(what.find("hunter2") == std::string_view::npos, what);
    BOOST_TEST(what.find("Options::password") != std::string_view::npos, what);
    BOOST_TEST(what.find(server().host()) != std::string_view::npos, what);
  }
}

BOOST_AUTO_TEST_CASE(none_is_no_password) {
  give_password("right-secret");
  const Variable right{"PGPASSWORD", "right-secret"};
  for (const std::string& nothing : {std::string{}, std::string{"right-secret\0x", 14}})
    BOOST_CHECK_THROW(static_cast<void>(open([&](const PasswordRequest&) { return nothing; })), ConnectError);
}

BOOST_AUTO_TEST_CASE(a_caller_does_not_wait_for_one_that_takes_long) {
  give_password("right-secret");
  std::atomic<bool> go = false;
  postgres::Pool pool{server().conninfo("with_password"), {.password = [&](const PasswordRequest& request) {
                        while (!go && Clock::now() < request.deadline)
                          postgres::detail::pause_until(Clock::now() + 1ms);
                        return "right-secret";
                      }}};
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire(50ms)), AcquireTimeout);
  go = true;
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
