// Streams, COPY, scripts and pipelines of an awaited session: in Asio's loop and in one of our own.
#include <chrono>
#include <coroutine>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/transaction_status.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(asio_session)

namespace {

struct Halls {
  Halls() { server().ask("create table halls(id int, place text)"); }
  Halls(const Halls&) = delete;
  Halls& operator=(const Halls&) = delete;
  ~Halls() { server().ask("drop table halls"); }
  static std::string stored() { return server().ask("select count(*) from halls"); }
};

template <class Loop>
using HallSession = postgres::AsyncSession<postgres::Pool::Lease, typename Loop::Runner>;

postgres::Pool one_hall() { return postgres::Pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}}; }

template <class Loop>
auto hall_lease(const Loop& loop, postgres::Pool& pool) {
  return loop.runner.acquire(pool, 1min, {}, std::source_location::current());
}

const std::vector<std::string> hall_line{"7\thall\n"};

postgres::Pipeline insertion() {
  postgres::Pipeline pipeline;
  pipeline.add("insert into halls values ($1)", 1);
  return pipeline;
}

// In how many of the ways to do something awaiting it throws `Error`.
template <class Error, class Loop>
typename Loop::template Coroutine<int> refused(Loop loop, HallSession<Loop>& session) {
  int count = 0;
  count += co_await fails_in<Error>(loop, [&] { return session.exec("insert into halls values (1)"); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.exec_script("insert into halls values (1)"); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.run(insertion()); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.copy_in("copy halls from stdin", hall_line); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.copy_in("copy halls from stdin"); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.copy_out("copy halls to stdout"); }) ? 1 : 0;
  count += co_await fails_in<Error>(loop, [&] { return session.stream("insert into halls values (1)"); }) ? 1 : 0;
  co_return count;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_session_has_what_a_connection_has) {
  postgres::Pool pool = one_hall();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const Halls table;
    HallSession<decltype(loop)> session{co_await hall_lease(loop, pool), loop.runner};
    co_await session.begin();
    BOOST_TEST(co_await session.copy_in("copy halls from stdin", hall_line) == 1U);
    auto copy = co_await session.copy_in("copy halls from stdin");
    co_await copy.write(std::tuple{8, "hall"});
    BOOST_TEST(co_await copy.finish() == 1U);
    const std::vector<postgres::Result> results = co_await session.run(insertion());
    BOOST_TEST(results.size() == 1U);
    co_await session.exec_script("update halls set place = 'hall 2'; select 1");
    auto rows = co_await session.template stream<int, std::string>("select * from halls");
    int sum = 0;
    while (const auto row = co_await rows.next()) sum += std::get<0>(*row);
    BOOST_TEST(sum == 16);
    auto lines = co_await session.template copy_out<int, std::string>("copy halls to stdout");
    while (const auto row = co_await lines.next()) sum += std::get<1>(*row) == "hall 2" ? 100 : 0;
    BOOST_TEST(sum == 316);
    co_await session.commit();
    BOOST_TEST(Halls::stored() == "3");
    co_return true;
  });
  BOOST_TEST(pool.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(each_is_refused_when_the_time_is_over_and_when_the_transaction_is) {
  postgres::Pool pool = one_hall();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    const Halls table;
    std::stop_source stop;
    const postgres::TransactionOptions stoppable{.until = stop.get_token()};
    HallSession<Loop> session{co_await hall_lease(loop, pool), loop.runner, stoppable};
    BOOST_TEST(co_await refused<postgres::Error>(loop, session) == 7);  // it has not begun
    co_await session.begin();
    stop.request_stop();
    BOOST_TEST(co_await refused<postgres::QueryCancelled>(loop, session) == 7);
    co_await session.rollback();
    HallSession<Loop> ended{co_await hall_lease(loop, pool), loop.runner};
    co_await ended.begin();
    co_await ended.exec("rollback");
    BOOST_TEST(co_await refused<postgres::QueryError>(loop, ended) == 7);
    co_await ended.rollback();
    BOOST_TEST(co_await refused<postgres::Error>(loop, ended) == 7);
    BOOST_TEST(Halls::stored() == "0");
    co_return true;
  });
  BOOST_TEST(pool.statistics().opened == 1U);
}

