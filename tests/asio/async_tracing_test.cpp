// A tracer is told of what is awaited as of what is waited for: in Asio's loop and in one of our own.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/tracing.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(asio_tracing)

namespace {

struct Tracer {
  std::string begin(const AcquireBegin& begin) const { return "acquire of " + std::string{begin.pool}; }
  void end(std::string text, const AcquireEnd& end) const {
    journal->push_back(std::move(text) + (end.error == nullptr ? "" : " failed"));
  }
  std::string begin(const postgres::StatementBegin& begin) const { return std::string{begin.text}; }
  void end(std::string text, const postgres::StatementEnd& end) const {
    journal->push_back(std::move(text) + ", " + std::string{to_string(end.outcome)} + ' ' + std::to_string(end.rows));
  }
  std::string begin(const postgres::TransactionBegin&) const { return "transaction"; }
  void end(const std::string& text, const postgres::TransactionEnd& end) const {
    journal->push_back(text + ' ' + std::string{to_string(end.outcome)});
  }
  std::vector<std::string>* journal;
};

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_awaited_is_told_from_its_begin_to_its_end) {
  std::vector<std::string> journal;
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .name = "orders"}};
  trace(pool, Tracer{&journal});
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    using Runner = typename decltype(loop)::Runner;
    using Session = postgres::AsyncSession<postgres::Pool::Lease, Runner>;
    using Coroutine = typename decltype(loop)::template Coroutine<int>;
    journal.clear();
    const auto body = [](Session& session) -> Coroutine {
      const postgres::Result found = co_await session.exec("select 7");
      co_return number_in(found);
    };
    const int seven = co_await postgres::async_transact(pool, loop.runner, body);
    BOOST_TEST(seven == 7);
    BOOST_TEST(journal == (std::vector<std::string>{"acquire of orders", "BEGIN, done 0", "select 7, done 1",
                                                    "COMMIT, done 0", "transaction committed"}),
               boost::test_tools::per_element());
    journal.clear();
    {
      auto lease = co_await loop.runner.acquire(pool, 1h, {}, std::source_location::current());
      const auto session = async_in(loop, *lease);
      const auto sleeps = [&](Duration span) { return session.exec_until(Clock::now() + span, "select pg_sleep(30)"); };
      const bool late =
          co_await fails_in<postgres::QueryTimeout>(loop, [&] { return once_sent_in(loop, 20ms, sleeps); });
      BOOST_TEST(late);
    }
    BOOST_TEST(journal == (std::vector<std::string>{"acquire of orders", "select pg_sleep(30), timed_out 0"}),
               boost::test_tools::per_element());
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
