// Parts of a transaction that can be undone alone, awaited: in Asio's loop and in one of our own.
#include <chrono>
#include <coroutine>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/async/transact.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_savepoint)

namespace {

struct Marks {
  Marks() { server().ask("create table marked(id int primary key)"); }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;
  ~Marks() { server().ask("drop table marked"); }
  // What is committed.
  static std::string kept() { return server().ask("select string_agg(id::text, ',' order by id) from marked"); }
};

template <class Loop>
using SessionIn = postgres::AsyncSession<postgres::Pool::Lease, typename Loop::Runner>;

postgres::Pool pool_of_one() { return postgres::Pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}}; }

template <class Loop>
auto acquire_in(const Loop& loop, postgres::Pool& pool) {
  return loop.runner.acquire(pool, 1min, {}, std::source_location::current());
}

// A coroutine that marks `id`.
template <class Loop>
auto marks(Loop /*loop*/, int id) {
  return [id](SessionIn<Loop>& session) -> typename Loop::template Coroutine<int> {
    co_await session.exec("insert into marked values ($1)", id);
    co_return id;
  };
}
// A coroutine that marks `id` and throws.
template <class Loop>
auto marks_in_vain(Loop /*loop*/, int id) {
  return [id](SessionIn<Loop>& session) -> typename Loop::template Coroutine<int> {
    co_await session.exec("insert into marked values ($1)", id);
    throw std::domain_error{"no"};
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_returns_is_kept_and_what_throws_is_undone_alone) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Marks table;
    SessionIn<decltype(loop)> session{co_await acquire_in(loop, pool), loop.runner};
    co_await session.begin();
    BOOST_TEST(co_await session.savepoint(marks(loop, 1)) == 1);
    BOOST_TEST(co_await fails_in<std::domain_error>(loop, [&] { return session.savepoint(marks_in_vain(loop, 2)); }));
    // A refused statement fails the transaction, which goes on.
    BOOST_TEST(co_await fails_in<postgres::QueryError>(loop, [&] { return session.savepoint(marks(loop, 1)); }));
    BOOST_TEST(!session.connection().in_failed_transaction());
    BOOST_TEST(co_await session.savepoint(marks(loop, 3)) == 3);
    co_await session.commit();
    BOOST_TEST(Marks::kept() == "1,3");
    co_return true;
  });
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(they_nest) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    using Coroutine = typename Loop::template Coroutine<int>;
    const Marks table;
    SessionIn<Loop> session{co_await acquire_in(loop, pool), loop.runner};
    co_await session.begin();
    const auto outer = [loop](SessionIn<Loop>& within) -> Coroutine {
      co_await within.savepoint(marks(loop, 1));
      static_cast<void>(
          co_await fails_in<std::domain_error>(loop, [&] { return within.savepoint(marks_in_vain(loop, 2)); }));
      co_return co_await within.savepoint(marks(loop, 3));
    };
    const auto undone = [loop](SessionIn<Loop>& within) -> Coroutine {
      co_await within.savepoint(marks(loop, 4));
      co_return co_await within.savepoint(marks_in_vain(loop, 5));
    };
    BOOST_TEST(co_await session.savepoint(outer) == 3);
    BOOST_TEST(co_await fails_in<std::domain_error>(loop, [&] { return session.savepoint(undone); }));
    co_await session.commit();
    BOOST_TEST(Marks::kept() == "1,3");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(an_error_that_was_not_heeded_undoes_it) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    const Marks table;
    SessionIn<Loop> session{co_await acquire_in(loop, pool), loop.runner};
    co_await session.begin();
    co_await session.savepoint(marks(loop, 1));
    const auto heedless = [loop](SessionIn<Loop>& within) -> typename Loop::template Coroutine<int> {
      co_await within.exec("insert into marked values (2)");
      static_cast<void>(co_await fails_in<postgres::QueryError>(loop, [&] { return within.exec("select 1 / 0"); }));
      co_return 0;
    };
    std::string state;
    try {
      co_await session.savepoint(heedless);
    } catch (const postgres::QueryError& error) {
      state = error.sqlstate();
    }
    BOOST_TEST(state == "25P02");
    co_await session.commit();
    BOOST_TEST(Marks::kept() == "1");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(the_session_can_end_within_by_rollback_and_not_by_commit) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    using Coroutine = typename Loop::template Coroutine<int>;
    const Marks table;
    SessionIn<Loop> session{co_await acquire_in(loop, pool), loop.runner};
    co_await session.begin();
    const auto commits = [](SessionIn<Loop>& within) -> Coroutine {
      co_await within.exec("insert into marked values (1)");
      co_await within.commit();
      co_return 0;
    };
    const auto rolls_back = [](SessionIn<Loop>& within) -> Coroutine {
      co_await within.exec("insert into marked values (2)");
      co_await within.rollback();
      co_return 2;
    };
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return session.savepoint(commits); }));
    BOOST_TEST(session.is_open());
    BOOST_TEST(co_await session.savepoint(rolls_back) == 2);
    BOOST_TEST(!session.is_open());
    BOOST_TEST(Marks::kept() == "");
    co_return true;
  });
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_undone_ends_the_session_as_a_failed_one) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    using Coroutine = typename Loop::template Coroutine<int>;
    const Marks table;
    const auto lost = [](SessionIn<Loop>& within) -> Coroutine {
      co_await within.exec("insert into marked values (2)");
      terminate(within.connection());
      throw std::domain_error{"no"};
    };
    const auto late = [loop](SessionIn<Loop>& within) -> Coroutine {
      co_await within.exec("insert into marked values (2)");
      co_await once_sent_in(
          loop, 20ms, [&](Duration span) { return within.exec_until(Clock::now() + span, "select pg_sleep(60)"); });
      co_return 2;
    };
    for (const bool by_deadline : {true, false}) {
      SessionIn<Loop> session{co_await acquire_in(loop, pool), loop.runner};
      co_await session.begin();
      co_await session.exec("insert into marked values (1)");
      if (by_deadline)
        BOOST_TEST(co_await fails_in<postgres::QueryTimeout>(loop, [&] { return session.savepoint(late); }));
      else
        BOOST_TEST(co_await fails_in<std::domain_error>(loop, [&] { return session.savepoint(lost); }));
      BOOST_TEST(!session.connection().is_usable());
      BOOST_TEST(co_await fails_in<postgres::ConnectionLost>(loop, [&] { return session.commit(); }));
      BOOST_TEST(!session.is_open());
    }
    BOOST_TEST(Marks::kept() == "");
    auto lease = co_await acquire_in(loop, pool);
    BOOST_TEST(number_in(co_await async_in(loop, *lease).exec("select 5")) == 5);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(undoing_it_waits_no_longer_than_five_seconds) {
  postgres::Pool pool = pool_of_one();
  in_loop([&]() -> net::awaitable<void> {
    lido::asio::Session session{co_await lido::asio::async_acquire(pool, net::use_awaitable), lido::asio::OnAsio<>{}};
    co_await session.begin();
    const auto hangs = [](lido::asio::Session&) -> net::awaitable<void> {
      server().sigstop();
      throw std::domain_error{"no"};
      co_return;
    };
    const auto start = Clock::now();
    BOOST_TEST(co_await fails_with<std::domain_error>(session.savepoint(hangs)));
    const auto took = Clock::now() - start;
    server().sigcont();
    BOOST_TEST((took < 60s));
    BOOST_TEST(!session.connection().is_usable());
  });
}

