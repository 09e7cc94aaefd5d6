// Rows that come in the binary format: which may, and how they are read.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/detail/values/without_optional.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// Whether the text of such a value is long, or takes long to write and to read. That of an integer does not.
template <class T>
inline constexpr bool has_costly_text =
    !Integer<T> && !std::same_as<T, bool> && !std::same_as<T, std::string> && !std::same_as<T, std::string_view>;

/// Whether the rows may come in the binary format, for all that is known without the server, and whether that pays.
template <class... C>
[[nodiscard]] consteval bool gains_by_binary(TypeList<C...>) {
  return (Receives<Converter<without_optional<C>>, without_optional<C>> && ...) &&
         (has_costly_text<without_optional<C>> || ...);
}

/// Whether all columns of a statement, or of a result, may be read in the binary format. Where they do not fit the
/// `Shape` at all it is false: what is wrong is said of the rows.
template <class Shape>
[[nodiscard]] bool suits_binary(const PGresult* described) {
  return [&]<class... C>(TypeList<C...>) {
    const auto all = [&](const auto& order) {
      std::size_t field = 0;
      return (Converter<without_optional<C>>::receives(PQftype(described, static_cast<int>(order[field++]))) && ...);
    };
    if (columns_of(described) != sizeof...(C)) return false;
    if constexpr (Shape::by_name) {
      try {
        return all(find_columns(described, 0, Shape::names(), {}));
      } catch (const ResultError&) {
        return false;
      }
    } else {
      return all(InOrder{});
    }
  }(typename Shape::Columns{});
}

/// Whatever the server said before: throws `ResultError` where the result is in the binary format, and that may not be
/// read as a `Shape`.
template <class Shape>
void check_format(const PGresult* result, std::size_t row) {
  if (PQbinaryTuples(result) != 0 && !suits_binary<Shape>(result))
    throw ResultError{row, "*", "values as text", "values in binary format"};
}

// Says why the value is no `T`, as for its text: of that the words depend on whether it is infinite, and no more.
template <class T>
[[noreturn, gnu::cold, gnu::noinline]] void throw_unreceived(const PGresult* result, int row, int column,
                                                             std::string_view bytes) {
  throw_unfit<T>(result, row, column, infinity_of(bytes) != 0 ? "infinity" : "2000-01-01");
}

/// One row in the binary format, as `make_row` takes it.
template <class Order>
struct BinaryFields {
  template <class T>
  [[nodiscard, gnu::always_inline]] T read(std::size_t field) const {
    using Value = without_optional<T>;
    const int column = static_cast<int>(order[field]);
    const std::string_view bytes{PQgetvalue(result, row, column),
                                 static_cast<std::size_t>(PQgetlength(result, row, column))};
    if (bytes.empty() && PQgetisnull(result, row, column) != 0) {
      if constexpr (is_optional<T>) {
        return std::nullopt;
      } else {
        throw_unreceived<Value>(result, row, column, bytes);
      }
    }
    if constexpr (std::same_as<Value, std::string> || std::same_as<Value, std::string_view>) {
      return Value{bytes};
    } else {
      std::optional<Value> value;
      if constexpr (requires { Converter<Value>::receive(bytes); }) {
        value = Converter<Value>::receive(bytes);
      } else {
        value = Converter<Value>::receive(bytes, [&] { return PQftype(result, column); });
      }
      if (!value) throw_unreceived<Value>(result, row, column, bytes);
      if constexpr (is_optional<T>) {
        return value;
      } else {
        return *std::move(value);
      }
    }
  }
  [[nodiscard]] bool is_null(std::size_t field) const noexcept {
    return PQgetisnull(result, row, static_cast<int>(order[field])) != 0;
  }
  const PGresult* result;
  int row;
  Order order;
};

}  // namespace lido::postgres::detail
