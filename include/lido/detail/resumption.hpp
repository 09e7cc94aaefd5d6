// Coroutines that are resumed in line, one after the other.
#pragma once

#include <coroutine>
#include <utility>

namespace lido::detail {

// A coroutine that can go on. A coroutine that goes on may give back what the next waits for: resumed inside one
// another they would need a stack as deep as their number, so each thread resumes those that come up meanwhile after
// the one it is at.
class Resumption {
 public:
  Resumption() = default;
  Resumption(const Resumption&) = delete;
  Resumption& operator=(const Resumption&) = delete;
  // A coroutine may be destroyed while it stands in line, by one that goes on before it in the same thread.
  ~Resumption() {
    if (!in_line_) return;
    Line& line = this_thread();
    Resumption* before = nullptr;
    for (Resumption* each = line.first; each != this; each = each->next_) before = each;
    (before != nullptr ? before->next_ : line.first) = next_;
    if (line.last == this) line.last = before;
  }

  void resume_in_turn() noexcept {
    Line& line = this_thread();
    if (line.moving) {
      in_line_ = true;
      (line.last != nullptr ? line.last->next_ : line.first) = this;
      line.last = this;
      return;
    }
    line.moving = true;
    handle.resume();
    while (Resumption* const next = line.first) {
      line.first = next->next_;
      if (line.first == nullptr) line.last = nullptr;
      next->in_line_ = false;
      next->handle.resume();
    }
    line.moving = false;
  }

  std::coroutine_handle<> handle;

 private:
  struct Line {
    Resumption* first = nullptr;
    Resumption* last = nullptr;
    bool moving = false;  // somebody further up the stack resumes them
  };
  static Line& this_thread() noexcept {
    thread_local Line line;
    return line;
  }

  Resumption* next_ = nullptr;
  bool in_line_ = false;
};

}  // namespace lido::detail
