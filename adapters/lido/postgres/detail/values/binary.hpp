// The server's binary format, of those types whose values it says exactly and no setting changes.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/detail/values/number_text.hpp>

namespace lido::postgres::detail {

/// A `Converter` of this library that reads the binary format of columns of the types for which `receives(type)`. Its
/// `receive(bytes)`, or `receive(bytes, type)` where `type` is asked for the type, makes the same of a value as `read`
/// does of its text with the settings that a server has by default.
template <class As>
concept Receives = requires(Oid type) {
  { As::receives(type) } -> std::same_as<bool>;
};

[[nodiscard]] constexpr bool is_text(Oid type) noexcept {
  return type == oid::text || type == oid::varchar || type == oid::bpchar || type == oid::name;
}

/// Nothing unless there are just as many bytes.
template <std::signed_integral N>
[[nodiscard]] constexpr std::optional<N> received(std::string_view bytes) noexcept {
  if (bytes.size() != sizeof(N)) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(N); ++i) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return static_cast<N>(static_cast<std::make_unsigned_t<N>>(value));
}

/// An `int2`, `int4`, `int8` or `oid`; nothing where it is out of the range of `T`.
template <Integer T, class Type>
[[nodiscard]] constexpr std::optional<T> received_integer(std::string_view bytes, Type type) noexcept {
  std::optional<std::int64_t> value;
  if (bytes.size() == sizeof(std::int32_t)) {
    value = received<std::int32_t>(bytes);
    if (*value < 0 && type() == oid::object) *value += std::int64_t{1} << 32U;  // that has no sign
  } else if (bytes.size() == sizeof(std::int64_t)) {
    value = received<std::int64_t>(bytes);
  } else {
    value = received<std::int16_t>(bytes);
  }
  return value && std::in_range<T>(*value) ? std::optional{static_cast<T>(*value)} : std::nullopt;
}

/// A `float4` as a `float`, or a `float8` as a `double`. What is no number is always the same one.
template <Floating T>
[[nodiscard]] constexpr std::optional<T> received_floating(std::string_view bytes) noexcept {
  using Bits = std::conditional_t<sizeof(T) == sizeof(std::int32_t), std::int32_t, std::int64_t>;
  const std::optional<Bits> bits = received<Bits>(bytes);
  if (!bits) return std::nullopt;
  const T value = std::bit_cast<T>(*bits);
  return value == value ? value : std::numeric_limits<T>::quiet_NaN();
}

/// Of a `date`, `timestamp` or `timestamptz`: 1 for infinity, -1 for that which is earlier than each, else 0.
[[nodiscard]] constexpr int infinity_of(std::string_view bytes) noexcept {
  const auto sign = [](auto value) {
    using Limits = std::numeric_limits<typename decltype(value)::value_type>;
    return value == Limits::max() ? 1 : value == Limits::min() ? -1 : 0;
  };
  return bytes.size() == sizeof(std::int32_t) ? sign(received<std::int32_t>(bytes))
                                              : sign(received<std::int64_t>(bytes));
}

}  // namespace lido::postgres::detail
