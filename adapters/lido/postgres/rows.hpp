// All rows of a result, read as C++ types while one walks over them.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>

namespace lido::postgres {

/// The rows of a result as what `Row::as<T...>()` makes of each; a view in the sense of std::ranges, which shares the
/// result. Get one from `Result::rows_as`. An iterator throws `ResultError` for a value that cannot be read; what holds
/// for whole columns has been checked before.
template <class... T>
class TypedRows : public std::ranges::view_interface<TypedRows<T...>> {
 public:
  class Iterator {
   public:
    using value_type = detail::RowValue<T...>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(const detail::SharedResult* result, std::size_t row) noexcept : result_{result}, row_{row} {}
    [[nodiscard]] value_type operator*() const {
      return result_->named(
          [this] { return detail::read_row<value_type>(result_->source(), row_, detail::RowColumns<T...>{}); });
    }
    Iterator& operator++() noexcept { return ++row_, *this; }
    Iterator operator++(int) noexcept { return {result_, row_++}; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const detail::SharedResult* result_ = nullptr;
    std::size_t row_ = 0;
  };

  /// Throws `ResultError` when the columns are not such.
  explicit TypedRows(std::shared_ptr<const detail::SharedResult> result) : result_{std::move(result)} {
    result_->named(
        [this] { detail::check_columns(result_->source(), result_->columns, 0, detail::RowColumns<T...>{}); });
  }

  [[nodiscard]] Iterator begin() const noexcept { return {result_.get(), 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {result_.get(), size()}; }
  [[nodiscard]] std::size_t size() const noexcept { return detail::rows_of(result_->handle.get()); }

 private:
  std::shared_ptr<const detail::SharedResult> result_;
};

}  // namespace lido::postgres
