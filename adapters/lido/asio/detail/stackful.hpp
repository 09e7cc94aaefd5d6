// Code on a stack of its own, which can be left in the middle and entered again.
#pragma once

#include <cxxabi.h>

#include <cstddef>
#include <memory>
#include <utility>

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <boost/context/stack_context.hpp>
#include <lido/asio/detail/stack_switch.hpp>

// As the C++ ABI has it; the header of LLVM's library leaves it out.
// NOLINTBEGIN(bugprone-reserved-identifier)
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals() noexcept;
}  // namespace __cxxabiv1
// NOLINTEND(bugprone-reserved-identifier)

namespace lido::asio::detail {

// The exceptions that are being handled, of which the runtime keeps a list in each thread. Code on a stack of its own
// has its own: it may be left in a handler, and others throw meanwhile.
class HandledExceptions {
 public:
  void exchange() noexcept { std::swap(*reinterpret_cast<List*>(abi::__cxa_get_globals()), list_); }

 private:
  struct List {  // as the C++ ABI has it
    void* caught;
    unsigned int uncaught;
  };
  List list_{};
};

// Must have ended when it is destroyed. The stack has a guard page, and takes memory as it is used. Not thread-safe; a
// thread may leave off where another goes on.
class Stackful {
 public:
  // Throws `std::bad_alloc`.
  template <class Body>
  Stackful(std::size_t size, Body body)
      : inside_{std::allocator_arg, Stack{boost::context::protected_fixedsize_stack{size}, switch_},
                [this, body = std::move(body)](boost::context::fiber&& outside) mutable {
                  outside_ = std::move(outside);
                  switch_.is_inside();
                  body();
                  switch_.leave();
                  return std::move(outside_);
                }} {}
  Stackful(const Stackful&) = delete;
  Stackful& operator=(const Stackful&) = delete;
  ~Stackful() = default;

  // Goes on with the body, which must not throw, until it leaves or ends.
  void enter() noexcept {
    handled_.exchange();
    switch_.enter();
    inside_ = std::move(inside_).resume();
    switch_.is_back_outside();
    handled_.exchange();
  }
  // In the body: goes on where it was entered.
  void leave() noexcept {
    switch_.leave();
    outside_ = std::move(outside_).resume();
    switch_.is_inside();
  }
  [[nodiscard]] bool ended() const noexcept { return !inside_; }

 private:
  // Notes where the stack lies.
  struct Stack {
    boost::context::stack_context allocate() {
      const boost::context::stack_context made = stacks.allocate();
      told.lies_at(static_cast<const char*>(made.sp) - made.size, made.size);
      return made;
    }
    void deallocate(boost::context::stack_context& made) noexcept { stacks.deallocate(made); }

    boost::context::protected_fixedsize_stack stacks;
    StackSwitch& told;
  };

  StackSwitch switch_;
  HandledExceptions handled_;
  boost::context::fiber outside_;
  boost::context::fiber inside_;
};

}  // namespace lido::asio::detail
