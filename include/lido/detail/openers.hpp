// Who opens what is queued to be opened.
#pragma once

#include <cstddef>
#include <limits>

#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// Workers come by themselves. Without them waiting threads are called, one for each open, and one of them keeps time.
// Everything needs the lock.
template <class Slot, class Platform>
class Openers {
 public:
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  Openers(WaitList<Slot, Platform>& waiters, bool by_callers) noexcept : waiters_{waiters}, by_callers_{by_callers} {}

  // Without workers an open that is queued while nobody waits or helps would stay queued, and count.
  [[nodiscard]] bool nobody() const noexcept { return most() == 0; }
  // So no more of them are queued than there are callers for: of those that the policy wants beyond that each is queued
  // when one is open.
  [[nodiscard]] std::size_t most() const noexcept {
    return by_callers_ ? waiters_.hands() : std::numeric_limits<std::size_t>::max();
  }
  // Whether this waiter runs for a connection that it was woken for. Who opens for itself has better things to do.
  [[nodiscard]] bool competes(const Waiter& waiter) const noexcept { return waiter.thread && !by_callers_; }

  // So many opens are queued, and `retries`: there is something to look at later.
  void call(std::size_t queued, bool retries, Guard& guard) noexcept {
    if (!by_callers_) return;
    waiters_.call_openers(queued, guard);
    retries ? waiters_.call_timekeeper(guard) : waiters_.dismiss_timekeeper();
  }

 private:
  WaitList<Slot, Platform>& waiters_;
  const bool by_callers_;
};

}  // namespace lido::detail
