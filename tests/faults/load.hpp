// Threads that work on a pool while its server has trouble, and what becomes of them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <faults/starvation.hpp>
#include <lido/error.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/pool.hpp>

namespace lido::test {

/// What `postgres::Pool` is made of, for tests that need a setting or a connector of their own.
using CorePool = lido::Pool<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle>;

/// Nobody may be later than this, whatever happens to the server.
inline constexpr Duration most_late = std::chrono::milliseconds{50};

/// What the threads counted.
struct Tally {
  std::uint64_t acquired = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t cycles = 0;        ///< acquired, asked, answered, given back
  std::uint64_t cycles_after = 0;  ///< of these, after the fault was over
  std::map<std::string, std::uint64_t> errors{};
  std::uint64_t late = 0;  ///< acquires and releases that came back beyond `most_late`
  Overshoot worst{};       ///< the largest of each, maybe of different calls

  void add(const Overshoot& one) {
    worst.raw = std::max(worst.raw, one.raw);
    worst.net = std::max(worst.net, one.net);
    if (one.net > most_late) ++late;
  }
  Tally& operator+=(const Tally& other) {
    acquired += other.acquired;
    timeouts += other.timeouts;
    cycles += other.cycles;
    cycles_after += other.cycles_after;
    for (const auto& [kind, count] : other.errors) errors[kind] += count;
    late += other.late;
    worst.raw = std::max(worst.raw, other.worst.raw);
    worst.net = std::max(worst.net, other.worst.net);
    return *this;
  }
};

/// The kind of an error, with the class of its SQLSTATE: `lost 57`.
[[nodiscard]] inline std::string kind_of(const std::exception& error) {
  const auto* const ours = dynamic_cast<const postgres::Error*>(&error);
  const std::string state = ours == nullptr || ours->sqlstate().empty() ? "" : " " + ours->sqlstate().substr(0, 2);
  if (const auto* const late = dynamic_cast<const AcquireTimeout*>(&error))
    return "timeout " + std::string{to_string(late->phase())};
  if (dynamic_cast<const postgres::PermanentConnectError*>(&error) != nullptr) return "permanent" + state;
  if (dynamic_cast<const postgres::ConnectionLost*>(&error) != nullptr) return "lost" + state;
  if (dynamic_cast<const postgres::QueryTimeout*>(&error) != nullptr) return "no answer" + state;
  if (dynamic_cast<const postgres::QueryError*>(&error) != nullptr) return "refused" + state;
  return std::string{"other: "} + error.what();
}

/// Threads that acquire, ask the server something small, and give back, for as long as this lives.
class Load {
 public:
  Load(CorePool& pool, std::size_t threads) : pool_{pool}, pool_size_{pool.statistics().pool_size} {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() = default;

  /// Begins to look for what recovers.
  void forget_successes() {
    const std::scoped_lock lock{mutex_};
    since_ = Clock::now();
    answered_.clear();
    successes_ = 0;
    first_ = full_ = TimePoint{};
  }
  /// As many sessions as the pool keeps have answered since then.
  [[nodiscard]] bool full() const {
    const std::scoped_lock lock{mutex_};
    return full_ != TimePoint{};
  }
  [[nodiscard]] std::uint64_t successes() const {
    const std::scoped_lock lock{mutex_};
    return successes_;
  }
  /// From then to the first answer, and to that of as many sessions as the pool keeps; `Duration::max()`: never.
  [[nodiscard]] Duration until_first() const { return until(first_); }
  [[nodiscard]] Duration until_full() const { return until(full_); }

  /// Ends the threads; what they counted.
  [[nodiscard]] Tally finish() {
    threads_.clear();
    total_.cycles_after = successes_;
    return total_;
  }

 private:
  void run(const std::stop_token& stop) {
    Tally mine;
    while (!stop.stop_requested() && cycle(mine)) {
    }
    const std::scoped_lock lock{mutex_};
    total_ += mine;
  }

  [[nodiscard]] Duration until(const TimePoint& moment) const {
    const std::scoped_lock lock{mutex_};
    return moment == TimePoint{} ? Duration::max() : moment - since_;
  }

  // False when there is nothing left to do.
  bool cycle(Tally& mine) {
    const Stopwatch acquiring;
    try {
      auto lease = pool_.acquire();
      mine.add(acquiring.beyond(pool_.options().acquire_timeout));
      ++mine.acquired;
      use(lease, mine);
    } catch (const PoolClosed&) {
      return false;
    } catch (const std::exception& error) {  // of acquire
      mine.add(acquiring.beyond(pool_.options().acquire_timeout));
      ++mine.errors[kind_of(error)];
      if (dynamic_cast<const AcquireTimeout*>(&error) != nullptr) ++mine.timeouts;
    }
    return true;
  }

  void use(CorePool::Lease& lease, Tally& mine) {
    try {
      // Long enough to leave the processors some rest, so that times mean something.
      lease->exec("select 1 from pg_sleep(0.005)");
      ++mine.cycles;
      succeeded(lease->backend_pid());
    } catch (const std::exception& error) {
      ++mine.errors[kind_of(error)];
    }
    // Nothing was left behind, so that giving back needs no round trip and has no time to take.
    const Stopwatch releasing;
    lease.release();
    mine.add(releasing.beyond(Duration::zero()));
  }

  void succeeded(int session) {
    const std::scoped_lock lock{mutex_};
    ++successes_;
    if (first_ == TimePoint{}) first_ = Clock::now();
    if (full_ != TimePoint{}) return;
    answered_.insert(session);
    if (answered_.size() >= pool_size_) full_ = Clock::now();
  }

  CorePool& pool_;
  const std::size_t pool_size_;
  mutable std::mutex mutex_;
  TimePoint since_ = Clock::now();
  std::set<int> answered_;
  std::uint64_t successes_ = 0;
  TimePoint first_{}, full_{};
  Tally total_;
  std::vector<std::jthread> threads_;
};

}  // namespace lido::test
