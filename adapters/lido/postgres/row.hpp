// One row of a result, and one value of it.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

// What Row and Field look at. A part of a temporary result keeps it alive (`exec(...)[0][0]` may be stored); a part of
// a named one does not and is free.
struct ResultView {
  [[nodiscard]] ResultView without_owner() const noexcept { return {result, nullptr}; }
  [[nodiscard]] const PGresult* raw() const noexcept { return result->handle.get(); }

  const SharedResult* result;
  std::shared_ptr<const SharedResult> owner;
};

}  // namespace detail

/// One value. Valid while the `Result` lives, or the `Row` if it keeps a result that was a temporary, or on its own if
/// both were temporaries.
class Field {
 public:
  Field(detail::ResultView view, std::size_t row, std::size_t column) noexcept
      : view_{std::move(view)}, row_{static_cast<int>(row)}, column_{static_cast<int>(column)} {}

  [[nodiscard]] bool is_null() const noexcept { return PQgetisnull(view_.raw(), row_, column_) != 0; }
  /// As the server wrote it; empty for NULL. Valid as long as the `Result`.
  [[nodiscard]] std::string_view text() const noexcept {
    return {PQgetvalue(view_.raw(), row_, column_), static_cast<std::size_t>(PQgetlength(view_.raw(), row_, column_))};
  }

  /// The value as `T`; NULL only as a `std::optional`. A `std::string_view` is valid as long as the `Result`. Throws
  /// `ResultError` when the column has another type, when the value does not fit, and for an unexpected NULL.
  template <class T>
  [[nodiscard]] T as() const {
    if constexpr (detail::check_readable<T>()) {
      return view_.result->named([this] {
        detail::check_column<T>(view_.result->source(), row_, column_);
        return detail::read_value<T>(view_.result->source(), row_, column_);
      });
    }
  }

 private:
  detail::ResultView view_;
  int row_;
  int column_;
};

/// One row. Valid while the `Result` that it was taken from lives, or on its own if that was a temporary.
class Row {
 public:
  Row(detail::ResultView view, std::size_t row) noexcept : view_{std::move(view)}, row_{row} {}

  [[nodiscard]] std::size_t size() const noexcept { return view_.result->columns; }
  /// The column with that number, counted from 0; throws `ResultError` beyond the last.
  template <std::integral Index>  // deduced, as a literal zero is a null pointer too
  [[nodiscard]] Field operator[](Index index) const& {
    return {view_.without_owner(), row_, checked(index)};
  }
  template <std::integral Index>
  [[nodiscard]] Field operator[](Index index) && {
    const std::size_t column = checked(index);
    return {std::move(view_), row_, column};
  }
  /// The first column with exactly that name; throws `ResultError` when there is none.
  [[nodiscard]] Field operator[](std::string_view name) const& { return {view_.without_owner(), row_, find(name)}; }
  [[nodiscard]] Field operator[](std::string_view name) && {
    const std::size_t column = find(name);
    return {std::move(view_), row_, column};
  }

  /// All columns at once. One type is that of the only column; several give a tuple of the columns in their order, as
  /// in `auto [id, name] = row.as<int, std::string>();`. An aggregate (a struct without constructors, of at most 64
  /// members that can be read) has each member filled from the column of its name, or of the name that `column_names`
  /// has for it; a `ByPosition` of it from the columns in their order. A member that is an aggregate takes the columns
  /// whose names begin with its own and `_`, and as a `std::optional` is empty where all these are NULL. Throws as
  /// `Field::as` does, also when a column is missing, there twice or left over.
  template <class... T>
  [[nodiscard]] detail::RowValue<T...> as() const {
    using Shape = detail::RowShape<T...>;
    return view_.result->named([this] {
      const auto order = view_.result->order<Shape>(row_);
      return detail::read_row<Shape>(view_.result->source(), row_, order);
    });
  }

 private:
  template <class Index>
  [[nodiscard]] std::size_t checked(Index index) const {
    const auto column = static_cast<std::size_t>(index);
    if (column >= size())
      detail::Refused<>::raise(row_, std::to_string(index), "a column", size(), "columns", view_.result->origin);
    return column;
  }
  [[nodiscard]] std::size_t find(std::string_view name) const {
    for (std::size_t column = 0; column < size(); ++column)
      if (name == PQfname(view_.raw(), static_cast<int>(column))) return column;
    detail::Refused<>::raise(row_, name, "a column of that name", "none", view_.result->origin);
  }

  detail::ResultView view_;
  std::size_t row_;
};

}  // namespace lido::postgres
