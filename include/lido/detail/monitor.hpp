// What the pool's one mutex guards: who has what, who waits, what is to be done.
#pragma once

#include <utility>

#include <lido/detail/capacity.hpp>
#include <lido/detail/dispatcher.hpp>
#include <lido/detail/wait_list.hpp>
#include <lido/detail/work_queue.hpp>

namespace lido::detail {

// How a pool opens, and serves those who wait; from `PoolOptions`.
struct CapacityRules {
  Duration barging_limit{};
  ConnectRules connect{};
  Duration fail_fast_after = Duration::max();
};

// Owns the mutex and the parts that need it. Whoever holds the guard may use them, and calls nobody's code; but for
// `capacity.slots()`, which the fast path claims from without it.
template <class Slot, GrowthPolicy Growth, class Platform>
class Monitor {
 public:
  using Guard = detail::Guard<Slot, Platform>;

  Monitor(Growth growth, const CapacityRules& rules)
      : work{rules.connect.workers == 0},
        capacity{std::move(growth), rules.connect, work},
        waiters{rules.barging_limit},
        dispatcher{capacity, waiters, rules.fail_fast_after} {}
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  [[nodiscard]] Guard enter() noexcept { return Guard{mutex_}; }

  WorkQueue<Slot, Platform> work;
  Capacity<Slot, Growth, Platform> capacity;
  WaitList<Slot, Platform> waiters;
  Dispatcher<Slot, Growth, Platform> dispatcher;

 private:
  friend struct Inspection;

  typename Platform::Mutex mutex_;
};

}  // namespace lido::detail
