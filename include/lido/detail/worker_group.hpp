// The threads that work behind the callers: how they start, and how a pool gets rid of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>

#include <lido/detail/maintenance.hpp>

namespace lido::detail {

// Workers, and the thread that keeps time. What each fetches is done by the maintenance.
template <class Types>
class WorkerGroup {
  using Platform = typename Types::Platform;
  using Guard = typename Types::Guard;
  using Sleeper = typename Types::Sleeper;

 public:
  WorkerGroup(Lifetime& lifetime, typename Types::Monitor& monitor, Workforce<Types>& workforce,
              Maintenance<Types>& maintenance, const PoolOptions& options) noexcept
      : lifetime_{lifetime}, monitor_{monitor}, workforce_{workforce}, maintenance_{maintenance}, options_{options} {}

  // Starts the workers.
  void start() {
    const std::size_t count = workforce_.count();
    workers_ = std::make_unique<Worker[]>(count + 1);
    for (std::size_t i = 0; i < count; ++i) launch(workers_[i], [this](Sleeper& self) { work(self); });
  }

  // Starts the thread that keeps time for callbacks and coroutines, on first use: no worker could be trusted with it,
  // as each may be held up by a server. A pool without workers leaves it to `sweep`. Throws `std::system_error`.
  void start_alarm() {
    const std::size_t count = workforce_.count();
    if (count == 0 || alarm_started_.exchange(true, std::memory_order_relaxed)) return;
    try {
      launch(workers_[count], [this](Sleeper& self) { keep_time(self); });
    } catch (...) {
      alarm_started_.store(false, std::memory_order_relaxed);
      throw;
    }
  }

  // How long the end of the pool waits for what goes on elsewhere.
  [[nodiscard]] Duration longest_call() const noexcept {
    const Duration reset = always_keeps<typename Types::Recycle> ? Duration::zero() : options_.reset_timeout;
    return std::max({options_.open_timeout, options_.check_timeout, reset});
  }

  // Joins the workers that come to an end within the deadlines that their work was given. One that does not (its hook
  // ignores the deadline), and the one that this is called from, are let go; they keep the core until they have closed
  // what is to be closed. So are those that are no threads: they may need this thread to go on, which closes for them.
  void stop() noexcept {
    if (workers_ == nullptr) return;  // it could not even be started
    const std::size_t count = workforce_.count() + 1;
    bool from_worker = false;
    {
      Guard lock = monitor_.enter();
      from_worker = std::any_of(workers_.get(), workers_.get() + count,
                                [](const Worker& each) { return each.id == Platform::this_thread(); });
      monitor_.work.stop(lock);
      while (Sleeper* const alarm = monitor_.waiters.alarm().pop()) lock.wake_later(*alarm);
    }
    if (options_.start_worker) return workforce_.run_closes(TimePoint::max());
    const TimePoint deadline = saturating_add(Platform::now(), longest_call());
    if (from_worker) workforce_.run_closes(deadline);  // it may be the only one
    workforce_.await(deadline, [&](Guard&) { return working_ == (from_worker ? 1U : 0U); });
    for (std::size_t i = 0; i < count; ++i) {
      typename Platform::Thread& thread = workers_[i].thread;
      if (!thread.joinable()) continue;
      if (workers_[i].done.load(std::memory_order_relaxed))
        thread.join();
      else
        thread.detach();
    }
  }

 private:
  struct Worker {
    typename Platform::Thread thread;
    Sleeper sleeper;
    std::thread::id id;  // owned by the lock
    std::atomic<bool> done{false};
  };

  // Counts twice while it starts a thread: nobody looks at `thread` before it stands there.
  template <class Life>
  void launch(Worker& worker, Life life) {
    {
      const Guard lock = monitor_.enter();
      if (monitor_.work.stopping()) return;
      working_ += 2;
      if (closes(worker)) monitor_.work.worker_begins();
    }
    lifetime_.add_reference();
    try {
      if (options_.start_worker)
        options_.start_worker([this, &worker, life](WorkerParker& parker) {
          worker.sleeper.worker_parker = &parker;
          live(worker, life);
        });
      else
        worker.thread = typename Platform::Thread{[this, &worker, life] { live(worker, life); }};
    } catch (...) {
      if (closes(worker)) {
        const Guard lock = monitor_.enter();
        monitor_.work.worker_ends();
      }
      leave(2);
      lifetime_.drop_reference();
      throw;
    }
    leave(1);
  }
  // The last one keeps time, and those that are no threads may never come to it.
  [[nodiscard]] bool closes(const Worker& worker) const noexcept {
    return !options_.start_worker && &worker != &workers_[workforce_.count()];
  }

  void leave(std::size_t count) noexcept {
    Guard lock = monitor_.enter();
    working_ -= count;
    monitor_.capacity.wake_watchers(lock);
  }

  template <class Life>
  void live(Worker& worker, Life life) noexcept {
    {
      const Guard lock = monitor_.enter();
      worker.id = Platform::this_thread();
      if (&worker == workers_.get()) workforce_.begin_worker(worker.id, lock);
    }
    life(worker.sleeper);
    worker.done.store(true, std::memory_order_relaxed);  // ordered by the lock
    leave(1);
    lifetime_.drop_reference();
  }

  // The life of a worker.
  void work(Sleeper& self) noexcept {
    for (typename Types::Work next;;) {
      {
        Guard lock = monitor_.enter();
        const TimePoint now = Platform::now();
        if (monitor_.capacity.retry_at() <= now) monitor_.dispatcher.grow(lock);
        next = monitor_.work.next(now, next.task);
        if (next.task == Task::end) {
          if (!options_.start_worker) monitor_.work.worker_ends();
          return;
        }
        if (next.task == Task::check_for_caller) monitor_.waiters.unwatch(*next.caller);
        if (next.task != Task::rest) {
          monitor_.capacity.keep_watch(lock);
        } else {
          self.due = std::min(monitor_.work.next_sweep(saturating_add(now, options_.sweep_interval)),
                              monitor_.capacity.retry_at());
          monitor_.work.workers().push(self);
        }
      }
      if (next.task == Task::rest)
        monitor_.rest(self, monitor_.work.workers(), self.due);
      else
        maintenance_.perform(next);
    }
  }

  void keep_time(Sleeper& self) noexcept {
    for (;;) {
      maintenance_.expire();
      TimePoint due{};
      {
        const Guard lock = monitor_.enter();
        if (monitor_.work.stopping()) return;
        due = monitor_.waiters.set_alarm(self);
      }
      monitor_.rest(self, monitor_.waiters.alarm(), due);
    }
  }

  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  Workforce<Types>& workforce_;
  Maintenance<Types>& maintenance_;
  const PoolOptions& options_;
  std::unique_ptr<Worker[]> workers_;
  std::size_t working_ = 0;  // owned by the lock
  typename Platform::template Atomic<bool> alarm_started_{false};
};

}  // namespace lido::detail
