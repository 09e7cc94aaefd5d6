// What the pool's one mutex guards: who has what, who waits, what is to be done.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <lido/detail/assertion.hpp>
#include <lido/detail/attempts.hpp>
#include <lido/detail/capacity.hpp>
#include <lido/detail/dispatcher.hpp>
#include <lido/detail/flight_recorder.hpp>
#include <lido/detail/invariants.hpp>
#include <lido/detail/metrics.hpp>
#include <lido/detail/share_claims.hpp>
#include <lido/detail/transitions.hpp>
#include <lido/detail/wait_list.hpp>
#include <lido/detail/work_queue.hpp>

namespace lido::detail {

// How a pool opens, and serves those who wait; from `PoolOptions`.
struct CapacityRules {
  Duration barging_limit{};
  ConnectRules connect{};
  Duration fail_fast_after = Duration::max();
  Duration max_standing_wait = Duration::max();
  bool refuse_hopeless = false;
};

// Owns the mutex and the parts that need it. Whoever holds the guard may use them, and calls nobody's code; but for
// `capacity.slots()`, which the fast path claims from without it. Functions that take no guard take the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class Monitor {
 public:
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  Monitor(Growth growth, const CapacityRules& rules)
      : work{rules.connect.workers == 0},
        capacity{std::move(growth), rules.connect, work},
        waiters{rules.barging_limit},
        dispatcher{capacity, waiters, rules.max_standing_wait, rules.refuse_hopeless, rules.connect.workers == 0},
        share_claims{capacity, waiters},
        transitions{capacity, waiters, dispatcher},
        attempts{capacity, waiters, dispatcher, rules.fail_fast_after, rules.connect.workers == 0} {}
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Whoever comes in looks whether the one before left all as it must be.
  [[nodiscard, gnu::noinline]] Guard enter() noexcept {
    return Guard{mutex_, [this] {
                   verify<Platform>([this]() -> const char* {
                     Invariants<Slot, Growth, Platform> invariants{capacity, waiters};
                     return invariants.quickly_seen() ? invariants.broken() : nullptr;
                   });
                 }};
  }
  // For those who look from outside.
  [[nodiscard]] const typename Platform::Mutex& mutex() const noexcept { return mutex_; }

  void count(Metrics::Counter counter) noexcept {
    const Guard lock = enter();
    metrics.count(counter, lock);
  }

  // The newest events, oldest first. Throws `std::bad_alloc`.
  [[nodiscard]] std::vector<RecordedEvent> recent(std::size_t most) {
    std::vector<FlightRecorder::Entry> entries;
    entries.reserve(std::min(most, FlightRecorder::capacity));
    {
      const Guard lock = enter();
      recorder.copy(entries, most, lock);
    }
    return recorded_events(entries);
  }

  // How long those at the head of the queue have waited.
  [[nodiscard]] std::vector<Duration> waits() {
    constexpr std::size_t most = WaitList<Slot, Platform>::waiters_a_turn;
    std::vector<Duration> times;
    times.reserve(most);
    const Guard lock = enter();
    const TimePoint now = Platform::now();  // not before: one who came since would have waited for less than nothing
    for (const Waiter* one = waiters.queue().front(); one != nullptr && times.size() < most; one = one->next)
      times.push_back(now - one->since);
    return times;
  }

  // What was counted, and what is now. Fills in `shares`, of which there are so many, but for their names.
  [[nodiscard]] Statistics figures(std::vector<ShareStatistics>& shares) noexcept {
    Guard lock = enter();
    const PoolCounts now = dispatcher.counts(lock);  // first: it may give up the lock
    Statistics figures = metrics.totals(lock);
    figures.now = now;
    figures.pool_size = capacity.plan().pool_size;
    figures.max_size = capacity.plan().max_size;
    if (const Waiter* const first = waiters.queue().front()) figures.oldest_wait = Platform::now() - first->since;
    auto to = shares.begin();
    waiters.shares().each(shares.size(), [&](const ShareAccount<Slot>& share) { *to++ = figures_of(share); });
    return figures;
  }
  // Needs the lock; allocates nothing.
  [[nodiscard]] ShareStatistics figures_of(const ShareAccount<Slot>& share) const noexcept {
    ShareStatistics figures = share.figures;
    figures.guaranteed = share.counts.guaranteed;
    figures.at_most = std::min(share.counts.at_most, capacity.plan().max_size);
    figures.leased = share.counts.leased;
    figures.waiting = share.waiting;
    return figures;
  }

