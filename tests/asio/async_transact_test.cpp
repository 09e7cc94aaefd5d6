// Transactions that block no thread.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

#include "both_loops.hpp"
#include "in_loop.hpp"
#include "poll_reactor.hpp"
#include "task.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async_transact;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_transact)

namespace {

using Session = lido::asio::Session;

struct Table {
  Table() { server().ask("create table kept (i int)"); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() { server().ask("drop table kept"); }
  static int count() { return std::stoi(server().ask("select count(*) from kept")); }
};

const postgres::Options two{.pool_size = 2, .max_overflow = 0};

}  // namespace

BOOST_AUTO_TEST_CASE(commits_on_return_and_rolls_back_on_a_throw) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  in_loop([&]() -> net::awaitable<void> {
    const int answer = co_await async_transact(pool, [](Session& session) -> net::awaitable<int> {
      co_await session.exec("insert into kept values ($1)", 1);
      co_return 42;
    });
    BOOST_TEST(answer == 42);
    BOOST_TEST(
        co_await fails_with<std::runtime_error>(async_transact(pool, [](Session& session) -> net::awaitable<void> {
          co_await session.exec("insert into kept values ($1)", 2);
          throw std::runtime_error{"no"};
        })));
  });
  BOOST_TEST(Table::count() == 1);
  BOOST_TEST(pool.statistics().now.leased == 0U);
  BOOST_TEST(pool.statistics().opened == 1U);  // the connection survived both
}

BOOST_AUTO_TEST_CASE(an_error_of_its_begin_names_the_call) {
  postgres::Pool pool{server().conninfo(), two};
  const postgres::TransactOptions refused{.transaction = {.set_local = {{"nonsense", "x"}}}};
  in_loop([&]() -> net::awaitable<void> {
    std::string file;
    try {
      co_await async_transact(pool, [](Session&) -> net::awaitable<void> { co_return; }, refused);
    } catch (const postgres::QueryError& error) {
      file = error.where().file_name();
    }
    BOOST_TEST(file.ends_with("async_transact_test.cpp"), file);
  });
}

BOOST_AUTO_TEST_CASE(a_share_stands_where_the_pool_does) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  auto jobs = pool.share("jobs", {.at_most = 1});
  in_loop([&]() -> net::awaitable<void> {
    co_await async_transact(jobs, [&](Session& session) -> net::awaitable<void> {
      const bool held = jobs.statistics().leased == 1U;
      BOOST_TEST(held);
      co_await session.exec("insert into kept values ($1)", 1);
    });
  });
  BOOST_TEST(Table::count() == 1);
  BOOST_TEST(jobs.statistics().acquired == 1U);
}

BOOST_AUTO_TEST_CASE(what_lost_against_another_is_tried_again) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  int calls = 0;
  in_loop([&]() -> net::awaitable<void> {
    co_await async_transact(pool, [&](Session& session) -> net::awaitable<void> {
      co_await session.exec("insert into kept values (1)");
      if (++calls < 3) co_await session.exec_until({}, "do $$ begin raise sqlstate '40001'; end $$");
    });
  });
  BOOST_TEST(calls == 3);
  BOOST_TEST(Table::count() == 1);
}

BOOST_AUTO_TEST_CASE(what_a_statement_has_committed_is_not_tried_again) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  int calls = 0;
  in_loop([&]() -> net::awaitable<void> {
    BOOST_TEST(
        co_await fails_with<postgres::QueryError>(async_transact(pool, [&](Session& session) -> net::awaitable<void> {
          ++calls;
          co_await session.exec("insert into kept values (1)");
          co_await session.exec("commit");
          throw postgres::QueryError{"lost", {.sqlstate = "40001"}};
        })));
  });
  BOOST_TEST(calls == 1);
  BOOST_TEST(Table::count() == 1);
}

BOOST_AUTO_TEST_CASE(what_a_statement_has_committed_is_not_tried_again_where_the_session_has_ended) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  int calls = 0;
  in_loop([&]() -> net::awaitable<void> {
    const bool failed =
        co_await fails_with<postgres::QueryError>(async_transact(pool, [&](Session& session) -> net::awaitable<void> {
          ++calls;
          co_await session.exec("insert into kept values (1)");
          co_await session.exec("commit");
          co_await session.rollback();
          throw postgres::QueryError{"lost", {.sqlstate = "40001"}};
        }));
    BOOST_TEST(failed);
  });
  BOOST_TEST(calls == 1);
  BOOST_TEST(Table::count() == 1);
}

