// lido as it comes, lido with policies that need a clock, and strictly first come, first served.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include <lido/pool.hpp>
#include <support/inspection.hpp>
#include "harness.hpp"

namespace {

struct Token {
  int number = 0;
  bool ping(lido::TimePoint) { return true; }
};

template <class Pool>
class Lido {
 public:
  explicit Lido(std::size_t slots) : Lido{slots, lido::PoolOptions{}} {}
  template <class Work>
  void use(Work work) {
    const auto lease = pool_.acquire();
    work();
  }

 protected:
  Lido(std::size_t slots, const lido::PoolOptions& options)
      : pool_{[] { return Token{}; }, lido::FixedSize{slots}, {}, {}, options} {
    pool_.wait_until_ready(std::chrono::seconds{10});
  }

 private:
  template <class Base>
  friend class Watched;

  Pool pool_;
};

using Plain = lido::Pool<Token, lido::FixedSize>;
using Checked = lido::Pool<Token, lido::FixedSize, lido::PingIfIdle, lido::RetireAfter>;

struct Strict : Lido<Plain> {
  explicit Strict(std::size_t slots)
      : Lido{slots, lido::PoolOptions{.barging_limit = std::chrono::milliseconds::zero()}} {}
};

// Looks at the head of the queue before each acquire and after it, as the simulation does: who was past its limit
// before may not be there still. Both looks take the lock, so that the times of such a round say nothing.
template <class Base>
class Watched : public Base {
 public:
  using Base::Base;
  ~Watched() {
    for (const auto& [waiter, newcomers] : overtaken_) {
      ++found.waiters;
      found.newcomers = std::max(found.newcomers, newcomers);
    }
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  template <class Work>
  void use(Work work) {
    const std::uint64_t overdue = overdue_head();
    const auto lease = this->pool_.acquire();
    if (overdue != 0 && overdue_head() == overdue) {
      const std::lock_guard lock{mutex_};
      ++overtaken_[overdue];
    }
    work();
  }

  static benchmark::Overtakings watch(const benchmark::Scenario& scenario) {
    found = {};
    benchmark::measure<Watched>(scenario);
    return found;
  }

 private:
  // The number of its place, if nobody may overtake it any more; or 0.
  std::uint64_t overdue_head() {
    auto& monitor = lido::detail::Inspection::monitor(this->pool_);
    const auto guard = monitor.enter();
    const auto* const head = monitor.waiters.next_in_line();
    return head != nullptr && monitor.waiters.overdue(*head) ? head->number : 0;
  }

  static inline benchmark::Overtakings found;

  std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> overtaken_;
};

template <class Contender>
benchmark::Registration contender(const char* name) {
  return {name, "own", benchmark::measure<Contender>, Watched<Contender>::watch};
}

const benchmark::Registration plain = contender<Lido<Plain>>("lido");
const benchmark::Registration checked = contender<Lido<Checked>>("lido, PingIfIdle + RetireAfter");
const benchmark::Registration strict = contender<Strict>("lido, barging_limit = 0");

}  // namespace
