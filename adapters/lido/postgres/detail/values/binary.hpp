// The server's binary format, of those types whose values it says exactly and no setting changes.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/detail/values/number_text.hpp>

namespace lido::postgres::detail {

/// A `Converter` of this library that reads the binary format of columns of the types for which `receives(type)`. Its
/// `receive(bytes)`, or `receive(bytes, type)` where `type` is asked for the type, makes the same of a value as `read`
/// does of its text with the settings that a server has by default. A text is its bytes. One of a user's that derives
/// from it has a `read` of its own, and receives what is no `T`.
template <class As, class T>
concept Receives = requires(Oid type) {
  { As::receives(type) } -> std::same_as<bool>;
} && (std::same_as<T, std::string> || std::same_as<T, std::string_view> || requires(std::string_view bytes) {
  { As::receive(bytes) } -> std::same_as<std::optional<T>>;
} || requires(std::string_view bytes, Oid (*type)()) {
  { As::receive(bytes, type) } -> std::same_as<std::optional<T>>;
});

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

/// A number behind `to`. Returns its end.
template <std::signed_integral N>
[[gnu::always_inline]] inline char* put_binary(char* to, N value) noexcept {
  const auto bits = static_cast<std::uint64_t>(value);
  for (std::size_t i = 0; i < sizeof(N); ++i) to[i] = static_cast<char>(bits >> (8 * (sizeof(N) - 1 - i)) & 0xffU);
  return to + sizeof(N);
}

/// How a value of the type `T`, and of no other that looks like one, is sent in the binary format: those columns are
/// known by `into(type)` for which each value says the same as its text does. `put(to, value, type)` writes at most
/// `longest_sent` bytes and returns their end; null: it cannot be passed.
template <class T>
struct Sent;
inline constexpr std::size_t longest_sent = 16;

template <class T>
concept Sends = requires(char* to, const T& value, Oid type) {
  { Sent<T>::into(type) } -> std::same_as<bool>;
  { Sent<T>::put(to, value, type) } -> std::same_as<char*>;
};

template <Integer T>
struct Sent<T> {
  static constexpr bool into(Oid type) noexcept {
    return (type == oid::int8 && fits<std::int64_t>) || (type == oid::int4 && fits<std::int32_t>) ||
           (type == oid::int2 && fits<std::int16_t>) || (type == oid::object && fits<std::uint32_t>);
  }
  [[gnu::always_inline]] static char* put(char* to, T value, Oid type) noexcept {
    if (type == oid::int8) return put_binary(to, static_cast<std::int64_t>(value));
    if (type == oid::int2) return put_binary(to, static_cast<std::int16_t>(value));
    return put_binary(to, static_cast<std::int32_t>(value));
  }

 private:
  template <class Column>
  static constexpr bool fits =
      std::in_range<Column>(std::numeric_limits<T>::min()) && std::in_range<Column>(std::numeric_limits<T>::max());
};

/// What is no number is always the same one.
template <Floating T>
struct Sent<T> {
  using Bits = std::conditional_t<sizeof(T) == sizeof(std::int32_t), std::int32_t, std::int64_t>;
  static constexpr bool into(Oid type) noexcept {
    return type == (sizeof(T) == sizeof(std::int32_t) ? oid::float4 : oid::float8);
  }
  [[gnu::always_inline]] static char* put(char* to, T value, Oid) noexcept {
    return put_binary(to, std::bit_cast<Bits>(value == value ? value : std::numeric_limits<T>::quiet_NaN()));
  }
};

template <>
struct Sent<bool> {
  static constexpr bool into(Oid type) noexcept { return type == oid::boolean; }
  static char* put(char* to, bool value, Oid) noexcept { return *to = value ? '\1' : '\0', to + 1; }
};

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