BOOST_AUTO_TEST_CASE(tenants_by_search_path_do_not_meet_in_one_statement) {
  server().ask(
      "drop schema if exists async_0 cascade; drop schema if exists async_1 cascade; create schema async_0; "
      "create schema async_1; create table async_0.items(id int); create table async_1.items(id text, b int)");
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 1, .max_overflow = 0, .reset = postgres::ResetLevel::rollback}};
  in_loop([&]() -> net::awaitable<void> {
    for (const bool by_statement : {false, true})
      for (int i = 0; i < 6; ++i) {
        const std::string path = "async_" + std::to_string(i % 2);
        postgres::TransactionOptions options{.lock_timeout = 1s};
        if (!by_statement) options.set_local = {{"search_path", path}};
        Session session{co_await lido::asio::async_acquire(pool, net::use_awaitable), lido::asio::OnAsio<>{}, options};
        co_await session.begin();
        if (by_statement) co_await session.exec("select set_config('search_path', $1, true)", path);
        for (int time = 0; time < 3; ++time) {
          const auto rows = co_await session.exec("select * from items where id = $1", i % 2 == 0 ? "1" : "x");
          BOOST_TEST(rows.columns() == static_cast<std::size_t>(i % 2 + 1));
        }
        co_await session.commit();
      }
  });
}

BOOST_AUTO_TEST_CASE(a_migration_is_not_noticed) {
  const Table table;
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  int calls = 0;
  const auto write = [&](const char* value) {
    in_loop([&]() -> net::awaitable<void> {
      co_await async_transact(pool, [&](Session& session) -> net::awaitable<void> {
        ++calls;
        co_await session.exec("insert into kept values ($1)", value);
      });
    });
  };
  for (const char* value : {"1", "2", "3"}) write(value);
  server().ask("alter table kept alter i type bigint");
  for (const char* value : {"5000000000", "5000000001"}) write(value);
  BOOST_TEST(calls == 6);
  BOOST_TEST(Table::count() == 5);
}

BOOST_AUTO_TEST_CASE(no_statement_runs_after_the_transaction_has_ended) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  in_loop([&]() -> net::awaitable<void> {
    Session early{co_await lido::asio::async_acquire(pool, net::use_awaitable), lido::asio::OnAsio<>{}};
    BOOST_TEST(co_await fails_with<postgres::Error>(early.exec("insert into kept values (1)")));
    co_await early.begin();
    co_await early.exec("select 1");
    co_await early.rollback();
    for (const char* end : {"commit", "rollback"}) {
      BOOST_TEST(
          co_await fails_with<postgres::QueryError>(async_transact(pool, [&](Session& session) -> net::awaitable<void> {
            co_await session.exec(end);
            BOOST_TEST(co_await fails_with<postgres::QueryError>(session.exec("insert into kept values (1)")));
            BOOST_TEST(co_await fails_with<postgres::QueryError>(
                session.async_connection().exec_script("insert into kept values (1)")));
            BOOST_TEST(co_await fails_with<postgres::QueryError>(
                session.savepoint([](Session&) -> net::awaitable<void> { co_return; })));
          })));
      // Where it ends within a savepoint, the connection stays good all the same.
      BOOST_TEST(
          co_await fails_with<postgres::QueryError>(async_transact(pool, [&](Session& session) -> net::awaitable<void> {
            co_await session.savepoint([&](Session& inner) -> net::awaitable<void> { co_await inner.exec(end); });
          })));
      Session left{co_await lido::asio::async_acquire(pool, net::use_awaitable), lido::asio::OnAsio<>{}};
      co_await left.begin();
      co_await left.exec("set work_mem = '5MB'");
      co_await left.exec(end);
    }
    auto lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    co_await lido::asio::async(*lease).exec("select 1");  // which is another one's
  });
  static_cast<void>(pool.acquire(1min));
  BOOST_TEST(Table::count() == 0);
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_lost_unseen_is_replaced_once) {
  postgres::Pool pool{server().conninfo(), two};
  int calls = 0;
  pool.events().on_acquire([&](postgres::Connection& connection, const ConnectionInfo&) {
    if (++calls == 1) terminate(connection);
  });
  in_loop([&]() -> net::awaitable<void> {
    const int one = co_await async_transact(pool, [](Session& session) -> net::awaitable<int> {
      co_return (co_await session.exec("select 1")).one<int>();
    });
    BOOST_TEST(one == 1);
  });
  BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(a_session_ends_by_itself_and_says_how) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  in_loop([&]() -> net::awaitable<void> {
    co_await async_transact(pool, [](Session& session) -> net::awaitable<void> {
      co_await session.exec("insert into kept values (1)");
      co_await session.rollback();
      BOOST_TEST(!session.is_open());
      BOOST_CHECK_THROW(static_cast<void>(session.connection()), postgres::Error);
    });
    // A statement failed and nobody heeded it.
    BOOST_TEST(
        co_await fails_with<postgres::QueryError>(async_transact(pool, [](Session& session) -> net::awaitable<void> {
          BOOST_TEST(co_await fails_with<postgres::QueryError>(session.exec("select 1 / 0")));
        })));
    auto lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    Session session{std::move(lease), lido::asio::OnAsio<>{}, {.track_commit = true}};
    co_await session.begin();
    co_await session.exec("insert into kept values (2)");
    co_await session.commit();
    BOOST_TEST(session.is_committed());
    BOOST_TEST(session.transaction_id().has_value());
  });
  BOOST_TEST(Table::count() == 1);
}

