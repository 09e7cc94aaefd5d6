// One test body, in Asio's loop and in one of our own.
#pragma once

#include <chrono>
#include <exception>
#include <optional>

#include <boost/asio/awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/async/connection.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/result.hpp>
#include <postgres/server.hpp>

#include "in_loop.hpp"
#include "poll_reactor.hpp"
#include "task.hpp"

namespace lido::test {

struct AsioLoop {
  using Runner = lido::asio::OnAsio<>;
  template <class T>
  using Coroutine = boost::asio::awaitable<T>;
  Runner runner{};
};
struct PollLoop {
  using Runner = postgres::OnReactor<PollReactor>;
  template <class T>
  using Coroutine = Awaitable<T>;
  Runner runner;
};

/// What `body(loop)` returns, which ends with `co_return true`.
template <class Loop>
using Body = typename Loop::template Coroutine<bool>;

template <class Loop>
[[nodiscard]] auto async_in(const Loop& loop, postgres::Connection& connection) {
  return postgres::AsyncConnection<typename Loop::Runner>{connection, loop.runner};
}

// GCC 12 cannot read `(co_await ...).one<int>()` in a template.
inline int number_in(const postgres::Result& result) { return result.one<int>(); }
template <class Row>
bool is_end(const std::optional<Row>& row) {
  return !row.has_value();
}

/// Runs `body(loop)`, a coroutine, to its end: in one loop, then in the other.
template <class AnyBody>
void in_both_loops(AnyBody body) {
  in_loop([&]() -> boost::asio::awaitable<void> { BOOST_TEST(co_await body(AsioLoop{})); });
  PollReactor reactor;
  const Awaitable<bool> task = body(PollLoop{postgres::OnReactor{reactor}});
  reactor.run_until([&] { return task.done(); });
  BOOST_TEST(task.get());
  BOOST_TEST(reactor.idle());
}

/// Whether awaiting what `action` returns, or `action` itself, throws an `Error`.
template <class Error, class Loop, class Action>
Body<Loop> fails_in(Loop /*loop*/, Action action) {
  try {
    static_cast<void>(co_await action());
  } catch (const Error&) {
    co_return true;
  }
  co_return false;
}

/// Awaits what `action(span)` returns, as `once_sent` calls it.
template <class Loop, class Action>
Body<Loop> once_sent_in(Loop /*loop*/, Duration span, Action action) {
  for (;; span *= 2) {
    try {
      static_cast<void>(co_await action(span));
      co_return true;
    } catch (const std::exception& error) {
      if (!says_not_sent(error) || span > std::chrono::minutes{1}) throw;
    }
  }
}

/// Closes `rows` before their end, for which there are two seconds: a server that got no processor in that time costs
/// `connection`. Whether it is still good.
template <class Loop, class Rows>
Body<Loop> closes_in(Loop /*loop*/, Rows& rows, const postgres::Connection& connection) {
  const TimePoint begun = Clock::now();
  co_await rows.close();
  const bool in_time = Clock::now() - begun < std::chrono::seconds{2};
  BOOST_TEST((connection.is_usable() || !in_time));
  co_return connection.is_usable();
}

}  // namespace lido::test
