// Holding the pool's lock, and what is owed to others after it.
#pragma once

#include <exception>
#include <mutex>
#include <utility>

#include <lido/detail/resumption.hpp>
#include <lido/detail/waiter.hpp>
#include <lido/worker.hpp>

namespace lido::detail {

// A thread that sleeps until there is work, or until something it watches has changed.
template <class Platform>
struct Sleeper {
  // As the parker's; of whatever it is that sleeps.
  [[gnu::noinline]] bool wait_until(TimePoint deadline) noexcept {
    return worker_parker != nullptr ? worker_parker->wait_until(deadline) : parker.park_until(deadline);
  }
  void wake() noexcept { worker_parker != nullptr ? worker_parker->wake() : parker.unpark(); }

  typename Platform::Parker parker;
  WorkerParker* worker_parker = nullptr;  // of a worker that is no thread; set before it sleeps the first time
  Sleeper* next = nullptr;                // in the list of those asleep; owned by the lock
  Sleeper* next_woken = nullptr;          // in one guard's list
  TimePoint due = TimePoint::max();       // until when it rests, for those who ask; owned by the lock
  bool asleep = false;                    // owned by the lock
};

// The sleepers of one kind. Every member needs the lock.
template <class Platform>
class Sleepers {
 public:
  void push(Sleeper<Platform>& sleeper) noexcept {
    sleeper.asleep = true;
    sleeper.next = std::exchange(first_, &sleeper);
  }
  Sleeper<Platform>* pop() noexcept {
    Sleeper<Platform>* const sleeper = first_;
    if (sleeper != nullptr) {
      first_ = sleeper->next;
      sleeper->asleep = false;
    }
    return sleeper;
  }
  [[nodiscard]] bool any_rests_until(TimePoint due) const noexcept {
    const Sleeper<Platform>* each = first_;
    while (each != nullptr && each->due > due) each = each->next;
    return each != nullptr;
  }
  // For a sleeper that woke by itself.
  void remove(Sleeper<Platform>& sleeper) noexcept {
    if (!sleeper.asleep) return;
    Sleeper<Platform>** link = &first_;
    while (*link != &sleeper) link = &(*link)->next;
    *link = sleeper.next;
    sleeper.asleep = false;
  }

 private:
  Sleeper<Platform>* first_ = nullptr;
};

// Holds the lock while it lives; functions that need the lock take a `Guard&` to prove it. Wake-ups decided under the
// lock are collected and delivered after it is released: they are system calls, and callbacks run foreign code.
template <class Slot, class Platform>
class Guard {
 public:
  explicit Guard(typename Platform::Mutex& mutex) : lock_{mutex} {}
  // Looks whether all is as it must be before anything is done.
  template <class Look>
  Guard(typename Platform::Mutex& mutex, Look look) : lock_{mutex} {
    look();
  }
  [[gnu::noinline]] ~Guard() { end(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  void notify_later(Waiter<Slot>& waiter) noexcept {
    waiter.next_notified = nullptr;
    *last_waiter_ = &waiter;
    last_waiter_ = &waiter.next_notified;
  }
  // What is dropped may run a destructor of the user's.
  void drop_later(std::exception_ptr error) noexcept { dropped_ = std::move(error); }
  void wake_later(Sleeper<Platform>& sleeper) noexcept { sleeper.next_woken = std::exchange(sleepers_, &sleeper); }

  void end() noexcept {
    if (!lock_.owns_lock()) return;
    lock_.unlock();
    deliver();
  }
  // Gives the lock up in the midst of what takes long, so that nobody waits for all of it; and delivers what is owed.
  // What was true under the lock has to be asked again.
  void pause() noexcept {
    lock_.unlock();
    deliver();
    lock_.lock();
  }

 private:
  void deliver() noexcept {
    dropped_ = nullptr;
    if (waiters_ == nullptr && sleepers_ == nullptr) return;
    const Resumption::Hold together;
    // Read the link first: the object may be gone as soon as it has been told.
    last_waiter_ = &waiters_;
    for (Waiter<Slot>* waiter = std::exchange(waiters_, nullptr); waiter != nullptr;) {
      Waiter<Slot>& told = *std::exchange(waiter, waiter->next_notified);
      told.notify(told);
    }
    for (Sleeper<Platform>* sleeper = std::exchange(sleepers_, nullptr); sleeper != nullptr;) {
      Sleeper<Platform>& woken = *std::exchange(sleeper, sleeper->next_woken);
      woken.wake();
    }
  }

  std::unique_lock<typename Platform::Mutex> lock_;
  Waiter<Slot>* waiters_ = nullptr;
  Waiter<Slot>** last_waiter_ = &waiters_;
  Sleeper<Platform>* sleepers_ = nullptr;
  std::exception_ptr dropped_;
};

}  // namespace lido::detail
