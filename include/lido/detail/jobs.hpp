// What is queued is done: opens and closes, by a worker or by a caller.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>

#include <lido/detail/pool_types.hpp>
#include <lido/detail/probes.hpp>
#include <lido/options.hpp>

namespace lido::detail {

// Fetches from the monitor, has it done by the operations, and tells the monitor what came of it.
template <class Types>
class Jobs {
 public:
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;

  // For whom a job is done; nobody in particular where it is left out. Without workers callers do jobs for themselves.
  struct Caller {
    TimePoint deadline = TimePoint::max();
    typename Types::Waiter* waiter = nullptr;
    const typename Types::StopToken* stop = nullptr;

    [[nodiscard]] bool stopped() const noexcept { return stop != nullptr && stop->stop_requested(); }
    [[nodiscard]] bool gave_up() const noexcept { return stopped() || Platform::now() >= deadline; }
    [[nodiscard]] bool ran_out() const noexcept { return !stopped() && Platform::now() >= deadline; }
    // Needs the lock.
    void done() const noexcept {
      if (waiter != nullptr) waiter->busy = false;
    }
  };

  Jobs(typename Types::Monitor& monitor, typename Types::Ops& ops, const PoolOptions& options) noexcept
      : monitor_{monitor}, ops_{ops}, open_timeout_{options.open_timeout}, telling_time_{telling_time(options)} {}

  // Opens the connection of a slot that is opening. Blocks until the connector returns, which is told to by the
  // caller's deadline, and to stop when the caller stops.
  void open(Slot& slot, const Caller& caller) noexcept {
    const TimePoint begun = Platform::now();
    const Duration allowed = monitor_.begin_open(slot);
    const OpenOutcome outcome = ops_.open(slot, std::min(caller.deadline, saturating_add(begun, allowed)), caller.stop);
    Probes::open(&slot, slot.id.load(std::memory_order_relaxed), (Platform::now() - begun).count(),
                 outcome.failure ? 1 : 0);
    if (outcome.failure) return fail(slot, caller, outcome, begun, allowed);
    Guard lock = monitor_.enter();
    caller.done();
    const TimePoint now = Platform::now();
    monitor_.metrics.count(&Statistics::opened, lock);
    monitor_.metrics.count(&Statistics::listener_errors, lock, outcome.errors);
    monitor_.metrics.record(&Statistics::open, now - begun, lock);
    const bool old = slot.retire && slot.close_reason == CloseReason::invalidated;  // its generation ended meanwhile
    if (old) monitor_.metrics.count_removal(CloseReason::invalidated, lock);
    monitor_.recorder.record(EventKind::opened, now, lock, slot.id.load(std::memory_order_relaxed));
    monitor_.attempts.opened(slot, begun, lock);
  }

  // Closes the connection of a slot that is closing. Blocks for as long as the connection's destructor does.
  void close(Slot& slot, const Caller& caller) noexcept {
    Probes::close(&slot, slot.id.load(std::memory_order_relaxed), static_cast<int>(slot.close_reason));
    const std::size_t errors = ops_.close(slot);
    recall_for(caller);
    Guard lock = monitor_.enter();
    caller.done();
    monitor_.metrics.count(&Statistics::closed, lock);
    monitor_.metrics.count(&Statistics::listener_errors, lock, errors);
    monitor_.recorder.record(EventKind::closed, Platform::now(), lock, slot.id.load(std::memory_order_relaxed),
                             slot.close_reason);
    monitor_.dispatcher.vacate(slot, lock);
  }

