// The threads that work behind the callers: how they start, and how a pool gets rid of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>

#include <lido/detail/upkeep.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Workers : public Upkeep<Connection, Growth, Health, Recycle, Platform> {
  using Base = Upkeep<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::Base;
  using typename Base::Slot;
  using typename Base::Turn;

  // Starts the workers.
  void start() {
    workers_ = std::make_unique<Worker[]>(this->worker_count_);
    for (std::size_t i = 0; i < this->worker_count_; ++i) {
      Worker& worker = workers_[i];
      this->add_reference();
      ++working_;
      try {
        worker.thread = typename Platform::Thread{[this, &worker] { live(worker); }};
      } catch (...) {
        --working_;
        this->drop_reference();
        throw;
      }
    }
  }

 protected:
  using Base::market_;
  using Base::options_;

  // Joins the workers that come to an end within the deadlines that their work was given. One that does not (its hook
  // ignores the deadline), and the one that this is called from, are let go; they keep the core until they end.
  void stop_workers() noexcept {
    if (workers_ == nullptr) return;  // it could not even be started
    {
      Turn lock = this->turn();
      this->stopping_ = true;
      while (Sleeper<Platform>* const worker = market_.workers().pop()) lock.wake_later(*worker);
    }
    const bool from_worker = std::any_of(workers_.get(), workers_.get() + this->worker_count_, [](const Worker& each) {
      return each.thread.get_id() == Platform::this_thread();
    });
    const Duration patience = std::max(options_.open_timeout, options_.check_timeout);
    this->await(saturating_add(Platform::now(), patience), [&](Turn&) { return working_ == (from_worker ? 1U : 0U); });
    for (std::size_t i = 0; i < this->worker_count_; ++i) {
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
    std::atomic<bool> done{false};
  };

  void live(Worker& worker) noexcept {
    this->work(worker.sleeper);
    {
      Turn lock = this->turn();
      --working_;
      worker.done.store(true, std::memory_order_relaxed);
      market_.wake_watchers(lock);
    }
    this->drop_reference();
  }

  std::unique_ptr<Worker[]> workers_;
  std::size_t working_ = 0;  // owned by the lock; by `start` before, since no worker ends until it is told to
};

}  // namespace lido::detail
