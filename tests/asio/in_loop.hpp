// Coroutines of Asio as test bodies.
#pragma once

#include <exception>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace lido::test {

/// Runs `body` as a coroutine of a loop, to its end.
template <class Body>
void in_loop(Body body) {
  boost::asio::io_context loop;
  std::exception_ptr failure;
  boost::asio::co_spawn(loop, std::move(body), [&](std::exception_ptr error) { failure = std::move(error); });
  loop.run();
  if (failure != nullptr) std::rethrow_exception(failure);
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
