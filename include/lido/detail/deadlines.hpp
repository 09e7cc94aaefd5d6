// Which of many deadlines comes first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <lido/facts.hpp>

namespace lido::detail {

// One deadline, living in what it is the deadline of.
struct Deadline {
  static constexpr std::uint8_t nowhere = 0;
  static constexpr std::uint8_t in_heap = 255;  // between them: in a row

  TimePoint at{TimePoint::max()};

  // Owned by `Deadlines`.
  Deadline* left = nullptr;  // in a row: the one before; in the heap, on both sides: those that are later
  Deadline* right = nullptr;
  Deadline* above = nullptr;  // in the heap
  std::uint8_t kept = nowhere;
  std::uint8_t rank = 0;  // in the heap: how many there are from here to the right end
};

// Those that come in order, linked.
class DeadlineRow {
 public:
  [[nodiscard]] Deadline* first() const noexcept { return first_; }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  // The last one's; not of an empty row.
  [[nodiscard]] TimePoint end() const noexcept { return last_->at; }

  void add(Deadline& entry) noexcept {
    entry.left = last_;
    entry.right = nullptr;
    (last_ != nullptr ? last_->right : first_) = &entry;
    last_ = &entry;
  }
  void remove(Deadline& entry) noexcept {
    (entry.left != nullptr ? entry.left->right : first_) = entry.right;
    (entry.right != nullptr ? entry.right->left : last_) = entry.left;
  }

 private:
  Deadline* first_ = nullptr;
  Deadline* last_ = nullptr;
};

// Those that come in any order: a leftist heap (Crane, 1972). The right side of each entry is never the longer one, so
// that the way to the right end is at most the logarithm of the number of entries, and so is what each call takes. Not
// in the mean: the pool's lock is held meanwhile, and a heap that puts its work off would do all of it in one call.
class DeadlineHeap {
 public:
  [[nodiscard]] Deadline* first() const noexcept { return root_; }

  void add(Deadline& entry) noexcept {
    entry.left = entry.right = nullptr;
    entry.rank = 1;
    root_ = merge(root_, &entry);
    root_->above = nullptr;
  }
  void remove(Deadline& entry) noexcept {
    Deadline* const rest = merge(entry.left, entry.right);
    Deadline* above = entry.above;
    if (rest != nullptr) rest->above = above;
    if (above == nullptr) {
      root_ = rest;
      return;
    }
    (above->left == &entry ? above->left : above->right) = rest;
    // Each rank that changes is one more than the one below, so that no more of them change than the largest is.
    while (above != nullptr && settle(*above)) above = above->above;
  }

 private:
  static std::uint8_t rank_of(const Deadline* entry) noexcept {
    return entry == nullptr ? std::uint8_t{0} : entry->rank;
  }

  // Puts the longer side to the left. Whether the rank has changed.
  static bool settle(Deadline& entry) noexcept {
    if (rank_of(entry.left) < rank_of(entry.right)) std::swap(entry.left, entry.right);
    const auto rank = static_cast<std::uint8_t>(rank_of(entry.right) + 1);
    return std::exchange(entry.rank, rank) != rank;
  }

  // One of two heaps, whose root's `above` is the caller's to set: down both right sides, and back.
  [[gnu::noinline]] static Deadline* merge(Deadline* one, Deadline* other) noexcept {
    Deadline* root = nullptr;
    Deadline* last = nullptr;
    while (one != nullptr && other != nullptr) {
      if (other->at < one->at) std::swap(one, other);
      hang(last, root, one);
      last = one;
      one = one->right;
    }
    if (Deadline* const rest = one != nullptr ? one : other) hang(last, root, rest);
    for (; last != nullptr; last = last == root ? nullptr : last->above) settle(*last);
    return root;
  }
  static void hang(Deadline* above, Deadline*& root, Deadline* entry) noexcept {
    (above == nullptr ? root : above->right) = entry;
    entry->above = above;
  }

  Deadline* root_ = nullptr;
};

// Nothing is allocated. Whoever always waits for as long as before comes in order, and few such times are usual: those
// who wait for the same time make a row, where adding and taking out take constant time. The rest is a heap's.
class Deadlines {
 public:
  static constexpr std::size_t rows = 4;

  [[nodiscard]] Deadline* first() const noexcept {
    Deadline* first = heap_.first();
    for (const DeadlineRow& row : rows_)
      if (!row.empty() && (first == nullptr || row.first()->at < first->at)) first = row.first();
    return first;
  }
  [[nodiscard]] TimePoint next() const noexcept {
    const Deadline* const first = this->first();
    return first == nullptr ? TimePoint::max() : first->at;
  }

  void add(Deadline& entry) noexcept {
    if (const std::size_t row = row_for(entry); row < rows) {
      entry.kept = static_cast<std::uint8_t>(row + 1);
      rows_[row].add(entry);
    } else {
      entry.kept = Deadline::in_heap;
      heap_.add(entry);
    }
  }
  [[gnu::noinline]] void remove(Deadline& entry) noexcept {
    const std::uint8_t kept = std::exchange(entry.kept, Deadline::nowhere);
    if (kept == Deadline::in_heap)
      heap_.remove(entry);
    else if (kept != Deadline::nowhere)
      rows_[kept - 1U].remove(entry);
  }

 private:
  // The one that ends the latest of those that end before it, so that the others keep their room for what comes
  // earlier; or an empty one; or none.
  [[nodiscard]] std::size_t row_for(const Deadline& entry) const noexcept {
    std::size_t best = rows;
    for (std::size_t row = 0; row < rows; ++row) {
      if (!rows_[row].empty() && entry.at < rows_[row].end()) continue;
      if (best == rows || rows_[best].empty() || (!rows_[row].empty() && rows_[best].end() < rows_[row].end()))
        best = row;
    }
    return best;
  }

  std::array<DeadlineRow, rows> rows_;
  DeadlineHeap heap_;
};

}  // namespace lido::detail
