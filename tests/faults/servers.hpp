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
/// superuser. Of that there is plenty, since whoever asks leaves a session behind that takes a moment to end.
inline PostgresServer& server() {
  static const std::unique_ptr<PostgresServer> instance = [] {
    auto made = std::make_unique<PostgresServer>(
        std::vector<std::string>{"max_connections=137", "superuser_reserved_connections=100"});
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

/// Where every error counts, none may come from a machine that is slow.
inline postgres::Options patient_options() {
  postgres::Options options = pool_options();
  options.pool_timeout = 60s;
  options.connect_timeout = options.statement_timeout = 20s;
  return options;
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
  explicit Watch(postgres::Pool& pool) : pool_{pool} {}

  /// The most at once. A session that its client has closed takes a moment to end, longer where the server is short of
  /// processors.
  [[nodiscard]] std::size_t peak() const { return peak_; }
  /// How often there were more than the pool's maximum: as the pool said, or as the server said of sessions that had
  /// been there for half a second, so that those on their way out are not counted with those that took their places.
  /// Not within a second of a stall, in which the former had no processor to end with, and the latter grew old.
  [[nodiscard]] std::size_t over() const { return over_; }
  /// How often the server answered, and for how long it did.
  [[nodiscard]] std::size_t samples() const { return samples_; }
  [[nodiscard]] Duration answered() const { return answered_.load(); }

 private:
  void run(const std::stop_token& stop) {
    for (auto next = before_; !stop.stop_requested(); std::this_thread::sleep_until(next)) {
      next = std::max(next + 20ms, Clock::now());
      const Statistics now = pool_.statistics();
      if (now.now.total() > now.max_size) ++over_;
      const bool asked = sample(now.max_size);
      const TimePoint after = Clock::now();
      // A stall of the whole machine is nobody's: a sample stands for three of its periods at the most.
      if (asked) answered_ = answered_.load() + std::min<Duration>(after - before_, 60ms);
      before_ = after;
    }
  }

  // False when the time that it took says nothing about how often it is done.
  bool sample(std::size_t maximum) {
    const bool connected = connection_.has_value();
    try {
      if (!connected) connection_ = postgres::Connection::connect(server().conninfo(), Clock::now() + 1s);
      const auto rows = connection_->exec_until(
          Clock::now() + 1s,
          "select count(*), count(*) filter (where backend_start < clock_timestamp() - interval '500 ms') "
          "from pg_stat_activity where application_name = $1",
          application);
      peak_ = std::max(peak_.load(), static_cast<std::size_t>(rows[0][0].as<long>()));
      const TimePoint now = Clock::now();
      if (now - before_ > 100ms) stalled_ = now;
      if (static_cast<std::size_t>(rows[0][1].as<long>()) > maximum && now - stalled_ > 1s) ++over_;
      if (connected) ++samples_;
      return connected;
    } catch (const postgres::Error&) {  // it is the server that has trouble, or this session was ended, too
      connection_.reset();
      return false;
    }
  }

  postgres::Pool& pool_;
  std::optional<postgres::Connection> connection_;
  TimePoint before_ = Clock::now();  // the last sample
  TimePoint stalled_{};              // the last one that was long in coming
  std::atomic<std::size_t> peak_{0}, over_{0}, samples_{0};
  std::atomic<Duration> answered_{Duration{}};
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

}  // namespace lido::test
