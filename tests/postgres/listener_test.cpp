// A listener that keeps itself connected, on a server of its own that comes and goes.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/listener.hpp>
#include <postgres/server.hpp>
#include <support/forking.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(listener)

namespace {

using Kind = ListenerEvent::Kind;

ListenerOptions quick() {
  return {.connection = {.application_name = "lido_listener"}, .backoff_min = 5ms, .backoff_max = 50ms};
}
std::string shown(const std::optional<ListenerEvent>& event) {
  if (!event) return "nothing";
  std::string text{to_string(event->kind)};
  if (!event->notification.channel.empty()) text += " " + event->notification.channel;
  if (!event->notification.payload.empty()) text += ": " + event->notification.payload;
  return event->again ? text + ", again" : text;
}
std::string next(Listener& listener) { return shown(listener.wait(soon())); }
void terminate_listener() {
  server().ask(
      "select pg_terminate_backend(pid, 60000) from pg_stat_activity where application_name = 'lido_listener'");
}

}  // namespace

BOOST_AUTO_TEST_CASE(tells_that_it_is_subscribed_and_then_what_comes) {
  Listener listener{server().conninfo(), {"News; \"drop\"", "plain"}, quick()};
  BOOST_TEST(!listener.is_connected());
  BOOST_TEST(next(listener) == "subscribed News; \"drop\"");
  BOOST_TEST(next(listener) == "subscribed plain");
  BOOST_TEST(listener.is_connected());
  BOOST_TEST(listener.last_failure() == "");
  server().ask("notify plain, 'one'; notify \"News; \"\"drop\"\"\", 'two'");
  const std::optional<ListenerEvent> first = listener.wait(soon());
  BOOST_TEST(shown(first) == "notification plain: one");
  BOOST_TEST(first->notification.pid != 0);
  BOOST_TEST(next(listener) == "notification News; \"drop\": two");
  BOOST_TEST(shown(listener.wait(Clock::now())) == "nothing");
}