  // Somebody joins the queue.
  void count_wait(const Waiter& waiter, const Guard& lock) noexcept {
    metrics.count(&Statistics::waited, lock);
    if (!waiters.shares().any()) return;
    ShareAccount<Slot>& share = waiters.shares().of(waiter.share);
    ++share.figures.waited;
    if (share.full()) ++share.figures.full;
  }
  // And has a connection.
  void record_wait(const Waiter& waiter, TimePoint now, const Guard& lock) noexcept {
    metrics.record(&Statistics::wait, now - waiter.since, lock);
    if (waiters.shares().any()) waiters.shares().of(waiter.share).figures.wait.record(now - waiter.since);
  }
  // The same as `count`, also for the share of whoever that happens to.
  void count(Metrics::Counter counter, std::uint64_t ShareStatistics::* of_share, ShareAccount<Slot>* share,
             const Guard& lock) noexcept {
    metrics.count(counter, lock);
    if (waiters.shares().any()) ++(waiters.shares().of(share).figures.*of_share);
  }

  // An attempt begins. Gives the slot what its connection will be known by; returns how long it may take.
  [[nodiscard]] Duration begin_open(Slot& slot) noexcept {
    const Guard lock = enter();
    slot.id.store(++last_id_, std::memory_order_release);  // see `Slot::begin_lease`
    slot.spread.store(static_cast<std::uint32_t>(std::uniform_real_distribution<double>{}(random_) * 0x1p32),
                      std::memory_order_relaxed);
    return capacity.time_to_open(slot);
  }

  // For a caller that is about to wait. In a large pool the first pass over the leases is made in turns; what is left
  // for `Dispatcher::line_up` is short.
  void recall_in_turns() noexcept {
    if (!capacity.slots().is_large()) return;
    for (bool more = true; more;) {
      const Guard lock = enter();
      more = !capacity.closed() && !capacity.suspended() && capacity.slots().recall_some();
    }
  }

  // --- callers that have a connection checked by a worker -----------------------------------------------------------

  void ask_worker(Waiter& caller, bool has_timeout, Guard& lock) noexcept {
    work.check_for(caller, lock);
    if (has_timeout) waiters.watch(caller, lock);
  }
  // False: one is at it, or it was.
  bool take_back(Waiter& caller, const Guard&) noexcept {
    if (!work.take_back(caller)) return false;
    waiters.unwatch(caller);
    return true;
  }

  // --- sleep --------------------------------------------------------------------------------------------------------

  // Sleeps until somebody takes this sleeper off its list, on which it was put under the lock, or until `due`. Whoever
  // takes it off unparks it once, later; that token is always waited for, so that it cannot meet a dead or a later
  // sleep.
  [[gnu::noinline]] void rest(Sleeper<Platform>& self, Sleepers<Platform>& list, TimePoint due) noexcept {
    if (self.wait_until(due)) return;
    bool owed = false;
    {
      const Guard lock = enter();
      owed = !self.asleep;
      list.remove(self);
    }
    if (owed) static_cast<void>(self.wait_until(TimePoint::max()));
  }

  // Waits until `done`, asked under the lock, or the deadline.
  template <class Done>
  void watch(TimePoint deadline, Done done) noexcept {
    Sleeper<Platform> self;
    for (;;) {
      {
        const Guard lock = enter();
        if (done() || Platform::now() >= deadline) return;
        capacity.watchers().push(self);
      }
      rest(self, capacity.watchers(), deadline);
    }
  }

  WorkQueue<Slot, Platform> work;
  Capacity<Slot, Growth, Platform> capacity;
  WaitList<Slot, Platform> waiters;
  Dispatcher<Slot, Growth, Platform> dispatcher;
  ShareClaims<Slot, Growth, Platform> share_claims;
  Transitions<Slot, Growth, Platform> transitions;
  Attempts<Slot, Growth, Platform> attempts;
  Metrics metrics;
  FlightRecorder recorder;

 private:
  typename Platform::Mutex mutex_;
  std::minstd_rand random_{static_cast<std::minstd_rand::result_type>(Platform::entropy())};
  std::uint64_t last_id_ = 0;
};

}  // namespace lido::detail
