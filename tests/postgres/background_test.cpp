// Sessions for background work: wherever they are opened, they end with their owner.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(background)

namespace {

constexpr const char* worker = "lido_background";
constexpr const char* server_variable = "LIDO_TEST_LEAVER";  // tells a child of this program where its server is

int sessions(const std::string& which) {
  return std::stoi(server().ask("select count(*) from pg_stat_activity where application_name = '" +
                                std::string{worker} + "'" + which));
}

// After each test: nothing is committed, nothing is leased, and no transaction is open on the server.
struct Background {
  Background() { server().ask("drop table if exists jobs; create table jobs(id int)"); }
  ~Background() {
    const PoolCounts now = pool.statistics().now;
    BOOST_TEST(now.leased == 0U);
    BOOST_TEST(now.total() == 1U);
    BOOST_TEST(pool.holders().empty());
    BOOST_TEST(pool.statistics().acquired == pool.statistics().released);
    BOOST_TEST(sessions(" and xact_start is not null") == 0);
    // That of the test before may still be about to end.
    BOOST_CHECK_NO_THROW(PostgresServer::wait_until("there is this one alone", [] { return sessions("") == 1; }));
    BOOST_TEST(server().ask("select count(*) from jobs") == "0");
    BOOST_TEST(pool.acquire(0s)->exec("select 1").one<int>() == 1);
  }

  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min, .application_name = worker}};
};

void work(Session& session) {
  session.exec("insert into jobs values (1)");
  BOOST_TEST(sessions(" and state = 'idle in transaction'") == 1);
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(ends_with_the_job_that_throws, Background) {
  std::jthread{[this] {
    try {
      Session session{pool};
      work(session);
      throw std::runtime_error{"the job failed"};
    } catch (const std::runtime_error&) {
    }
  }}.join();
}

BOOST_FIXTURE_TEST_CASE(ends_with_the_thread_that_it_belongs_to, Background) {
  std::jthread{[this] {
    thread_local std::optional<Session> own;
    own.emplace(pool);
    work(*own);
  }}.join();
}

BOOST_FIXTURE_TEST_CASE(may_end_in_another_thread_than_it_began_in, Background) {
  std::optional<Session> session;
  std::jthread{[&] { session.emplace(pool); }}.join();
  std::jthread{[&] {
    work(*session);
    session.reset();
  }}.join();
}

BOOST_FIXTURE_TEST_CASE(may_outlive_its_pool_and_then_closes_its_connection, Background) {
  std::optional<postgres::Pool> brief{std::in_place, server().conninfo(), Options{.application_name = "lido_brief"}};
  Session session{*brief};
  session.exec("insert into jobs values (1)");
  brief.reset();
  session.exec("insert into jobs values (2)");
  session.rollback();
  PostgresServer::wait_until("the server is rid of it", [] {
    return server().ask("select count(*) from pg_stat_activity where application_name = 'lido_brief'") == "0";
  });
  static_cast<void>(pool.acquire());  // what the fixture looks for
}

// A child, which is this program anew, ends in the midst of its work, however: without a goodbye of its own the server
// notices, and with one it hears it.
BOOST_AUTO_TEST_CASE(ends_with_the_process) {
  server().ask("drop table if exists jobs; create table jobs(id int)");
  for (const char* way : {"exit", "return", "_exit"}) {
    BOOST_TEST_CONTEXT(way) {
      ::setenv(server_variable, server().conninfo().c_str(), 1);
      ::setenv("LIDO_TEST_WAY", way, 1);
      char program[] = "/proc/self/exe";
      char filter[] = "--run_test=background/leaver";
      char* arguments[] = {program, filter, nullptr};
      pid_t child = 0;
      BOOST_REQUIRE(::posix_spawn(&child, program, nullptr, nullptr, arguments, environ) == 0);
      ::unsetenv(server_variable);
      int status = -1;
      ::waitpid(child, &status, 0);
      BOOST_TEST(WIFEXITED(status));
      BOOST_TEST(WEXITSTATUS(status) == (way == std::string{"return"} ? 0 : 42));
      PostgresServer::wait_until("the server is rid of the child", [] { return sessions("") == 0; });
      BOOST_TEST(server().ask("select count(*) from jobs") == "0");
    }
  }
}

// That child.
BOOST_AUTO_TEST_CASE(leaver) {
  const char* const where = std::getenv(server_variable);
  if (where == nullptr) return;
  static postgres::Pool pool{where, {.application_name = worker}};
  static Session of_the_process{pool};
  thread_local Session of_the_thread{pool};
  std::jthread background{[] {
    Session session{pool};
    session.exec("insert into jobs values (1)");
  }};
  background.join();
  of_the_process.exec("insert into jobs values (2)");
  of_the_thread.exec("insert into jobs values (3)");
  Session of_the_scope{pool};  // of which exit() knows nothing
  of_the_scope.exec("insert into jobs values (4)");
  const std::string way = std::getenv("LIDO_TEST_WAY");
  if (way == "exit") std::exit(42);
  if (way == "_exit") ::_exit(42);
}

BOOST_AUTO_TEST_SUITE_END()