BOOST_AUTO_TEST_CASE(a_commit_without_an_answer_is_unknown_and_not_tried_again) {
  const Table table;
  FaultProxy proxy{server().socket()};
  postgres::Pool pool{proxy.conninfo("postgres"), two};
  int calls = 0;
  in_loop([&]() -> net::awaitable<void> {
    postgres::TransactOptions options;
    options.transaction.until = postgres::Until{Clock::now() + 1min};
    options.retry_lost = true;
    BOOST_TEST(co_await fails_with<postgres::CommitUnknown>(async_transact(
        pool,
        [&](Session& session) -> net::awaitable<void> {
          ++calls;
          co_await session.exec("insert into kept values (1)");
          proxy.cut_after(1);  // the first byte of COMMIT goes through
        },
        options)));
  });
  proxy.pass();
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(a_deadline_or_a_stop_ends_it_in_the_middle_and_nothing_is_kept) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  pool.wait_until_ready(1min);
  std::stop_source source;
  in_loop([&]() -> net::awaitable<void> {
    const auto body = [](Session& session) -> net::awaitable<void> {
      co_await session.exec("insert into kept values (1)");
      co_await session.exec("select pg_sleep(2)");  // a cancel that comes before it does nothing
    };
    const auto late = [&](Duration span) {
      postgres::TransactOptions options;
      options.timeout = span;
      return async_transact(pool, body, options);
    };
    BOOST_TEST(co_await fails_with<postgres::QueryTimeout>(once_sent_in(AsioLoop{}, 50ms, late)));
    postgres::TransactOptions stopped;
    stopped.transaction.until = postgres::Until{source.get_token()};
    std::jthread other{[&] { source.request_stop(); }};
    bool ended = false;
    try {
      co_await async_transact(pool, body, stopped);
    } catch (const postgres::QueryCancelled&) {
      ended = true;
    } catch (const AcquireCancelled&) {
      ended = true;
    }
    BOOST_TEST(ended);
  });
  BOOST_TEST(Table::count() == 0);
  BOOST_TEST(pool.statistics().now.leased == 0U);
}

