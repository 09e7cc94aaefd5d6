// What Boost.Asio has since 1.77: cancellation of one operation, `||` and `&&` of coroutines, `deferred`. With an older
// Boost this file is empty.
#if __has_include(<boost/asio/experimental/awaitable_operators.hpp>)

#  include <atomic>
#  include <chrono>
#  include <cstddef>
#  include <exception>
#  include <optional>
#  include <random>
#  include <variant>
#  include <vector>

#  include <boost/asio/awaitable.hpp>
#  include <boost/asio/bind_cancellation_slot.hpp>
#  include <boost/asio/bind_executor.hpp>
#  include <boost/asio/cancellation_signal.hpp>
#  include <boost/asio/co_spawn.hpp>
#  include <boost/asio/deferred.hpp>
#  include <boost/asio/detached.hpp>
#  include <boost/asio/experimental/awaitable_operators.hpp>
#  include <boost/asio/io_context.hpp>
#  include <boost/asio/steady_timer.hpp>
#  include <boost/asio/use_awaitable.hpp>
#  include <boost/test/unit_test.hpp>
#  include <lido/asio/async_acquire.hpp>

#  include "thing.hpp"

using namespace lido;
using namespace lido::test;
using namespace boost::asio::experimental::awaitable_operators;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_newer_boost)

BOOST_AUTO_TEST_CASE(each_kind_of_cancellation_ends_the_wait_for_a_connection) {
  for (const auto kind :
       {net::cancellation_type::terminal, net::cancellation_type::partial, net::cancellation_type::total}) {
    ThingPool pool = things();
    net::io_context loop;
    ThingPool::Lease held = pool.acquire();
    net::cancellation_signal signal;
    bool cancelled = false;
    bool called = false;
    lido::asio::async_acquire(
        pool, 1min,
        net::bind_cancellation_slot(signal.slot(),
                                    net::bind_executor(loop, [&](const std::exception_ptr& error, ThingPool::Lease) {
                                      called = true;
                                      try {
                                        if (error != nullptr) std::rethrow_exception(error);
                                      } catch (const AcquireCancelled&) {
                                        cancelled = true;
                                      }
                                    })));
    loop.poll();
    BOOST_TEST(!called);
    signal.emit(kind);
    BOOST_TEST(!called);  // not within the signal
    loop.run();
    BOOST_TEST(cancelled);
    BOOST_TEST(pool.statistics().now.waiting == 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_race_with_a_timer_loses_no_connection) {
  ThingPool pool = things();
  net::io_context loop;
  std::size_t served = 0, late = 0;
  std::minstd_rand random{11};
  const auto body = [&]() -> net::awaitable<void> {
    for (int i = 0; i < 50; ++i) {
      net::steady_timer timer{loop};
      timer.expires_after(std::chrono::microseconds{random() % 300});
      auto outcome =
          co_await (lido::asio::async_acquire(pool, 1min, net::use_awaitable) || timer.async_wait(net::use_awaitable));
      if (outcome.index() == 1) {
        ++late;
        continue;
      }
      ++served;
      timer.expires_after(std::chrono::microseconds{random() % 100});
      co_await timer.async_wait(net::use_awaitable);
    }
  };
  for (int i = 0; i < 8; ++i) net::co_spawn(loop, body, net::detached);
  loop.run();
  BOOST_TEST(served + late == 400U);
  BOOST_TEST(served > 0U);
  BOOST_TEST(late > 0U);
  BOOST_TEST(pool.statistics().now.waiting == 0U);
  BOOST_TEST(pool.statistics().now.idle == 1U);
}

BOOST_AUTO_TEST_CASE(two_at_once_are_awaited_together) {
  ThingPool pool = things(2);
  net::io_context loop;
  bool done = false;
  const auto body = [&]() -> net::awaitable<void> {
    auto [first, second] = co_await (lido::asio::async_acquire(pool, net::use_awaitable) &&
                                     lido::asio::async_acquire(pool, net::use_awaitable));
    done = first && second;
  };
  net::co_spawn(loop, body, net::detached);
  loop.run();
  BOOST_TEST(done);
}

BOOST_AUTO_TEST_CASE(a_deferred_acquire_begins_when_it_is_called) {
  ThingPool pool = things();
  net::io_context loop;
  auto later = lido::asio::async_acquire(pool, 1min, net::deferred);
  BOOST_TEST(pool.statistics().now.leased == 0U);
  bool served = false;
  std::move(later)(net::bind_executor(
      loop, [&](const std::exception_ptr&, ThingPool::Lease lease) { served = static_cast<bool>(lease); }));
  loop.run();
  BOOST_TEST(served);
}

BOOST_AUTO_TEST_SUITE_END()

#endif
