// The threads that work behind the callers: how they start, and how a pool gets rid of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>

#include <lido/detail/maintenance.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class WorkerGroup : public Maintenance<Connection, Growth, Health, Recycle, Platform> {
  using Base = Maintenance<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::Base;
  using typename Base::Guard;
  using typename Base::Slot;

  // Starts the workers.
  void start() {
    workers_ = std::make_unique<Worker[]>(this->worker_count_ + 1);
    for (std::size_t i = 0; i < this->worker_count_; ++i) launch(workers_[i], [this](auto& self) { this->work(self); });
  }

  // Starts the thread that keeps time for callbacks and coroutines, on first use: no worker could be trusted with it,
  // as each may be held up by a server. A pool without workers leaves it to `sweep`. Throws `std::system_error`.
  void start_alarm() {
    if (this->worker_count_ == 0 || alarm_started_.exchange(true, std::memory_order_relaxed)) return;
    try {
      launch(workers_[this->worker_count_], [this](auto& self) { keep_time(self); });
    } catch (...) {
      alarm_started_.store(false, std::memory_order_relaxed);
      throw;
    }
  }

 protected:
  using Base::monitor_;
  using Base::options_;

  // How long the end of the pool waits for what goes on elsewhere.
  [[nodiscard]] Duration longest_call() const noexcept {
    const Duration reset = always_keeps<Recycle> ? Duration::zero() : options_.reset_timeout;
    return std::max({options_.open_timeout, options_.check_timeout, reset});
  }

  // Joins the workers that come to an end within the deadlines that their work was given. One that does not (its hook
  // ignores the deadline), and the one that this is called from, are let go; they keep the core until they end. So are
  // those that are no threads: they may need this thread to go on.
  void stop_workers() noexcept {
    if (workers_ == nullptr) return;  // it could not even be started
    const std::size_t count = this->worker_count_ + 1;
    bool from_worker = false;
    {
      Guard lock = this->guard();
      from_worker = std::any_of(workers_.get(), workers_.get() + count,
                                [](const Worker& each) { return each.id == Platform::this_thread(); });
      monitor_.work.stop(lock);
      while (Sleeper<Platform>* const alarm = monitor_.waiters.alarm().pop()) lock.wake_later(*alarm);
    }
    if (options_.start_worker) return;
    this->await(saturating_add(Platform::now(), longest_call()),
                [&](Guard&) { return working_ == (from_worker ? 1U : 0U); });
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
    Sleeper<Platform> sleeper;
    std::thread::id id;  // owned by the lock
    std::atomic<bool> done{false};
  };

  // Counts twice while it starts a thread: nobody looks at `thread` before it stands there.
  template <class Work>
  void launch(Worker& worker, Work work) {
    {
      const Guard lock = this->guard();
      if (monitor_.work.stopping()) return;
      working_ += 2;
    }
    this->add_reference();
    try {
      if (options_.start_worker)
        options_.start_worker([this, &worker, work](WorkerParker& parker) {
          worker.sleeper.worker_parker = &parker;
          live(worker, work);
        });
      else
        worker.thread = typename Platform::Thread{[this, &worker, work] { live(worker, work); }};
    } catch (...) {
      leave(2);
      this->drop_reference();
      throw;
    }
    leave(1);
  }

  void leave(std::size_t count) noexcept {
    Guard lock = this->guard();
    working_ -= count;
    monitor_.capacity.wake_watchers(lock);
  }

  void keep_time(Sleeper<Platform>& self) noexcept {
    for (;;) {
      this->expire();
      TimePoint due{};
      {
        const Guard lock = this->guard();
        if (monitor_.work.stopping()) return;
        due = monitor_.waiters.set_alarm(self);
      }
      this->rest(self, monitor_.waiters.alarm(), due);
    }
  }

  template <class Work>
  void live(Worker& worker, Work work) noexcept {
    {
      const Guard lock = this->guard();
      worker.id = Platform::this_thread();
    }
    work(worker.sleeper);
    worker.done.store(true, std::memory_order_relaxed);  // ordered by the lock
    leave(1);
    this->drop_reference();
  }

  std::unique_ptr<Worker[]> workers_;
  std::size_t working_ = 0;  // owned by the lock
  typename Platform::template Atomic<bool> alarm_started_{false};
};

}  // namespace lido::detail
