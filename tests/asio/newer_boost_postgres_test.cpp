// Statements, streams, COPY, savepoints and listeners that are cancelled by Asio's means, which Boost has since 1.77.
// With an older Boost this file is empty.
#if __has_include(<boost/asio/experimental/awaitable_operators.hpp>)

#  include <chrono>
#  include <cstddef>
#  include <exception>
#  include <optional>
#  include <stdexcept>
#  include <string>
#  include <thread>
#  include <tuple>
#  include <utility>

#  include <boost/asio/awaitable.hpp>
#  include <boost/asio/bind_cancellation_slot.hpp>
#  include <boost/asio/cancellation_signal.hpp>
#  include <boost/asio/co_spawn.hpp>
#  include <boost/asio/experimental/awaitable_operators.hpp>
#  include <boost/asio/io_context.hpp>
#  include <boost/asio/post.hpp>
#  include <boost/asio/steady_timer.hpp>
#  include <boost/asio/this_coro.hpp>
#  include <boost/asio/use_awaitable.hpp>
#  include <boost/test/unit_test.hpp>
#  include <lido/asio/listener.hpp>
#  include <lido/asio/postgres.hpp>
#  include <lido/postgres/pool.hpp>
#  include <postgres/server.hpp>

#  include "in_loop.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;
using lido::asio::async;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_newer_boost_postgres)

namespace {

postgres::Pool pool_of_one() { return postgres::Pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}}; }

net::awaitable<void> after(Duration time) {
  net::steady_timer timer{co_await net::this_coro::executor};
  timer.expires_after(time);
  co_await timer.async_wait(net::use_awaitable);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_timer_ends_a_stream_and_a_copy_in_the_middle_and_the_connection_is_discarded) {
  using Lease = postgres::Pool::Lease;
  server().ask("create table timed(i int)");
  postgres::Pool pool = pool_of_one();
  in_loop([&]() -> net::awaitable<void> {
    const auto reads = [](Lease lease) -> net::awaitable<void> {
      auto rows = co_await async(*lease).stream<long>("select generate_series(1, 1000000000)::bigint");
      while (co_await rows.next()) continue;
    };
    const auto waits = [](Lease lease) -> net::awaitable<void> {
      auto rows = co_await async(*lease).copy_out<std::string>("copy (select pg_sleep(60)) to stdout");
    };
    const auto writes = [](Lease lease) -> net::awaitable<void> {
      auto copy = co_await async(*lease).copy_in("copy timed from stdin");
      for (int i = 0;; ++i) co_await copy.write(std::tuple{i});
    };
    // The time begins when there is a connection: a busy machine may need all of it to open one.
    const auto first_to_end = [&](auto body) -> net::awaitable<std::size_t> {
      Lease lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
      const auto outcome = co_await (body(std::move(lease)) || after(300ms));
      co_return outcome.index();
    };
    BOOST_TEST(co_await first_to_end(reads) == 1U);
    BOOST_TEST(co_await first_to_end(waits) == 1U);
    BOOST_TEST(co_await first_to_end(writes) == 1U);
    auto lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
    BOOST_TEST((co_await async(*lease).exec("select 5")).one<int>() == 5);
  });
  BOOST_TEST(pool.statistics().opened == 4U);
  server().ask("drop table timed");
}

BOOST_AUTO_TEST_CASE(a_savepoint_that_is_cancelled_cannot_be_undone_and_so_nothing_is_committed) {
  server().ask("create table cancelled(i int)");
  postgres::Pool pool = pool_of_one();
  in_loop([&]() -> net::awaitable<void> {
    auto lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    lido::asio::Session session{std::move(lease), lido::asio::OnAsio<>{}};
    co_await session.begin();
    // It is cancelled while it waits for something else, with nothing under way on the connection.
    const auto waits = [](lido::asio::Session& within) -> net::awaitable<void> {
      co_await within.exec("insert into cancelled values (1)");
      co_await after(1h);
    };
    BOOST_TEST((co_await (session.savepoint(waits) || after(50ms))).index() == 1U);
    BOOST_TEST(session.is_open());
    BOOST_TEST(!session.connection().is_usable());
    BOOST_TEST(co_await fails_with<postgres::ConnectionLost>(session.commit()));
  });
  BOOST_TEST(server().ask("select count(*) from cancelled") == "0");
  server().ask("drop table cancelled");
}

