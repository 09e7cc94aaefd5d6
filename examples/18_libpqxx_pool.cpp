// A pool for a library that you have already: connections of libpqxx, which has no pool. Your code keeps its
// transactions, its queries and its types; lido decides how many connections there are, and which are fit.
// Needs PostgreSQL: DATABASE_URL says where; and libpqxx.
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <pqxx/pqxx>
#include <string>
#include <thread>
#include <vector>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

// [libpqxx]
/// Asks the server before the lease of what was idle for a while. What it throws discards the connection.
struct AskServer {
  lido::Duration after = 1s;

  lido::Verdict check(pqxx::connection& connection, const lido::ConnectionInfo& info) const {
    if (!connection.is_open()) return lido::Verdict::discard;
    if (info.idle >= after) pqxx::nontransaction{connection}.exec("select 1");
    return lido::Verdict::keep;
  }
};

/// Leaves the next holder none of this one's settings, temporary tables or locks. A transaction of libpqxx has ended
/// before: it ends with its object.
struct DiscardAll {
  lido::Verdict recycle(pqxx::connection& connection, const lido::ConnectionInfo& info) const {
    if (info.moment != lido::Moment::release) return lido::Verdict::keep;
    if (!connection.is_open()) return lido::Verdict::discard;
    pqxx::nontransaction{connection}.exec("discard all");
    return lido::Verdict::keep;
  }
};
// [/libpqxx]

int main() try {
  const char* const url = std::getenv("DATABASE_URL");
  if (url == nullptr) throw std::runtime_error{"DATABASE_URL is not set"};

  // [pool]
  lido::Pool pool{[text = std::string{url}] { return pqxx::connection{text}; }, lido::Elastic{.max_size = 4},
                  AskServer{}, lido::AllOf{lido::RetireAfter{.age = 30min}, DiscardAll{}}};
  {
    auto connection = pool.acquire();
    pqxx::work transaction{*connection};
    transaction.exec("drop table if exists lido_visits");
    transaction.exec("create table lido_visits(number int)");
    transaction.commit();
  }
  // [/pool]

  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&pool, i] {
        auto connection = pool.acquire();
        pqxx::work transaction{*connection};
        transaction.exec("insert into lido_visits values (" + pqxx::to_string(i) + ")");
        transaction.exec("set application_name to 'visitor'");  // of the session: the next holder shall not have it
        transaction.commit();
      });
  }

  auto connection = pool.acquire();
  pqxx::nontransaction query{*connection};
  const auto visits = query.exec("select count(*) from lido_visits")[0][0].as<int>();
  const auto left = query.exec("show application_name")[0][0].as<std::string>();
  query.exec("drop table lido_visits");
  std::cout << visits << " visits by " << pool.statistics().opened << " connections; left behind: '" << left << "'\n";
  return visits == 8 && left != "visitor" && pool.statistics().opened <= 4 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
