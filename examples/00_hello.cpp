// The program on the front page: all that a first one needs.
// [hello]
#include <chrono>
#include <iostream>
#include <string>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/transact.hpp>

namespace pg = lido::postgres;

int main() try {
  pg::Pool pool{pg::options_from_environment()};   // DATABASE_URL, or PGHOST, PGDATABASE and so on
  pool.wait_until_ready(std::chrono::seconds{5});  // else throws, and says why

  pool.acquire()->exec("create table if not exists greetings(name text)");  // leases, runs, releases

  // Commits when the function returns, rolls back when it throws, tries again after a deadlock.
  const auto count = pg::transact(pool, [&](pg::Session& session) {
    session.exec("insert into greetings values ($1)", std::string{"Ada'; drop table greetings; --"});
    return session.exec("select count(*) from greetings").one<long>();
  });
  std::cout << "hello number " << count << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
// [/hello]
