// Which of many deadlines comes first.
#pragma once

#include <utility>

#include <lido/facts.hpp>

namespace lido::detail {

// One deadline, living in what it is the deadline of.
struct Deadline {
  TimePoint at{TimePoint::max()};

  // Owned by the heap.
  Deadline* child = nullptr;     // the first of those that are later
  Deadline* next = nullptr;      // the next child of the same parent
  Deadline* previous = nullptr;  // the child before, or the parent of the first
  bool kept = false;             // in the heap
};

// A pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986): nothing is allocated, adding takes constant time and
// taking out logarithmic time, amortised.
class Deadlines {
 public:
  [[nodiscard]] Deadline* first() const noexcept { return root_; }
  [[nodiscard]] TimePoint next() const noexcept { return root_ == nullptr ? TimePoint::max() : root_->at; }

  void add(Deadline& entry) noexcept {
    entry.child = entry.next = entry.previous = nullptr;
    entry.kept = true;
    root_ = root_ == nullptr ? &entry : merge(root_, &entry);
  }

  void remove(Deadline& entry) noexcept {
    if (!entry.kept) return;
    entry.kept = false;
    if (&entry == root_) {
      root_ = merge_all(entry.child);
      return;
    }
    (entry.previous->child == &entry ? entry.previous->child : entry.previous->next) = entry.next;
    if (entry.next != nullptr) entry.next->previous = entry.previous;
    if (Deadline* const rest = merge_all(entry.child)) root_ = merge(root_, rest);
  }

 private:
  // Two heaps, of which the later one becomes the first child of the other.
  static Deadline* merge(Deadline* one, Deadline* other) noexcept {
    if (other->at < one->at) std::swap(one, other);
    other->next = one->child;
    other->previous = one;
    if (one->child != nullptr) one->child->previous = other;
    one->child = other;
    one->next = one->previous = nullptr;
    return one;
  }

  // The children of one that is gone: in pairs from the left, and these from the right. Loops, as there may be many.
  static Deadline* merge_all(Deadline* child) noexcept {
    Deadline* pairs = nullptr;  // the last first, linked by `next`
    while (child != nullptr) {
      Deadline* const one = child;
      Deadline* const other = one->next;
      child = other == nullptr ? nullptr : other->next;
      Deadline* const pair = other == nullptr ? one : merge(one, other);
      pair->next = pairs;
      pairs = pair;
    }
    Deadline* root = nullptr;
    while (pairs != nullptr) {
      Deadline* const pair = std::exchange(pairs, pairs->next);
      pair->next = pair->previous = nullptr;
      root = root == nullptr ? pair : merge(root, pair);
    }
    return root;
  }

  Deadline* root_ = nullptr;
};

}  // namespace lido::detail
