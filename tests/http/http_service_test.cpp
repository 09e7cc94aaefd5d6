// The HTTP service of the examples, from outside: a process, a port and curl, while its database goes and comes back.
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <libpq-fe.h>
#include <boost/test/unit_test.hpp>
#include <faults/starvation.hpp>
#include <http/service.hpp>
#include <support/postgres_server.hpp>

using namespace lido::test;

namespace {

// Another session that keeps every statement on the table of the service waiting.
class TableLock {
 public:
  explicit TableLock(const PostgresServer& database) : session_{PQconnectdb(database.conninfo().c_str())} {
    run("begin; lock table lido_users in access exclusive mode");
  }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;
  ~TableLock() { PQfinish(session_); }

  void release() { run("commit"); }

 private:
  void run(const char* sql) {
    PGresult* const result = PQexec(session_, sql);
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (!good) throw std::runtime_error{std::string{sql} + ": " + PQerrorMessage(session_)};
  }

  PGconn* session_;
};

// Waits until so many statements of the service wait for the lock.
void wait_for_blocked(const PostgresServer& database, const std::string& count) {
  PostgresServer::wait_until("they hang at the lock", [&] {
    return database.ask("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == count;
  });
}

// A setting of the pool for the services that are started meanwhile.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_{name} { ::setenv(name, value, 1); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() { ::unsetenv(name_); }

 private:
  const char* name_;
};

// So many connections and no more, and time enough to hold a statement up.
struct FewConnections {
  explicit FewConnections(const char* count) : size{"DATABASE_POOL_SIZE", count} {}
  Setting size;
  Setting overflow{"DATABASE_POOL_MAX_OVERFLOW", "0"};
  Setting patience{"DATABASE_POOL_STATEMENT_TIMEOUT", "60s"};
};

// What /ready says, and how long it took, but for what the machine kept a thread here waiting at the worst. Asked again
// a few times while it takes longer than its second, as the machine may keep others waiting, too.
Service::Answer ready_of(const Service& service) {
  Service::Answer answer;
  for (int tries = 0; tries < 5; ++tries) {
    const Control control;
    answer = service.get("/ready");
    answer.seconds -= std::chrono::duration<double>{control.worst()}.count();
    if (answer.seconds < 1.5) break;
  }
  return answer;
}

// A request has a second for its connection, which is little for a machine that stalls, above all for the first one.
void wait_until_ready(const Service& service) {
  PostgresServer::wait_until("it is ready", [&] { return service.state() == "ready"; });
}
void wait_for_users(const Service& service) {
  PostgresServer::wait_until("it answers", [&] { return service.status("/users") == "200"; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_service)

BOOST_AUTO_TEST_CASE(answers_503_while_its_database_is_away_recovers_and_drains) {
  const FewConnections settings{"1"};
  PostgresServer database;
  Service service{database.conninfo()};
  PostgresServer::wait_until("it knows its users",
                             [&] { return service.get("/users").body.find("Ada") != std::string::npos; });
  // What /users does behind its answer has the connection for a moment.
  PostgresServer::wait_until("it is ready", [&] { return service.status("/ready") == "200"; });
  PostgresServer::wait_until("its connection is idle", [&] {
    return service.get("/metrics").body.find("\ndb_pool_idle 1\n") != std::string::npos;
  });
  BOOST_TEST(service.status("/nothing") == "404");

  std::map<std::string, int> seen;
  std::jthread client{[&](const std::stop_token& stop) {
    while (!stop.stop_requested()) ++seen[service.status("/users")];
  }};
  database.stop(PostgresServer::Mode::immediate);
  PostgresServer::wait_until("it says that it is down", [&] { return service.status("/ready") == "503"; });
  BOOST_TEST(service.status("/users") == "503");
  BOOST_TEST(service.status("/metrics") == "200");
  database.start();
  PostgresServer::wait_until("it has recovered", [&] { return service.status("/ready") == "200"; });
  wait_for_users(service);
  client.request_stop();
  client.join();
  for (const auto& [status, count] : seen)
    BOOST_TEST((status == "200" || status == "503"), "a request ended with " << status);
  BOOST_TEST(seen["200"] + seen["503"] > 0);

  const int idle = service.silent_client();
  BOOST_TEST(service.terminate() == 0);  // which does not wait for it
  ::close(idle);
  BOOST_TEST(service.status("/ready") == "000");
}

BOOST_AUTO_TEST_CASE(lives_without_a_database_and_is_ready_once_there_is_one) {
  PostgresServer database;
  database.stop();
  Service service{database.conninfo()};
  BOOST_TEST(service.status("/live") == "200");
  Service::Answer ready;
  // An attempt to connect that is under way just then is one of the total.
  PostgresServer::wait_until("no attempt is under way", [&] {
    ready = ready_of(service);
    return ready.body.find("\"total\": 0,") != std::string::npos;
  });
  BOOST_TEST(ready.status == "503");
  BOOST_TEST(ready.body ==
             "{\"status\": \"unreachable\", \"pool_size\": 4, \"checked_out_connections\": 0, \"overflow\": 0, "
             "\"total\": 0, \"available\": 0, \"max_size\": 8, \"waiting\": 0}\n");
  BOOST_TEST(ready.seconds < 1.5);  // its deadline is a second

  database.start();
  PostgresServer::wait_until("it is ready", [&] {
    ready = service.get("/ready");
    return ready.status == "200";
  });
  BOOST_TEST(ready.body.starts_with("{\"status\": \"ready\""));
  PostgresServer::wait_until("it knows its users",
                             [&] { return service.get("/users").body.find("Ada") != std::string::npos; });

  database.stop(PostgresServer::Mode::immediate);
  BOOST_TEST(service.status("/live") == "200");
  BOOST_TEST(service.state() == "unreachable");
}

BOOST_AUTO_TEST_CASE(is_not_ready_and_says_exhausted_while_all_connections_are_held) {
  const FewConnections settings{"2"};
  const Setting idle{"DATABASE_POOL_MIN_IDLE", "2"};
  PostgresServer database;
  Service service{database.conninfo()};
  // Both are there, so that no request is too late because one has to be opened.
  PostgresServer::wait_until("both connections are open", [&] {
    return service.get("/metrics").body.find("\ndb_pool_idle 2\n") != std::string::npos;
  });

  TableLock lock{database};
  std::array<std::string, 2> seen;
  {
    std::vector<std::jthread> clients;
    for (std::string& status : seen) clients.emplace_back([&] { status = service.status("/users"); });
    wait_for_blocked(database, "2");
    const Service::Answer ready = ready_of(service);
    BOOST_TEST(ready.status == "503");
    BOOST_TEST(ready.body.starts_with("{\"status\": \"exhausted\", \"pool_size\": 2, \"checked_out_connections\": 2,"));
    BOOST_TEST(ready.seconds < 1.5);  // its deadline is a second
    BOOST_TEST(service.status("/live") == "200");
    lock.release();
  }
  for (const std::string& status : seen) BOOST_TEST(status == "200");
  wait_until_ready(service);
}

BOOST_AUTO_TEST_CASE(a_probe_leaves_the_connection_that_comes_to_whoever_waits) {
  const FewConnections settings{"1"};
  PostgresServer database;
  Service service{database.conninfo()};
  wait_until_ready(service);

  int visits = 0;
  // Again where the probe's second was over before somebody else waited.
  PostgresServer::wait_until("a connection comes while another waits", [&] {
    // What /users does behind its answers the round before waits for the connection, too.
    PostgresServer::wait_until("the visits are stored", [&] {
      return database.ask("select coalesce(sum(visits), 0) from lido_visits") == std::to_string(visits);
    });
    TableLock lock{database};
    Service::Answer holder, probe, waiter;
    {
      const std::jthread first{[&] { holder = service.get("/users"); }};
      wait_for_blocked(database, "1");
      std::atomic<bool> over{false};
      const std::jthread second{[&] {
        probe = service.get("/ready");
        over = true;
      }};
      const auto wait_for_waiting = [&](const char* line) {
        PostgresServer::wait_until(
            "they wait", [&] { return over || service.get("/metrics").body.find(line) != std::string::npos; });
      };
      wait_for_waiting("\ndb_pool_waiting 1\n");
      const std::jthread third{[&] { waiter = service.get("/users"); }};
      wait_for_waiting("\ndb_pool_waiting 2\n");
      lock.release();
    }
    for (const Service::Answer* user : {&holder, &waiter}) visits += user->status == "200" ? 1 : 0;
    BOOST_TEST(holder.status == "200");
    BOOST_TEST(probe.body.starts_with("{\"status\": \"exhausted\""));
    return probe.seconds < 1 && waiter.status == "200";
  });
}

BOOST_AUTO_TEST_CASE(describes_its_pool_when_it_gets_sigusr1_and_serves_on) {
  const FewConnections settings{"1"};
  PostgresServer database;
  Service service{database.conninfo()};
  // What /users does behind its answer has the connection for a moment, so it is asked until that is over.
  const auto wait_until_idle = [&](const char* visits, std::size_t from) {
    PostgresServer::wait_until("the visits are stored",
                               [&] { return database.ask("select sum(visits) from lido_visits") == visits; });
    PostgresServer::wait_until("the connection is idle", [&] {
      service.signal(SIGUSR1);
      return service.errors().find("connection 1 idle", from) != std::string::npos;
    });
    return service.errors().size();
  };
  wait_for_users(service);
  const std::size_t before = wait_until_idle("1", 0);
  TableLock lock{database};
  std::string hanging;
  std::string text;
  {
    std::jthread client{[&] { hanging = service.status("/users"); }};
    wait_for_blocked(database, "1");
    service.signal(SIGUSR1);
    // Descriptions of the signals before may still come: what it writes last has an end of its own.
    PostgresServer::wait_until("it is written", [&] {
      text = service.errors().substr(before);
      const std::size_t leased = text.find("connection 1 leased");
      return leased != std::string::npos && text.find(" opened\n", leased) != std::string::npos;
    });
    lock.release();
  }
  BOOST_TEST(hanging == "200");
  for (const char* part :
       {"1 of at most 1 connections: 1 leased, 0 idle", "acquire_timeout=", "14_http_service.cpp:", "opened"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is not in " << text);
  wait_until_idle("2", before + text.size());
  wait_for_users(service);
  BOOST_TEST(service.terminate() == 0);
}

BOOST_AUTO_TEST_CASE(more_clients_than_descriptors_are_served_once_some_have_left) {
  PostgresServer database;
  Service service{database.conninfo(), 40};
  wait_for_users(service);
  std::array<int, 60> clients{};
  for (int& client : clients) client = service.silent_client();
  PostgresServer::wait_until("it has no descriptor left",
                             [&] { return service.errors().find("accept: ") != std::string::npos; });
  for (const int client : clients) ::close(client);
  PostgresServer::wait_until("it serves again", [&] { return service.status("/users") == "200"; });
  wait_until_ready(service);
  BOOST_TEST(service.terminate() == 0);
}

BOOST_AUTO_TEST_CASE(says_that_it_drains_until_the_last_answer) {
  const Setting patience{"DATABASE_POOL_STATEMENT_TIMEOUT", "60s"};
  PostgresServer database;
  Service service{database.conninfo()};
  wait_until_ready(service);
  TableLock lock{database};
  std::string under_way;
  {
    std::jthread client{[&] { under_way = service.status("/users"); }};
    wait_for_blocked(database, "1");
    service.signal(SIGTERM);
    PostgresServer::wait_until("it drains", [&] { return service.state() == "draining"; });
    BOOST_TEST(service.status("/ready") == "503");
    BOOST_TEST(service.status("/live") == "200");
    BOOST_TEST(service.get("/users").body.find("draining") != std::string::npos);
    service.signal(SIGUSR1);  // does not end it
    const int silent = service.silent_client();
    lock.release();
    BOOST_TEST(service.ended() == 0);  // which waits for nobody who is silent
    ::close(silent);
  }
  BOOST_TEST(under_way == "200");
  BOOST_TEST(service.status("/live") == "000");
}

BOOST_AUTO_TEST_SUITE_END()
