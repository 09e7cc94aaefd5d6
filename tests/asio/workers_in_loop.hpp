// What the tests of pools whose workers are fibres have in common.
#pragma once

#include <functional>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <lido/asio/workers.hpp>
#include <lido/postgres/options.hpp>
#include <support/patience.hpp>

namespace lido::test {

/// A small pool with its workers in `loop`.
inline postgres::Options in(boost::asio::io_context& loop) {
  return {.pool_size = 2, .max_overflow = 0, .start_worker = lido::asio::workers_in(loop)};
}

inline boost::asio::awaitable<void> one_turn() { return boost::asio::post(boost::asio::use_awaitable); }
/// Turns until `condition` holds.
inline boost::asio::awaitable<void> until(const char* what, std::function<bool()> condition) {
  for (const Patience patience{what}; !condition(); patience.check()) co_await one_turn();
}
/// The loop has gone on so often that it is not held up.
inline boost::asio::awaitable<void> many_turns() {
  for (int i = 0; i < 1000; ++i) co_await one_turn();
}

}  // namespace lido::test
