#include <chrono>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/growth.hpp>
#include <lido/pool.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

// One connection, so that a lease that is lost shows at once.
struct OnePool {
  OnePool() {
    server().ask("drop table if exists marks; create table marks(id int primary key deferrable initially deferred)");
  }
  ~OnePool() {
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_TEST(static_cast<bool>(pool.acquire(5s)));
  }
  static int marks() { return std::stoi(server().ask("select count(*) from marks")); }

  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 10s}};
};

// A pool that checks nothing: the first `lost` connections that it lends are dead.
struct OwnedLease {
  std::optional<Connection> connection;

  Connection& operator*() { return *connection; }
  Connection* operator->() { return &*connection; }
  explicit operator bool() const noexcept { return connection.has_value(); }
  void release() noexcept { connection.reset(); }
  void discard() noexcept { connection.reset(); }
};
struct Unchecked {
  int lost = 0;
  int lent = 0;

  OwnedLease acquire(std::source_location) {
    OwnedLease lease{lido::test::connect()};
    if (++lent <= lost) terminate(*lease);
    return lease;
  }
  OwnedLease acquire(Duration, std::source_location where) { return acquire(where); }
};

bool mentions(const std::exception& error, std::string_view text) {
  return std::string_view{error.what()}.find(text) != std::string_view::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session, OnePool)

BOOST_AUTO_TEST_CASE(commits_what_it_did_and_gives_the_connection_back) {
  Session session{pool};
  session.exec("insert into marks values ($1)", 1);
  BOOST_TEST(marks() == 0);
  session.commit();
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 1);
  BOOST_TEST(static_cast<bool>(pool.acquire(0s)));
  BOOST_CHECK_THROW(session.exec("select 1"), Error);
  BOOST_CHECK_THROW(session.commit(), Error);
}

BOOST_AUTO_TEST_CASE(rolls_back_when_it_is_told_to_or_forgotten) {
  {
    Session session{pool};
    session.exec("insert into marks values (1)");
    session.rollback();
    session.rollback();
    BOOST_TEST(!session.is_open());
    BOOST_TEST(static_cast<bool>(pool.acquire(0s)));
  }
  {
    Session session{pool};
    session.exec("insert into marks values (1)");
  }
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(rolls_back_when_the_body_throws) {
  const auto body = [&] {
    Session session{pool};
    session.exec("insert into marks values (1)");
    throw std::runtime_error{"the user's own"};
  };
  BOOST_CHECK_EXCEPTION(body(), std::runtime_error, [](const std::exception& e) { return mentions(e, "own"); });
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(commit_of_a_failed_transaction_is_an_error) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  BOOST_CHECK_THROW(session.exec("select 1/0"), QueryError);
  const auto error = caught<QueryError>([&] { session.commit(); });
  BOOST_TEST(error.sqlstate() == "25P02");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(commit_that_the_server_refuses_is_an_error_and_keeps_the_connection) {
  Session session{pool};
  session.exec("insert into marks values (1), (1)");  // found out by COMMIT only
  BOOST_TEST(caught<QueryError>([&] { session.commit(); }).sqlstate() == "23505");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(commit_after_a_statement_ended_the_transaction_is_an_error) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  session.exec("rollback");
  BOOST_TEST(mentions(caught<QueryError>([&] { session.commit(); }), "ended it"));
  BOOST_TEST(!session.is_open());
}

BOOST_AUTO_TEST_CASE(connection_lost_before_commit_is_told_from_an_unknown_commit) {
  Session session{pool};
  session.exec("insert into marks values (1)");
  terminate(session.connection());
  BOOST_TEST(mentions(caught<ConnectionLost>([&] { session.commit(); }), "nothing is committed"));
  BOOST_TEST(!session.is_open());
  BOOST_TEST(marks() == 0);
  BOOST_TEST(pool.statistics().discarded == 1U);
}

BOOST_AUTO_TEST_CASE(commit_whose_answer_never_came_is_unknown) {
  // A deferred trigger ends the session in the middle of COMMIT.
  server().ask(
      "create or replace function die() returns trigger language plpgsql as "
      "$$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); return null; end $$; "
      "create constraint trigger die after insert on marks deferrable initially deferred for each row "
      "execute function die()");
  Session session{pool};
  session.exec("insert into marks values (1)");
  const auto error = caught<CommitUnknown>([&] { session.commit(); });
  BOOST_TEST(error.sqlstate() == "57P01");
  BOOST_TEST(!session.is_open());
  BOOST_TEST(pool.statistics().discarded == 1U);
}

BOOST_AUTO_TEST_CASE(commit_that_hangs_is_unknown_at_the_statements_deadline) {
  postgres::Pool hasty{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .statement_timeout = 100ms}};
  Session session{hasty};
  session.exec("insert into marks values (1)");
  server().sigstop();
  BOOST_CHECK_THROW(session.commit(), CommitUnknown);
  server().sigcont();
  BOOST_TEST(hasty.statistics().discarded == 1U);
}

BOOST_AUTO_TEST_CASE(replaces_a_connection_that_is_lost_between_check_and_begin_once) {
  Unchecked one_lost{.lost = 1};
  {
    BasicSession<OwnedLease> session{one_lost};
    BOOST_TEST(session.exec("select 1").one<int>() == 1);
  }
  BOOST_TEST(one_lost.lent == 2);
  Unchecked all_lost{.lost = 9};
  BOOST_CHECK_THROW(BasicSession<OwnedLease>{all_lost}, ConnectionLost);
  BOOST_TEST(all_lost.lent == 2);
}

BOOST_AUTO_TEST_CASE(begins_as_it_is_told) {
  {
    Session session{pool, {.isolation = Isolation::serializable, .read_only = true, .deferrable = true}};
    BOOST_TEST(session.exec("show transaction_isolation").one<std::string>() == "serializable");
    BOOST_TEST(session.exec("show transaction_read_only").one<std::string>() == "on");
    BOOST_TEST(session.exec("show transaction_deferrable").one<std::string>() == "on");
    BOOST_CHECK_THROW(Session(pool, {.acquire_timeout = 0s}), AcquireTimeout);
  }
  Session session{pool, {.isolation = Isolation::repeatable_read}};
  BOOST_TEST(session.exec("show transaction_isolation").one<std::string>() == "repeatable read");
}

BOOST_AUTO_TEST_CASE(names_the_line_that_holds_it) {
  const Session session{pool};
  BOOST_REQUIRE(pool.holders().size() == 1U);
  BOOST_TEST(std::string_view{pool.holders()[0].where.file_name()}.ends_with("session_test.cpp"));
}

BOOST_AUTO_TEST_CASE(serves_a_test_pool_by_the_same_type_and_other_pools_by_deduction) {
  TestPool test_pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  {
    Session session{test_pool};
    BOOST_TEST(session.exec("select 1").one<int>() == 1);
  }
  lido::Pool other{Connector{server().conninfo()}, FixedSize{.size = 1}};
  BasicSession session{other};
  BOOST_TEST(session.exec("select 2").one<int>() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
