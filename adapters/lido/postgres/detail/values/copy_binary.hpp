// Rows in the binary format of COPY: which may be, and how they are written.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/detail/values/array_range.hpp>
#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/values/fields.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/values/out_buffer.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/values/without_optional.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/bytea.hpp>

namespace lido::postgres::detail {

/// Bytes in whatever holds them, but for a type of the user's.
template <class T>
concept SentBytes =
    ByteRange<T> || std::same_as<T, std::vector<std::byte>> || std::same_as<T, std::span<const std::byte>>;

/// Sent in the binary format, for what the `Converter` is this library's.
template <class T>
concept SentAsItIs = Sends<T> && Receives<Converter<T>, T>;

/// Whether a value of the type `T` can be sent at all.
template <class T>
inline constexpr bool may_be_sent = Null<T> || PassedAsText<T> || SentBytes<T> || SentAsItIs<T>;
template <class T>
inline constexpr bool may_be_sent<std::optional<T>> = may_be_sent<T>;

/// Whether all values of the type `T` say the same in a column of `type` as their texts do. Not in a `name`, which the
/// server cuts in a text alone.
template <class T>
[[nodiscard]] constexpr bool is_sent_into(Oid type) noexcept {
  using Value = without_optional<T>;
  if constexpr (Null<Value>) {
    return true;
  } else if constexpr (PassedAsText<Value>) {
    return is_text(type) && type != oid::name;
  } else if constexpr (SentBytes<Value>) {
    return type == oid::bytea;
  } else {
    return Sent<Value>::into(type);
  }
}

struct ListTypes {
  template <class... Fields>
  constexpr TypeList<Fields...> operator()(const Fields&...) const noexcept {
    return {};  // never called; there is a body, as Clang wants one for types of unnamed namespaces
  }
};
/// The types of the fields of a row.
template <RowOfFields Row>
using fields_of = decltype(with_fields(std::declval<const std::remove_cvref_t<Row>&>(), ListTypes{}));

/// Whether the text of such a value is long, or takes long to write and to read. That of an integer does not.
template <class T>
inline constexpr bool gains_when_sent = SentBytes<T> || (SentAsItIs<T> && !Integer<T> && !std::same_as<T, bool>);

/// Whether the rows may go in the binary format for all that is known without the server, and whether that pays.
template <RowOfFields Row>
inline constexpr bool may_gain_by_binary = []<class... F>(TypeList<F...>) {
  return (may_be_sent<F> && ...) && (gains_when_sent<without_optional<F>> || ...);
}(fields_of<Row>{});

/// Whether they may for columns of these types.
template <RowOfFields Row>
[[nodiscard]] bool are_sent_into(std::span<const Oid> columns) noexcept {
  return [&]<class... F>(TypeList<F...>) {
    std::size_t column = 0;
    return columns.size() == sizeof...(F) && (is_sent_into<F>(columns[column++]) && ...);
  }(fields_of<Row>{});
}

inline void append_sent(OutBuffer& row, std::string_view bytes) {
  check_length(bytes.size(), [] { return std::string{"a row of a COPY"}; });
  char* const to = row.room(sizeof(std::int32_t) + bytes.size());
  char* const begin = put_binary(to, static_cast<std::int32_t>(bytes.size()));
  if (!bytes.empty()) std::memcpy(begin, bytes.data(), bytes.size());
  row.filled(begin + bytes.size());
}
inline void append_sent_null(OutBuffer& row) { row.filled(put_binary(row.room(4), std::int32_t{-1})); }

/// Appends `value` as a field of a row, of a column of `type`.
template <Parameter T>
void append_sent_field(OutBuffer& row, const T& value, Oid type) {
  if constexpr (Null<T>) {
    append_sent_null(row);
  } else if constexpr (is_optional<T>) {
    value ? append_sent_field(row, *value, type) : append_sent_null(row);
  } else if constexpr (PassedAsText<T>) {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return append_sent_null(row);
    }
    const std::string_view text{value};
    if (text.find('\0') != std::string_view::npos) refuse_zero_byte();
    append_sent(row, text);
  } else if constexpr (SentBytes<T>) {
    const std::span<const std::byte> bytes = AsParameter<T>::bytes(value);
    append_sent(row, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } else {
    char* const to = row.room(sizeof(std::int32_t) + longest_sent);
    char* const begin = to + sizeof(std::int32_t);
    char* const end = Sent<T>::put(begin, value, type);
    if (end == nullptr) refuse_value("COPY", AsParameter<T>::name);
    put_binary(to, static_cast<std::int32_t>(end - begin));
    row.filled(end);
  }
}

/// A row, whose fields go into columns of these types.
template <RowOfFields Row>
void append_sent_row(OutBuffer& rows, const Row& row, const std::vector<Oid>& columns) {
  rows.filled(put_binary(rows.room(sizeof(std::int16_t)), static_cast<std::int16_t>(columns.size())));
  with_fields(row, [&](const auto&... fields) {
    const Oid* column = columns.data();
    (append_sent_field(rows, fields, *column++), ...);
  });
}

}  // namespace lido::postgres::detail
