// PgBouncer before a throw-away server, run by the server's own user on a Unix socket beside the server's.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <support/postgres_server.hpp>

namespace lido::test {

/// For one thread, as the server is, which must outlive it.
class PgBouncer {
 public:
  /// `mode` is `session` or `transaction`; `size` is how many sessions with the server it has at most; `more` are lines
  /// of its file.
  PgBouncer(PostgresServer& server, std::string mode, int size, const std::string& more = {})
      : server_{server}, mode_{std::move(mode)}, size_{size}, settings_{server.host() + "/pgbouncer.ini"} {
    std::ofstream{settings_} << "[databases]\n"
                             << "postgres = host=" << server.host() << " user=postgres\n"
                             << "[pgbouncer]\n"
                             << "unix_socket_dir = " << server.host() << '\n'
                             << "listen_addr =\n"
                             << "listen_port = 6432\n"
                             << "auth_type = any\n"
                             << "max_client_conn = 200\n"
                             << "pool_mode = " << mode_ << '\n'
                             << "default_pool_size = " << size_ << '\n'
                             << more << '\n';
    start();
  }
  PgBouncer(const PgBouncer&) = delete;
  PgBouncer& operator=(const PgBouncer&) = delete;
  ~PgBouncer() {
    stop();
    std::error_code ignored;
    std::filesystem::remove(settings_, ignored);
  }

  [[nodiscard]] std::string conninfo() const {
    return "host=" + server_.host() + " port=6432 user=postgres dbname=postgres";
  }
  void start() {
    process_ = server_.spawn({"/usr/sbin/pgbouncer", settings_});
    try {
      PostgresServer::wait_until("PgBouncer listens", [this] {
        if (::waitpid(process_, nullptr, WNOHANG) == process_) {
          process_ = 0;
          throw std::runtime_error{"PgBouncer did not start"};
        }
        PGconn* const connection = PQconnectdb(conninfo().c_str());
        const bool good = PQstatus(connection) == CONNECTION_OK;
        PQfinish(connection);
        return good;
      });
    } catch (...) {
      stop();
      throw;
    }
  }
  /// At once, without waiting for anybody.
  void stop() noexcept {
    if (process_ == 0) return;
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

 private:
  PostgresServer& server_;
  std::string mode_;
  int size_;
  std::string settings_;
  pid_t process_ = 0;
};

}  // namespace lido::test
