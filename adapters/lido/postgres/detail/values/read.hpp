// Reading typed values out of a libpq result. What holds for a column is checked by `check_columns`, once for as many
// rows as are read; what holds for a value by `read_value`.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline std::size_t rows_of(const PGresult* result) noexcept {
  return static_cast<std::size_t>(PQntuples(result));
}
[[nodiscard]] inline std::size_t columns_of(const PGresult* result) noexcept {
  return static_cast<std::size_t>(PQnfields(result));
}

[[noreturn]] inline void throw_mismatch(const PGresult* result, int row, int column, std::string_view wanted,
                                        const std::string& actual) {
  const char* name = PQfname(result, column);
  throw ResultError{static_cast<std::size_t>(row),
                    name == nullptr || *name == '\0' ? std::to_string(column) : std::string{name}, std::string{wanted},
                    actual};
}

template <class T>
struct WithoutOptional {
  using Type = T;
};
template <class T>
struct WithoutOptional<std::optional<T>> {
  using Type = T;
};
template <class T>
using without_optional = typename WithoutOptional<T>::Type;

/// What a column may be read as, NULL as an empty optional.
template <class T>
concept ReadableColumn = Readable<without_optional<T>> || std::same_as<without_optional<T>, std::string_view>;

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
  if (!accepted) throw_mismatch(source.result, row, column, Value::name, type_name(type));
}

// Says why the value is no T.
template <class T>
[[noreturn, gnu::cold, gnu::noinline]] void throw_unfit(const PGresult* result, int row, int column,
                                                        std::string_view text) {
  std::string actual = "NULL";
  if (PQgetisnull(result, row, column) == 0) {
    actual = type_name(PQftype(result, column)) + " with ";
    if constexpr (requires { Converter<T>::reason(text); }) {
      actual += Converter<T>::reason(text);
    } else {
      actual += "a value that does not fit";
    }
  }
  throw_mismatch(result, row, column, Converter<T>::name, actual);
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

/// What a row is read as: `Value`, made of values of the types `Columns`, in their order.
template <class... T>
struct RowShape {  // several columns
  using Value = std::tuple<T...>;
  using Columns = TypeList<T...>;
};
template <ReadableColumn T>
struct RowShape<T> {  // one column
  using Value = T;
  using Columns = TypeList<T>;
};
template <class T>
  requires(!ReadableColumn<T> && std::is_aggregate_v<T> && std::is_class_v<T>)
struct RowShape<T> {  // a struct of the user's
  using Value = T;
  using Columns = decltype(members_of(std::declval<T&>()));
  static_assert(Columns::size > 0,
                "lido: a row is read as an aggregate that has at least one member and at most 64, or else a "
                "lido::postgres::Converter has to be specialised for the type");
};

template <class T>
[[nodiscard]] consteval bool check_readable() {
  static_assert(ReadableColumn<T>,
                "lido: no column can be read as this type: specialise lido::postgres::Converter for it, with name and "
                "read (see lido/postgres/types/converter.hpp)");
  return ReadableColumn<T>;
}

template <class... T>
using RowValue = typename RowShape<T...>::Value;
template <class... T>
using RowColumns = typename RowShape<T...>::Columns;

/// Whether something of it points into the result.
template <class... C>
[[nodiscard]] consteval bool holds_view(TypeList<C...>) {
  return (std::same_as<without_optional<C>, std::string_view> || ...);
}

/// Throws `ResultError` when the result, of so many `columns`, has not that many or not of such types.
template <class... C>
void check_columns(const Source& source, std::size_t columns, std::size_t row, TypeList<C...>) {
  if constexpr ((check_readable<C>() && ...)) {
    if (columns != sizeof...(C))
      throw ResultError{row, "*", std::to_string(sizeof...(C)) + (sizeof...(C) == 1 ? " column" : " columns"),
                        std::to_string(columns)};
    int column = 0;
    (check_column<C>(source, static_cast<int>(row), column++), ...);
  }
}

/// Reads a row whose columns were checked.
template <class Value, class... C>
[[nodiscard]] Value read_row(const Source& source, std::size_t row, TypeList<C...>) {
  const int number = static_cast<int>(row);
  if constexpr (std::same_as<TypeList<Value>, TypeList<C...>>) {
    return read_value<Value>(source, number, 0);
  } else {
    return [&]<int... I>(std::integer_sequence<int, I...>) {
      return Value{read_value<C>(source, number, I)...};  // braces: from the left to the right
    }(std::make_integer_sequence<int, sizeof...(C)>{});
  }
}

}  // namespace lido::postgres::detail
