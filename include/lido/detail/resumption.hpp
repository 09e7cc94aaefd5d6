// What goes on in line: coroutines and callbacks, one after the other.
#pragma once

namespace lido::detail {

// Something that can go on in this thread. What goes on may give back what the next one waits for: inside one another
// they would need a stack as deep as their number, so each thread lets those that come up meanwhile go on after the one
// that it is at.
class Resumption {
 public:
  struct Line {
    Resumption* first = nullptr;
    Resumption* last = nullptr;
    bool held = false;
  };
  // This thread's, or that of the fibre which it is at: whoever switches fibres changes it, as one that waits while it
  // holds its line may not hold up others. Visible, so that the libraries of a program have one between them.
  [[gnu::visibility("default")]] static Line*& current() noexcept {
    thread_local Line own;
    thread_local Line* current = &own;
    return current;
  }

  using GoOn = void (*)(Resumption&) noexcept;

  explicit Resumption(GoOn go_on) noexcept : go_on_{go_on} {}
  Resumption(const Resumption&) = delete;
  Resumption& operator=(const Resumption&) = delete;
  // It may be destroyed while it stands in line, by one that goes on before it in the same thread.
  ~Resumption() {
    if (line_ == nullptr) return;
    Resumption* before = nullptr;
    for (Resumption* each = line_->first; each != this; each = each->next_) before = each;
    (before != nullptr ? before->next_ : line_->first) = next_;
    if (line_->last == this) line_->last = before;
  }

  // While one lives in this thread nothing goes on in it; at the end of the outermost all that stand in line do. So
  // whoever is about to tell many tells them all before one of them goes on, and may destroy another.
  class Hold {
   public:
    Hold() noexcept : outer_{line_.held} { line_.held = true; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if (outer_) return;
      while (Resumption* const next = line_.first) {
        line_.first = next->next_;
        if (line_.first == nullptr) line_.last = nullptr;
        next->line_ = nullptr;
        next->go_on_(*next);
      }
      line_.held = false;
    }

   private:
    friend class Resumption;
    Line& line_ = *current();
    bool outer_;
  };

  // Its last access to the object may be within.
  void go_on_in_turn() noexcept {
    const Hold hold;
    Line& line = hold.line_;
    line_ = &line;
    next_ = nullptr;
    (line.last != nullptr ? line.last->next_ : line.first) = this;
    line.last = this;
  }

 private:
  const GoOn go_on_;
  Resumption* next_ = nullptr;
  Line* line_ = nullptr;  // in which it stands
};

}  // namespace lido::detail
