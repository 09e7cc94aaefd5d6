// What waits for a worker, and what a worker does next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <lido/detail/guard.hpp>
#include <lido/detail/job_queue.hpp>
#include <lido/detail/waiter.hpp>

namespace lido::detail {

// What waits for a worker.
struct PendingWork {
  bool asked = false;     // a caller has a connection in hand which is to be checked
  bool returned = false;  // a connection came back and is to be put in order
  bool suspects = false;  // one that nobody gets before it was checked
  bool opens = false;
  bool closes = false;
  bool sweep = false;     // it is time for one
  bool stopping = false;  // the pool is at its end
};

enum class Task : std::uint8_t { check_for_caller, put_in_order, open, close, check_suspect, sweep, end, rest };

// Each kind of work has its turn behind the one that this worker did last, so that none waits for all of another: first
// for a caller who has all but the check, then what comes back, then new ones; and then suspects, whose checks take
// long where the server is away.
//
// An open goes before a close: it serves somebody, and a close makes room, without which no open waits. A close is not
// put off for ever: of several workers not all may open at a time, and one that is alone runs out of room. What nobody
// waits for comes last.
[[nodiscard]] constexpr Task next_task(const PendingWork& pending, Task last) noexcept {
  constexpr std::array turns{Task::check_for_caller, Task::put_in_order, Task::open, Task::check_suspect};
  const std::array<bool, turns.size()> waits{pending.asked, pending.returned, pending.opens || pending.closes,
                                             pending.suspects};
  std::size_t next = 0;
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i] == last || (turns[i] == Task::open && last == Task::close)) next = i + 1;
  for (std::size_t step = 0; step < turns.size(); ++step) {
    const std::size_t i = (next + step) % turns.size();
    if (waits[i]) return turns[i] == Task::open && !pending.opens ? Task::close : turns[i];
  }
  return pending.stopping ? Task::end : pending.sweep ? Task::sweep : Task::rest;
}

// Hands out the work, and knows the workers that rest. Everything needs the lock.
template <class Slot, class Platform>
class WorkQueue {
 public:
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  struct Work {
    Task task = Task::rest;
    Slot* slot = nullptr;
    Waiter* caller = nullptr;  // with `check_for_caller`
  };

  // `by_callers`: there are no workers.
  explicit WorkQueue(bool by_callers) noexcept : by_callers_{by_callers} {}

  void open(Slot& slot, Guard& guard) noexcept {
    opens_.push(slot);
    wake_worker(guard);
  }
  void close(Slot& slot, Guard& guard) noexcept {
    slot.closer = Platform::this_thread();
    closes_.push(slot);
    wake_worker(guard);
  }
  // A connection that came back, still counted as leased, is to be put in order.
  void put_in_order(Slot& slot, Guard& guard) noexcept {
    returned_.push(slot);
    wake_worker(guard);
  }
  // Many at once: whoever does so wakes a worker afterwards.
  void check_suspect(Slot& slot) noexcept { suspects_.push(slot); }
  // A caller has a connection in hand whose check may block. The worker notifies it once more.
  void check_for(Waiter& caller, Guard& guard) noexcept {
    asked_.push(caller);
    wake_worker(guard);
  }
  // False: a worker is at it, or it was.
  bool take_back(Waiter& caller) noexcept { return asked_.remove(caller); }

  [[nodiscard]] std::size_t opens() const noexcept { return opens_.size(); }
  Slot* next_to_open() noexcept { return opens_.pop(); }
  // One that this thread is to close. Without workers each thread closes what it retired: a destructor may take longer
  // than another caller has.
  Slot* next_to_close() noexcept {
    if (!by_callers_) return closes_.pop();
    return closes_.pop_if([me = Platform::this_thread()](const Slot& slot) { return slot.closer == me; });
  }
  // False: another thread is at it, or was.
  bool take_to_close(Slot& slot) noexcept { return closes_.remove(slot); }
  // What this thread has retired, where no worker is left that would close it.
  Slot* next_left_over() noexcept {
    if (hands_ > 0) return nullptr;
    return closes_.pop_if([me = Platform::this_thread()](const Slot& slot) { return slot.closer == me; });
  }
  // A worker that is a thread: until it ends it closes what there is.
  void worker_begins() noexcept { ++hands_; }
  void worker_ends() noexcept { --hands_; }
  Slot* next_suspect() noexcept { return suspects_.pop(); }

  // What a worker does next, whose last task was this.
  [[nodiscard]] Work next(TimePoint now, Task last) noexcept {
    Work work{.task = next_task(pending(now), last)};
    if (work.task == Task::check_for_caller) work.caller = asked_.pop();
    if (work.task == Task::put_in_order) work.slot = returned_.pop();
    if (work.task == Task::check_suspect) work.slot = suspects_.pop();
    if (work.task == Task::open) work.slot = opens_.pop();
    if (work.task == Task::close) work.slot = next_to_close();
    if (work.task == Task::sweep) next_sweep_ = TimePoint::max();  // one at a time, however long its checks take
    return work;
  }

  void sweep_at(TimePoint time) noexcept { next_sweep_ = time; }
  // While another sweeps, which may take long, somebody has to be there for the next one.
  [[nodiscard]] TimePoint next_sweep(TimePoint if_under_way) const noexcept {
    return next_sweep_ == TimePoint::max() ? if_under_way : next_sweep_;
  }

  [[nodiscard]] bool stopping() const noexcept { return stopping_; }
  void stop(Guard& guard) noexcept {
    stopping_ = true;
    while (Sleeper<Platform>* const worker = workers_.pop()) guard.wake_later(*worker);
  }

  // The workers that rest.
  [[nodiscard]] Sleepers<Platform>& workers() noexcept { return workers_; }
  void wake_worker(Guard& guard) noexcept {
    if (Sleeper<Platform>* const worker = workers_.pop()) guard.wake_later(*worker);
  }

 private:
  [[nodiscard]] PendingWork pending(TimePoint now) const noexcept {
    return {.asked = !asked_.empty(),
            .returned = !returned_.empty(),
            .suspects = !suspects_.empty(),
            .opens = !opens_.empty(),
            .closes = !closes_.empty(),
            .sweep = next_sweep_ <= now,
            .stopping = stopping_};
  }

  const bool by_callers_;
  JobQueue<Slot> opens_;
  JobQueue<Slot> closes_;
  JobQueue<Slot> returned_;
  JobQueue<Slot> suspects_;
  JobQueue<Waiter> asked_;
  Sleepers<Platform> workers_;
  std::size_t hands_ = 0;  // workers that are threads and have not come to their end
  TimePoint next_sweep_{TimePoint::max()};
  bool stopping_ = false;
};

}  // namespace lido::detail
