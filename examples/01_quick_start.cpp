// The whole of it on one page: a pool, a connection, a session, a transaction.
//
// Needs PostgreSQL: DATABASE_URL says where, for instance postgresql://user@host/database. examples/run starts one if
// there is none.
#include <chrono>
#include <iostream>
#include <string>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

using namespace std::chrono_literals;

int main() try {
  const std::string url = lido::postgres::options_from_environment().connection_string;
  const std::string name = "Ada'; drop table lido_users; --";  // parameters are bound, never pasted into the SQL

  // [quick_start]
  lido::postgres::Pool pool{url, {.pool_size = 20, .max_overflow = 40, .pool_timeout = 30s}};

  pool.acquire()->exec("create table if not exists lido_users(id serial, name text)");  // leases, runs, releases

  auto connection = pool.acquire();  // yours until the end of the scope, or until connection.release()
  int answer = connection->exec("select $1::int + 1", 41)[0][0].as<int>();

  lido::postgres::Session session{pool};  // a transaction: rolled back unless it is committed
  session.exec("insert into lido_users(name) values ($1)", name);
  session.commit();

  // Commits when the function returns, rolls back when it throws, tries again after a deadlock.
  int id = lido::postgres::transact(pool, [&](lido::postgres::Session& work) {
    return work.exec("insert into lido_users(name) values ($1) returning id", name)[0][0].as<int>();
  });
  // [/quick_start]

  std::cout << "the answer is " << answer << ", and the second user has number " << id << '\n';
  for (const auto row : connection->exec("select id, name from lido_users order by id")) {
    const auto [number, text] = row.as<int, std::string>();
    std::cout << "  " << number << ": " << text << '\n';
  }
  connection->exec("drop table lido_users");
  return answer == 42 && id == 2 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
