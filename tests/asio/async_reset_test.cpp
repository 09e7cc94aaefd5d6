// What the last holder left is discarded before whatever is awaited next: in Asio's loop and in one of our own.
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(asio_reset)

BOOST_AUTO_TEST_CASE(a_discard_all_that_nobody_waits_for_comes_before_whatever_is_awaited_next) {
  server().ask(
      "drop table if exists hidden; create table hidden(id int); create or replace function hides() returns trigger "
      "language plpgsql as $$ begin set work_mem = '7MB'; return new; end $$; "
      "create trigger hides before insert on hidden for each row execute function hides()");
  const std::string fresh = server().ask("show work_mem");
  postgres::Connection connection = connect({.reset = postgres::ResetLevel::discard_all});
  in_both_loops([&](auto loop) -> Body<decltype(loop)> {
    const auto session = async_in(loop, connection);
    const auto next_holder = [&] {
      connection.exec("insert into hidden values (1)");
      BOOST_REQUIRE(connection.reset(soon()));
    };
    for (int round = 0; round < 3; ++round) {
      next_holder();
      const postgres::Result plain = co_await session.exec("show work_mem");
      BOOST_TEST(plain[0][0].template as<std::string>() == fresh);
      next_holder();
      const postgres::Result with_value = co_await session.exec("select $1::int", 5);
      BOOST_TEST(number_in(with_value) == 5);
      next_holder();
      const postgres::Result script = co_await session.exec_script("select 1; show work_mem");
      BOOST_TEST(script[0][0].template as<std::string>() == fresh);
      next_holder();
      auto stream = co_await session.template stream<int>("select generate_series(1, $1)", 2000);
      int rows = 0;
      while (const auto row = co_await stream.next()) ++rows;
      BOOST_TEST(rows == 2000);
      next_holder();
      auto lines =
          co_await session.template copy_out<std::string>("copy (select current_setting('work_mem')) to stdout");
      while (const auto line = co_await lines.next()) BOOST_TEST(*line == fresh);
      next_holder();
      postgres::Pipeline pipeline;
      pipeline.add("show work_mem");
      pipeline.add("select 2");
      const std::vector<postgres::Result> results = co_await session.run(std::move(pipeline));
      BOOST_TEST(results[0][0][0].template as<std::string>() == fresh);
      BOOST_TEST(number_in(results[1]) == 2);
    }
    co_return true;
  });
}

BOOST_AUTO_TEST_SUITE_END()
