// Operating a pool: is it healthy, what has it done, and what is it doing?
// Needs PostgreSQL: DATABASE_URL says where.
#include <chrono>
#include <iostream>
#include <stdexcept>

#include <lido/check_health.hpp>
#include <lido/log.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;

int main() try {
  lido::postgres::Pool pool{
      lido::postgres::options_from_environment({.pool_size = 2, .max_overflow = 2, .name = "orders"})};

  // [events]
  lido::log_events(pool, std::clog);  // a line for each open, close, failed open and time-out
  pool.events().on_connect([](lido::postgres::Connection& connection, const lido::ConnectionInfo&) {
    // Once a connection; what throws here makes it a failed open.
    if (connection.server_version() < 120'000) throw std::runtime_error{"PostgreSQL 12 or later is needed"};
  });
  // [/events]

  // [health]
  const lido::HealthReport report = lido::check_health(pool, 2s);  // a connection and one round trip, all within 2 s
  std::cout << to_json(report) << '\n';
  // [/health]

  for (int i = 0; i < 100; ++i) pool.acquire()->exec("select 1");

  // [statistics]
  const lido::Statistics figures = pool.statistics();
  std::cout << figures.name << ": " << figures.now.idle << " idle, " << figures.now.leased << " leased, "
            << figures.now.waiting << " waiting; acquired " << figures.acquired << ", opened " << figures.opened
            << ", timeouts " << figures.timeouts << ", mean use "
            << std::chrono::duration<double, std::milli>(figures.use.mean()).count() << " ms\n";
  // [/statistics]

  // [close]
  const lido::CloseReport closed = pool.close(5s);  // leases no more, waits for what is leased
  for (const lido::Holder& holder : closed.stragglers) std::cout << "still out: " << holder.where.file_name() << '\n';
  // [/close]
  return report.status == lido::HealthStatus::healthy && figures.acquired == 101 && closed.complete ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
