// A sandbox in event loops: code that awaits what a pool has takes it, too.
#include <chrono>
#include <source_location>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <lido/asio/postgres.hpp>
#include <lido/postgres/sandbox.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(async_sandbox)

namespace {

struct Boxed {
  Boxed() { server().ask("drop table if exists async_boxed; create table async_boxed(id int primary key)"); }
  ~Boxed() { BOOST_TEST(server().ask("select count(*) from async_boxed") == "0"); }
};

template <class Loop>
using SessionIn = postgres::AsyncSession<postgres::Pool::Lease, typename Loop::Runner>;

// The code under test.
template <class Loop>
Body<Loop> add_in(Loop loop, postgres::Pool& pool, int id, int failures = 0) {
  int calls = 0;
  co_return co_await postgres::async_transact(
      pool, loop.runner,
      [&](SessionIn<Loop>& session) -> Body<Loop> {
        co_await session.exec("insert into async_boxed values ($1)", id);
        if (calls++ < failures) co_await session.exec("do $$ begin raise 'lost' using errcode = '40001'; end $$");
        co_await session.savepoint([&](SessionIn<Loop>& within) -> Body<Loop> {
          co_await within.exec("insert into async_boxed values ($1)", id + 100);
          co_return true;
        });
        co_return true;
      },
      postgres::TransactOptions{});
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_coroutines_commit_is_undone, Boxed) {
  postgres::Sandbox sandbox{server().conninfo()};
  in_both_loops([&]<class Loop>(Loop loop) -> Body<Loop> {
    BOOST_TEST(co_await add_in(loop, sandbox, 1));
    BOOST_TEST(co_await add_in(loop, sandbox, 2, 2));
    {
      auto lease = co_await loop.runner.acquire(sandbox, 1min, {}, std::source_location::current());
      auto connection = async_in(loop, *lease);
      BOOST_TEST(co_await fails_in<postgres::QueryError>(
          loop, [&] { return connection.exec("insert into async_boxed values (1)"); }));
      BOOST_TEST(number_in(co_await connection.exec("select count(*)::int from async_boxed")) == 4);
      BOOST_TEST(co_await connection.reset(soon()));
    }
    bool thrown = false;
    try {
      co_await add_in(loop, sandbox, 1);
    } catch (const postgres::QueryError&) {
      thrown = true;
    }
    BOOST_TEST(thrown);
    BOOST_TEST(sandbox.acquire()->exec("select count(*) from async_boxed").one<int>() == 4);
    sandbox.rollback();
    co_return true;
  });
}

BOOST_FIXTURE_TEST_CASE(coroutines_of_one_thread_take_turns, Boxed) {
  postgres::Sandbox sandbox{server().conninfo()};
  boost::asio::io_context context;
  int done = 0;
  for (int id = 0; id < 5; ++id)
    boost::asio::co_spawn(
        context,
        [&, id]() -> boost::asio::awaitable<void> {
          BOOST_TEST(co_await add_in(AsioLoop{}, sandbox, id));
          ++done;
        },
        boost::asio::detached);
  context.run();
  BOOST_TEST(done == 5);
  BOOST_TEST(sandbox.acquire()->exec("select count(*) from async_boxed").one<int>() == 10);
}

BOOST_AUTO_TEST_SUITE_END()
