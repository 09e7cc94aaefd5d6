// What somebody who talks to PostgreSQL writes; it needs no server, only the error of one that is not there.
#include <chrono>
#include <exception>
#include <iostream>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>

int main() {
  using namespace std::chrono_literals;
  const std::string nowhere = "host=/nonexistent-directory-of-lido dbname=nothing";
  try {
    const auto connection = lido::postgres::Connection::connect(nowhere, lido::Clock::now() + 5s);
  } catch (const lido::postgres::ConnectError&) {
    std::cout << "refused a connection\n";
  }
  lido::postgres::Pool pool{nowhere, {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1s}};
  try {
    const auto lease = pool.acquire();
  } catch (const lido::postgres::ConnectError&) {
    std::cout << "refused a lease\n";
  } catch (const lido::AcquireTimeout& timeout) {
    try {
      if (timeout.cause()) std::rethrow_exception(timeout.cause());
    } catch (const lido::postgres::ConnectError&) {
      std::cout << "refused a lease\n";
    }
  }
}
