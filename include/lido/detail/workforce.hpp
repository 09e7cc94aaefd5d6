// Who does the work that is queued: workers behind the callers, or the callers, each for itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>

#include <lido/detail/jobs.hpp>
#include <lido/options.hpp>

namespace lido::detail {

// `workers` with its default: a pool that keeps nothing does its work in the callers' threads.
template <class Growth>
[[nodiscard]] std::size_t worker_count(const PoolOptions& options, const Growth& growth) noexcept {
  return options.workers.value_or(growth.plan({}).reuse ? 5 : 0);
}

// Chosen once, by the number of workers. What the parts do differently without them stands here, and in `Openers`,
// `WorkQueue` and `ConnectLimiter` for those that decide under the lock; nobody asks which of the two it is.
template <class Types>
class Workforce {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;

 public:
  Workforce(typename Types::Monitor& monitor, Jobs<Types>& jobs, const PoolOptions& options,
            std::size_t workers) noexcept
      : monitor_{monitor},
        jobs_{jobs},
        count_{workers},
        sweep_interval_{options.sweep_interval},
        waits_work_{workers == 0 || options.start_worker} {}

  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  // A connection was found dead, and others of its generation may be: they are looked at before they are leased, so
  // that an outage costs its callers one failed check, and not one a connection. Without workers nobody would check
  // them meanwhile: they are closed, and opened anew on demand.
  void suspect_others(Guard& lock) noexcept {
    monitor_.capacity.suspect_outage();
    if (by_callers()) return monitor_.capacity.distrust_idle(lock);
    monitor_.capacity.slots().each_in_turns(lock, [&](Slot& slot) {
      if (monitor_.capacity.slots().claim_free_for(SlotState::checking, slot)) monitor_.work.check_suspect(slot);
    });
    monitor_.work.wake_worker(lock);
  }

  // Whether a worker will come by for what is queued now.
  [[nodiscard]] bool will_come(const Guard&) const noexcept { return !by_callers() && !monitor_.work.stopping(); }
  // Whether one checks for a caller that may not be held up.
  [[nodiscard]] bool checks_for_callers() const noexcept { return !by_callers(); }
  // Whether one who learns at this moment that a generation is over leaves what is idle to whoever comes by it: who
  // acquires has a deadline, and without workers would have to close it.
  [[nodiscard]] bool spares(Moment moment) const noexcept { return moment == Moment::acquire && by_callers(); }

  void begin_worker(std::thread::id id, const Guard&) noexcept {
    if (count_ == 1) only_worker_ = id;
  }
  // Whether nobody but this thread does what a worker does, as in a listener that the only one calls. Needs the lock.
  [[nodiscard]] bool is_only_worker() const noexcept { return only_worker_ == Platform::this_thread(); }

  // For a caller that wants a connection and does not wait for it.
  void want_one_more(Guard& lock) noexcept {
    if (!by_callers() && monitor_.capacity.plan().reuse) monitor_.dispatcher.grow(lock, 1);
  }

  // How much older a connection may be before it is looked at again, and its replacement is open: two sweeps, but never
  // more than a sixteenth of its life.
  [[nodiscard]] Duration foresight(Duration age) const noexcept {
    return by_callers() ? Duration::zero() : 2 * std::min(sweep_interval_, age / 32);
  }
  // Needs the lock. Whether a worn connection that the caller checks should stay until then.
  [[nodiscard]] bool replaces_first(const Slot& slot) noexcept {
    return !by_callers() && monitor_.capacity.can_replace_first(slot);
  }

  // What this thread owes after a call that may have retired connections.
  void close_retired() noexcept {
    if (by_callers()) jobs_.run_closes();
  }
  // Closes what is to be closed, as a worker does.
  void run_closes(TimePoint deadline) noexcept { jobs_.run_closes(deadline); }
  // A caller that has lined up opens for itself.
  void open_for(const typename Jobs<Types>::Caller& caller) noexcept {
    if (!by_callers()) return;
    while (Platform::now() < caller.deadline && jobs_.do_one(true, caller)) {
    }
    jobs_.run_closes();  // an invalidation during the open retires what it opened
  }

  // Waits until `done`, asked under the lock, or the deadline; whether it came true. Without threads of the pool's own,
  // works meanwhile: the fibres that are its workers may be of this thread.
  template <class Done>
  bool await(TimePoint deadline, Done done) noexcept {
    const auto help = jobs_.help();
    typename Types::Sleeper self;
    for (;;) {
      if (waits_work_)
        while (jobs_.do_one(Platform::now() < deadline, {.deadline = deadline})) {
        }
      TimePoint due = deadline;
      {
        Guard lock = monitor_.enter();
        if (done(lock)) return true;
        if (Platform::now() >= deadline) return false;
        if (waits_work_ && monitor_.work.opens() > 0) continue;
        due = std::min(due, monitor_.capacity.retry_at());
        monitor_.capacity.watchers().push(self);
      }
      monitor_.rest(self, monitor_.capacity.watchers(), due);
    }
  }

 private:
  [[nodiscard]] bool by_callers() const noexcept { return count_ == 0; }

  typename Types::Monitor& monitor_;
  Jobs<Types>& jobs_;
  const std::size_t count_;
  std::thread::id only_worker_;  // none where there are more; owned by the lock
  const Duration sweep_interval_;
  const bool waits_work_;
};

}  // namespace lido::detail
