// The whole of it on one page: a pool, a connection, a session, a transaction.
//
// Needs PostgreSQL: DATABASE_URL says where, for instance postgresql://user@host/database. examples/run starts one if
// there is none. DATABASE_POOL_SIZE and the like win over what is written here.
#include <exception>
#include <iostream>
#include <string>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

int main() try {
  const std::string name = "Ada'; drop table lido_users; --";  // parameters are bound, never pasted into the SQL

  // [quick_start]
  lido::postgres::Pool pool{lido::postgres::options_from_environment({.pool_size = 20, .max_overflow = 40})};
  pool.acquire()->exec("create table if not exists lido_users(id serial, name text)");  // leases, runs, releases

  auto connection = pool.acquire();  // yours until the end of the scope, or until it is released
  int answer = connection->exec("select $1::int + 1", 41)[0][0].as<int>();
  connection.release();

  lido::postgres::Session session{pool};  // a transaction: rolled back unless it is committed
  session.exec("insert into lido_users(name) values ($1)", name);
  session.commit();  // and releases

  // Commits when the function returns, rolls back when it throws, tries again after a deadlock.
  int id = lido::postgres::transact(pool, [&](lido::postgres::Session& work) {
    return work.exec("insert into lido_users(name) values ($1) returning id", name)[0][0].as<int>();
  });
  // [/quick_start]

  std::cout << "the answer is " << answer << ", and the second user has number " << id << '\n';
  const auto users = pool.acquire()->exec("select id, name from lido_users order by id");
  for (const auto row : users) {
    const auto [number, text] = row.as<int, std::string>();
    std::cout << "  " << number << ": " << text << '\n';
  }
  pool.acquire()->exec("drop table lido_users");
  return answer == 42 && id == 2 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
