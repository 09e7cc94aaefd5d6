// Many rows as one array a column, for `unnest`: they are stored, or looked for, in one round trip.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/array_range.hpp>
#include <lido/postgres/detail/values/fields.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/params.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

/// An array as it is sent.
struct WrittenArray {
  std::string text;
  Oid type;
};

}  // namespace detail

template <>
struct Converter<detail::WrittenArray> {
  static constexpr std::string_view name = "an array";
  static Oid type_of(const detail::WrittenArray& array) noexcept { return array.type; }
  static std::string write(const detail::WrittenArray& array) { return array.text; }
};

namespace detail {

/// The fields of one column, as an array that grows.
template <class Field>
class ColumnArray {
  using Value = unwrapped<Field>;
  static_assert(Text<Value> || Writable<Value> || ByteRange<Value> || ArrayRange<Value>,
                "lido: no parameter can be of this type: specialise lido::postgres::Converter for it, with `write`");
  static_assert(!is_array<Value> && !ArrayRange<Value>,
                "lido: unnest takes arrays in a column apart, down to their elements: use copy_in for such rows");

 public:
  /// Throws `QueryError` for what cannot be passed in parameter `number`.
  void add(const Field& value, std::size_t number) {
    const auto parameter = [&] { return "parameter $" + std::to_string(number); };
    text_ += text_.empty() ? '{' : array_delimiter<Value>();
    constexpr bool quote = !ByteRange<Value> && element_type<Value>() == 0;
    if (!append_element<Field>(text_, value, quote))
      throw QueryError{parameter() + ": holds a value that cannot be passed"};
    check_length(text_.size(), parameter);
    if constexpr (counts) fits_ = fits_ && fits(value);
  }
  [[nodiscard]] WrittenArray take() && {
    text_ += text_.empty() ? "{}" : "}";
    return {std::move(text_), array_of(fits_ ? element : oid::numeric)};
  }

 private:
  static constexpr Oid element = ByteRange<Value> ? oid::bytea : element_type<Value>();
  static constexpr bool counts = std::unsigned_integral<Value> && element == oid::int8;

  [[nodiscard]] static bool fits(const Field& field) noexcept {
    if constexpr (is_optional<Field>)
      return !field || std::in_range<std::int64_t>(*field);
    else
      return std::in_range<std::int64_t>(field);
  }

  std::string text_;
  bool fits_ = true;
};

}  // namespace detail

/// The columns of `rows`, each as an array, in their order: the first is `$1`. Rows are tuples (or pairs, or arrays),
/// or structs whose members are taken in their order; the range is walked over once. For statements that take them
/// apart again: `insert into t select * from unnest($1::int[], $2::text[])`; what the server infers, as it does of
/// texts, needs the cast. Throws `QueryError` for a value that cannot be passed, and what the range throws.
template <std::ranges::input_range Rows>
  requires detail::RowOfFields<std::ranges::range_reference_t<Rows>>
[[nodiscard]] Params arrays_of(Rows&& rows) {
  using Element = std::remove_cvref_t<std::ranges::range_reference_t<Rows>>;
  using Columns = decltype(detail::with_fields(std::declval<const Element&>(), [](const auto&... fields) {
    return std::tuple<detail::ColumnArray<std::remove_cvref_t<decltype(fields)>>...>{};
  }));
  Columns columns;
  for (auto&& row : rows)
    detail::with_fields(std::as_const(row), [&](const auto&... fields) {
      std::apply(
          [&](auto&... column) {
            std::size_t number = 0;
            (column.add(fields, ++number), ...);
          },
          columns);
    });
  Params params;
  std::apply([&](auto&... column) { (params.add(std::move(column).take()), ...); }, columns);
  return params;
}

}  // namespace lido::postgres
