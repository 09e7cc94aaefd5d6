// Slots that wait for somebody to open or close their connection.
#pragma once

#include <utility>

#include <lido/detail/slot.hpp>

namespace lido::detail {

// Intrusive, first in first out: handing over work allocates nothing. Every member needs the lock.
template <class Slot>
class JobQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  void push(Slot& slot) noexcept {
    slot.next_job = nullptr;
    (last_ != nullptr ? last_->next_job : first_) = &slot;
    last_ = &slot;
  }
  Slot* pop() noexcept {
    Slot* const slot = first_;
    if (slot == nullptr) return nullptr;
    first_ = slot->next_job;
    if (first_ == nullptr) last_ = nullptr;
    return slot;
  }

 private:
  Slot* first_ = nullptr;
  Slot* last_ = nullptr;
};

}  // namespace lido::detail
