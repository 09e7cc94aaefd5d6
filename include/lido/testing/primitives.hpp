// What threads of a simulation share: atomics, a mutex, parking and latches, each of which is a point where another
// thread may run.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/testing/simulation.hpp>

namespace lido::sim {

inline void yield() {
  if (self != nullptr) self->world->yield();
}

template <class T>
class Atomic {
 public:
  Atomic(T value = {}) noexcept : value_{value} {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
    yield();
    return value_;
  }
  void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    value_ = value;
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    return std::exchange(value_, value);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    if (value_ == expected) return value_ = desired, true;
    return expected = value_, false;
  }

 private:
  T value_;
};

class Mutex {
 public:
  void lock() {
    yield();
    while (owner_ != nullptr) {
      waiters_.push_back(self);
      self->world->block(TimePoint::max());
    }
    owner_ = self;
  }
  bool try_lock() {
    yield();
    return owner_ == nullptr && (owner_ = self, true);
  }
  void unlock() {
    owner_ = nullptr;
    for (Task* const waiter : waiters_) Simulation::wake(*waiter);
    waiters_.clear();
    yield();
  }
  [[nodiscard]] bool is_locked() const noexcept { return owner_ != nullptr; }

 private:
  Task* owner_ = nullptr;
  std::vector<Task*> waiters_;
};

class Parker {
 public:
  bool park_until(TimePoint deadline) {
    yield();
    while (!token_) {
      if (self->world->now() >= deadline) return false;
      parked_ = self;
      const bool woken = self->world->block(deadline);
      parked_ = nullptr;
      if (!woken && !token_) return false;
    }
    token_ = false;
    return true;
  }
  void park() { park_until(TimePoint::max()); }
  void unpark() {
    token_ = true;
    if (parked_ != nullptr) Simulation::wake(*parked_);
    yield();  // from here on the parker may be gone
  }

 private:
  bool token_ = false;
  Task* parked_ = nullptr;
};

class Thread {
 public:
  Thread() = default;
  explicit Thread(std::function<void()> body) {
    task_ = &self->world->adopt();
    thread_ = std::thread{[task = task_, body = std::move(body)] {
      task->baton.park();
      self = task;
      body();
      self = nullptr;
      task->world->finish(*task);
    }};
    yield();
  }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;

  [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }
  [[nodiscard]] std::thread::id get_id() const noexcept { return thread_.get_id(); }
  void join() {
    while (!task_->done) {
      task_->joiners.push_back(self);
      self->world->block(TimePoint::max());
    }
    thread_.join();
  }
  void detach() { thread_.detach(); }

 private:
  Task* task_ = nullptr;
  std::thread thread_;
};

/// A gate that opens once: threads meet here instead of sleeping.
class Latch {
 public:
  explicit Latch(std::size_t count) : missing_{count} {}
  void count_down() {
    if (missing_ > 0) --missing_;
    if (missing_ == 0)
      for (Task* const waiter : std::exchange(waiters_, {})) Simulation::wake(*waiter);
    yield();
  }
  void wait() {
    while (missing_ > 0) {
      waiters_.push_back(self);
      self->world->block(TimePoint::max());
    }
  }

 private:
  std::size_t missing_;
  std::vector<Task*> waiters_;
};

}  // namespace lido::sim
