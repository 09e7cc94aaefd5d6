// Reading typed values out of a libpq result. What holds for a column is checked by `check_columns`, or by
// `find_and_check` where columns have names, once for as many rows as are read; what holds for a value by `read_value`.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/detail/values/name_of.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline std::size_t rows_of(const PGresult* result) noexcept {
  return static_cast<std::size_t>(PQntuples(result));
}
[[nodiscard]] inline std::size_t columns_of(const PGresult* result) noexcept {
  return static_cast<std::size_t>(PQnfields(result));
}

/// Throws where a value cannot be read. Not inline, as `ErrorText`.
template <class Form = void>
struct Misfit {
  [[noreturn]] static void raise(const PGresult* result, int row, int column, std::string_view wanted,
                                 const std::string& actual);
  [[noreturn]] static void raise_type(const PGresult* result, int row, int column, std::string_view wanted);
  [[noreturn]] static void raise_value(const PGresult* result, int row, int column, std::string_view wanted,
                                       std::string_view reason);
};

template <class Form>
void Misfit<Form>::raise(const PGresult* result, int row, int column, std::string_view wanted,
                         const std::string& actual) {
  const char* name = PQfname(result, column);
  throw ResultError{static_cast<std::size_t>(row),
                    name == nullptr || *name == '\0' ? std::to_string(column) : std::string{name}, std::string{wanted},
                    actual};
}

template <class Form>
void Misfit<Form>::raise_type(const PGresult* result, int row, int column, std::string_view wanted) {
  raise(result, row, column, wanted, type_name(PQftype(result, column)));
}

template <class Form>
void Misfit<Form>::raise_value(const PGresult* result, int row, int column, std::string_view wanted,
                               std::string_view reason) {
  if (PQgetisnull(result, row, column) != 0) raise(result, row, column, wanted, "NULL");
  raise(result, row, column, wanted, type_name(PQftype(result, column)).append(" with ").append(reason));
}

template <class T>
void check_column(const Source& source, int row, int column) {
  using Value = Converter<without_optional<T>>;
  const Oid type = PQftype(source.result, column);
  bool accepted = true;
  if constexpr (requires { Value::accepts(source.column_type(column)); }) {
    accepted = Value::accepts(source.column_type(column));
  } else if constexpr (requires { Value::accepts(type); }) {
    accepted = Value::accepts(type);
  }
  if (!accepted) Misfit<>::raise_type(source.result, row, column, Value::name);
}

// Says why the value is no T.
template <class T>
[[noreturn, gnu::cold, gnu::noinline]] void throw_unfit(const PGresult* result, int row, int column,
                                                        std::string_view text) {
  if constexpr (requires { Converter<T>::reason(text); }) {
    if (PQgetisnull(result, row, column) == 0)
      Misfit<>::raise_value(result, row, column, Converter<T>::name, Converter<T>::reason(text));
  }
  Misfit<>::raise_value(result, row, column, Converter<T>::name, "a value that does not fit");
}

// In line, whatever the compiler thinks of it: a call for each value costs a tenth of what reading it does.
template <class T>
[[nodiscard, gnu::always_inline]] inline T read_value(const Source& source, int row, int column) {
  using Value = without_optional<T>;
  const PGresult* const result = source.result;
  const std::string_view text{PQgetvalue(result, row, column),
                              static_cast<std::size_t>(PQgetlength(result, row, column))};
  if (text.empty() && PQgetisnull(result, row, column) != 0) {
    if constexpr (is_optional<T>) {
      return std::nullopt;
    } else {
      throw_unfit<Value>(result, row, column, text);
    }
  }
  if constexpr (std::same_as<Value, std::string> || std::same_as<Value, std::string_view>) {
    return Value{text};  // every text is one
  } else {
    std::optional<Value> value;
    if constexpr (requires { Converter<Value>::read(text, source.column_type(column)); }) {
      value = Converter<Value>::read(text, source.column_type(column));
    } else {
      value = read_text<Value>(text, [&] { return PQftype(result, column); });
    }
    if (!value) throw_unfit<Value>(result, row, column, text);
    if constexpr (is_optional<T>) {
      return value;
    } else {
      return *std::move(value);
    }
  }
}

/// Throws `ResultError` unless each column can be read as that, of those with the numbers in `order`.
template <class Order, class... C>
void check_types(const Source& source, std::size_t row, const Order& order, TypeList<C...>) {
  std::size_t field = 0;
  (check_column<C>(source, static_cast<int>(row), static_cast<int>(order[field++])), ...);
}

/// The columns in the order in which the result has them.
struct InOrder {
  [[nodiscard]] constexpr std::size_t operator[](std::size_t field) const noexcept { return field; }
};

/// Throws `ResultError` when the result, of so many `columns`, has not that many or not of such types.
template <class... C>
void check_columns(const Source& source, std::size_t columns, std::size_t row, TypeList<C...> list) {
  if constexpr ((check_readable<C>() && ...)) {
    if (columns != sizeof...(C))
      throw ResultError{row, "*", std::to_string(sizeof...(C)) + (sizeof...(C) == 1 ? " column" : " columns"),
                        std::to_string(columns)};
    check_types(source, row, InOrder{}, list);
  }
}

/// Which columns have the `names`, each of which one has to have, and no column another; else throws `ResultError`. A
/// template, so that it costs no compile time where no struct is read.
template <std::size_t N>
[[nodiscard]] std::vector<unsigned> find_columns(const PGresult* result, std::size_t row,
                                                 const std::array<std::string_view, N>& names, std::string_view type) {
  const std::size_t columns = columns_of(result);
  std::vector<unsigned> order;
  std::vector<bool> used(columns);
  for (const std::string_view name : names) {
    std::size_t count = 0;
    for (std::size_t column = 0; column < columns; ++column) {
      if (name != PQfname(result, static_cast<int>(column))) continue;
      if (count++ == 0) order.push_back(static_cast<unsigned>(column));
      used[column] = true;
    }
    if (count != 1)
      throw ResultError{row, std::string{name}, std::string{"a column of that name for "}.append(type),
                        count == 0 ? "none" : std::to_string(count) + " of them"};
  }
  for (std::size_t column = 0; column < columns; ++column)
    if (!used[column])
      throw ResultError{row, PQfname(result, static_cast<int>(column)),
                        std::string{"no column beside those of "}.append(type), "one of that name"};
  return order;
}

/// As `check_columns`, for a struct whose columns are found by their names; returns which they are.
template <class Shape>
[[nodiscard]] std::vector<unsigned> find_and_check(const Source& source, std::size_t row) {
  std::vector<unsigned> order = find_columns(source.result, row, Shape::names(), name_of<typename Shape::Value>());
  [&]<class... C>(TypeList<C...> list) {
    if constexpr ((check_readable<C>() && ...)) check_types(source, row, order, list);
  }(typename Shape::Columns{});
  return order;
}

/// One row, as `make_row` takes it.
template <class Order>
struct RowFields {
  template <class T>
  [[nodiscard, gnu::always_inline]] T read(std::size_t field) const {
    return read_value<T>(source, row, static_cast<int>(order[field]));
  }
  [[nodiscard]] bool is_null(std::size_t field) const noexcept {
    return PQgetisnull(source.result, row, static_cast<int>(order[field])) != 0;
  }
  Source source;
  int row;
  Order order;
};

/// Reads a row whose columns were checked.
template <class Shape, class Order>
[[nodiscard]] typename Shape::Value read_row(const Source& source, std::size_t row, const Order& order) {
  return make_row<Shape>(RowFields<Order>{source, static_cast<int>(row), order});
}

}  // namespace lido::postgres::detail
