#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lido/load_recorder.hpp>
#include <lido/postgres/pool.hpp>

#include "arriving.hpp"
#include "fate.hpp"
#include "play.hpp"

namespace lab {

namespace {

using namespace std::chrono_literals;
using lido::Clock;

lido::Duration span(double seconds) {
  return std::chrono::duration_cast<lido::Duration>(std::chrono::duration<double>{seconds});
}
double seconds(lido::Duration span) { return std::chrono::duration<double>{span}.count(); }

lido::postgres::Options options(const PoolSettings& settings) {
  lido::postgres::Options made;
  made.pool_size = made.min_idle = settings.size;
  made.max_overflow = settings.overflow;
  made.max_waiting = settings.max_waiting;
  made.pool_timeout = span(settings.timeout);
  made.barging_limit = span(settings.barging_limit);
  if (settings.max_standing_wait) made.max_standing_wait = span(*settings.max_standing_wait);
  if (settings.fail_fast_after) made.fail_fast_after = span(*settings.fail_fast_after);
  made.name = made.application_name = "pool_lab";
  return made;
}

// Callers wait as callbacks, as there may be thousands of them; a thread for each connection does what they came for.
class Stage {
 public:
  Stage(const Workload& workload, const PoolSettings& settings, const std::string& url, std::uint64_t seed,
        const Progress& progress)
      : workload_{workload},
        progress_{progress},
        url_{lido::postgres::options_from_string(url).connection_string},  // the file says what the pool is
        arrivals_{workload, seed},
        pool_{url_, options(settings)} {
    outcome_.pool = settings;
    pool_.wait_until_ready(60s);
    for (std::size_t i = 0; i < settings.size + settings.overflow; ++i)
      crew_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    recorder_ = std::make_unique<lido::LoadRecorder>(pool_);
    begun_ = sampled_ = Clock::now();
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  ~Stage() {
    for (std::jthread& one : crew_) one.request_stop();
  }

  Outcome play(std::string* record) {
    std::unique_lock lock{mutex_};
    for (;;) {
      for (const double at : std::exchange(gone_, {})) arrivals_.gone(at);
      lock.unlock();
      harm();
      look();
      while (!ended_ && arrivals_.next() <= now()) come();
      lock.lock();
      const double next_arrival = ended_ ? never : arrivals_.next();
      if (next_arrival == never && here_ == 0 && gone_.empty()) break;
      const double next = std::min({next_arrival, next_look_, next_harm()});
      changed_.wait_until(lock, begun_ + span(next), [&] { return !gone_.empty() || here_ == 0; });
    }
    outcome_.interrupted = ended_;
    outcome_.lasted = std::min(now(), workload_.lasts);
    outcome_.ended = now();
    for (const Visitor& visitor : visitors_) outcome_.callers.push_back(visitor.caller);
    lock.unlock();
    sample();
    if (record != nullptr) *record = recorder_->to_json();
    return std::move(outcome_);
  }

 private:
  using Lease = lido::postgres::Pool::Lease;
  struct Visitor;
  struct Told {
    Stage* stage;
    Visitor* visitor;
    void operator()(const std::exception_ptr& failure, Lease lease) const {
      stage->answer(*visitor, failure, std::move(lease));
    }
  };
  using Operation = decltype(std::declval<lido::postgres::Pool&>().async_acquire().connect(std::declval<Told>()));
  struct Visitor {
    Caller caller;
    double work = 0;
    Lease lease;
    std::unique_ptr<Operation> operation;
  };

  [[nodiscard]] double now() const { return seconds(Clock::now() - begun_); }

  void come() {
    Visitor& visitor = visitors_.emplace_back();
    visitor.caller.came = arrivals_.next();
    visitor.work = arrivals_.take();
    // NOLINTNEXTLINE(modernize-make-unique): what is made is not moved
    visitor.operation.reset(new Operation{pool_.async_acquire().connect(Told{this, &visitor})});
    {
      const std::scoped_lock lock{mutex_};
      ++here_;
    }
    visitor.operation->start();
  }
  // In whatever thread finds it.
  void answer(Visitor& visitor, const std::exception_ptr& failure, Lease lease) {
    const std::scoped_lock lock{mutex_};
    visitor.caller.waited = now() - visitor.caller.came;
    visitor.lease = std::move(lease);
    if (failure) return leave(visitor, fate_of(failure));
    ready_.push_back(&visitor);
    begin_.notify_one();
  }
  // With the lock.
  void leave(Visitor& visitor, Fate fate) {
    visitor.caller.fate = fate;
    --here_;
    gone_.push_back(now());
    changed_.notify_one();
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (begin_.wait(lock, stop, [this] { return !ready_.empty(); })) {
      Visitor& visitor = *ready_.front();
      ready_.pop_front();
      const double late = late_;
      lock.unlock();
      // Held since it was granted, though a thread begins a little later.
      const double granted = visitor.caller.came + visitor.caller.waited;
      Fate fate = Fate::served;
      try {
        visitor.lease->exec("select pg_sleep($1)", std::max(visitor.work - late - (now() - granted), 0.0));
      } catch (const std::exception&) {
        fate = Fate::failed;
      }
      const double held = now() - granted;
      visitor.lease.release();
      lock.lock();
      visitor.caller.held = held;
      // The server sleeps longer than it is asked to, and the way there takes its time: the next ones are asked to
      // sleep so much less that holds are right on average.
      constexpr double share = 0.05;
      if (fate == Fate::served) late_ += share * (held - visitor.work);
      leave(visitor, fate);
    }
  }

  void harm() {
    if (ended_ || now() < next_harm()) return;
    ++harm_;
    auto other = lido::postgres::Connection::connect(url_, Clock::now() + 60s);
    other.exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pool_lab'");
  }
  [[nodiscard]] double next_harm() const {
    return harm_ == workload_.faults.size() ? never : workload_.faults[harm_].at;
  }

  void look() {
    if (now() < next_look_) return;
    const lido::PoolCounts counts = pool_.statistics().now;
    outcome_.looks.push_back({.at = now(), .counts = counts});
    constexpr double looks = 240;
    next_look_ = now() + std::max(workload_.lasts / looks, 0.02);
    if (Clock::now() - sampled_ >= 1s) sample();
    if (ended_ || progress_(std::min(now(), workload_.lasts), counts)) return;
    ended_ = true;
    for (Visitor& visitor : visitors_) visitor.operation->cancel();
  }
  void sample() {
    const lido::TimePoint at = Clock::now();
    recorder_->sample(pool_.statistics(), at - sampled_);
    sampled_ = at;
  }

  const Workload& workload_;
  const Progress& progress_;
  const std::string url_;
  Outcome outcome_;
  Arrivals arrivals_;
  lido::TimePoint begun_, sampled_;
  std::size_t harm_ = 0;
  double next_look_ = 0;
  bool ended_ = false;

  std::mutex mutex_;  // of what stands up to the pool
  std::condition_variable_any changed_, begin_;
  std::size_t here_ = 0;
  double late_ = 0;
  std::deque<Visitor*> ready_;
  std::vector<double> gone_;

  lido::postgres::Pool pool_;
  std::unique_ptr<lido::LoadRecorder> recorder_;
  std::deque<Visitor> visitors_;  // which stay where they are
  std::vector<std::jthread> crew_;
};

}  // namespace

Outcome play(const Workload& workload, const PoolSettings& pool, const std::string& url, std::uint64_t seed,
             const Progress& progress, std::string* record) {
  for (std::size_t i = 0; i < workload.faults.size(); ++i)
    if (workload.faults[i].harm != Harm::kill)
      throw InvalidInput{"faults[" + std::to_string(i) + "].kind",
                         "kill, on a server that is not ours; or the simulation"};
  if (workload.cores != 0) throw InvalidInput{"cores", "none on a server, which has its own; or the simulation"};
  if (pool.size + pool.overflow > 1000) throw InvalidInput{"size", "at most 1000 on a server"};
  return Stage{workload, pool, url, seed, progress}.play(record);
}

}  // namespace lab
