// A small HTTP service on Boost.Beast, in one thread: /users from the database, /health and /metrics. While the
// database is away it answers 503 and does not hang; SIGTERM ends it as soon as the requests under way are answered.
// Needs PostgreSQL: DATABASE_URL says where. Usage: 14_http_service [PORT]
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using boost::asio::awaitable;
using boost::asio::use_awaitable;
using boost::asio::ip::tcp;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

namespace {

struct Service {
  lido::postgres::Pool pool;
  boost::asio::io_context loop{};
  tcp::acceptor acceptor{loop};
  std::set<beast::tcp_stream*> idle{};  // connections between two requests
  bool draining = false;
};

Response reply(http::status status, std::string body, std::string_view type = "application/json") {
  Response response{status, 11};
  response.set(http::field::content_type, beast::string_view{type.data(), type.size()});
  response.body() = std::move(body);
  return response;
}

// [users]
awaitable<Response> users(Service& service) {
  auto lease = co_await lido::asio::async_acquire(service.pool, 1s, use_awaitable);
  const auto found = co_await lido::asio::async(*lease).exec_until(
      lido::Clock::now() + 2s, "select coalesce(json_agg(u order by id), '[]')::text from lido_users u");
  co_return reply(http::status::ok, found.one<std::string>() + '\n');
}
// [/users]

awaitable<Response> health(Service& service) {
  auto lease = co_await lido::asio::async_acquire(service.pool, 1s, use_awaitable);
  const bool answers = co_await lido::asio::async(*lease).ping(lido::Clock::now() + 1s);
  if (!answers || service.draining) co_return reply(http::status::service_unavailable, "{\"status\": \"down\"}\n");
  co_return reply(http::status::ok, "{\"status\": \"up\"}\n");
}

Response metrics(const Service& service) {
  const lido::Statistics figures = service.pool.statistics();
  std::ostringstream text;
  text << "# TYPE lido_pool_connections gauge\n"
       << "lido_pool_connections{state=\"idle\"} " << figures.now.idle << '\n'
       << "lido_pool_connections{state=\"leased\"} " << figures.now.leased << '\n'
       << "# TYPE lido_pool_waiting gauge\nlido_pool_waiting " << figures.now.waiting << '\n'
       << "# TYPE lido_pool_acquired_total counter\nlido_pool_acquired_total " << figures.acquired << '\n'
       << "# TYPE lido_pool_timeouts_total counter\nlido_pool_timeouts_total " << figures.timeouts << '\n';
  return reply(http::status::ok, text.str(), "text/plain; version=0.0.4");
}

awaitable<Response> answer(Service& service, std::string_view target) {
  std::string trouble;
  try {
    if (target == "/users") co_return co_await users(service);
    if (target == "/health") co_return co_await health(service);
    if (target == "/metrics") co_return metrics(service);
    co_return reply(http::status::not_found, "{\"error\": \"no such page\"}\n");
  } catch (const lido::PoolError& error) {  // no connection in time
    trouble = error.what();
  } catch (const lido::postgres::Error& error) {  // lost, or too late
    trouble = error.what();
  }
  std::cerr << target << ": " << trouble << '\n';
  co_return reply(http::status::service_unavailable, "{\"error\": \"the database is away\"}\n");
}

awaitable<void> serve(Service& service, beast::tcp_stream stream) try {
  beast::flat_buffer buffer;
  while (!service.draining) {
    Request request;
    stream.expires_after(30s);
    service.idle.insert(&stream);
    try {
      co_await http::async_read(stream, buffer, request, use_awaitable);
    } catch (...) {  // the client has left, or the service is told to end
      service.idle.erase(&stream);
      throw;
    }
    service.idle.erase(&stream);
    const beast::string_view target = request.target();
    Response response = co_await answer(service, {target.data(), target.size()});
    response.keep_alive(request.keep_alive() && !service.draining);
    response.prepare_payload();
    co_await http::async_write(stream, response, use_awaitable);
    if (!response.keep_alive()) break;
  }
  stream.socket().shutdown(tcp::socket::shutdown_send);
} catch (const std::exception&) {  // nobody is there to be told
}

awaitable<void> accept(Service& service) try {
  for (;;) {
    tcp::socket socket = co_await service.acceptor.async_accept(use_awaitable);
    boost::asio::co_spawn(service.loop, serve(service, beast::tcp_stream{std::move(socket)}), boost::asio::detached);
  }
} catch (const std::exception&) {  // no more
}

// [drain]
void drain(Service& service) {
  service.draining = true;
  service.acceptor.close();
  for (beast::tcp_stream* stream : service.idle) stream->socket().cancel();
}
// [/drain]

}  // namespace

int main(int argc, char** argv) try {
  Service service{.pool = lido::postgres::Pool{lido::postgres::options_from_environment(
                      {.pool_size = 4, .max_overflow = 4, .connect_timeout = 1s})}};
  service.pool.acquire()->exec_script(
      "create table if not exists lido_users(id int primary key, name text not null);"
      "insert into lido_users values (1, 'Ada'), (2, 'Grace') on conflict do nothing");

  const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 0);
  service.acceptor = tcp::acceptor{service.loop, {boost::asio::ip::address_v4::loopback(), port}};
  std::cout << "listening on " << service.acceptor.local_endpoint().port() << '\n' << std::flush;
  boost::asio::signal_set signals{service.loop, SIGTERM, SIGINT};
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) drain(service);
  });
  boost::asio::co_spawn(service.loop, accept(service), boost::asio::detached);
  service.loop.run();  // until nothing is left to be done
  const bool complete = service.pool.close(5s).complete;
  std::cout << "drained\n" << std::flush;
  return complete ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
