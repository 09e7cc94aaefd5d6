// What must hold of a simulated pool after every step of every thread, as long as nobody has its lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <support/simulated_pool.hpp>

// The friend of the pool's parts.
struct lido::detail::Inspection {
  template <class AnyPool>
  static auto& dispatcher(const AnyPool& pool) {
    return dispatcher_of(*pool.core_.load());
  }
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  static auto& dispatcher_of(ConnectionOps<Connection, Growth, Health, Recycle, Platform>& ops) {
    return ops.dispatcher_;
  }
  template <class AnyPool>
  static const Metrics& metrics(const AnyPool& pool) {
    return metrics_of(*pool.core_.load());
  }
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  static const Metrics& metrics_of(const ConnectionOps<Connection, Growth, Health, Recycle, Platform>& ops) {
    return ops.metrics_;
  }
  template <class Slot, class Growth, class Platform>
  static bool wake_in_flight(const WaitList<Slot, Growth, Platform>& waiting) {
    return waiting.wake_in_flight_;
  }
  template <class Slot, class Growth, class Platform>
  static std::size_t opening(const Capacity<Slot, Growth, Platform>& capacity) {
    return capacity.limiter_.under_way();
  }
};

namespace lido::test {

// Checks them for as long as it lives, after each step in which the lock is free. `detached` counts the connections
// that are, or are about to be, nobody's but a test's. Ends the program where one does not hold.
template <class AnyPool>
class Invariants {
  using Inspection = detail::Inspection;
  using Dispatcher = std::remove_reference_t<decltype(Inspection::dispatcher(std::declval<AnyPool&>()))>;
  using Waiter = typename Dispatcher::Waiter;
  using SlotState = detail::SlotState;
  using WaitState = detail::WaitState;

 public:
  Invariants(sim::Simulation& world, const AnyPool& pool, const Ledger& ledger, const std::size_t& detached)
      : world_{world},
        dispatcher_{Inspection::dispatcher(pool)},
        metrics_{Inspection::metrics(pool)},
        ledger_{ledger},
        detached_{detached} {
    world_.after_each_step = [this] { check(); };
  }
  Invariants(const Invariants&) = delete;
  Invariants& operator=(const Invariants&) = delete;
  ~Invariants() { world_.after_each_step = nullptr; }

  [[nodiscard]] std::size_t checks() const noexcept { return checks_; }

 private:
  void check() {
    if (dispatcher_.mutex().is_locked()) return;
    ++checks_;
    const PoolCounts counts = detail::count_slots(dispatcher_.slots());
    check_counts(counts);
    check_connections(counts);
    check_figures(counts);
    check_queue();
    check_order();
  }

  void check_counts(const PoolCounts& counts) {
    demand(counts.total() == dispatcher_.total(), "the slots in use are miscounted");
    demand(counts.opening == Inspection::opening(dispatcher_), "the opens are miscounted");
    demand(counts.closing == dispatcher_.total() - dispatcher_.staying(), "the closes are miscounted");
    // What was too many after a resize is marked, and leaves when it comes back.
    const std::size_t maximum = dispatcher_.plan().max_size;
    largest_ = std::max(largest_, maximum);
    std::size_t staying = 0;
    dispatcher_.slots().each([&](auto& slot) {
      const SlotState state = slot.state.load();
      const bool leased = state == SlotState::leased || state == SlotState::recalled;
      demand(leased || !slot.has_holder(), "somebody holds a connection that is not leased");
      if (state != SlotState::vacant && state != SlotState::closing && !slot.retire) ++staying;
    });
    demand(staying <= maximum, "more connections stay than may");
    demand(counts.total() <= largest_, "there are more connections than there ever could be");
    demand(!dispatcher_.closed() || counts.idle == 0, "a closed pool has an idle connection");
  }

  // Of each slot that has a connection there is one, and there is none that no slot knows of.
  void check_connections(const PoolCounts& counts) {
    demand(ledger_.live >= counts.idle + counts.leased + counts.checking, "a slot has no connection");
    demand(ledger_.live <= counts.total() + detached_, "a connection has no slot");
  }

  void check_figures(const PoolCounts& counts) {
    const Statistics figures = metrics_.totals(*this);  // nobody has the lock
    demand(figures.opened - figures.closed == counts.total() - counts.opening, "the figures do not add up");
    demand(figures.wait.count() <= figures.waited, "more have waited than were counted");
    demand(figures.open.count() == figures.opened, "an open has no span");
  }

  void check_queue() {
    std::size_t waiting = 0, woken = 0, asleep = 0;
    for (const Waiter* waiter = dispatcher_.queue().front(); waiter != nullptr; waiter = waiter->next) {
      ++waiting;
      const WaitState state = waiter->state.load();
      if (state == WaitState::woken) ++woken;
      if (!waiter->busy) ++asleep;  // who opens for itself looks when it is done
      demand(state == WaitState::waiting || state == WaitState::woken || state == WaitState::called,
             "one whose wait is complete waits");
    }
    demand(waiting == dispatcher_.queue().size(), "the waiters are miscounted");
    demand(woken == (Inspection::wake_in_flight(dispatcher_) ? 1U : 0U),
           "the wake in flight is not that of one waiter");
    demand(!dispatcher_.closed() || waiting == 0, "somebody waits for a closed pool");
    if (asleep == 0 || dispatcher_.suspended() || woken > 0) return;
    dispatcher_.slots().each([&](auto& slot) {
      const SlotState state = slot.state.load();
      demand(!dispatcher_.slots().is_free(state), "somebody sleeps beside an idle connection");
      demand(state != SlotState::leased, "somebody sleeps beside a lease that will not come by");
    });
  }

  // Newcomers may overtake those who wait, but nobody who waits overtakes another. Each stay under the lock ends in a
  // step, so that none is missed, and that whoever left the queue in it is still there to be looked at.
  void check_order() {
    queue_.clear();
    for (Waiter* waiter = dispatcher_.queue().front(); waiter != nullptr; waiter = waiter->next)
      queue_.push_back(waiter);
    bool passed_over = false;
    for (Waiter* const waiter : queue_before_) {
      // Who opens a connection for itself just now cannot take one that is given back.
      if (std::ranges::find(queue_, waiter) != queue_.end())
        passed_over = passed_over || !waiter->busy;
      else
        demand(!passed_over || waiter->state.load() != WaitState::granted,
               "a connection was not given to the oldest waiter");
    }
    queue_before_.swap(queue_);
  }

  void demand(bool holds, const char* otherwise) const {
    if (holds) return;
    const PoolCounts counts = detail::count_slots(dispatcher_.slots());
    std::fprintf(stderr,
                 "invariant: step %llu: %s: %zu idle, %zu leased, %zu opening, %zu checking, %zu closing, %zu waiting, "
                 "%zu open\n",
                 static_cast<unsigned long long>(world_.steps()), otherwise, counts.idle, counts.leased, counts.opening,
                 counts.checking, counts.closing, dispatcher_.queue().size(), ledger_.live);
    std::abort();
  }

  sim::Simulation& world_;
  Dispatcher& dispatcher_;
  const detail::Metrics& metrics_;
  const Ledger& ledger_;
  const std::size_t& detached_;
  std::size_t largest_ = 0;
  std::size_t checks_ = 0;
  std::vector<Waiter*> queue_, queue_before_;
};

}  // namespace lido::test
