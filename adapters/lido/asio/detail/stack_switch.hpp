// What the sanitizers have to be told when a thread goes from one stack to another: the address sanitizer takes other
// stacks than the thread's for overflows, and the thread sanitizer takes what happens on two for one order of events.
#pragma once

#include <cstddef>

// Theirs; null where they are not there.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void __sanitizer_start_switch_fiber(void** left, const void* bottom, std::size_t size) __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* entered, const void** bottom, std::size_t* size) __attribute__((weak));
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void* fiber) __attribute__((weak));
void __tsan_switch_to_fiber(void* fiber, unsigned flags) __attribute__((weak));
}
// NOLINTEND(bugprone-reserved-identifier)

namespace lido::asio::detail {

// The switches between the stack of a fibre and those from where it is entered. Where the address sanitizer detects
// uses after return, a fibre may not outlive the thread in which it began: its first frame is on the books of that.
class StackSwitch {
 public:
  StackSwitch() : inside_{__tsan_create_fiber != nullptr ? __tsan_create_fiber(0) : nullptr} {}
  StackSwitch(const StackSwitch&) = delete;
  StackSwitch& operator=(const StackSwitch&) = delete;
  ~StackSwitch() {
    if (inside_ != nullptr) __tsan_destroy_fiber(inside_);
  }

  void lies_at(const void* bottom, std::size_t size) noexcept { own_ = {bottom, size}; }

  // Outside, before and after. The thread sanitizer notes the calls of each stack, so that these may be none
  // themselves.
  [[gnu::always_inline]] void enter() noexcept {
    if (__sanitizer_start_switch_fiber != nullptr)
      __sanitizer_start_switch_fiber(&left_outside_, own_.bottom, own_.size);
    if (inside_ == nullptr) return;
    outside_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(inside_, 0);
  }
  [[gnu::always_inline]] void is_back_outside() noexcept {
    if (inside_ != nullptr) __tsan_switch_to_fiber(outside_, 0);
    if (__sanitizer_finish_switch_fiber != nullptr) __sanitizer_finish_switch_fiber(left_outside_, nullptr, nullptr);
  }
  // Inside, before and after; the first time and the last, too. To the address sanitizer no stack is ever left for
  // good: its frames would be gone, some of which are still to be returned from.
  void leave() noexcept {
    if (__sanitizer_start_switch_fiber != nullptr)
      __sanitizer_start_switch_fiber(&left_inside_, outer_.bottom, outer_.size);
  }
  void is_inside() noexcept {
    if (__sanitizer_finish_switch_fiber != nullptr)
      __sanitizer_finish_switch_fiber(left_inside_, &outer_.bottom, &outer_.size);
  }

 private:
  struct Stack {
    const void* bottom = nullptr;
    std::size_t size = 0;
  };

  Stack own_;
  Stack outer_;                   // from where it was entered
  void* left_outside_ = nullptr;  // what the address sanitizer knows of the one that was left
  void* left_inside_ = nullptr;
  void* inside_;  // the thread sanitizer's
  void* outside_ = nullptr;
};

}  // namespace lido::asio::detail
