// What unit tests pool: resources that keep a ledger of themselves, on simulated machines.
#pragma once

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <lido/pool.hpp>
#include <lido/testing/platform.hpp>
#include <support/seeds.hpp>
#include <support/slow.hpp>

namespace lido::test {

using namespace std::chrono_literals;

// Everything that happened to the resources of one test. The simulation runs one thread at a time, so it needs no lock.
struct Ledger {
  std::size_t live = 0;      // made and not destroyed
  std::size_t peak = 0;      // the most of them at once
  std::size_t attempts = 0;  // opens begun
  std::size_t opened = 0;
  std::size_t closed = 0;
  std::size_t pings = 0;
  std::size_t resets = 0;
  std::size_t users = 0;  // inside `Resource::use`, of all resources

  std::function<void(const OpenInfo&)> on_open = [](const OpenInfo&) {};
  std::function<bool(TimePoint)> on_ping = [](TimePoint) { return true; };
  std::function<bool(TimePoint)> on_reset = [](TimePoint) { return true; };
};

class Resource {
 public:
  Resource(Ledger& ledger, std::size_t nth) : number{nth}, ledger_{&ledger} {
    ++ledger_->live;
    ++ledger_->opened;
    ledger_->peak = std::max(ledger_->peak, ledger_->live);
  }
  Resource(Resource&& other) noexcept : number{other.number}, ledger_{std::exchange(other.ledger_, nullptr)} {}
  Resource& operator=(Resource&&) = delete;
  ~Resource() {
    if (ledger_ == nullptr) return;
    --ledger_->live;
    ++ledger_->closed;
  }

  bool ping(TimePoint deadline) { return ++ledger_->pings, ledger_->on_ping(deadline); }
  bool reset(TimePoint deadline) { return ++ledger_->resets, ledger_->on_reset(deadline); }

  // Work with it; throws when somebody else is at it.
  void use(Duration span = {}) {
    if (std::exchange(in_use_, true)) throw std::logic_error{"two holders have one resource"};
    span == Duration::zero() ? sim::yield() : sim::sleep_for(span);
    in_use_ = false;
  }

  std::size_t number;  // 1, 2, 3 in the order of opening

 private:
  Ledger* ledger_;
  bool in_use_ = false;
};

[[nodiscard]] inline auto connector(Ledger& ledger) {
  return [&ledger](const OpenInfo& info) {
    ++ledger.attempts;
    const std::size_t number = ledger.attempts;
    ledger.on_open(info);
    return Resource{ledger, number};
  };
}

template <class Growth = Elastic, class Health = AssumeHealthy, class Recycle = KeepAlways>
using SimulatedPool = Pool<Resource, Growth, Health, Recycle, sim::Platform>;

// The calm schedule, for tests that look at the clock.
inline void calmly(const std::function<void()>& body) { sim::Simulation{0}.run(body); }

// The calm schedule and so many wild ones (LIDO_SCHEDULES; else thirty, ten under a sanitizer and two by an emulator),
// for tests that are true on each.
inline void on_many_schedules(const std::function<void()>& body) {
  const std::uint64_t wild = number_from_environment("LIDO_SCHEDULES", emulated ? 2 : slow ? 10 : 30);
  for (std::uint64_t seed = 0; seed <= wild; ++seed) sim::Simulation{seed}.run(body);
}

// Threads that are joined when the group ends.
class Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { join(); }
  template <class Body>
  void start(Body body) {
    threads_.emplace_back(std::move(body));
  }
  void join() {
    for (sim::Thread& thread : std::exchange(threads_, {})) thread.join();
  }

 private:
  std::vector<sim::Thread> threads_;
};

// Lets other threads go until the condition holds. Not a sleep: virtual time moves only when nobody can run.
template <class Condition>
void until(Condition condition) {
  while (!condition()) sim::sleep_for(1us);
}

}  // namespace lido::test
