// Tests of an application, in a sandbox: each sees what the application does, and none leaves anything behind.
// Needs PostgreSQL: DATABASE_URL says where.
#include <iostream>
#include <stdexcept>
#include <string>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/sandbox.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

namespace {

// The application. It knows pools, and nothing of tests.
struct Orders {
  int place(const std::string& what, int pieces) {
    return lido::postgres::transact(pool, [&](lido::postgres::Session& session) {
      session.exec("update lido_stock set pieces = pieces - $2 where what = $1", what, pieces);
      return session.exec("insert into lido_orders(what) values ($1) returning id", what).one<int>();
    });
  }
  int pieces(const std::string& what) {
    return pool.acquire()->exec("select pieces from lido_stock where what = $1", what).one<int>();
  }
  lido::postgres::Pool& pool;
};

void check(bool right, const char* what) {
  std::cout << (right ? "ok: " : "wrong: ") << what << '\n';
  if (!right) throw std::runtime_error{what};
}

}  // namespace

int main() try {
  const auto environment = lido::postgres::options_from_environment();
  lido::postgres::Pool pool{environment};
  pool.acquire()->exec_script(
      "drop table if exists lido_orders, lido_stock; create table lido_orders(id serial, what text);"
      "create table lido_stock(what text primary key, pieces int check (pieces >= 0));"
      "insert into lido_stock values ('lamp', 3)");

  // [sandbox]
  lido::postgres::Sandbox sandbox{environment};  // a Pool, for all tests of this program
  Orders orders{sandbox};

  orders.place("lamp", 2);  // commits, as far as the application can tell
  check(orders.pieces("lamp") == 1, "an order takes from the stock");
  sandbox.rollback();  // at the end of each test

  try {
    orders.place("lamp", 4);
    check(false, "more than there is cannot be ordered");
  } catch (const lido::postgres::QueryError& error) {
    check(error.is_check_violation(), "more than there is cannot be ordered");
  }
  check(orders.pieces("lamp") == 3, "and nothing is taken");
  sandbox.rollback();
  // [/sandbox]

  check(pool.acquire()->exec("select count(*) from lido_orders").one<int>() == 0, "nothing is left behind");
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
