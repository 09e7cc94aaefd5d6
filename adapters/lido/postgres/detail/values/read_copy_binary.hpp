// One row of a COPY in the binary format.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/detail/values/without_optional.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// Whether columns of these types may be read in the binary format.
template <class Shape>
[[nodiscard]] bool are_received_from(std::span<const Oid> columns) noexcept {
  return [&]<class... C>(TypeList<C...>) {
    std::size_t column = 0;
    return columns.size() == sizeof...(C) && (Converter<without_optional<C>>::receives(columns[column++]) && ...);
  }(typename Shape::Columns{});
}

/// Takes a row apart into as many `fields` as it has to have. False: it is none, or has others.
[[nodiscard]] inline bool take_received_fields(std::string_view row, std::span<LineField> fields) noexcept {
  const auto count = received<std::int16_t>(row.substr(0, sizeof(std::int16_t)));
  if (!count || std::cmp_not_equal(*count, fields.size())) return false;
  row.remove_prefix(sizeof(std::int16_t));
  for (LineField& field : fields) {
    const auto length = received<std::int32_t>(row.substr(0, sizeof(std::int32_t)));
    if (!length) return false;
    row.remove_prefix(sizeof(std::int32_t));
    field = {{}, *length < 0};
    if (field.null) continue;
    if (std::cmp_greater(*length, row.size())) return false;
    field.text = row.substr(0, static_cast<std::size_t>(*length));
    row.remove_prefix(field.text.size());
  }
  return row.empty();
}

/// As `LineFields`, of such a row.
struct ReceivedFields {
  template <class T>
  [[nodiscard]] T read(std::size_t at) const {
    using Value = without_optional<T>;
    const LineField& field = fields[at];
    if (field.null) {
      if constexpr (is_optional<T>) {
        return std::nullopt;
      } else {
        refuse_field(row, at, Converter<Value>::name, "NULL");
      }
    }
    if constexpr (std::same_as<Value, std::string>) {
      return std::string{field.text};
    } else {
      std::optional<Value> value;
      if constexpr (requires { Converter<Value>::receive(field.text); }) {
        value = Converter<Value>::receive(field.text);
      } else {
        value = Converter<Value>::receive(field.text, [&] { return columns[at]; });
      }
      if (!value) refuse_field(row, at, Converter<Value>::name, "a text that is none");
      if constexpr (is_optional<T>)
        return value;
      else
        return *std::move(value);
    }
  }
  [[nodiscard]] bool is_null(std::size_t at) const noexcept { return fields[at].null; }

  std::span<const LineField> fields;
  std::span<const Oid> columns;
  std::size_t row;
};

/// One row of COPY ... TO STDOUT with columns of these types, as `read_line` reads its text. Throws `ResultError`.
template <class... T>
[[nodiscard]] RowValue<T...> read_received_row(std::string_view bytes, std::span<const Oid> columns, std::size_t row) {
  using Shape = RowShape<T...>;
  std::array<LineField, Shape::Columns::size> fields;
  if (!take_received_fields(bytes, fields))
    throw ResultError{row, "*", std::to_string(fields.size()) + " columns", "others"};
  return make_row<Shape>(ReceivedFields{fields, columns, row});
}

}  // namespace lido::postgres::detail
