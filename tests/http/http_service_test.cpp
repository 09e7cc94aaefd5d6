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
#include <stdexcept>
#include <string>
#include <thread>

#include <boost/test/unit_test.hpp>
#include <support/postgres_server.hpp>

using namespace lido::test;
using namespace std::chrono_literals;

namespace {

class Service {
 public:
  explicit Service(const std::string& database) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"pipe2 failed"};
    ::setenv("DATABASE_URL", database.c_str(), 1);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
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

  /// What curl gets; the last line is the status, 000 where there was no answer within eight seconds.
  [[nodiscard]] std::string get(const std::string& page) const {
    const std::string command = "curl -s -m 8 -w '\\n%{http_code}' http://127.0.0.1:" + port_ + page;
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string text;
    std::array<char, 4096> buffer;
    std::size_t count = 0;
    do {
      count = std::fread(buffer.data(), 1, buffer.size(), pipe);
      text.append(buffer.data(), count);
    } while (count > 0);
    ::pclose(pipe);
    return text;
  }
  [[nodiscard]] std::string status(const std::string& page) const {
    const std::string text = get(page);
    return text.substr(text.rfind('\n') + 1);
  }

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
    ::kill(process_, SIGTERM);
    int status = -1;
    PostgresServer::wait_until("the service has ended",
                               [&] { return ::waitpid(process_, &status, WNOHANG) == process_; });
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = 0;
  int output_ = -1;
  std::string port_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(http_service)

BOOST_AUTO_TEST_CASE(answers_503_while_its_database_is_away_recovers_and_drains) {
  PostgresServer database;
  Service service{database.conninfo()};
  BOOST_TEST(service.get("/users").find("Ada") != std::string::npos);
  BOOST_TEST(service.status("/health") == "200");
  BOOST_TEST(service.get("/metrics").find("lido_pool_connections{state=\"idle\"}") != std::string::npos);
  BOOST_TEST(service.status("/nothing") == "404");

  std::map<std::string, int> seen;
  std::atomic<bool> ended{false};
  std::jthread client{[&] {
    while (!ended.load()) ++seen[service.status("/users")];
  }};
  database.stop(PostgresServer::Mode::immediate);
  PostgresServer::wait_until("it says that it is down", [&] { return service.status("/health") == "503"; });
  BOOST_TEST(service.status("/users") == "503");
  BOOST_TEST(service.status("/metrics") == "200");
  database.start();
  PostgresServer::wait_until("it has recovered", [&] { return service.status("/health") == "200"; });
  BOOST_TEST(service.status("/users") == "200");
  ended = true;
  client.join();
  for (const auto& [status, count] : seen)
    BOOST_TEST((status == "200" || status == "503"), "a request ended with " << status);
  BOOST_TEST(seen["200"] + seen["503"] > 0);

  const int idle = service.silent_client();
  BOOST_TEST(service.terminate() == 0);  // which does not wait for it
  ::close(idle);
  BOOST_TEST(service.status("/health") == "000");
}

BOOST_AUTO_TEST_SUITE_END()
