// The stackful coroutines of Asio wait at the pool.
#include <exception>
#include <utility>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/async_acquire.hpp>

#include "thing.hpp"

using namespace lido;
using namespace lido::test;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_yield_context)

namespace {

// Boost 1.80 and later want a completion token.
template <class Loop, class Body>
void begin(Loop& loop, Body body) {
  if constexpr (requires { net::spawn(loop, body, net::detached); })
    net::spawn(loop, body, net::detached);
  else
    net::spawn(loop, body);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_stackful_coroutine_gets_a_lease_and_the_errors_of_acquire) {
  ThingPool pool = things();
  net::io_context loop;
  bool late = false;
  const auto body = [&](net::yield_context yield) {
    auto lease = lido::asio::async_acquire(pool, yield);
    ++lease->uses;
    try {
      auto second = lido::asio::async_acquire(pool, 10ms, yield);
    } catch (const AcquireTimeout&) {
      late = true;
    }
  };
  begin(loop, body);
  loop.run();
  BOOST_TEST(late);
  BOOST_TEST(pool.acquire()->uses == 1);
}

BOOST_AUTO_TEST_SUITE_END()
