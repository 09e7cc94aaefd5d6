// The HTTP service of the examples as a process.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include <support/output_of.hpp>
#include <support/postgres_server.hpp>

namespace lido::test {

class Service {
 public:
  // With so many descriptors at the most.
  explicit Service(const std::string& database, rlim_t descriptors = RLIM_INFINITY) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0 || errors_ == nullptr) throw std::runtime_error{"no place for its output"};
    ::setenv("DATABASE_URL", database.c_str(), 1);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::fileno(errors_.get()), STDERR_FILENO);
      rlimit limit{};
      if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) limit.rlim_cur = std::min(limit.rlim_cur, descriptors);
      ::setrlimit(RLIMIT_NOFILE, &limit);
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

  [[nodiscard]] std::string url(const std::string& page) const { return "http://127.0.0.1:" + port_ + page; }

  struct Answer {
    std::string body;
    std::string status;    // 000 where there was no answer within seventy seconds
    double seconds = 0.0;  // what curl took for it
  };
  [[nodiscard]] Answer get(const std::string& page) const {
    const std::string text = output_of("curl -s -m 70 -w '\\n%{http_code} %{time_total}' " + url(page));
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

}  // namespace lido::test
