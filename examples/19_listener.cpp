// A cache that a listener keeps up to date: it loads what it holds whenever it may have missed something, and applies
// what it is told. The connection is ended on the way, and nobody has to care.
// Needs PostgreSQL: DATABASE_URL says where.
#include <chrono>
#include <iostream>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include <lido/postgres/listener.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using lido::Clock;
using lido::postgres::ListenerEvent;

namespace {

struct Prices {
  void load(lido::postgres::Pool& pool) {
    of.clear();
    for (const auto& [name, price] :
         pool.acquire()->exec("select name, price from lido_prices").rows_as<std::string, int>())
      of[name] = price;
  }
  void load_one(lido::postgres::Pool& pool, const std::string& name) {
    of[name] = pool.acquire()->exec("select price from lido_prices where name = $1", name).one<int>();
  }
  std::map<std::string, int> of;
};

}  // namespace

int main() try {
  const auto environment = lido::postgres::options_from_environment({.pool_size = 1});
  lido::postgres::Pool pool{environment};
  pool.acquire()->exec_script(
      "drop table if exists lido_prices; create table lido_prices(name text primary key, price int);"
      "insert into lido_prices values ('tea', 3)");
  Prices prices;
  std::stop_source stop;  // of the program, as a rule
  const auto change = [&](const char* name, int price) {
    pool.acquire()->exec("update lido_prices set price = $2 where name = $1", name, price);
    pool.acquire()->exec("select pg_notify('lido_prices', $1)", name);
  };
  const lido::postgres::Until limit{Clock::now() + 30s, stop.get_token()};
  int loads = 0;
  // What goes on meanwhile.
  const auto meanwhile = [&](ListenerEvent::Kind kind) {
    std::cout << to_string(kind) << ": tea is " << prices.of["tea"] << '\n';
    if (kind == ListenerEvent::Kind::subscribed && ++loads == 1) change("tea", 4);
    if (kind == ListenerEvent::Kind::notification) {
      // Somebody restarts the server, say; and the price changes before anybody listens again.
      pool.acquire()->exec(
          "select pg_terminate_backend(pid) from pg_stat_activity "
          "where query like 'LISTEN \"lido_prices\"%' and pid <> pg_backend_pid()");
      change("tea", 5);
    }
    if (loads == 2) stop.request_stop();
  };

  // [listener]
  lido::postgres::Listener listener{environment.connection_string, {"lido_prices"}};
  while (const auto event = listener.wait(limit)) {
    if (event->kind == ListenerEvent::Kind::subscribed) prices.load(pool);  // at first, and after each reconnect
    if (event->kind == ListenerEvent::Kind::notification) prices.load_one(pool, event->notification.payload);
    if (event->kind == ListenerEvent::Kind::lost) std::cout << "lost: " << listener.last_failure() << '\n';
    meanwhile(event->kind);
  }
  // [/listener]
  return prices.of["tea"] == 5 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
