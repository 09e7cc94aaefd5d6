// The way over rows that are there.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

namespace lido::postgres::detail {

/// An iterator over rows by their numbers. `Read` makes of a number what the row is read as, and says by its `==`, if
/// it has one, whether two are of the same rows.
template <class Read>
class RowIterator {
 public:
  using value_type = std::remove_cvref_t<std::invoke_result_t<const Read&, std::size_t>>;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::forward_iterator_tag;

  RowIterator() = default;
  RowIterator(Read read, std::size_t row) noexcept : read_{std::move(read)}, row_{row} {}
  /// Throws what the reading throws.
  [[nodiscard]] value_type operator*() const noexcept(std::is_nothrow_invocable_v<const Read&, std::size_t>) {
    return read_(row_);
  }
  RowIterator& operator++() noexcept { return ++row_, *this; }
  RowIterator operator++(int) noexcept { return {read_, row_++}; }
  friend bool operator==(const RowIterator& a, const RowIterator& b) noexcept {
    if constexpr (std::equality_comparable<Read>) {
      if (!(a.read_ == b.read_)) return false;
    }
    return a.row_ == b.row_;
  }

 private:
  Read read_{};
  std::size_t row_ = 0;
};

}  // namespace lido::postgres::detail
