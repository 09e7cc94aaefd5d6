// What changes a whole pool: another size, a suspension, its end. In turns, so that nobody waits for all of it.
#pragma once

#include <cstddef>
#include <memory>

#include <lido/detail/dispatcher.hpp>

namespace lido::detail {

// Everything needs the lock.
template <class Slot, GrowthPolicy Growth, class Platform>
class Transitions {
 public:
  using Capacity = detail::Capacity<Slot, Growth, Platform>;
  using WaitList = detail::WaitList<Slot, Platform>;
  using Dispatcher = detail::Dispatcher<Slot, Growth, Platform>;
  using Guard = detail::Guard<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  Transitions(Capacity& capacity, WaitList& waiters, Dispatcher& dispatcher) noexcept
      : capacity_{capacity}, waiters_{waiters}, dispatcher_{dispatcher} {}

  // The slots that `growth` needs must have been added (`slots().grow_to`). What was the policy stands there
  // afterwards.
  void resize(std::unique_ptr<const Growth>& growth, Guard& guard) noexcept {
    capacity_.resize(growth);
    capacity_.retire_excess(guard);
    dispatcher_.match(guard);
  }

  void suspend() noexcept {
    capacity_.suspend(true);
    dispatcher_.end_standing();
  }
  void resume(Guard& guard) noexcept {
    capacity_.suspend(false);
    dispatcher_.match(guard);
  }

  void close(Guard& guard) noexcept {
    capacity_.close();
    for (std::size_t count = 1; Waiter* const waiter = waiters_.queue().front(); ++count) {
      dispatcher_.end_wait(*waiter, WaitState::closed, guard);
      if (count % Dispatcher::waiters_a_turn == 0) guard.pause();
    }
    capacity_.drop_queued_opens(guard);
    capacity_.invalidate(CloseReason::shut_down, guard);
    capacity_.wake_watchers(guard);
  }

 private:
  Capacity& capacity_;
  WaitList& waiters_;
  Dispatcher& dispatcher_;
};

}  // namespace lido::detail
