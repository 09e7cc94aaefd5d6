// A small HTTP service on Boost.Beast, in one thread: /users from the database, /live, /ready and /metrics, and a task
// in the background that stores how often /users was asked for. While the database is away it answers 503 and does not
// hang; SIGUSR1 has it write down what its pool does; SIGTERM ends it as soon as the requests under way are answered.
// Needs PostgreSQL: DATABASE_URL says where. Usage: 14_http_service [PORT]
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <limits>
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
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/system/error_code.hpp>
#include <lido/asio/check_health.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/check_health.hpp>
#include <lido/describe.hpp>
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
  boost::asio::signal_set signals{loop, SIGTERM, SIGINT, SIGUSR1};
  std::set<beast::tcp_stream*> idle{};  // connections between two requests
  long visits = 0;                      // which are not stored yet
  long tasks_begun = 0;
  long tasks_succeeded = 0;
  int under_way = 0;  // requests that were read and are not answered yet
  bool draining = false;
};

void stop(Service& service) {
  service.acceptor.close();
  service.signals.cancel();
  for (beast::tcp_stream* stream : service.idle) stream->socket().cancel();
}
// [drain]
// Nothing is begun any more. As long as requests are under way there are answers, so that a probe sees why it goes.
void drain(Service& service) {
  service.draining = true;
  if (service.under_way == 0) stop(service);
}
// [/drain]

