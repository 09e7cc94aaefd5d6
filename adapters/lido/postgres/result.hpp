// What a statement returned: rows of columns, read as C++ types.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <lido/postgres/converter.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres {

namespace detail {

// What Result, Row and Field look at. A part of a temporary result keeps it alive (`exec(...)[0][0]` may be stored);
// a part of a named one does not and is free.
struct ResultView {
  const PGresult* result = nullptr;
  std::shared_ptr<const PGresult> owner;

  [[nodiscard]] std::size_t rows() const noexcept { return static_cast<std::size_t>(PQntuples(result)); }
  [[nodiscard]] std::size_t columns() const noexcept { return static_cast<std::size_t>(PQnfields(result)); }
  [[nodiscard]] std::string column_name(std::size_t column) const {
    const char* name = PQfname(result, static_cast<int>(column));
    return name == nullptr || *name == '\0' ? std::to_string(column) : std::string{name};
  }
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

}  // namespace detail

/// One value. Valid while the `Result` that it was taken from lives, or on its own if that was a temporary.
class Field {
 public:
  Field(detail::ResultView view, std::size_t row, std::size_t column) noexcept
      : view_{std::move(view)}, row_{row}, column_{column} {}

  [[nodiscard]] bool is_null() const noexcept { return PQgetisnull(view_.result, row(), column()) != 0; }
  /// As the server wrote it; empty for NULL. Valid as long as the `Result`.
  [[nodiscard]] std::string_view text() const noexcept {
    return {PQgetvalue(view_.result, row(), column()),
            static_cast<std::size_t>(PQgetlength(view_.result, row(), column()))};
  }

  /// The value as `T`; NULL only as a `std::optional`. Throws `ResultError` when the column has another type, when the
  /// value does not fit, and for an unexpected NULL.
  template <class T>
    requires Readable<T> || (detail::is_optional<T> && Readable<typename T::value_type>)
  [[nodiscard]] T as() const {
    if constexpr (detail::is_optional<T>) {
      if (is_null()) return std::nullopt;
      return as<typename T::value_type>();
    } else {
      const Oid type = PQftype(view_.result, column());
      if constexpr (requires { Converter<T>::accepts(type); }) {
        if (!Converter<T>::accepts(type)) throw mismatch(Converter<T>::name, detail::type_name(type));
      }
      if (is_null()) throw mismatch(Converter<T>::name, "NULL");
      std::optional<T> value = Converter<T>::read(text());
      if (!value) throw mismatch(Converter<T>::name, detail::type_name(type) + " with a value that does not fit");
      return *std::move(value);
    }
  }

 private:
  [[nodiscard]] int row() const noexcept { return static_cast<int>(row_); }
  [[nodiscard]] int column() const noexcept { return static_cast<int>(column_); }
  [[nodiscard]] ResultError mismatch(std::string_view wanted, const std::string& actual) const {
    return {row_, view_.column_name(column_), std::string{wanted}, actual};
  }

  detail::ResultView view_;
  std::size_t row_;
  std::size_t column_;
};

/// One row. Valid while the `Result` that it was taken from lives, or on its own if that was a temporary.
class Row {
 public:
  Row(detail::ResultView view, std::size_t row) noexcept : view_{std::move(view)}, row_{row} {}

  [[nodiscard]] std::size_t size() const noexcept { return view_.columns(); }
  /// The column with that number, counted from 0; throws `ResultError` beyond the last.
  template <std::integral Index>  // deduced, as a literal zero is a null pointer too
  [[nodiscard]] Field operator[](Index index) const {
    const auto column = static_cast<std::size_t>(index);
    if (column >= size())
      throw ResultError{row_, std::to_string(index), "a column", std::to_string(size()) + " columns"};
    return {view_, row_, column};
  }
  /// The first column with exactly that name; throws `ResultError` when there is none.
  [[nodiscard]] Field operator[](std::string_view name) const {
    for (std::size_t column = 0; column < size(); ++column)
      if (name == PQfname(view_.result, static_cast<int>(column))) return {view_, row_, column};
    throw ResultError{row_, std::string{name}, "a column of that name", "none"};
  }

