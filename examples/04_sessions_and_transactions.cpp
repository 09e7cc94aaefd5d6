// Sessions and transactions: what is committed, what is undone, and what is tried again.
// Needs PostgreSQL: DATABASE_URL says where.
#include <iostream>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

using lido::postgres::Session;

int main() try {
  lido::postgres::Pool pool{lido::postgres::options_from_environment()};
  pool.acquire()->exec_script(
      "drop table if exists lido_accounts; "
      "create table lido_accounts(name text primary key, balance int not null);"
      "insert into lido_accounts values ('alice', 100), ('bob', 0)");
  const auto balance = [&](const char* name) {
    return pool.acquire()->exec("select balance from lido_accounts where name = $1", name).one<int>();
  };

  {
    Session session{pool};
    session.exec("update lido_accounts set balance = 0");
  }  // not committed: undone, and the connection is back in its pool
  std::cout << "after a session without commit alice has " << balance("alice") << '\n';

  // [errors]
  try {
    Session session{pool};
    session.exec("insert into lido_accounts values ($1, $2)", "alice", 5);
    session.commit();
  } catch (const lido::postgres::QueryError& error) {  // the server refused; the session was rolled back
    std::cout << "refused: " << error.message() << ", SQLSTATE " << error.sqlstate() << '\n';
  }
  // [/errors]

  // [transact]
  // Eight threads move money at once. Serializable transactions that would not be as good as one after the other fail
  // with SQLSTATE 40001; `transact` calls the function again, so that it must not have other effects.
  const auto move_one = [&] {
    lido::postgres::transact(pool,
                             [](Session& session) {
                               session.exec("update lido_accounts set balance = balance - 1 where name = 'alice'");
                               session.exec("update lido_accounts set balance = balance + 1 where name = 'bob'");
                             },
                             {.transaction = {.isolation = lido::postgres::Isolation::serializable}, .attempts = 100});
  };
  // [/transact]
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(move_one);
  }
  std::cout << "after eight transfers bob has " << balance("bob") << '\n';

  const bool right = balance("alice") == 92 && balance("bob") == 8;
  pool.acquire()->exec("drop table lido_accounts");
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
