// What is done to connections, whoever does it: opening, closing, and asking the policies about them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <utility>

#include <lido/detail/listening.hpp>
#include <lido/detail/metrics.hpp>
#include <lido/detail/monitor.hpp>
#include <lido/detail/shared.hpp>
#include <lido/events.hpp>
#include <lido/options.hpp>
#include <lido/statistics.hpp>

namespace lido::detail {

// `workers` with its default: a pool that keeps nothing does its work in the callers' threads.
template <class Growth>
[[nodiscard]] std::size_t worker_count(const PoolOptions& options, const Growth& growth) noexcept {
  return options.workers.value_or(growth.plan({}).reuse ? 5 : 0);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class ConnectionOps : public Shared {
 public:
  using Slot = detail::Slot<Connection, Platform>;
  using Guard = detail::Guard<Slot, Platform>;
  using Connector = std::function<void(Slot&, const OpenInfo&)>;  // makes the connection in its slot

  // For whom a job is done; nobody in particular where it is left out. Without workers callers do jobs for themselves.
  struct Caller {
    TimePoint deadline = TimePoint::max();
    Waiter<Slot>* waiter = nullptr;
    const typename Platform::StopToken* stop = nullptr;

    [[nodiscard]] bool gave_up() const noexcept {
      return (stop != nullptr && stop->stop_requested()) || Platform::now() >= deadline;
    }
    // Needs the lock.
    void done() const noexcept {
      if (waiter != nullptr) waiter->busy = false;
    }
  };

  // False where no policy can tell one time from another: such a pool reads no clock on its fast path.
  static constexpr bool reads_clock = !always_keeps<Health> || !always_keeps<Recycle>;

  ConnectionOps(Connector connector, Growth growth, Health health, Recycle recycle, PoolOptions options,
                const Signals<Connection>& signals = {})
      : options_{std::move(options)},
        health_{std::move(health)},
        recycle_{std::move(recycle)},
        connector_{std::move(connector)},
        worker_count_{worker_count(options_, growth)},
        monitor_{std::move(growth),
                 {.barging_limit = options_.barging_limit,
                  .connect = {.workers = worker_count_,
                              .backoff_min = options_.backoff_min,
                              .backoff_max = options_.backoff_max,
                              .open_timeout = options_.open_timeout},
                  .fail_fast_after = options_.fail_fast_after}},
        signals_{signals},
        random_{static_cast<std::minstd_rand::result_type>(Platform::entropy())} {}

  [[nodiscard]] Guard guard() noexcept { return monitor_.enter(); }

  // Opens the connection of a slot that is opening. Blocks until the connector returns, which is told to by the
  // caller's deadline, and to stop when the caller stops.
  void open(Slot& slot, const Caller& caller) noexcept {
    const TimePoint begun = Platform::now();
    std::exception_ptr failure;
    bool permanent = false;
    bool made = false;
    Duration allowed{};
    {
      const Guard lock = guard();
      allowed = monitor_.capacity.time_to_open(slot);
      slot.id.store(++last_id_, std::memory_order_release);  // see `Slot::begin_lease`
      slot.spread.store(std::uniform_real_distribution<double>{}(random_), std::memory_order_relaxed);
    }
    try {
      std::optional<EitherStop> either;
      if (caller.stop != nullptr && caller.stop->stop_possible()) either.emplace(closing_.get_token(), *caller.stop);
      const OpenInfo info{.deadline = std::min(caller.deadline, saturating_add(begun, allowed)),
                          .id = slot.id.load(std::memory_order_relaxed),
                          .stop = either ? either->source.get_token() : closing_.get_token()};
      connector_(slot, info);
      made = true;
      const TimePoint now = Platform::now();
      slot.uses.store(0, std::memory_order_relaxed);
      slot.opened_at.store(now, std::memory_order_relaxed);
      slot.since.store(reads_clock ? now : TimePoint{}, std::memory_order_release);
      slot.checked_at.store(now, std::memory_order_relaxed);
      if (!signals_.connect.empty())
        if (const std::exception_ptr thrown =
                emit(signals_.connect, slot.connection, slot.info(Moment::sweep, now, now)))
          std::rethrow_exception(thrown);
    } catch (const PermanentFailure&) {
      failure = std::current_exception();
      permanent = true;
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      if (made) destroy(slot);
      // A probe tells nothing either: the server may be slow.
      const bool cut_short = allowed < options_.open_timeout && Platform::now() - begun >= allowed;
      const bool given_up = !permanent && (cut_short || caller.gave_up());
      const bool heard = emit(signals_.open_failed, failure) == nullptr;
      Guard lock = guard();
      caller.done();
      metrics_.count(&Statistics::open_failures, lock);
      if (!heard) metrics_.count(&Statistics::listener_errors, lock);
      const std::size_t told = given_up ? monitor_.dispatcher.open_given_up(slot, failure, lock)
                                        : monitor_.dispatcher.open_failed(slot, failure, permanent, begun, lock);
      metrics_.count(&Statistics::failed_fast, lock, told);
      return;
    }
    Guard lock = guard();
    caller.done();
    metrics_.count(&Statistics::opened, lock);
    metrics_.record(&Statistics::open, Platform::now() - begun, lock);
    monitor_.dispatcher.opened(slot, begun, lock);
  }

  // Closes the connection of a slot that is closing. Blocks for as long as the connection's destructor does.
  void close(Slot& slot, const Caller& caller) noexcept {
    const TimePoint now = Platform::now();
    ConnectionInfo facts = slot.info(Moment::sweep, now, now);
    facts.close_reason = slot.close_reason;
    const bool heard = emit(signals_.close, slot.connection, facts) == nullptr;
    const bool destroyed = destroy(slot);
    Guard lock = guard();
    caller.done();
    metrics_.count(&Statistics::closed, lock);
    if (!heard) metrics_.count(&Statistics::listener_errors, lock);
    if (!destroyed) metrics_.count(&Statistics::listener_errors, lock);
    monitor_.dispatcher.vacate(slot, lock);
  }

  // Does one queued job, if there is one that this thread may do. Whoever waits gets no connection meanwhile but the
  // one that it opens, as it could not take it: a connector may hang.
  bool do_one(bool may_open, const Caller& caller = {}) noexcept {
    Slot* slot = nullptr;
    Task task{};
    {
      const Guard lock = guard();
      if (caller.waiter != nullptr && !monitor_.waiters.begin_work(*caller.waiter)) return false;
      task = next_task({.opens = may_open && monitor_.work.opens() > 0, .closes = true}, Task::rest);
      slot = task == Task::open ? monitor_.work.next_to_open() : monitor_.work.next_to_close();
      if (slot == nullptr) return caller.done(), false;
    }
    task == Task::open ? open(*slot, caller) : close(*slot, caller);
    return true;
  }

  // Fills in when a slot was leased or given back where the fast path reads no clock: from then on "at least so long".
  static void stamp(Slot& slot, TimePoint now) noexcept {
    if constexpr (!reads_clock) {
      TimePoint unknown{};
      slot.since.compare_exchange_strong(unknown, now, std::memory_order_relaxed);
    }
  }

 protected:
  friend struct Inspection;

  [[nodiscard]] ConnectionInfo info(const Slot& slot, Moment moment, TimePoint now, Duration allowed) const noexcept {
    return slot.info(moment, now, saturating_add(now, allowed));
  }

  // Tells the listeners of an event, while the pool lives. The first exception, or null.
  template <class Signal, class... Given>
  std::exception_ptr emit(const Signal& signal, Given&&... given) noexcept {
    if (signal.empty()) return nullptr;
    const typename Listening<Platform>::Call call{listening_};
    return call ? signal.emit(given...) : nullptr;
  }

  // Whether the recycle policy keeps a connection that the caller has. Ends its generation if the policy says so.
  [[nodiscard]] bool recycles(Slot& slot, const ConnectionInfo& facts) noexcept {
    Verdict verdict = Verdict::discard;
    try {
      verdict = recycle_.recycle(slot.connection, facts);
    } catch (...) {  // as discard
    }
    if (verdict == Verdict::invalidate) end_generation(slot, facts);
    return verdict == Verdict::keep;
  }
  [[nodiscard]] bool healthy(Slot& slot, const ConnectionInfo& facts) const noexcept {
    try {
      return health_.check(slot.connection, facts) == Verdict::keep;
    } catch (...) {
      return false;
    }
  }

  // Requested as soon as one of two is.
  struct EitherStop {
    struct Pass {
      std::stop_source& source;
      void operator()() const noexcept { source.request_stop(); }
    };
    EitherStop(const std::stop_token& one, const typename Platform::StopToken& other)
        : first{one, Pass{source}}, second{other, Pass{source}} {}

    std::stop_source source;
    std::stop_callback<Pass> first;
    typename Platform::template StopCallback<Pass> second;
  };

  // While it lives, what a pool without workers queues is done by this thread.
  class Help {
   public:
    explicit Help(ConnectionOps& ops) noexcept : ops_{ops} {
      const Guard lock = ops_.guard();
      ops_.monitor_.dispatcher.begin_help();
    }
    ~Help() {
      Guard lock = ops_.guard();
      ops_.monitor_.dispatcher.end_help(lock);
    }
    Help(const Help&) = delete;
    Help& operator=(const Help&) = delete;

   private:
    ConnectionOps& ops_;
  };

  // Waits until `done` (asked under the lock) or the deadline; whether it came true. Without threads of the pool's own,
  // works meanwhile: the fibres that are its workers may be of this thread.
  template <class Done>
  bool await(TimePoint deadline, Done done) noexcept {
    const Help help{*this};
    const bool works = worker_count_ == 0 || options_.start_worker;
    Sleeper<Platform> self;
    for (;;) {
      if (works)
        while (do_one(Platform::now() < deadline, {.deadline = deadline})) {
        }
      TimePoint due = deadline;
      {
        Guard lock = guard();
        if (done(lock)) return true;
        if (Platform::now() >= deadline) return false;
        if (works && monitor_.work.opens() > 0) continue;
        due = std::min(due, monitor_.capacity.retry_at());
        monitor_.capacity.watchers().push(self);
      }
      rest(self, monitor_.capacity.watchers(), due);
    }
  }

  // The same for one that does no work meanwhile.
  template <class Done>
  void watch(TimePoint deadline, Done done) noexcept {
    Sleeper<Platform> self;
    for (;;) {
      {
        const Guard lock = guard();
        if (done() || Platform::now() >= deadline) return;
        monitor_.capacity.watchers().push(self);
      }
      rest(self, monitor_.capacity.watchers(), deadline);
    }
  }

  // Sleeps until somebody takes this sleeper off its list, on which it was put under the lock, or until `due`. Whoever
  // takes it off unparks it once, later; that token is always waited for, so that it cannot meet a dead or a later
  // sleep.
  void rest(Sleeper<Platform>& self, Sleepers<Platform>& list, TimePoint due) noexcept {
    if (self.wait_until(due)) return;
    bool owed = false;
    {
      const Guard lock = guard();
      owed = !self.asleep;
      list.remove(self);
    }
    if (owed) static_cast<void>(self.wait_until(TimePoint::max()));
  }

  PoolOptions options_;
  const Health health_;
  const Recycle recycle_;
  const Connector connector_;
  const std::size_t worker_count_;
  Monitor<Slot, Growth, Platform> monitor_;
  Signals<Connection> signals_;
  Listening<Platform> listening_;
  std::stop_source closing_;

  // Owned by the lock.
  Metrics metrics_;
  std::minstd_rand random_;
  std::uint64_t last_id_ = 0;

  // Of the connection that the caller has and is about to close.
  [[gnu::cold]] void end_generation(Slot& slot, const ConnectionInfo& facts) noexcept {
    Guard lock = guard();
    if (slot.retire) return;  // it has ended: what was opened since knows nothing of this one's trouble
    // Who acquires has a deadline, and without workers would have to close them.
    const bool in_haste = facts.moment == Moment::acquire && monitor_.capacity.inline_work();
    const std::size_t retired =
        monitor_.capacity.invalidate(CloseReason::invalidated, lock, ConnectLimiter::unlimited, in_haste);
    metrics_.count(&Statistics::invalidated, lock, retired - 1);
    slot.retire = false;  // the caller closes this one, and counts it
    monitor_.capacity.suspect_outage();
    monitor_.dispatcher.match(lock);
  }

  // False when the destructor threw.
  static bool destroy(Slot& slot) noexcept {
    try {
      slot.destroy();
      return true;
    } catch (...) {
      return false;
    }
  }
};

}  // namespace lido::detail
