// Notices of the server reach whoever listens, and cost nobody anything else.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/notice.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(notice)

namespace {

struct Heard {
  NoticeListener listener() {
    return [this](const Notice& notice) { all.push_back(notice); };
  }
  std::vector<Notice> all;
};

constexpr const char* warns =
    "do $$ begin raise warning 'low on %', 'tea' using detail = 'two bags', hint = 'buy some', errcode = '01999'; end "
    "$$";

}  // namespace

BOOST_AUTO_TEST_CASE(reaches_the_listener_of_a_connection_with_all_that_the_server_says) {
  Heard heard;
  Connection connection = lido::test::connect({.on_notice = heard.listener()});
  connection.exec_script("set lc_messages = 'C'");
  const auto line = static_cast<unsigned>(__LINE__) + 1;
  connection.exec(warns);
  BOOST_REQUIRE(heard.all.size() == 1U);
  const Notice& told = heard.all[0];
  BOOST_TEST(told.severity == "WARNING");
  BOOST_TEST(told.sqlstate == "01999");
  BOOST_TEST(told.message == "low on tea");
  BOOST_TEST(told.detail == "two bags");
  BOOST_TEST(told.hint == "buy some");
  BOOST_TEST(told.context.find("inline_code_block line 1") != std::string::npos);
  BOOST_TEST(told.where.line() == line);
  BOOST_TEST(told.pid == connection.backend_pid());
  connection.exec_script("drop table if exists no_such_table; commit");
  BOOST_REQUIRE(heard.all.size() == 3U);
  BOOST_TEST(heard.all[1].severity == "NOTICE");
  BOOST_TEST(heard.all[2].sqlstate == "25P01");
}

BOOST_AUTO_TEST_CASE(reaches_the_listener_of_a_pool_whichever_connection_it_comes_from) {
  std::mutex mutex;
  std::vector<int> from;
  {
    // [on_notice]
    lido::postgres::Pool pool{server().conninfo(), {.on_notice = [&](const lido::postgres::Notice& notice) {
                                const std::scoped_lock lock{mutex};  // it may be called by several threads at a time
                                if (notice.severity == "WARNING") from.push_back(notice.pid);
                              }}};
    // [/on_notice]
    const auto one = pool.acquire();
    const auto other = pool.acquire();
    one->exec(warns);
    other->exec(warns);
    BOOST_TEST((from == std::vector{one->backend_pid(), other->backend_pid()}));
    Pipeline pipeline;
    pipeline.add(warns);
    pipeline.add("select 1");
    one->run(pipeline);
    BOOST_TEST(from.size() == 3U);
  }
}

BOOST_AUTO_TEST_CASE(reaches_it_while_a_connection_is_opened) {
  Heard heard;
  Connection connection = Connection::connect(server().conninfo() + " options='-c client_min_messages=debug5'", soon(),
                                              {}, {.on_notice = heard.listener()});
  BOOST_TEST(!heard.all.empty());
}

BOOST_AUTO_TEST_CASE(is_dropped_where_nobody_listens) {
  Connection connection = lido::test::connect();
  BOOST_TEST(connection.exec(warns).affected_rows() == 0U);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_listener_that_throws_costs_nothing) {
  int told = 0;
  Connection connection = lido::test::connect({.on_notice = [&](const Notice&) {
    ++told;
    if (told == 1) throw std::runtime_error{"no"};
    throw 1;
  }});
  connection.exec_script(
      "do $$ begin raise notice 'one'; raise notice 'two'; end $$; create temporary table noticed(id int)");
  BOOST_TEST(told == 2);
  BOOST_TEST(connection.exec("select count(*) from noticed").one<int>() == 0);
}

BOOST_AUTO_TEST_CASE(a_listener_can_run_nothing_on_its_connection_which_stays_good) {
  Connection* own = nullptr;
  int refused = 0;
  Connection connection = lido::test::connect({.on_notice = [&](const Notice&) {
    try {
      own->exec("select 1");
    } catch (const QueryError&) {
      ++refused;
    }
    BOOST_TEST(!own->is_usable());
    BOOST_TEST(own->is_alive());
    BOOST_CHECK_THROW(static_cast<void>(own->wait_for_notification(Clock::now())), QueryError);
    BOOST_TEST(!own->ping(soon()));
    BOOST_TEST(!own->reset(soon()));
  }});
  own = &connection;
  connection.exec(warns);
  BOOST_TEST(refused == 1);
  BOOST_TEST(connection.is_usable());
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(nobody_is_told_after_the_end_of_the_pool_though_a_lease_outlives_it) {
  auto told = std::make_unique<int>(0);  // gone with the pool
  auto pool =
      std::make_unique<postgres::Pool>(server().conninfo(), Options{.on_notice = [&told](const Notice&) { ++*told; }});
  auto lease = pool->acquire();
  lease->exec(warns);
  BOOST_TEST(*told == 1);
  pool.reset();
  told.reset();
  lease->exec(warns);
  BOOST_TEST(lease->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_pool_waits_for_a_call_that_goes_on) {
  std::atomic<bool> inside{false}, go_on{false}, over{false};
  auto pool = std::make_unique<postgres::Pool>(server().conninfo(), Options{.on_notice = [&](const Notice&) {
                                                 inside = true;
                                                 while (!go_on) std::this_thread::yield();
                                                 over = true;
                                               }});
  auto lease = pool->acquire();
  std::jthread runs{[&] { lease->exec(warns); }};
  while (!inside) std::this_thread::yield();
  std::jthread lets{[&] { go_on = true; }};
  pool.reset();
  BOOST_TEST(over.load());
}

BOOST_AUTO_TEST_CASE(very_many_and_very_long_ones_are_told_in_linear_time_and_bounded) {
  std::size_t told = 0, longest = 0;
  Connection connection = lido::test::connect({.on_notice = [&](const Notice& notice) {
    ++told;
    longest = std::max(longest, notice.message.size());
  }});
  connection.exec(
      "do $$ begin for i in 1..20000 loop raise notice 'number %', i; end loop; "
      "raise notice '%', repeat('x', 10000000); end $$");
  BOOST_TEST(told == 20'001U);
  BOOST_TEST(longest <= 70'000U);
}

BOOST_AUTO_TEST_CASE(shows_no_password) {
  Heard heard;
  Connection connection = lido::test::connect({.on_notice = heard.listener()});
  connection.exec_script(
      "do $$ begin raise notice 'alter role x password ''hunter2'''; "
      "raise notice 'n' using detail = 'password=hunter2', hint = 'password ''hunter2'''; "
      "execute 'do $x$ begin raise notice ''m''; end /* */ $x$ -- password ''hunter2'''; end $$");
  BOOST_REQUIRE(heard.all.size() == 3U);
  for (const Notice& notice : heard.all)
    for (const std::string& text : {notice.message, notice.detail, notice.hint, notice.context})
      BOOST_TEST(text.find("hunter2") == std::string::npos, text);
}

BOOST_AUTO_TEST_SUITE_END()