BOOST_AUTO_TEST_CASE(a_terminated_session_is_opened_anew_and_what_may_have_been_missed_is_told) {
  Listener listener{server().conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  for (int round = 0; round < 3; ++round) {
    terminate_listener();
    server().ask("notify news, 'missed'");
    BOOST_TEST(next(listener) == "lost");
    BOOST_TEST(!listener.is_connected());
    BOOST_TEST(listener.last_failure().find("terminating connection") != std::string::npos);
    BOOST_TEST(next(listener) == "subscribed news, again");
    server().ask("notify news, 'heard'");
    BOOST_TEST(next(listener) == "notification news: heard");
  }
}

BOOST_AUTO_TEST_CASE(what_came_before_the_end_of_the_session_is_told_before_that) {
  Listener listener{server().conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  int heard = 0;
  // Again where the server ended the session before it had passed on all of them.
  for (int round = 0; round < 20 && heard < 50; ++round) {
    server().ask("select pg_notify('news', i::text) from generate_series(1, 50) i");
    terminate_listener();
    heard = 0;
    std::string event = next(listener);
    for (; event.starts_with("notification news: "); event = next(listener)) ++heard;
    BOOST_TEST(event == "lost");
    BOOST_TEST(next(listener) == "subscribed news, again");
  }
  BOOST_TEST(heard == 50);
}

BOOST_AUTO_TEST_CASE(a_terminated_session_is_opened_anew_while_somebody_waits) {
  Listener listener{server().conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  std::jthread terminator{[] { terminate_listener(); }};
  BOOST_TEST(next(listener) == "lost");
  BOOST_TEST(next(listener) == "subscribed news, again");
}

BOOST_AUTO_TEST_CASE(a_server_that_is_restarted_is_waited_for) {
  PostgresServer own;
  Listener listener{own.conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  own.stop(PostgresServer::Mode::immediate);
  BOOST_TEST(next(listener) == "lost");
  BOOST_TEST(shown(listener.wait(Clock::now() + 200ms)) == "nothing");  // it tries in vain
  BOOST_TEST(listener.last_failure().find("failed") != std::string::npos);
  own.start();
  BOOST_TEST(next(listener) == "subscribed news, again");
  own.ask("notify news, 'back'");
  BOOST_TEST(next(listener) == "notification news: back");
}

BOOST_AUTO_TEST_CASE(a_server_that_is_not_there_yet_is_waited_for_until_the_deadline) {
  PostgresServer own;
  own.stop();
  Listener listener{own.conninfo(), {"news"}, quick()};
  const TimePoint begun = Clock::now();
  BOOST_TEST(shown(listener.wait(begun + 300ms)) == "nothing");
  BOOST_TEST((Clock::now() - begun >= 300ms));
  own.start();
  BOOST_TEST(next(listener) == "subscribed news");
}

BOOST_AUTO_TEST_CASE(a_server_that_hangs_is_found_out_by_a_ping) {
  PostgresServer own;
  ListenerOptions options = quick();
  options.ping_after = 50ms;
  options.answer_timeout = 5s;
  options.connect_timeout = 5s;
  Listener listener{own.conninfo(), {"news"}, options};
  BOOST_TEST(next(listener) == "subscribed news");
  BOOST_TEST(shown(listener.wait(Clock::now() + 300ms)) == "nothing");  // and pings
  BOOST_TEST(listener.is_connected());
  own.sigstop();
  BOOST_TEST(next(listener) == "lost");
  BOOST_TEST(listener.last_failure().find("no answer to a listener in time") != std::string::npos);
  own.sigcont();
  BOOST_TEST(next(listener) == "subscribed news, again");
}

BOOST_AUTO_TEST_CASE(a_stop_ends_a_wait_and_nothing_else) {
  Listener listener{server().conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  std::stop_source stop;
  std::jthread stopper{[&] {
    server().ask("select pg_sleep(0.1)");
    stop.request_stop();
  }};
  BOOST_TEST(shown(listener.wait(stop.get_token())) == "nothing");
  BOOST_TEST(shown(listener.wait(stop.get_token())) == "nothing");
  server().ask("notify news, 'later'");
  BOOST_TEST(next(listener) == "notification news: later");
}

BOOST_AUTO_TEST_CASE(channels_are_added_and_removed_by_other_threads_while_it_waits) {
  Listener listener{server().conninfo(), {}, quick()};
  std::jthread adds{[&] { listener.add("one"); }};
  BOOST_TEST(next(listener) == "subscribed one");
  listener.add("one");  // nothing new
  std::jthread adds_more{[&] {
    server().ask("select pg_sleep(0.1)");  // longer than a wait looks by itself
    listener.add("two");
  }};
  BOOST_TEST(next(listener) == "subscribed two");
  BOOST_TEST((listener.channels() == std::vector<std::string>{"one", "two"}));
  std::jthread removes{[&] { listener.remove("one"); }};
  BOOST_TEST(next(listener) == "unsubscribed one");
  server().ask("notify one; notify two");
  BOOST_TEST(next(listener) == "notification two");
  listener.remove("one");
  listener.remove("two");
  listener.add("two");
  BOOST_TEST(next(listener) == "subscribed two, again");
  listener.remove("two");
  terminate_listener();
  std::string told;
  for (int i = 0; i < 2; ++i) told += next(listener) + " ";
  BOOST_TEST(told.find("lost") != std::string::npos);
  BOOST_TEST(told.find("unsubscribed two") != std::string::npos);
  BOOST_TEST(listener.channels().empty());
}

BOOST_AUTO_TEST_CASE(very_many_channels_are_subscribed_in_one_go_also_after_a_loss) {
  std::vector<std::string> channels;
  for (int i = 0; i < 1000; ++i) channels.push_back("channel " + std::to_string(i));
  Listener listener{server().conninfo(), channels, quick()};
  for (std::size_t i = 0; i < channels.size(); ++i) BOOST_REQUIRE((listener.wait(soon())->kind == Kind::subscribed));
  terminate_listener();
  BOOST_TEST(next(listener) == "lost");
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const std::optional<ListenerEvent> event = listener.wait(soon());
    BOOST_REQUIRE((event->kind == Kind::subscribed && event->again));
  }
  server().ask("select pg_notify('channel ' || i, i::text) from generate_series(0, 999) i");
  for (std::size_t i = 0; i < channels.size(); ++i)
    BOOST_REQUIRE(listener.wait(soon())->notification.payload == std::to_string(i));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_a_channel_is_refused_at_once) {
  Listener listener{server().conninfo(), {}, quick()};
  BOOST_CHECK_THROW(listener.add(std::string(64, 'n')), QueryError);
  BOOST_CHECK_THROW(listener.add(""), QueryError);
  BOOST_CHECK_THROW(listener.add(std::string{"a\0b", 3}), QueryError);
  BOOST_CHECK_THROW((Listener{server().conninfo(), {""}}), QueryError);
  BOOST_TEST(listener.channels().empty());
  listener.add("bad \xff");
  BOOST_CHECK_THROW(static_cast<void>(listener.wait(soon())), QueryError);  // the server's word on it
  listener.remove("bad \xff");
  listener.add(std::string(63, 'n'));
  std::string told = next(listener);
  while (told == "lost" || told.starts_with("unsubscribed")) told = next(listener);
  BOOST_TEST(told == "subscribed " + std::string(63, 'n'));
  Connection plain = lido::test::connect();
  BOOST_CHECK_THROW(plain.listen(""), QueryError);
}

BOOST_AUTO_TEST_CASE(a_name_that_the_server_refuses_keeps_no_other_from_being_subscribed) {
  Listener listener{server().conninfo(), {"one", "bad \xff", "two"}, quick()};
  std::string told;
  std::size_t refused = 0;
  const auto listen_for = [&](std::size_t events) {
    for (std::size_t i = 0; i < events; ++i) {
      try {
        told += next(listener) + "; ";
      } catch (const QueryError& error) {
        ++refused;
        BOOST_TEST(error.statement() == "LISTEN \"bad \xff\"");  // alone: that is the one to remove
      }
    }
  };
  listen_for(3);
  BOOST_TEST(refused == 1U);
  BOOST_TEST(told == "subscribed one; subscribed two; ");
  BOOST_TEST(listener.is_connected());
  server().ask("notify one, 'heard'");
  BOOST_TEST(next(listener) == "notification one: heard");
  told.clear();
  terminate_listener();
  listen_for(4);
  BOOST_TEST(refused == 2U);
  BOOST_TEST(told == "lost; subscribed one, again; subscribed two, again; ");
  listener.remove("bad \xff");
  BOOST_TEST(next(listener) == "unsubscribed bad \xff");
}

BOOST_AUTO_TEST_CASE(what_came_of_a_channel_comes_before_its_end) {
  Listener listener{server().conninfo(), {"one"}, quick()};
  BOOST_TEST(next(listener) == "subscribed one");
  server().ask("notify one, '1'");
  server().ask("notify one, '2'");
  listener.remove("one");
  std::string told;
  while (told.find("unsubscribed") == std::string::npos) told += next(listener) + "; ";
  BOOST_TEST(told == "notification one: 1; notification one: 2; unsubscribed one; ");
  BOOST_TEST(shown(listener.wait(Clock::now())) == "nothing");
}

BOOST_AUTO_TEST_CASE(what_connecting_again_cannot_mend_is_thrown_and_shows_no_password) {
  Listener listener{server().conninfo("nobody_of_that_name") + " password=hunter2", {"news"}, quick()};
  const auto error = caught<PermanentConnectError>([&] { static_cast<void>(listener.wait(soon())); });
  BOOST_TEST(error.sqlstate() == "28000");
  BOOST_TEST(listener.last_failure().find("nobody_of_that_name") != std::string::npos);
  BOOST_TEST(listener.last_failure().find("hunter2") == std::string::npos);
  BOOST_CHECK_THROW(static_cast<void>(listener.wait(soon())), PermanentConnectError);  // and again
  BOOST_CHECK_THROW((Listener{"host=x nonsense", {}}), PermanentConnectError);
}

BOOST_AUTO_TEST_CASE(settings_out_of_their_ranges_are_refused) {
  const auto refused = [](ListenerOptions options) {
    return caught<InvalidOption>([&] { Listener{server().conninfo(), {}, std::move(options)}; }).field();
  };
  BOOST_TEST(refused({.connect_timeout = 0s}) == "ListenerOptions::connect_timeout");
  BOOST_TEST(refused({.backoff_min = 0s}) == "ListenerOptions::backoff_min");
  BOOST_TEST(refused({.backoff_min = 2s, .backoff_max = 1s}) == "ListenerOptions::backoff_max");
  BOOST_TEST(refused({.ping_after = 0s}) == "ListenerOptions::ping_after");
  BOOST_TEST(refused({.answer_timeout = -1s}) == "ListenerOptions::answer_timeout");
}

BOOST_AUTO_TEST_CASE(it_can_be_moved_and_ends_its_session) {
  {
    Listener first{server().conninfo(), {"news"}, quick()};
    BOOST_TEST(next(first) == "subscribed news");
    Listener second = std::move(first);
    server().ask("notify news, 'moved'");
    BOOST_TEST(next(second) == "notification news: moved");
  }
  PostgresServer::wait_until("its session has ended", [] {
    return server().ask("select count(*) from pg_stat_activity where application_name = 'lido_listener'") == "0";
  });
}

BOOST_AUTO_TEST_CASE(a_child_process_opens_its_own_session_and_takes_nothing_of_its_parents,
                     *boost::unit_test::enable_if<can_fork>()) {
  Listener listener{server().conninfo(), {"news"}, quick()};
  BOOST_TEST(next(listener) == "subscribed news");
  BOOST_TEST(shown(listener.wait(Clock::now())) == "nothing");  // it has begun to wait
  server().ask("select pg_notify('news', word) from unnest(array['none', 'one']) word");
  BOOST_TEST(next(listener) == "notification news: none");  // and the other one has come with it
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit([&] {
      try {
        if (next(listener) != "lost") return 1;
        return next(listener) == "subscribed news, again" ? 0 : 2;
      } catch (const std::exception&) {
        return 3;
      }
    }());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(next(listener) == "notification news: one");
}

BOOST_AUTO_TEST_SUITE_END()
