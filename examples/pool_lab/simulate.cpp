#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lido/pool.hpp>
#include <lido/testing/platform.hpp>

#include "arriving.hpp"
#include "fate.hpp"
#include "play.hpp"
#include "server_model.hpp"

namespace lab {

namespace {

// What must hold inside is the tests' to look at.
struct Platform : lido::sim::Platform {
  static constexpr bool checks = false;
};

lido::Duration span(double seconds) {
  constexpr double longest = 1e9;
  return std::chrono::duration_cast<lido::Duration>(std::chrono::duration<double>{std::min(seconds, longest)});
}
double seconds(lido::Duration span) { return std::chrono::duration<double>{span}.count(); }

// The connections of one life of the server die with it.
struct Session {
  int life;
};
struct OfThisLife {
  const int* life;
  lido::Verdict check(const Session& session, const lido::ConnectionInfo&) const {
    return session.life == *life ? lido::Verdict::keep : lido::Verdict::discard;
  }
};
constexpr bool may_block(const OfThisLife&, const lido::ConnectionInfo&) noexcept { return false; }

using Pool = lido::Pool<Session, lido::Overflow, OfThisLife, lido::KeepAlways, Platform>;

lido::PoolOptions options(const PoolSettings& settings) {
  lido::PoolOptions made;
  made.acquire_timeout = span(settings.timeout);
  made.barging_limit = span(settings.barging_limit);
  made.max_waiting = settings.max_waiting;
  if (settings.max_standing_wait) made.max_standing_wait = span(*settings.max_standing_wait);
  if (settings.fail_fast_after) made.fail_fast_after = span(*settings.fail_fast_after);
  return made;
}

// One thread plays all callers: it sleeps until something happens, and the pool calls it back.
class Stage {
 public:
  Stage(const Workload& workload, const PoolSettings& settings, std::uint64_t seed, const Progress& progress)
      : workload_{workload},
        progress_{progress},
        opens_{seed + 2},
        arrivals_{workload, seed},
        server_{workload.cores},
        pool_{[this](const lido::OpenInfo& info) { return open(info); },
              {.pool_size = settings.size, .max_overflow = settings.overflow, .min_idle = settings.size},
              {&life_},
              {},
              options(settings)} {
    outcome_.pool = settings;
  }

  Outcome play() {
    while (!ended_) {
      const double at = now();
      server_.advance(at);
      harm(at);
      while (server_.ended()) leave(server_.take(), Fate::served);
      for (auto& [caller, answer] : std::exchange(answers_, {})) go_on(caller, std::move(answer));
      while (arrivals_.next() <= now()) come();
      look();
      if (arrivals_.next() == never && here_ == 0) break;
      const double next = std::min({server_.next(), arrivals_.next(), next_look_, next_harm()});
      if (answers_.empty() && next > now()) parker_.park_until(begun_ + span(next) + std::chrono::nanoseconds{1});
    }
    outcome_.interrupted = ended_;
    outcome_.lasted = std::min(now(), workload_.lasts);
    outcome_.ended = now();
    // Who still waits leaves before the pool ends.
    visitors_.clear();
    return std::move(outcome_);
  }

 private:
  struct Answer {
    std::exception_ptr failure;
    Pool::Lease lease;
  };
  struct Told {
    Stage* stage;
    std::size_t caller;
    void operator()(std::exception_ptr failure, Pool::Lease lease) const {
      stage->answers_.emplace_back(caller, Answer{std::move(failure), std::move(lease)});
      stage->parker_.unpark();
    }
  };
  using Operation = decltype(std::declval<Pool&>().async_acquire().connect(std::declval<Told>()));
  struct Visitor {
    std::unique_ptr<Operation> operation;
    Pool::Lease lease;
    double work = 0, began = 0;
  };

  [[nodiscard]] double now() const { return seconds(Platform::now() - begun_); }

