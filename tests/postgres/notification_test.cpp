#include <sys/resource.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(notification)

BOOST_AUTO_TEST_CASE(arrives_with_its_channel_payload_and_sender) {
  Connection connection = lido::test::connect();
  Connection sender = lido::test::connect();
  connection.listen("News; \"drop\"");
  connection.listen("plain");
  sender.exec_script("notify plain; notify \"News; \"\"drop\"\"\", 'hello'");
  const std::optional<Notification> first = connection.wait_for_notification(soon());
  BOOST_REQUIRE(first.has_value());
  BOOST_TEST(first->channel == "plain");
  BOOST_TEST(first->payload == "");
  BOOST_TEST(first->pid == sender.backend_pid());
  const std::optional<Notification> second = connection.wait_for_notification(soon());
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(second->channel == "News; \"drop\"");
  BOOST_TEST(second->payload == "hello");
}

BOOST_AUTO_TEST_CASE(a_name_that_the_server_would_cut_is_refused) {
  Connection connection = lido::test::connect();
  const std::string longest(63, 'n');
  connection.listen(longest);
  connection.exec("select pg_notify($1, '')", longest);
  BOOST_TEST(connection.wait_for_notification(soon()).value().channel == longest);
  BOOST_CHECK_THROW(connection.listen(longest + 'n'), QueryError);
  BOOST_CHECK_THROW(connection.unlisten(longest + 'n'), QueryError);
  BOOST_CHECK_THROW(connection.exec("select pg_notify($1, '')", longest + 'n'), QueryError);  // the server's word on it
  // The same of a transaction's settings.
  BOOST_CHECK_THROW(connection.begin(soon(), {.set_local = {{"app." + longest + 'n', "x"}}}), InvalidOption);
  BOOST_CHECK_THROW(connection.begin(soon(), {.set_local = {{"search_path", longest + 'n'}}}), InvalidOption);
  connection.begin(soon(), {.set_local = {{"app." + longest, "x"}}});
  BOOST_TEST(connection.exec("select current_setting('app." + longest + "')").one<std::string>() == "x");
}

BOOST_AUTO_TEST_CASE(one_that_came_with_an_answer_is_not_lost) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  connection.exec("select pg_notify('news', $1)", "own");
  connection.exec("select 1");
  BOOST_TEST(connection.wait_for_notification(soon()).value().payload == "own");
}

BOOST_AUTO_TEST_CASE(waits_until_the_deadline_or_a_stop_and_the_connection_stays_good) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  BOOST_TEST(!connection.wait_for_notification(Clock::now()).has_value());
  const auto start = Clock::now();
  BOOST_TEST(!connection.wait_for_notification(start + 50ms).has_value());
  BOOST_TEST((Clock::now() - start >= 50ms));
  std::stop_source stop;
  std::jthread stopper{[&] { stop.request_stop(); }};
  BOOST_TEST(!connection.wait_for_notification(Until{stop.get_token()}).has_value());
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  connection.unlisten("news");
  server().ask("notify news");
  connection.exec("select 1");
  BOOST_TEST(!connection.wait_for_notification(Clock::now()).has_value());
}

BOOST_AUTO_TEST_CASE(a_stop_that_may_come_costs_a_long_wait_nothing) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  const auto sleeps = [] {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  };
  std::stop_source stop;
  const long before = sleeps();
  BOOST_TEST(!connection.wait_for_notification({Clock::now() + 400ms, stop.get_token()}).has_value());
  BOOST_TEST(sleeps() - before < 10);  // one that looks every 20 ms sleeps twenty times
}

BOOST_AUTO_TEST_CASE(a_stop_that_comes_late_ends_a_wait) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  std::stop_source stop;
  // The server's answer comes after longer than a wait looks by itself.
  std::jthread stopper{[&] {
    server().ask("select pg_sleep(0.1)");
    stop.request_stop();
  }};
  BOOST_TEST(!connection.wait_for_notification(stop.get_token()).has_value());
  BOOST_TEST(connection.is_usable());
}

BOOST_AUTO_TEST_CASE(a_terminated_session_is_noticed_at_once) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  std::jthread terminator{[pid = std::to_string(connection.backend_pid())] {
    server().ask("select pg_terminate_backend(" + pid + ", 60000)");
  }};
  const auto error = caught<ConnectionLost>([&] { static_cast<void>(connection.wait_for_notification(soon() + 30s)); });
  BOOST_TEST(error.sqlstate() == "57P01");
  BOOST_TEST(!connection.is_usable());
  BOOST_CHECK_THROW(static_cast<void>(connection.wait_for_notification(soon())), ConnectionLost);
}

BOOST_AUTO_TEST_CASE(none_reaches_the_next_holder) {
  Connection connection = lido::test::connect();
  connection.listen("news");
  connection.exec("select pg_notify('news', 'private')");
  BOOST_TEST(connection.reset(soon()));
  server().ask("notify news");
  BOOST_TEST(!connection.wait_for_notification(Clock::now() + 30ms).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