  /// All columns at once: `auto [id, name] = row.as<int, std::string>();`. Throws `ResultError`, also when the number
  /// of columns is another.
  template <class... T>
    requires(sizeof...(T) > 1)
  [[nodiscard]] std::tuple<T...> as() const {
    if (size() != sizeof...(T))
      throw ResultError{row_, "*", std::to_string(sizeof...(T)) + " columns", std::to_string(size())};
    return [this]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<T...>{(*this)[I].template as<T>()...};
    }(std::index_sequence_for<T...>{});
  }

 private:
  detail::ResultView view_;
  std::size_t row_;
};

/// What a statement returned, complete and independent of the connection. Copies share it and are cheap.
class Result {
 public:
  Result() : Result{detail::ResultHandle{PQmakeEmptyPGresult(nullptr, PGRES_EMPTY_QUERY)}} {}
  explicit Result(detail::ResultHandle result) : result_{std::move(result)} {}

  /// The number of rows returned.
  [[nodiscard]] std::size_t rows() const noexcept { return static_cast<std::size_t>(PQntuples(result_.get())); }
  [[nodiscard]] std::size_t size() const noexcept { return rows(); }
  [[nodiscard]] bool empty() const noexcept { return rows() == 0; }
  [[nodiscard]] std::size_t columns() const noexcept { return static_cast<std::size_t>(PQnfields(result_.get())); }
  /// The name of a column, counted from 0; throws `ResultError` beyond the last.
  [[nodiscard]] std::string column_name(std::size_t column) const {
    if (column >= columns())
      throw ResultError{0, std::to_string(column), "a column", std::to_string(columns()) + " columns"};
    return PQfname(result_.get(), static_cast<int>(column));
  }

  /// Rows inserted, updated, deleted, moved, fetched or selected; 0 for other statements.
  [[nodiscard]] std::size_t affected_rows() const noexcept {
    const std::string_view text = PQcmdTuples(mutable_result());
    std::size_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
  }
  /// What the server says it did, for instance `INSERT 0 1`.
  [[nodiscard]] std::string_view command_tag() const noexcept { return PQcmdStatus(mutable_result()); }

  /// The row with that number, counted from 0; throws `ResultError` beyond the last.
  [[nodiscard]] Row operator[](std::size_t row) const& {
    check(row);
    return {{result_.get(), nullptr}, row};
  }
  [[nodiscard]] Row operator[](std::size_t row) && {
    check(row);
    const PGresult* raw = result_.get();
    return {{raw, std::move(result_)}, row};
  }

  /// The only value of the only row; throws `ResultError` when there is not exactly one of each.
  template <class T>
  [[nodiscard]] T one() const {
    if (rows() != 1 || columns() != 1)
      throw ResultError{0, "0", "one row of one column",
                        std::to_string(rows()) + " rows of " + std::to_string(columns()) + " columns"};
    return (*this)[0][0].template as<T>();
  }

  /// Walks over the rows.
  class Iterator {
   public:
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(const PGresult* result, std::size_t row) noexcept : result_{result}, row_{row} {}
    [[nodiscard]] Row operator*() const noexcept { return {{result_, nullptr}, row_}; }
    Iterator& operator++() noexcept { return ++row_, *this; }
    Iterator operator++(int) noexcept { return {result_, row_++}; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const PGresult* result_ = nullptr;
    std::size_t row_ = 0;
  };
  [[nodiscard]] Iterator begin() const noexcept { return {result_.get(), 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {result_.get(), rows()}; }

 private:
  void check(std::size_t row) const {
    if (row >= rows()) throw ResultError{row, "*", "a row", std::to_string(rows()) + " rows"};
  }
  // libpq takes these two without const and changes nothing.
  [[nodiscard]] PGresult* mutable_result() const noexcept { return const_cast<PGresult*>(result_.get()); }

  std::shared_ptr<const PGresult> result_;
};

}  // namespace lido::postgres