BOOST_AUTO_TEST_CASE(a_transaction_has_them_too) {
  postgres::Pool pool = pool_of_one();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    const Marks table;
    const auto transaction = [loop](SessionIn<Loop>& session) -> typename Loop::template Coroutine<int> {
      co_await session.exec("insert into marked values (1)");
      static_cast<void>(
          co_await fails_in<std::domain_error>(loop, [&] { return session.savepoint(marks_in_vain(loop, 2)); }));
      co_return co_await session.savepoint(marks(loop, 3));
    };
    BOOST_TEST(co_await postgres::async_transact(pool, loop.runner, transaction) == 3);
    BOOST_TEST(Marks::kept() == "1,3");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(one_that_is_destroyed_in_the_middle_stays_open_and_nothing_is_committed) {
  const Marks table;
  postgres::Pool pool = pool_of_one();
  PollReactor reactor;
  using OwnSession = SessionIn<PollLoop>;
  OwnSession session{pool.acquire(1min), postgres::OnReactor{reactor}};
  const auto run = [&](const Awaitable<bool>& task) {
    reactor.run_until([&] { return task.done(); });
    return task.get();
  };
  BOOST_TEST(run([&]() -> Awaitable<bool> {
    co_await session.begin();
    co_return true;
  }()));
  {
    bool marked = false;
    const auto never_ends = [&](OwnSession& within) -> Awaitable<int> {
      co_await within.exec("insert into marked values (1)");
      marked = true;
      co_await std::suspend_always{};
      co_return 0;
    };
    const Awaitable<int> part = session.savepoint(never_ends);
    reactor.run_until([&] { return marked; });
  }
  BOOST_TEST(reactor.idle());
  BOOST_CHECK_THROW(run([&]() -> Awaitable<bool> {
                      co_await session.commit();
                      co_return true;
                    }()),
                    postgres::Error);
  BOOST_TEST(session.is_open());
  BOOST_TEST(run([&]() -> Awaitable<bool> {
    co_await session.rollback();
    co_return true;
  }()));
  BOOST_TEST(Marks::kept() == "");
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
