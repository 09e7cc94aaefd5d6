// The server of this program, the pool that is tried on it, and who watches both.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <support/postgres_server.hpp>

namespace lido::test {

using namespace std::chrono_literals;

inline constexpr const char* application = "lido_faults";

/// Started by the first test that needs it, in the main thread. The user `app` may not use what is reserved for the
/// superuser.
inline PostgresServer& server() {
  static const std::unique_ptr<PostgresServer> instance = [] {
    auto made = std::make_unique<PostgresServer>(std::vector<std::string>{"max_connections=40"});
    made->ask("create role app login");
    return made;
  }();
  return *instance;
}

/// A server that is stopped where it is while this lives.
class Frozen {
 public:
  Frozen() { server().sigstop(); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;
  ~Frozen() { server().sigcont(); }
};

/// As small time-outs as a user might set, so that a scenario ends soon.
inline postgres::Options pool_options() {
  return {.pool_size = 8,
          .max_overflow = 8,
          .pool_timeout = 2s,
          .connect_timeout = 500ms,
          .statement_timeout = 500ms,
          .application_name = application};
}

/// How many sessions of the pool the server has.
inline std::size_t backends() {
  return std::stoul(server().ask("select count(*) from pg_stat_activity where application_name = '" +
                                 std::string{application} + "'"));
}

/// Looks fifty times a second, on a session of its own, at how many sessions the pool has, as the server says and as
/// the pool itself does.
class Watch {
 public:
  Watch(postgres::Pool& pool, bool asks) : pool_{pool}, asks_{asks} {}

  /// The most at once. A session that its client has closed takes a moment to end, longer where the server is short of
  /// processors; the pool's own are counted exactly by the proxy.
  [[nodiscard]] std::size_t peak() const { return peak_; }
  /// Whether the pool ever said that it had more than its maximum.
  [[nodiscard]] bool pool_exceeded() const { return exceeded_; }
  [[nodiscard]] std::size_t samples() const { return samples_; }

 private:
  void run(const std::stop_token& stop) {
    for (auto next = Clock::now(); !stop.stop_requested(); std::this_thread::sleep_until(next)) {
      next += 20ms;
      const Statistics now = pool_.statistics();
      if (now.now.total() > now.max_size) exceeded_ = true;
      if (asks_) sample();
    }
  }

  void sample() {
    try {
      if (!connection_) connection_ = postgres::Connection::connect(server().conninfo(), Clock::now() + 1s);
      const auto rows = connection_->exec_until(
          Clock::now() + 1s, "select count(*) from pg_stat_activity where application_name = $1", application);
      peak_ = std::max(peak_.load(), static_cast<std::size_t>(rows.one<long>()));
      ++samples_;
    } catch (const postgres::Error&) {  // it is the server that has trouble, or this session was ended, too
      connection_.reset();
    }
  }

  postgres::Pool& pool_;
  const bool asks_;
  std::optional<postgres::Connection> connection_;
  std::atomic<std::size_t> peak_{0}, samples_{0};
  std::atomic<bool> exceeded_{false};
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

}  // namespace lido::test
