// The HTTP service of the examples, from outside: a process, a port and curl, while its database goes and comes back.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <libpq-fe.h>
#include <boost/test/unit_test.hpp>
#include <support/postgres_server.hpp>

using namespace lido::test;
using namespace std::chrono_literals;

namespace {

class Service {
 public:
  explicit Service(const std::string& database) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0 || errors_ == nullptr) throw std::runtime_error{"no place for its output"};
    ::setenv("DATABASE_URL", database.c_str(), 1);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::fileno(errors_.get()), STDERR_FILENO);
      ::execl(LIDO_SERVICE, LIDO_SERVICE, nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string line;
    for (char byte = 0; ::read(ends[0], &byte, 1) == 1 && byte != '\n';) line += byte;
    output_ = ends[0];  // kept open: what it says last would have no reader
    if (!line.starts_with("listening on ")) throw std::runtime_error{"the service does not start: " + line};
    port_ = line.substr(13);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() {
    ::close(output_);
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

  struct Answer {
    std::string body;
    std::string status;    // 000 where there was no answer within eight seconds
    double seconds = 0.0;  // what curl took for it
  };
  [[nodiscard]] Answer get(const std::string& page) const {
    const std::string command = "curl -s -m 8 -w '\\n%{http_code} %{time_total}' http://127.0.0.1:" + port_ + page;
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> buffer;
    std::size_t count = 0;
    do {
      count = std::fread(buffer.data(), 1, buffer.size(), pipe);
      text.append(buffer.data(), count);
    } while (count > 0);
    ::pclose(pipe);
    const std::size_t line = text.rfind('\n');
    const std::size_t space = text.rfind(' ');
    return {text.substr(0, line), text.substr(line + 1, space - line - 1), std::stod(text.substr(space + 1))};
  }
  [[nodiscard]] std::string status(const std::string& page) const { return get(page).status; }
  /// What /ready says of itself.
  [[nodiscard]] std::string state() const {
    const std::string body = get("/ready").body;
    const std::string before = "{\"status\": \"";
    return body.starts_with(before) ? body.substr(before.size(), body.find('"', before.size()) - before.size()) : body;
  }

  /// What it has written to stderr so far.
  [[nodiscard]] std::string errors() const {
    std::string text;
    std::array<char, 4096> buffer;
    ssize_t count = 0;
    do {
      count = ::pread(::fileno(errors_.get()), buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
      if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    } while (count > 0);
    return text;
  }
  void signal(int number) const { ::kill(process_, number); }

  /// A client that connects and says nothing.
  [[nodiscard]] int silent_client() const {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port_)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error{"cannot connect"};
    return client;
  }

  /// Tells it to end; its exit status.
  int terminate() {
    signal(SIGTERM);
    return ended();
  }
  /// Its exit status, once it has ended.
  int ended() {
    int status = -1;
    PostgresServer::wait_until("the service has ended",
                               [&] { return ::waitpid(process_, &status, WNOHANG) == process_; });
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = 0;
  int output_ = -1;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> errors_{std::tmpfile(), &std::fclose};
  std::string port_;
};

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

}  // namespace

BOOST_AUTO_TEST_SUITE(http_service)

BOOST_AUTO_TEST_CASE(answers_503_while_its_database_is_away_recovers_and_drains) {
  PostgresServer database;
  Service service{database.conninfo()};
  BOOST_TEST(service.get("/users").body.find("Ada") != std::string::npos);
  BOOST_TEST(service.status("/ready") == "200");
  BOOST_TEST(service.get("/metrics").body.find("\ndb_pool_idle 1\n") != std::string::npos);
  BOOST_TEST(service.status("/nothing") == "404");

  std::map<std::string, int> seen;
  std::atomic<bool> ended{false};
  std::jthread client{[&] {
    while (!ended.load()) ++seen[service.status("/users")];
  }};
  database.stop(PostgresServer::Mode::immediate);
  PostgresServer::wait_until("it says that it is down", [&] { return service.status("/ready") == "503"; });
  BOOST_TEST(service.status("/users") == "503");
  BOOST_TEST(service.status("/metrics") == "200");
  database.start();
  PostgresServer::wait_until("it has recovered", [&] { return service.status("/ready") == "200"; });
  BOOST_TEST(service.status("/users") == "200");
  ended = true;
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
  Service::Answer ready = service.get("/ready");
  BOOST_TEST(ready.status == "503");
  BOOST_TEST(ready.body ==
             "{\"status\": \"unreachable\", \"pool_size\": 4, \"checked_out_connections\": 0, \"overflow\": 0, "
             "\"total\": 0, \"available\": 0, \"max_size\": 8, \"waiting\": 0}\n");
  BOOST_TEST(ready.seconds < 1.5);  // its deadline is a second

  database.start();
  PostgresServer::wait_until("it is ready", [&] { return service.status("/ready") == "200"; });
  BOOST_TEST(service.state() == "ready");
  BOOST_TEST(service.get("/users").body.find("Ada") != std::string::npos);

  database.stop(PostgresServer::Mode::immediate);
  BOOST_TEST(service.status("/live") == "200");
  BOOST_TEST(service.state() == "unreachable");
}

BOOST_AUTO_TEST_CASE(is_not_ready_and_says_exhausted_while_all_connections_are_held) {
  const Setting size{"DATABASE_POOL_SIZE", "2"};
  const Setting overflow{"DATABASE_POOL_MAX_OVERFLOW", "0"};
  const Setting patience{"DATABASE_POOL_STATEMENT_TIMEOUT", "7s"};
  PostgresServer database;
  Service service{database.conninfo()};
  BOOST_TEST(service.state() == "ready");

  TableLock lock{database};
  std::array<std::string, 2> seen;
  {
    std::vector<std::jthread> clients;
    for (std::string& status : seen) clients.emplace_back([&] { status = service.status("/users"); });
    wait_for_blocked(database, "2");
    const Service::Answer ready = service.get("/ready");
    BOOST_TEST(ready.status == "503");
    BOOST_TEST(ready.body.starts_with("{\"status\": \"exhausted\", \"pool_size\": 2, \"checked_out_connections\": 2,"));
    BOOST_TEST(ready.seconds < 1.5);  // its deadline is a second
    BOOST_TEST(service.status("/live") == "200");
    lock.release();
  }
  for (const std::string& status : seen) BOOST_TEST(status == "200");
  BOOST_TEST(service.state() == "ready");
}

BOOST_AUTO_TEST_CASE(describes_its_pool_when_it_gets_sigusr1_and_serves_on) {
  PostgresServer database;
  Service service{database.conninfo()};
  BOOST_TEST(service.status("/users") == "200");
  TableLock lock{database};
  std::string hanging;
  {
    std::jthread client{[&] { hanging = service.status("/users"); }};
    wait_for_blocked(database, "1");
    service.signal(SIGUSR1);
    PostgresServer::wait_until("it is written", [&] { return service.errors().ends_with('\n'); });
    lock.release();
  }
  BOOST_TEST(hanging == "200");
  const std::string text = service.errors();
  for (const char* part : {"1 of at most 8 connections: 1 leased, 0 idle", "acquire_timeout=", "connection 1 leased",
                           "14_http_service.cpp:", "opened"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is not in " << text);
  BOOST_TEST(service.status("/users") == "200");
  service.signal(SIGUSR1);
  PostgresServer::wait_until("it is written again", [&] {
    const std::string both = service.errors();
    return both.size() > text.size() && both.find("connection 1 idle", text.size()) != std::string::npos;
  });
  BOOST_TEST(service.terminate() == 0);
}

BOOST_AUTO_TEST_CASE(says_that_it_drains_until_the_last_answer) {
  const Setting patience{"DATABASE_POOL_STATEMENT_TIMEOUT", "7s"};
  PostgresServer database;
  Service service{database.conninfo()};
  BOOST_TEST(service.state() == "ready");
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
