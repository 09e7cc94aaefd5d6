// A chat: everybody listens on one channel of the database and says something, in one thread.
// Needs PostgreSQL: DATABASE_URL says where.
#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using boost::asio::awaitable;
using lido::Clock;

namespace {

struct Room {
  lido::postgres::Pool& pool;
  std::string url;
  std::size_t guests = 0;
  std::size_t present = 0;
  std::size_t heard = 0;
};

awaitable<void> say(Room& room, std::string text) {
  auto lease = co_await lido::asio::async_acquire(room.pool, 5s, boost::asio::use_awaitable);
  co_await lido::asio::async(*lease).exec("select pg_notify('lido_chat', $1)", text);
}

// [listen]
awaitable<void> guest(Room& room, std::string name) {
  // Whoever listens has a connection of its own: one that goes back to a pool hears nothing.
  const auto connection = co_await lido::asio::async_connect(room.url, Clock::now() + 5s);
  const auto session = lido::asio::async(*connection);
  co_await session.listen("lido_chat");
  if (++room.present == room.guests) co_await say(room, name + " says: hello everybody");
  for (;;) {
    const auto message = co_await session.wait_for_notification(Clock::now() + 5s);
    if (!message) co_return;  // nobody has said anything
    std::cout << name << " hears: " << message->payload << '\n';
    ++room.heard;
    if (message->payload == "goodbye") co_return;
    if (name == "alice") co_await say(room, "goodbye");
  }
}
// [/listen]

}  // namespace

int main() try {
  const auto environment = lido::postgres::options_from_environment({.pool_size = 1});
  lido::postgres::Pool pool{environment};
  boost::asio::io_context loop;
  Room room{.pool = pool, .url = environment.connection_string, .guests = 3};
  for (const char* name : {"alice", "bob", "carol"})
    boost::asio::co_spawn(loop, guest(room, name), boost::asio::detached);
  loop.run();
  return room.heard == 6 ? 0 : 1;  // two messages, three guests
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