class UnderWay {
 public:
  explicit UnderWay(Service& service) : service_{service} { ++service_.under_way; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  ~UnderWay() {
    if (--service_.under_way == 0 && service_.draining) stop(service_);
  }

 private:
  Service& service_;
};

Response reply(http::status status, std::string body, std::string_view type = "application/json") {
  Response response{status, 11};
  response.set(http::field::content_type, beast::string_view{type.data(), type.size()});
  response.body() = std::move(body);
  return response;
}

// Between two tries, as long as it serves.
awaitable<void> rest(Service& service) {
  boost::asio::steady_timer pause{service.loop, 100ms};
  if (service.acceptor.is_open()) co_await pause.async_wait(use_awaitable);
}

// [users]
awaitable<Response> users(Service& service) {
  auto lease = co_await lido::asio::async_acquire(service.pool, 1s, use_awaitable);
  const auto found =
      co_await lido::asio::async(*lease).exec("select coalesce(json_agg(u order by id), '[]')::text from lido_users u");
  ++service.visits;
  co_return reply(http::status::ok, found.one<std::string>() + '\n');
}
// [/users]

// [background]
// Stores what has come since the last time. A batch has a key, so that it is stored once, also where the answer to the
// statement was lost and it is tried again.
awaitable<bool> store(Service& service, const std::string& key, long visits) try {
  auto lease = co_await lido::asio::async_acquire(service.pool, 1s, use_awaitable);
  co_await lido::asio::async(*lease).exec("insert into lido_visits values ($1, $2) on conflict do nothing", key,
                                          visits);
  co_return true;
} catch (const std::exception& error) {  // the database is away, or all connections are leased
  std::cerr << "visits: " << error.what() << '\n';
  co_return false;
}
// Begins ten tasks a second at most, and tries each until it succeeds, or the service ends.
awaitable<void> store_visits(Service& service) {
  const std::string process = std::to_string(std::chrono::system_clock::now().time_since_epoch().count()) + '.';
  while (service.acceptor.is_open() || service.visits > 0) {
    co_await rest(service);
    if (service.visits == 0) continue;
    const long visits = std::exchange(service.visits, 0);
    const std::string key = process + std::to_string(++service.tasks_begun);
    bool stored = co_await store(service, key, visits);
    for (; !stored && service.acceptor.is_open(); stored = co_await store(service, key, visits)) co_await rest(service);
    if (stored) ++service.tasks_succeeded;
  }
}
// [/background]

// [ready]
// Whether a connection answers within a second. It queues as any request, and what comes while all are leased and
// others wait it leaves to them. Why not is for the log, and not for whoever asks.
awaitable<std::string_view> state_of(Service& service) {
  if (service.draining) co_return "draining";
  const lido::HealthReport report = co_await lido::asio::async_check_health(service.pool, 1s);
  if (report.status == lido::HealthStatus::healthy) co_return service.draining ? "draining" : "ready";
  std::cerr << "/ready: " << report << '\n';
  co_return report.status == lido::HealthStatus::exhausted ? "exhausted" : "unreachable";
}
// [/ready]

awaitable<Response> ready(Service& service) {
  const std::string_view state = co_await state_of(service);
  const lido::Statistics figures = service.pool.statistics();
  std::ostringstream text;
  text << "{\"status\": \"" << state << "\", \"pool_size\": " << figures.pool_size
       << ", \"checked_out_connections\": " << figures.now.leased << ", \"overflow\": " << figures.overflow()
       << ", \"total\": " << figures.now.total() << ", \"available\": " << figures.now.idle
       << ", \"max_size\": " << figures.max_size << ", \"waiting\": " << figures.now.waiting << "}\n";
  co_return reply(state == "ready" ? http::status::ok : http::status::service_unavailable, text.str());
}

Response metrics(const Service& service) {
  const lido::Statistics figures = service.pool.statistics();
  std::ostringstream text;
  text.precision(std::numeric_limits<double>::max_digits10);  // a sum that grows in steps has no rate
  const auto add = [&](std::string_view name, std::string_view type, auto value) {
    text << "# TYPE " << name << ' ' << type << '\n' << name << ' ' << value << '\n';
  };
  const auto add_spans = [&](std::string_view name, const lido::Histogram& spans) {
    text << "# TYPE " << name << " summary\n"
         << name << "_sum " << std::chrono::duration<double>(spans.sum).count() << '\n'
         << name << "_count " << spans.count() << '\n';
  };
  add("db_pool_size", "gauge", figures.pool_size);
  add("db_pool_max_size", "gauge", figures.max_size);
  add("db_pool_checkedout", "gauge", figures.now.leased);
  add("db_pool_idle", "gauge", figures.now.idle);
  add("db_pool_waiting", "gauge", figures.now.waiting);
  add("db_pool_acquired_total", "counter", figures.acquired);
  add("db_pool_timeouts_total", "counter", figures.timeouts);
  add("db_connection_errors_total", "counter", figures.open_failures);
  add("background_tasks_begun_total", "counter", service.tasks_begun);
  add("background_tasks_succeeded_total", "counter", service.tasks_succeeded);
  add_spans("db_pool_wait_seconds", figures.wait);
  add_spans("db_pool_use_seconds", figures.use);
  return reply(http::status::ok, text.str(), "text/plain; version=0.0.4");
}

awaitable<Response> answer(Service& service, std::string_view target) {
  std::string trouble;
  try {
    if (target == "/live") co_return reply(http::status::ok, "{\"status\": \"live\"}\n");
    if (target == "/ready") co_return co_await ready(service);
    if (target == "/metrics") co_return metrics(service);
    if (service.draining) co_return reply(http::status::service_unavailable, "{\"error\": \"draining\"}\n");
    if (target == "/users") co_return co_await users(service);
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
  for (bool more = true; more && service.acceptor.is_open();) {
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
    const UnderWay under_way{service};
    const beast::string_view target = request.target();
    Response response = co_await answer(service, {target.data(), target.size()});
    more = request.keep_alive() && !service.draining;
    response.keep_alive(more);
    response.prepare_payload();
    co_await http::async_write(stream, response, use_awaitable);
  }
  stream.socket().shutdown(tcp::socket::shutdown_send);
} catch (const std::exception&) {  // nobody is there to be told
}

// Where it cannot, as there are more clients than descriptors, it tries again: some of them will leave.
awaitable<void> accept(Service& service) {
  while (service.acceptor.is_open()) {
    boost::system::error_code error;
    tcp::socket socket = co_await service.acceptor.async_accept(boost::asio::redirect_error(use_awaitable, error));
    if (!error) {
      boost::asio::co_spawn(service.loop, serve(service, beast::tcp_stream{std::move(socket)}), boost::asio::detached);
    } else if (service.acceptor.is_open()) {
      std::cerr << "accept: " << error.message() << '\n';
      co_await rest(service);
    }
  }
}

awaitable<void> heed_signals(Service& service) try {
  while (service.acceptor.is_open()) {
    if (co_await service.signals.async_wait(use_awaitable) == SIGUSR1)
      std::cerr << lido::describe(service.pool) << std::flush;
    else
      drain(service);
  }
} catch (const std::exception&) {  // no more
}

}  // namespace

int main(int argc, char** argv) try {
  Service service{.pool = lido::postgres::Pool{lido::postgres::options_from_environment(
                      {.pool_size = 4, .max_overflow = 4, .connect_timeout = 1s, .statement_timeout = 2s})}};
  // It starts without its database, too: whichever connection is the first one makes the tables.
  service.pool.events().on_connect([](lido::postgres::Connection& connection, const lido::ConnectionInfo&) {
    connection.exec_script(
        "do $$ begin perform pg_advisory_xact_lock(14);"
        "if to_regclass('lido_users') is null then create table lido_users(id int primary key, name text not null);"
        "insert into lido_users values (1, 'Ada'), (2, 'Grace'); end if;"
        "if to_regclass('lido_visits') is null then create table lido_visits(batch text primary key, visits bigint);"
        "end if; end $$");
  });

  const auto port = static_cast<unsigned short>(argc > 1 ? std::atoi(argv[1]) : 0);
  service.acceptor = tcp::acceptor{service.loop, {boost::asio::ip::address_v4::loopback(), port}};
  std::cout << "listening on " << service.acceptor.local_endpoint().port() << '\n' << std::flush;
  boost::asio::co_spawn(service.loop, heed_signals(service), boost::asio::detached);
  boost::asio::co_spawn(service.loop, accept(service), boost::asio::detached);
  boost::asio::co_spawn(service.loop, store_visits(service), boost::asio::detached);
  service.loop.run();  // until nothing is left to be done
  const bool complete = service.pool.close(5s).complete;
  std::cout << "drained\n" << std::flush;
  return complete ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
