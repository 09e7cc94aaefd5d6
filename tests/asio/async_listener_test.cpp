// A listener that keeps itself connected, in both loops.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <lido/asio/listener.hpp>
#include <lido/postgres/async/listener.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(async_listener)

namespace {

using postgres::ListenerEvent;

template <class Loop>
using ListenerIn = postgres::AsyncListener<typename Loop::Runner>;

postgres::ListenerOptions quickly() {
  return {.connection = {.application_name = "lido_async_listener"}, .backoff_min = 5ms, .backoff_max = 50ms};
}
std::string told(const std::optional<ListenerEvent>& event) {
  if (!event) return "nothing";
  std::string text{to_string(event->kind)};
  if (!event->notification.channel.empty()) text += " " + event->notification.channel;
  if (!event->notification.payload.empty()) text += ": " + event->notification.payload;
  return event->again ? text + ", again" : text;
}
void end_its_session() {
  server().ask(
      "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'lido_async_listener'");
}

}  // namespace

BOOST_AUTO_TEST_CASE(hears_is_lost_and_subscribes_anew) {
  in_both_loops([]<class Loop>(Loop loop) -> Body<Loop> {
    ListenerIn<Loop> listener{loop.runner, server().conninfo(), {"news"}, quickly()};
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news");
    server().ask("notify news, 'one'");
    BOOST_TEST(told(co_await listener.wait(soon())) == "notification news: one");
    const std::jthread terminator{[] { end_its_session(); }};
    BOOST_TEST(told(co_await listener.wait(soon())) == "lost");
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news, again");
    BOOST_TEST(told(co_await listener.wait(Clock::now() + 50ms)) == "nothing");
    BOOST_TEST(listener.is_connected());
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(waits_for_a_server_that_is_away) {
  in_both_loops([]<class Loop>(Loop loop) -> Body<Loop> {
    PostgresServer own;
    ListenerIn<Loop> listener{loop.runner, own.conninfo(), {"news"}, quickly()};
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news");
    own.stop();
    BOOST_TEST(told(co_await listener.wait(soon())) == "lost");
    BOOST_TEST(told(co_await listener.wait(Clock::now() + 200ms)) == "nothing");
    own.start();
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news, again");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(channels_are_added_and_removed_while_a_coroutine_waits) {
  in_both_loops([]<class Loop>(Loop loop) -> Body<Loop> {
    ListenerIn<Loop> listener{loop.runner, server().conninfo(), {"one"}, quickly()};
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed one");
    const std::jthread adds{[&listener] {
      server().ask("select pg_sleep(0.05)");
      listener.add("two");
    }};
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed two");
    const std::jthread removes{[&listener] {
      server().ask("select pg_sleep(0.05)");
      listener.remove("one");
    }};
    BOOST_TEST(told(co_await listener.wait(soon())) == "unsubscribed one");
    server().ask("notify one; notify two, 'heard'");
    BOOST_TEST(told(co_await listener.wait(soon())) == "notification two: heard");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(a_hung_server_is_found_out_and_a_stop_ends_a_wait) {
  in_both_loops([]<class Loop>(Loop loop) -> Body<Loop> {
    PostgresServer own;
    postgres::ListenerOptions options = quickly();
    options.ping_after = 50ms;
    options.answer_timeout = 2s;
    options.connect_timeout = 5s;
    ListenerIn<Loop> listener{loop.runner, own.conninfo(), {"news"}, options};
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news");
    own.sigstop();
    BOOST_TEST(told(co_await listener.wait(soon())) == "lost");
    std::stop_source stop;
    const std::jthread stopper{[&stop] {
      server().ask("select pg_sleep(0.05)");
      stop.request_stop();
    }};
    BOOST_TEST(told(co_await listener.wait(stop.get_token())) == "nothing");
    own.sigcont();
    BOOST_TEST(told(co_await listener.wait(soon())) == "subscribed news, again");
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(what_cannot_be_mended_is_thrown) {
  in_both_loops([]<class Loop>(Loop loop) -> Body<Loop> {
    ListenerIn<Loop> listener{loop.runner, server().conninfo("nobody_of_that_name"), {"news"}, quickly()};
    BOOST_TEST(co_await fails_in<postgres::PermanentConnectError>(loop, [&] { return listener.wait(soon()); }));
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(hears_of_a_stop_after_a_change_though_nobody_answers) {
  FaultProxy proxy{server().socket()};
  proxy.stay_silent();
  in_both_loops([&]<class Loop>(Loop loop) -> Body<Loop> {
    postgres::ListenerOptions options = quickly();
    options.connect_timeout = 5min;
    ListenerIn<Loop> listener{loop.runner, proxy.conninfo("postgres"), {"one"}, options};
    std::stop_source stop;
    const std::jthread owner{[&] {
      server().ask("select pg_sleep(0.05)");
      listener.add("two");
      server().ask("select pg_sleep(0.05)");
      stop.request_stop();
    }};
    const auto start = Clock::now();
    BOOST_TEST(told(co_await listener.wait(postgres::Until{start + 4min, stop.get_token()})) == "nothing");
    BOOST_TEST((Clock::now() - start < 2min));
    co_return true;
  });
}

BOOST_AUTO_TEST_CASE(may_end_while_a_coroutine_waits) {
  auto listener = std::make_optional<lido::asio::Listener>(lido::asio::OnAsio<>{}, server().conninfo(),
                                                           std::vector<std::string>{"news"}, quickly());
  {
    boost::asio::io_context context;
    bool subscribed = false;
    boost::asio::co_spawn(
        context,
        [&]() -> boost::asio::awaitable<void> {
          BOOST_TEST(told(co_await listener->wait(soon())) == "subscribed news");
          subscribed = true;
          static_cast<void>(co_await listener->wait());
        },
        Rethrow{});
    run_until(context, "it has subscribed", [&] { return subscribed; });
  }  // the coroutine is destroyed while it waits
  BOOST_TEST(listener->is_connected());
  listener.reset();
}

BOOST_AUTO_TEST_SUITE_END()
