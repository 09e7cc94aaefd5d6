#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

struct Marked {
  Marked() { server().ask("drop table if exists marks; create table marks(id int primary key)"); }
  ~Marked() {
    BOOST_TEST(pool.statistics().now.leased == 0U);
    BOOST_TEST(pool.statistics().discarded == lost);
  }
  static void mark(Session& session, int id) { session.exec("insert into marks values ($1)", id); }
  // What is committed.
  static std::string marks() { return server().ask("select string_agg(id::text, ',' order by id) from marks"); }

  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
  unsigned lost = 0;
};

std::string complaint(auto action) { return caught<Error>(action).what(); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(savepoint, Marked)

BOOST_AUTO_TEST_CASE(undoes_what_was_not_released_and_keeps_the_rest) {
  Session session{pool};
  mark(session, 1);
  {
    Savepoint kept{session};
    mark(session, 2);
    {
      const Savepoint forgotten{session};
      mark(session, 3);
    }
    {
      Savepoint told{session};
      mark(session, 4);
      told.rollback();
      BOOST_TEST(!told.is_open());
      mark(session, 5);
    }
    kept.release();
    BOOST_TEST(!kept.is_open());
  }
  session.commit();
  BOOST_TEST(marks() == "1,2,5");
}

BOOST_AUTO_TEST_CASE(a_failed_transaction_goes_on_behind_it) {
  Session session{pool};
  mark(session, 1);
  int known = 0;
  // [savepoint]
  for (int id = 1; id <= 3; ++id) {
    try {
      Savepoint savepoint{session};
      session.exec("insert into marks values ($1)", id);
      savepoint.release();  // without it the insert is undone here, and nothing else
    } catch (const QueryError& error) {
      if (error.sqlstate() != "23505") throw;
      ++known;  // it was there already, and the transaction goes on
    }
  }
  // [/savepoint]
  BOOST_TEST(known == 1);
  BOOST_TEST(!session.connection().in_failed_transaction());
  session.commit();
  BOOST_TEST(marks() == "1,2,3");
}

BOOST_AUTO_TEST_CASE(one_in_a_failed_transaction_cannot_be_released_but_rolled_back) {
  Session session{pool};
  Savepoint failed{session};
  BOOST_CHECK_THROW(session.exec("select 1/0"), QueryError);
  BOOST_TEST(caught<QueryError>([&] { failed.release(); }).sqlstate() == "25P02");
  BOOST_TEST(failed.is_open());
  BOOST_TEST(caught<QueryError>([&] { const Savepoint another{session}; }).sqlstate() == "25P02");
  failed.rollback();
  mark(session, 1);
  session.commit();
  BOOST_TEST(marks() == "1");
}

BOOST_AUTO_TEST_CASE(refuses_the_wrong_order_and_changes_nothing) {
  Session session{pool};
  std::optional<Savepoint<Session>> outer{std::in_place, session};
  mark(session, 1);
  Savepoint inner{session};
  mark(session, 2);
  BOOST_TEST(complaint([&] { outer->release(); }).find("within this one") != std::string::npos);
  BOOST_TEST(complaint([&] { outer->rollback(); }).find("within this one") != std::string::npos);
  BOOST_TEST(complaint([&] { session.commit(); }).find("still open") != std::string::npos);
  BOOST_TEST(session.is_open());
  outer.reset();  // takes the inner one with it
  BOOST_TEST(!inner.is_open());
  BOOST_TEST(complaint([&] { inner.release(); }).find("has ended") != std::string::npos);
  mark(session, 3);
  session.commit();
  BOOST_TEST(marks() == "3");
}

BOOST_AUTO_TEST_CASE(refuses_what_comes_too_late) {
  Session session{pool};
  Savepoint late{session};
  late.release();
  BOOST_TEST(complaint([&] { late.release(); }).find("savepoint has ended") != std::string::npos);
  {
    Savepoint open{session};
    session.rollback();
    BOOST_TEST(!open.is_open());
    BOOST_TEST(complaint([&] { open.release(); }).find("session has ended") != std::string::npos);
    BOOST_TEST(complaint([&] { open.rollback(); }).find("session has ended") != std::string::npos);
  }
  BOOST_TEST(complaint([&] { const Savepoint none{session}; }).find("session has ended") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(one_that_cannot_be_rolled_back_keeps_its_session_from_being_committed) {
  Session session{pool};
  mark(session, 1);
  {
    const Savepoint lost_with_it{session};
    terminate(session.connection());
  }
  BOOST_CHECK_THROW(session.commit(), ConnectionLost);
  lost = 1;
  Session ended{pool};
  {
    const Savepoint gone{ended};
    ended.exec("commit");
  }
  BOOST_CHECK_THROW(Savepoint{ended}, QueryError);
  BOOST_CHECK_THROW(ended.commit(), QueryError);
  BOOST_TEST(marks() == "");
}

BOOST_AUTO_TEST_CASE(many_in_a_row_leave_nothing_open_on_the_server) {
  Session session{pool};
  for (int i = 0; i < 70; ++i) {  // beyond the 64 that a backend shows
    const Savepoint undone{session};
    mark(session, 1);
  }
  Savepoint last{session};
  BOOST_TEST(session.exec("select count(*) from marks").one<int>() == 0);
  last.release();
  session.commit();
}

BOOST_AUTO_TEST_SUITE_END()