// The server waits for a standby that never comes. A cancel would end that wait.
BOOST_AUTO_TEST_CASE(a_commit_is_not_cancelled_when_the_time_of_the_session_is_over) {
  PostgresServer waiting{{"synchronous_standby_names=nobody"}};
  waiting.ask("set synchronous_commit = local; create table halls(id int)");
  postgres::Pool pool{waiting.conninfo(), {.pool_size = 1, .max_overflow = 0}};
  int given_up = 0;
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    std::optional<postgres::CommitUnknown> unknown;
    for (Duration span = 2s; !unknown; span *= 2) {
      auto lease = co_await hall_lease(loop, pool);
      const postgres::TransactionOptions limited{.until = Clock::now() + span, .track_commit = true};
      HallSession<decltype(loop)> session{std::move(lease), loop.runner, limited};
      try {
        co_await session.begin();
        co_await session.exec("insert into halls values (1)");
        co_await session.commit();
        break;  // the standby that never comes
      } catch (const postgres::CommitUnknown& error) {
        unknown = error;
      } catch (const postgres::QueryTimeout&) {  // it was over before COMMIT was sent
        if (span > 1min) throw;
      }
    }
    BOOST_REQUIRE(unknown.has_value());
    // The pool's only connection is closed before another is opened, with the request to cancel if there is one.
    const auto status = postgres::transaction_status(pool, *unknown, 200ms);
    BOOST_TEST((status == postgres::TransactionStatus::in_progress));
    BOOST_TEST(waiting.ask("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") ==
               std::to_string(++given_up));
    BOOST_TEST(waiting.ask("select count(*) from halls") == "0");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(each_gives_up_when_the_time_of_the_session_is_over) {
  postgres::Pool pool = one_hall();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    for (const bool streams : {true, false}) {
      for (Duration span = 300ms;; span *= 2) {
        const postgres::TransactionOptions limited{.until = Clock::now() + span};
        HallSession<Loop> session{co_await hall_lease(loop, pool), loop.runner, limited};
        const bool late = co_await fails_in<postgres::QueryTimeout>(loop, [&] { return session.begin(); });
        if (late && span < 1min) continue;  // the time was over before the session had begun
        BOOST_TEST(!late);
        const std::string sleep = "select pg_sleep(60)";
        if (streams) {
          BOOST_TEST(co_await fails_in<postgres::QueryTimeout>(loop, [&] { return session.stream(sleep); }));
        } else {
          BOOST_TEST(co_await fails_in<postgres::QueryTimeout>(loop, [&] { return session.exec_script(sleep); }));
        }
        break;
      }
    }
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(what_is_open_when_the_session_ends_is_an_error_and_not_an_early_end) {
  postgres::Pool pool = one_hall();
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Loop = decltype(loop);
    const Halls table;
    const std::string many = "select generate_series(1, 1000000)";
    HallSession<Loop> session{co_await hall_lease(loop, pool), loop.runner};
    co_await session.begin();
    auto rows = co_await session.template stream<int>(many);
    const auto first = co_await rows.next();
    BOOST_TEST(first.value() == 1);
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return session.commit(); }));
    BOOST_TEST(session.is_open());
    co_await session.rollback();
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return rows.next(); }));
    co_await rows.close();

    HallSession<Loop> second{co_await hall_lease(loop, pool), loop.runner};
    co_await second.begin();
    auto copy = co_await second.copy_in("copy halls from stdin");
    co_await copy.write(hall_line.front());
    co_await second.rollback();
    BOOST_TEST(co_await fails_in<postgres::Error>(loop, [&] { return copy.finish(); }));
    BOOST_TEST(Halls::stored() == "0");
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
