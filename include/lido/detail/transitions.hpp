// What changes a whole pool: another size, a suspension, its end. In turns, so that nobody waits for all of it.
#pragma once

#include <cstddef>
#include <cstdint>
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
    const bool reused = capacity_.plan().reuse;
    capacity_.resize(growth);
    waiters_.shares().resize(capacity_.plan().max_size);
    // From here on the lock is given up between: all parts know the new size by now. Another resize may come meanwhile,
    // also by somebody who is served here. Each step asks for what is true when it is done, and what one resize leaves
    // the other finds.
    if (reused && !capacity_.plan().reuse) capacity_.invalidate(CloseReason::not_pooled, guard);
    capacity_.retire_excess(guard);
    dispatcher_.match(guard);
  }

  void suspend() noexcept {
    ++suspensions_;
    capacity_.suspend(true);
    dispatcher_.rest();
  }

  // Serves those who wait by now from what is idle, or has what is leased recalled for them; then newcomers may have
  // what is left. Where that is much the lock is given up between. The pool is suspended until the last turn, so that
  // each one finds it as any moment of a suspension may leave it, and nothing that a suspended pool promises is broken
  // between two of them:
  //
  //   - who comes waits behind the others. Nobody who came after this began is served in a turn, so that it ends.
  //   - who leaves is in the queue no more, and each turn begins with its head.
  //   - what comes back is idle. Either the next turn finds it, or the match at the end.
  //   - what is recalled comes back by the lock, and is recalled no more than once for this.
  //   - another resume does the same beside this one. Whoever is ready first ends the suspension for both.
  //   - a suspension that came later holds, as does the end of the pool: the turns stop, and whoever was served by then
  //     was served before it.
  void resume(Guard& guard) noexcept {
    const auto stays = [this, suspension = suspensions_] {
      return capacity_.suspended() && suspensions_ == suspension && !capacity_.closed();
    };
    const std::uint64_t last = waiters_.queue().last_number();
    while (capacity_.suspended() && serve_some(last, guard)) {
      guard.pause();
      if (!stays()) return;
    }
    // Of a wake that was in flight when the suspension began. Its waiter was served, or there are few.
    if (capacity_.suspended() && !capacity_.slots().end_offer_in_turns(guard, stays)) return;
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
  // One turn for those up to this number. False: few slots are left to pass, or none of those waits any more.
  bool serve_some(std::uint64_t last, Guard& guard) noexcept {
    auto& slots = capacity_.slots();
    for (const std::size_t before = slots.swift(); slots.many();) {
      Waiter* const waiter = waiters_.next_in_line();
      if (waiter == nullptr || waiter->number > last) return false;
      if (!slots.recall_some()) {
        Slot* const slot = slots.claim_idle_or_recall();
        if (slot == nullptr) return false;
        dispatcher_.grant(*waiter, *slot, guard);
      }
      // What was recalled or granted, but for the last in the queue, may not change without the lock any more.
      if (before - slots.swift() >= slots.slots_a_turn) return true;
    }
    return false;
  }

  Capacity& capacity_;
  WaitList& waiters_;
  Dispatcher& dispatcher_;
  std::uint64_t suspensions_ = 0;
};

}  // namespace lido::detail