  void come() {
    const std::size_t caller = outcome_.callers.size();
    outcome_.callers.push_back({.came = now()});
    Visitor& visitor = visitors_.emplace_back();
    visitor.work = arrivals_.take();
    // NOLINTNEXTLINE(modernize-make-unique): what is made is not moved
    visitor.operation.reset(new Operation{pool_.async_acquire().connect(Told{this, caller})});
    ++here_;
    visitor.operation->start();
  }
  void go_on(std::size_t caller, Answer answer) {
    Caller& told = outcome_.callers[caller];
    told.waited = now() - told.came;
    if (!answer.failure) {
      visitors_[caller].lease = std::move(answer.lease);
      visitors_[caller].began = now();
      server_.begin(caller, visitors_[caller].work);
      return;
    }
    leave(caller, fate_of(answer.failure));
  }
  void leave(std::size_t caller, Fate fate) {
    Visitor& visitor = visitors_[caller];
    Caller& gone = outcome_.callers[caller];
    gone.fate = fate;
    if (visitor.lease) gone.held = now() - visitor.began;
    if (visitor.lease && fate == Fate::failed) visitor.lease.discard();
    visitor = {};
    --here_;
    arrivals_.gone(now());
  }

  // What the server suffers from at this moment.
  void harm(double at) {
    if (harm_ < workload_.faults.size() && at >= workload_.faults[harm_].at) {
      const Fault& fault = workload_.faults[harm_];
      const bool over = at >= fault.at + fault.lasts;
      stalled_ = fault.harm == Harm::stall && !over;
      refuses_ = fault.harm == Harm::refuse && !over;
      server_.stall(stalled_);
      if (over) {
        ++harm_;
        if (fault.harm == Harm::kill) kill();
      }
    }
  }
  [[nodiscard]] double next_harm() const {
    if (harm_ == workload_.faults.size()) return never;
    const Fault& fault = workload_.faults[harm_];
    return now() < fault.at ? fault.at : fault.at + fault.lasts;
  }
  void kill() {
    ++life_;
    for (const std::size_t caller : server_.kill()) leave(caller, Fate::failed);
  }

  // In a worker of the pool.
  Session open(const lido::OpenInfo& info) {
    const lido::TimePoint ready = Platform::now() + span(workload_.open.draw(opens_));
    lido::sim::sleep_for(std::min(ready, info.deadline) - Platform::now());
    while (stalled_ && Platform::now() < info.deadline) lido::sim::sleep_for(std::chrono::milliseconds{1});
    if (refuses_ || Platform::now() >= info.deadline) throw std::runtime_error{"the server takes nobody"};
    return {life_};
  }

  void look() {
    if (now() < next_look_) return;
    const lido::PoolCounts counts = pool_.statistics().now;
    outcome_.looks.push_back({.at = now(), .counts = counts});
    constexpr double looks = 240;
    next_look_ = now() + std::max(workload_.lasts / looks, 0.001);
    ended_ = !progress_(std::min(now(), workload_.lasts), counts);
  }

  const Workload& workload_;
  const Progress& progress_;
  Outcome outcome_;
  const lido::TimePoint begun_ = Platform::now();
  Platform::Parker parker_;
  Random opens_;
  Arrivals arrivals_;
  ServerModel server_;
  int life_ = 0;
  bool stalled_ = false, refuses_ = false, ended_ = false;
  std::size_t harm_ = 0, here_ = 0;
  double next_look_ = 0;
  std::vector<std::pair<std::size_t, Answer>> answers_;
  Pool pool_;  // ends before what its workers refer to
  std::vector<Visitor> visitors_;
};

}  // namespace

Outcome simulate(const Workload& workload, const PoolSettings& pool, std::uint64_t seed, const Progress& progress) {
  Outcome outcome;
  lido::sim::Simulation world;
  world.step_limit = std::numeric_limits<std::uint64_t>::max();
  world.run([&] { outcome = Stage{workload, pool, seed, progress}.play(); });
  return outcome;
}

}  // namespace lab
