// One who waits, and the queue in which threads, callbacks and coroutines wait alike.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>

#include <lido/detail/deadlines.hpp>
#include <lido/facts.hpp>

namespace lido::detail {

// What becomes of a waiter. All but the first two are final. Written under the lock.
enum class WaitState : std::uint8_t {
  waiting,
  woken,      // told to look for an idle slot and to compete for it; still in the queue
  called,     // told to open a connection, in a pool without workers; still in the queue
  granted,    // has a slot
  refused,    // has an exception
  closed,     // the pool is closed
  cancelled,  // by its stop token or its owner
  abandoned,  // its own time ran out
  shed,       // it waited too long in a queue that stands
};

template <class Slot>
struct ShareAccount;

// One caller in the queue, living in its own frame.
//
// Whoever changes a waiter's state from `waiting` owes the waiter exactly one `notify`, outside the lock, which is its
// last access to it. A waiter that finds its state changed waits for that call before it leaves: so nobody ever wakes a
// dead object.
template <class Slot>
struct Waiter : Deadline {  // the deadline of one that does not look at the clock itself
  using Notify = void (*)(Waiter&) noexcept;

  explicit Waiter(Notify callback, bool is_thread) noexcept : notify{callback}, thread{is_thread} {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Read without the lock by a waiter that has been notified; a final state no longer changes.
  std::atomic<WaitState> state{WaitState::waiting};
  Slot* slot = nullptr;      // with `granted`
  std::exception_ptr error;  // with `refused`
  TimePoint since{};         // when it began to wait
  TimePoint until{};         // and when it gives up; the beginning of time where nobody may count on that
  const Notify notify;
  const bool thread;                    // can be woken to compete; others are handed their slot
  ShareAccount<Slot>* share = nullptr;  // null: it acquires from the pool itself

  // Owned by the lock.
  bool busy = false;      // opens a connection just now
  bool for_look = false;  // waits only while a connection is looked at
  bool queued = false;
  // Who was first of two that came in the same instant; of one that had a connection at once, and needs another, 0.
  std::uint64_t number = 0;
  Waiter* previous = nullptr;
  Waiter* next = nullptr;
  Waiter* previous_in_share = nullptr;  // where there are shares
  Waiter* next_in_share = nullptr;
  Waiter* next_notified = nullptr;
  Waiter* next_job = nullptr;  // links those that wait for a worker
};

// Intrusive, first in first out. Every member needs the lock.
template <class Slot>
class WaitQueue {
 public:
  using Entry = Waiter<Slot>;

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Entry* front() const noexcept { return first_; }
  // Of the one that was the last to come.
  [[nodiscard]] std::uint64_t last_number() const noexcept { return last_number_; }

  void push_back(Entry& entry) noexcept {
    entry.number = ++last_number_;
    entry.previous = last_;
    entry.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &entry;
    last_ = &entry;
    added(entry);
  }
  // For one that had an unfit connection in hand and keeps its place: before the first who came later.
  void put_back(Entry& entry) noexcept {
    Entry* later = first_;
    while (later != nullptr && !comes_before(entry, *later)) later = later->next;
    entry.next = later;
    entry.previous = later != nullptr ? later->previous : last_;
    (entry.previous != nullptr ? entry.previous->next : first_) = &entry;
    (later != nullptr ? later->previous : last_) = &entry;
    added(entry);
  }
  void remove(Entry& entry) noexcept {
    if (!entry.queued) return;
    (entry.previous != nullptr ? entry.previous->next : first_) = entry.next;
    (entry.next != nullptr ? entry.next->previous : last_) = entry.previous;
    entry.queued = false;
    --size_;
  }

  static bool comes_before(const Entry& one, const Entry& other) noexcept {
    return one.since != other.since ? one.since < other.since : one.number < other.number;
  }

 private:
  void added(Entry& entry) noexcept {
    entry.queued = true;
    ++size_;
  }

  Entry* first_ = nullptr;
  Entry* last_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t last_number_ = 0;
};

}  // namespace lido::detail
