// Who is refused in an overload: those who have waited too long in a queue that stands.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include <lido/detail/capacity.hpp>
#include <lido/detail/standing_queue.hpp>
#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// Everything needs the lock. `leave(waiter)` takes one out of the queue.
template <class Slot, GrowthPolicy Growth, class Platform>
class Shedding {
 public:
  using Capacity = detail::Capacity<Slot, Growth, Platform>;
  using WaitList = detail::WaitList<Slot, Platform>;
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  Shedding(Capacity& capacity, WaitList& waiters, Duration max_standing_wait) noexcept
      : capacity_{capacity}, waiters_{waiters}, standing_{max_standing_wait} {}

  [[nodiscard]] bool watched() const noexcept { return standing_.watched(); }
  // Nobody waits, or nobody is served.
  void clear() noexcept { standing_.clear(); }
  // One who has left the queue is served.
  void served(const Waiter& waiter) noexcept {
    if (!watched()) return;
    const TimePoint now = Platform::now();
    standing_.served(now - waiter.since, waiters_.queue().size(), now);
  }

  // Somebody has joined the queue. As `shed`. Not while it is a connection to be opened that those who wait wait for.
  template <class Leave>
  bool joined(Guard& guard, Leave leave) noexcept {
    if (capacity_.suspended() || capacity_.backoff().failing() || capacity_.limiter().under_way() > 0) return false;
    const TimePoint now = Platform::now();
    if (const Waiter* const oldest = waiters_.next_in_line())
      standing_.joined(now - oldest->since, waiters_.queue().size(), now);
    return shed(now, guard, leave);
  }
  // Refuses those who have waited too long in a queue that stands; but for those at work on a connection of their own,
  // and those who wait for a look alone. No more of them than the lock may be held for: the next who joins or comes
  // back goes on, and whoever is in front until then is served late. True where a wake, a call to open or the keeping
  // of time has to be passed on.
  template <class Leave>
  bool shed(TimePoint now, Guard& guard, Leave leave) noexcept {
    bool passed_on = false;
    std::size_t left = WaitList::waiters_a_turn;
    for (Waiter* each = standing_.stands() ? waiters_.queue().front() : nullptr; each != nullptr && left > 0;) {
      Waiter& waiter = *std::exchange(each, each->next);
      if (!standing_.refuses(now - waiter.since)) break;  // all behind it came later
      if (waiter.busy || waiter.for_look) continue;
      passed_on = passed_on || waiter.state.load(std::memory_order_relaxed) != WaitState::waiting ||
                  waiters_.keeps_time(waiter);
      leave(waiter);
      waiters_.complete(waiter, WaitState::shed, guard);
      --left;
    }
    return passed_on;
  }

 private:
  Capacity& capacity_;
  WaitList& waiters_;
  StandingQueue standing_;
};

}  // namespace lido::detail
