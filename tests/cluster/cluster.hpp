// A primary with a synchronous standby, and threads that write to whichever is the primary.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <lido/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <support/postgres_server.hpp>

namespace lido::test {

using namespace std::chrono_literals;

/// A deadline that only a failure reaches.
inline TimePoint soon() { return Clock::now() + 60s; }

[[nodiscard]] inline std::string milliseconds(Duration span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) + " ms";
}

/// What the primary has acknowledged its standby has on its disk.
struct Cluster {
  PostgresServer first{};
  PostgresServer second{first, "second"};

  Cluster() {
    // No unique index, so that a row that is written twice is there twice.
    first.ask("create table notes(id bigint not null, thread int not null); create index on notes(id)");
    first.ask("alter system set synchronous_standby_names = 'second'");
    first.ask("select pg_reload_conf()");
    PostgresServer::wait_until("the standby is synchronous", [&] {
      return first.ask("select count(*) from pg_stat_replication where sync_state = 'sync'") == "1";
    });
  }

  /// Both, in the order in which a client knows them.
  [[nodiscard]] std::string conninfo(const std::string& attributes) const {
    return "host=" + first.host() + "," + second.host() +
           " user=postgres dbname=postgres target_session_attrs=" + attributes;
  }
};

/// Threads each of which writes one row a transaction, with an id of its own. What failed safely is done again; of what
/// may have been committed the server is asked.
class Writers {
 public:
  Writers(postgres::Pool& pool, std::size_t threads) : pool_{pool} {
    for (std::size_t i = 0; i < threads; ++i)
      threads_.emplace_back([this, i](const std::stop_token& stop) { run(stop, static_cast<int>(i)); });
  }
  Writers(const Writers&) = delete;
  Writers& operator=(const Writers&) = delete;
  ~Writers() = default;

  [[nodiscard]] std::uint64_t count() const { return written_; }
  /// When the first transaction ended well that had begun at `since` or later; `TimePoint::max()`: none has.
  void look_from(TimePoint since) {
    const std::scoped_lock lock{mutex_};
    since_ = since;
    first_ = TimePoint::max();
  }
  [[nodiscard]] TimePoint first() const {
    const std::scoped_lock lock{mutex_};
    return first_;
  }

  /// Ends the threads.
  void finish() { threads_.clear(); }
  /// After the end: the ids that were acknowledged, and how often a transaction failed, by error.
  [[nodiscard]] const std::vector<std::int64_t>& ids() const { return ids_; }
  [[nodiscard]] const std::map<std::string, int>& failures() const { return failures_; }
  [[nodiscard]] int unknown() const { return unknown_; }
  [[nodiscard]] int unknown_but_done() const { return unknown_but_done_; }
  [[nodiscard]] int given_up() const { return given_up_; }

 private:
  void run(const std::stop_token& stop, int thread) {
    while (!stop.stop_requested()) {
      const std::int64_t id = ++last_id_;
      const TimePoint late = Clock::now() + 60s;
      bool done = write(id, thread);
      while (!done && Clock::now() < late) done = write(id, thread);
      const std::scoped_lock lock{mutex_};
      if (!done) ++given_up_;
    }
  }

  // False: it has not happened, for certain.
  bool write(std::int64_t id, int thread) {
    const TimePoint begun = Clock::now();
    try {
      postgres::Session session{pool_};
      // The lock is released once the row can be seen, or is gone.
      session.exec("insert into notes select $1::bigint, $2::int from pg_advisory_xact_lock($1::bigint)", id, thread);
      session.commit();
      wrote(id, begun);
      return true;
    } catch (const postgres::CommitUnknown&) {
      const bool done = is_there(id);
      const std::scoped_lock lock{mutex_};
      ++unknown_;
      ++failures_["commit unknown"];
      if (done) {
        ++unknown_but_done_;
        ids_.push_back(id);
      }
      return done;
    } catch (const std::exception& error) {
      failed(error);
      return false;
    }
  }

  [[nodiscard]] bool is_there(std::int64_t id) {
    for (const TimePoint late = Clock::now() + 60s;;) {
      try {
        auto lease = pool_.acquire();
        lease->exec("select pg_advisory_xact_lock($1)", id);  // until a COMMIT that was not answered is over
        return lease->exec("select exists (select from notes where id = $1)", id).one<bool>();
      } catch (const std::exception&) {
        if (Clock::now() > late) throw;
      }
    }
  }

  void wrote(std::int64_t id, TimePoint begun) {
    ++written_;
    const std::scoped_lock lock{mutex_};
    ids_.push_back(id);
    if (begun >= since_) first_ = std::min(first_, Clock::now());
  }

  void failed(const std::exception& error) {
    const auto* const ours = dynamic_cast<const postgres::Error*>(&error);
    std::string kind = dynamic_cast<const AcquireTimeout*>(&error) != nullptr             ? "acquire timed out"
                       : dynamic_cast<const postgres::ConnectError*>(&error) != nullptr   ? "no connection"
                       : dynamic_cast<const postgres::ConnectionLost*>(&error) != nullptr ? "connection lost"
                       : dynamic_cast<const postgres::QueryTimeout*>(&error) != nullptr   ? "no answer"
                       : dynamic_cast<const postgres::QueryError*>(&error) != nullptr     ? "refused"
                                                                                          : error.what();
    if (ours != nullptr && !ours->sqlstate().empty()) kind += " " + ours->sqlstate();
    const std::scoped_lock lock{mutex_};
    ++failures_[kind];
  }

  postgres::Pool& pool_;
  std::atomic<std::int64_t> last_id_{0};
  std::atomic<std::uint64_t> written_{0};
  mutable std::mutex mutex_;
  TimePoint since_ = TimePoint::max();
  TimePoint first_ = TimePoint::max();
  std::vector<std::int64_t> ids_;
  std::map<std::string, int> failures_;
  int unknown_ = 0;
  int unknown_but_done_ = 0;
  int given_up_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace lido::test