  // Does one queued job, if there is one that this thread may do. Whoever waits gets no connection meanwhile but the
  // one that it opens, as it could not take it: a connector may hang.
  bool do_one(bool may_open, const Caller& caller = {}) noexcept {
    Slot* slot = nullptr;
    Task task{};
    {
      const Guard lock = monitor_.enter();
      if (caller.waiter != nullptr && !monitor_.waiters.begin_work(*caller.waiter)) return false;
      task = next_task({.opens = may_open && monitor_.work.opens() > 0, .closes = true}, Task::rest);
      slot = task == Task::open ? monitor_.work.next_to_open() : monitor_.work.next_to_close();
      if (slot == nullptr) return caller.done(), false;
    }
    task == Task::open ? open(*slot, caller) : close(*slot, caller);
    return true;
  }

  void run_closes(TimePoint deadline = TimePoint::max()) noexcept {
    while (Platform::now() < deadline && do_one(false)) {
    }
  }
  // Of a holder whose pool is gone: this one, unless another thread does it, and what it retired with it, as the end of
  // a generation may, where no worker is left.
  void close_now(Slot& slot) noexcept {
    Slot* next = &slot;
    {
      const Guard lock = monitor_.enter();
      if (!monitor_.work.take_to_close(slot)) next = monitor_.work.next_left_over();
    }
    while (next != nullptr) {
      close(*next, {});
      const Guard lock = monitor_.enter();
      next = monitor_.work.next_left_over();
    }
  }

  // While it lives, what a pool without workers queues is done by this thread.
  class Help {
   public:
    explicit Help(typename Types::Monitor& monitor) noexcept : monitor_{monitor} {
      const Guard lock = monitor_.enter();
      monitor_.dispatcher.begin_help();
    }
    ~Help() {
      Guard lock = monitor_.enter();
      monitor_.dispatcher.end_help(lock);
    }
    Help(const Help&) = delete;
    Help& operator=(const Help&) = delete;

   private:
    typename Types::Monitor& monitor_;
  };
  [[nodiscard]] Help help() noexcept { return Help{monitor_}; }

 private:
  // How long an attempt has to have taken that ended with its caller's time to tell that the server is away. One who
  // has less than half of what callers have here says nothing to the others; what a probe has is enough in any case.
  [[nodiscard]] static Duration telling_time(const PoolOptions& options) noexcept {
    const Duration half = options.acquire_timeout / 2;
    return half > Duration::zero() ? std::min(half, options.backoff_max) : options.backoff_max;
  }

  // Whoever worked for itself, and has no connection, waits as the others do from then on: what is leased has to come
  // back by the lock.
  void recall_for(const Caller& caller) noexcept {
    if (caller.waiter != nullptr) monitor_.recall_in_turns();
  }

  [[gnu::cold]] void fail(Slot& slot, const Caller& caller, const OpenOutcome& outcome, TimePoint begun,
                          Duration allowed) noexcept {
    // A probe tells nothing either: the server may be slow.
    const bool cut_short = allowed < open_timeout_ && Platform::now() - begun >= allowed;
    const bool given_up = !outcome.permanent && (cut_short || caller.gave_up());
    const bool telling = caller.ran_out() && Platform::now() - begun >= telling_time_;
    const bool heard = ops_.tell(ops_.signals().open_failed, outcome.failure);
    const FewWords words{outcome.failure};
    recall_for(caller);
    Guard lock = monitor_.enter();
    caller.done();
    monitor_.metrics.count(&Statistics::open_failures, lock);
    monitor_.recorder.record(EventKind::open_failed, Platform::now(), lock, 0, CloseReason::none, words);
    monitor_.metrics.count(&Statistics::listener_errors, lock, outcome.errors + (heard ? 0U : 1U));
    const auto count = [&](std::size_t told) { monitor_.metrics.count(&Statistics::failed_fast, lock, told); };
    given_up ? monitor_.attempts.open_given_up(slot, outcome.failure, telling, lock, count)
             : monitor_.attempts.open_failed(slot, outcome.failure, outcome.permanent, begun, lock, count);
  }

  typename Types::Monitor& monitor_;
  typename Types::Ops& ops_;
  const Duration open_timeout_;
  const Duration telling_time_;
};

}  // namespace lido::detail