BOOST_AUTO_TEST_CASE(a_listeners_wait_is_cancelled_also_together_with_a_change_of_its_channels) {
  net::io_context loop;
  lido::asio::Listener listener{lido::asio::OnAsio<>{}, server().conninfo(), {"news"}};
  net::cancellation_signal signal;
  bool ended = false;
  std::optional<postgres::ListenerEvent> event;
  const auto wait = [&] {
    ended = false;
    const auto handler = [&](const std::exception_ptr& error, std::optional<postgres::ListenerEvent> heard) {
      ended = error == nullptr;
      event = std::move(heard);
    };
    net::co_spawn(loop, listener.wait(soon()), net::bind_cancellation_slot(signal.slot(), handler));
  };
  wait();
  run_until(loop, "it is subscribed", [&] { return ended; });
  BOOST_TEST(event.has_value());
  loop.restart();
  wait();
  loop.poll();
  net::post(loop, [&] {
    listener.add("more");
    signal.emit(net::cancellation_type::terminal);
  });
  run_until(loop, "it is cancelled", [&] { return ended; });
  BOOST_TEST(!event.has_value());
  loop.restart();
  wait();
  run_until(loop, "it goes on", [&] { return ended; });
  BOOST_TEST((event && event->notification.channel == "more"));
}

namespace {

// Begins a wait by `wait(signal, done)`, has something come to it together with its cancellation, which the loop finds
// behind it, and waits until it is done.
template <class Wait>
void cancel_as_it_comes(net::io_context& loop, Wait wait) {
  net::cancellation_signal signal;
  net::steady_timer timer{loop};
  bool done = false;
  wait(signal, done);
  loop.poll();
  net::post(loop, [&] {
    timer.expires_after(1ms);
    timer.async_wait([&](const boost::system::error_code&) { signal.emit(net::cancellation_type::terminal); });
    server().ask("notify news, 'heard'");
    std::this_thread::sleep_for(100ms);  // the loop is busy
  });
  run_until(loop, "it is done", [&] { return done; });
  loop.restart();
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_comes_together_with_a_cancellation_is_for_the_next_wait_of_a_listener) {
  net::io_context loop;
  lido::asio::Listener listener{lido::asio::OnAsio<>{}, server().conninfo(), {"news"}};
  std::optional<postgres::ListenerEvent> event;
  const auto wait = [&](net::cancellation_signal& signal, bool& done) {
    const auto handler = [&](const std::exception_ptr&, std::optional<postgres::ListenerEvent> heard) {
      done = true;
      event = std::move(heard);
    };
    net::co_spawn(loop, listener.wait(soon()), net::bind_cancellation_slot(signal.slot(), handler));
  };
  net::cancellation_signal unused;
  bool done = false;
  wait(unused, done);
  run_until(loop, "it is subscribed", [&] { return done; });
  loop.restart();
  cancel_as_it_comes(loop, wait);
  BOOST_TEST(!event.has_value());
  done = false;
  wait(unused, done);
  run_until(loop, "it is told", [&] { return done; });
  BOOST_TEST((event && event->notification.payload == "heard"));
}

BOOST_AUTO_TEST_CASE(what_comes_together_with_a_cancellation_is_for_the_next_wait_on_a_connection) {
  postgres::Pool pool = pool_of_one();
  auto lease = pool.acquire(1min);
  lease->listen("news");
  net::io_context loop;
  std::optional<postgres::Notification> notification;
  const auto wait = [&](net::cancellation_signal& signal, bool& done) {
    const auto handler = [&](const std::exception_ptr&, std::optional<postgres::Notification> heard) {
      done = true;
      notification = std::move(heard);
    };
    net::co_spawn(loop, async(*lease).wait_for_notification(soon()),
                  net::bind_cancellation_slot(signal.slot(), handler));
  };
  cancel_as_it_comes(loop, wait);
  BOOST_TEST(!notification.has_value());
  notification = lease->wait_for_notification(soon());
  BOOST_TEST((notification && notification->payload == "heard"));
  cancel_as_it_comes(loop, wait);
  BOOST_TEST(!notification.has_value());
  lease.release();
  lease = pool.acquire(1min);
  BOOST_TEST(pool.statistics().opened == 1U);
  BOOST_TEST(!lease->wait_for_notification(Clock::now()).has_value());  // the next holder's it is not
}

BOOST_AUTO_TEST_SUITE_END()

#endif
