// TLS records of any size, in Asio's loop and in one of our own.
#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <postgres/server.hpp>
#include <support/record_proxy.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(asio_records)

namespace {

constexpr std::array async_record_sizes{1UL, 1000UL, 8192UL, 8193UL, 9000UL, 12'288UL, 16'000UL, 16'384UL};

const RecordProxy& async_records_proxy() {
  static const RecordProxy instance{server().socket()};
  return instance;
}
// With an answer of each length its end falls everywhere in a record.
int most_async_rows(std::size_t size) { return size == 1 ? 2 : 20; }

}  // namespace

BOOST_AUTO_TEST_CASE(answers_rows_copies_and_notifications_arrive_whatever_the_size_of_their_records) {
  for (const std::size_t size : async_record_sizes) BOOST_TEST_CONTEXT("records of " << size << " bytes")
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = postgres::Connection::connect(async_records_proxy().conninfo(size), soon());
    const auto session = async_in(loop, connection);
    co_await session.exec_script("create temp table copied(number int, text text)");
    for (int rows = 1; rows <= most_async_rows(size); ++rows) {
      const postgres::Result result =
          co_await session.exec_until(soon(), "select i, repeat('x', 3000) from generate_series(1, $1) i", rows);
      BOOST_TEST(result.size() == static_cast<std::size_t>(rows));
      int count = 0;
      auto stream = co_await session.template stream_until<std::string>(
          soon(), "select repeat('y', 3000) from generate_series(1, $1)", rows);
      while (auto row = co_await stream.next()) count += row->size() == 3000 ? 1 : 0;
      BOOST_TEST(count == rows);
      std::vector<std::tuple<int, std::string>> written(static_cast<std::size_t>(rows), {1, std::string(3000, 'z')});
      BOOST_TEST(co_await session.copy_in("copy copied from stdin", written, soon()) == written.size());
      auto copy = co_await session.template copy_out<int, std::string>("copy copied to stdout", soon());
      std::vector<std::tuple<int, std::string>> back;
      while (auto row = co_await copy.next()) back.push_back(*std::move(row));
      BOOST_TEST((back == written));
      co_await session.exec_script("truncate copied");
    }
    co_await session.listen("tidings");
    server().ask("select pg_notify('tidings', i || repeat('n', 7000)) from generate_series(1, 5) i");
    for (int i = 0; i < 5; ++i) {
      const auto heard = co_await session.wait_for_notification(soon());
      BOOST_TEST(heard.has_value());
    }
    BOOST_TEST(number_in(co_await session.exec("select 1")) == 1);
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_peer_that_never_stops_neither_outlasts_a_deadline_nor_holds_up_the_loop) {
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    postgres::Connection connection = postgres::Connection::connect(async_records_proxy().conninfo(16'384), soon());
    const auto start = Clock::now();
    BOOST_TEST(co_await fails_in<postgres::QueryTimeout>(loop, [&] {
      return async_in(loop, connection)
          .exec_until(start + 200ms, "select repeat('x', 3000), generate_series(1, 1000000000)");
    }));
    BOOST_TEST((Clock::now() - start < 60s));
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
