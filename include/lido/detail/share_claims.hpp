// What those take who do not wait, in a pool with shares.
#pragma once

#include <lido/detail/capacity.hpp>
#include <lido/detail/wait_list.hpp>

namespace lido::detail {

// Everything needs the lock: there alone is it known what is spare.
template <class Slot, GrowthPolicy Growth, class Platform>
class ShareClaims {
 public:
  ShareClaims(Capacity<Slot, Growth, Platform>& capacity, WaitList<Slot, Platform>& waiters) noexcept
      : capacity_{capacity}, waiters_{waiters} {}

  // There are shares from now on: who has a connection, or waits for one, is a caller of the pool itself.
  void begin() noexcept {
    waiters_.begin_shares();
    waiters_.shares().resize(capacity_.plan().max_size);
    capacity_.slots().each([this](Slot& slot) {
      if (capacity_.slots().recall(slot)) waiters_.shares().lease(slot, nullptr);
    });
  }

  // For a caller of this share, or of the pool itself: what is idle, unless somebody waits who may have it.
  Slot* claim(ShareAccount<Slot>* share) noexcept {
    if (capacity_.suspended() || !waiters_.shares().may_have_more(share) || waiters_.next_in_line() != nullptr)
      return nullptr;
    Slot* const slot = capacity_.slots().claim_idle();
    if (slot == nullptr) return slot;
    capacity_.slots().put(*slot, SlotState::recalled);  // it has to come back by the lock
    waiters_.shares().lease(*slot, share);
    return slot;
  }

  // Whether a caller could have one at once, if there were one. Also of a pool without shares.
  [[nodiscard]] bool may_have_more(ShareAccount<Slot>* share) noexcept {
    return !waiters_.shares().any() || waiters_.shares().may_have_more(share);
  }

 private:
  Capacity<Slot, Growth, Platform>& capacity_;
  WaitList<Slot, Platform>& waiters_;
};

}  // namespace lido::detail
