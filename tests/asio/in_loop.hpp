// Coroutines of Asio as test bodies.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <support/patience.hpp>

namespace lido::test {

/// Runs `body` as a coroutine of a loop, to its end. A function of one type: what starts a coroutine is compiled once.
inline void in_loop(std::function<boost::asio::awaitable<void>()> body) {
  boost::asio::io_context loop;
  std::exception_ptr failure;
  boost::asio::co_spawn(loop, std::move(body), [&](std::exception_ptr error) { failure = std::move(error); });
  loop.run();
  if (failure != nullptr) std::rethrow_exception(failure);
}

/// The handler of a coroutine beside the test's own: what it throws comes out of the loop's `run`. Of what is
/// `detached` nobody hears, and whoever waits for what it would have done waits for ever.
struct Rethrow {
  void operator()(const std::exception_ptr& error) const {
    if (error != nullptr) std::rethrow_exception(error);
  }
};

/// Runs `loop` until `condition` holds.
template <class Condition>
void run_until(boost::asio::io_context& loop, const char* what, Condition condition) {
  for (const Patience patience{what}; !condition(); patience.check()) loop.run_one_for(std::chrono::milliseconds{5});
}

/// Whether awaiting threw an `Error`.
template <class Error, class T>
boost::asio::awaitable<bool> fails_with(boost::asio::awaitable<T> awaited) {
  try {
    static_cast<void>(co_await std::move(awaited));
  } catch (const Error&) {
    co_return true;
  }
  co_return false;
}

}  // namespace lido::test