BOOST_AUTO_TEST_CASE(nothing_is_sent_once_the_time_is_over_and_the_connection_stays_good) {
  postgres::Pool pool{server().conninfo(), two};
  in_loop([&]() -> net::awaitable<void> {
    std::stop_source stop;
    auto lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    Session session{std::move(lease), lido::asio::OnAsio<>{}, {.until = postgres::Until{stop.get_token()}}};
    co_await session.begin();
    stop.request_stop();
    std::stop_source other;  // which has not asked for anything
    const postgres::Until later{other.get_token()};
    // The calls themselves throw nothing.
    auto plain = session.exec("select 1");
    auto limited = session.exec_until(later, "select 1");
    BOOST_TEST(co_await fails_with<postgres::QueryCancelled>(std::move(plain)));
    BOOST_TEST(co_await fails_with<postgres::QueryCancelled>(std::move(limited)));
    BOOST_TEST(co_await fails_with<postgres::QueryCancelled>(
        session.savepoint([](Session&) -> net::awaitable<void> { co_return; })));
    BOOST_TEST(session.connection().is_usable());
    BOOST_TEST(session.connection().in_transaction());
    auto other_lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    Session late{std::move(other_lease), lido::asio::OnAsio<>{}, {.until = Clock::now() - 1s}};
    BOOST_TEST(co_await fails_with<postgres::QueryTimeout>(late.begin()));
    BOOST_TEST(late.connection().is_usable());
    BOOST_TEST(!late.connection().in_transaction());
  });
  static_cast<void>(pool.acquire(1min));
  BOOST_TEST(pool.statistics().discarded == 0U);
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_in_the_middle_keeps_nothing) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  {
    net::io_context loop;
    bool inserted = false;
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          co_await async_transact(pool, [&](Session& session) -> net::awaitable<void> {
            co_await session.exec("insert into kept values (1)");
            inserted = true;
            net::steady_timer never{loop, 1h};
            co_await never.async_wait(net::use_awaitable);
          });
        },
        Rethrow{});
    run_until(loop, "it has inserted", [&] { return inserted; });
  }
  PostgresServer::wait_until("it is back", [&] { return pool.statistics().now.leased == 0; });
  auto first = pool.acquire(1min);
  auto second = pool.acquire(1min);
  BOOST_TEST(!first->in_transaction());
  BOOST_TEST(!second->in_transaction());
  BOOST_TEST(Table::count() == 0);
}

BOOST_AUTO_TEST_CASE(one_that_is_destroyed_when_it_was_served_and_not_yet_resumed_leaves_the_loop_and_the_pool) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  PollReactor loop;
  auto held = pool.acquire(1min);
  bool begun = false;
  {
    const auto waits =
        postgres::async_transact(pool, postgres::OnReactor{loop}, [&](auto& /*session*/) -> Awaitable<int> {
          begun = true;
          co_return 0;
        });
    BOOST_TEST(pool.statistics().now.waiting == 1U);
    held.release();
    PostgresServer::wait_until("it is served", [&] { return pool.statistics().now.waiting == 0U; });
  }
  BOOST_TEST(pool.statistics().now.leased == 0U);
  loop.run_one();  // nobody is there to be woken
  BOOST_TEST(!begun);
  BOOST_TEST(loop.idle());
}

BOOST_AUTO_TEST_CASE(any_coroutine_and_any_loop_will_do) {
  const Table table;
  postgres::Pool pool{server().conninfo(), two};
  PollReactor loop;
  const postgres::OnReactor on_loop{loop};
  int calls = 0;
  const auto task = postgres::async_transact(pool, on_loop, [&](auto& session) -> Awaitable<int> {
    co_await session.exec("insert into kept values (1)");
    if (++calls == 1) co_await session.exec("do $$ begin raise sqlstate '40P01'; end $$");
    co_return 7;
  });
  loop.run_until([&] { return task.done(); });
  BOOST_TEST(task.get() == 7);
  BOOST_TEST(calls == 2);
  BOOST_TEST(Table::count() == 1);
  {
    bool inserted = false;
    const auto abandoned = postgres::async_transact(pool, on_loop, [&](auto& session) -> Awaitable<int> {
      co_await session.exec("insert into kept values (2)");
      inserted = true;
      co_await session.exec("select pg_sleep(2)");  // a cancel that comes before it does nothing
      co_return 0;
    });
    loop.run_until([&] { return inserted; });
  }
  BOOST_TEST(loop.idle());
  BOOST_TEST(Table::count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
