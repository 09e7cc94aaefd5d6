// How C++ values become parameters and columns become C++ values: one specialisation of `Converter` a type. Here are
// numbers, bool and text; the other types of values.hpp have headers of their own.
#pragma once

#include <locale.h>
#include <stdlib.h>

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <libpq-fe.h>

#include <lido/postgres/detail/catalog.hpp>

namespace lido::postgres {

/// Specialise this for a type of your own; smallest model:
///
///     template <>
///     struct lido::postgres::Converter<Colour> {
///       static constexpr std::string_view name = "Colour";                 // for messages
///       static std::optional<Colour> read(std::string_view text);          // nothing: not a Colour
///       static std::string write(const Colour& colour);                    // only for parameters
///     };
///
/// What else it may have:
///
/// | member | without it |
/// |---|---|
/// | `static bool accepts(Oid type)`: which types of columns are read | any is |
/// | `static std::string_view reason(std::string_view text)`: why `read` returned nothing, for the message | "a value
/// that does not fit" | | `static constexpr Oid type`: the type of a parameter | the server infers it from where the
/// parameter stands | | `static constexpr Oid element`: the type of the elements when many are passed as an array |
/// `type` | | `static std::span<const std::byte> bytes(const T&)`: the value in the server's binary format, a view into
/// it, which then is sent instead of what `write` returns | text is sent |
///
/// `write` may return a `std::optional<std::string>`; nothing means that the value cannot be passed.
template <class T>
struct Converter;

/// A type that a column can be read as.
template <class T>
concept Readable = requires(std::string_view text) {
  { Converter<T>::name } -> std::convertible_to<std::string_view>;
  { Converter<T>::read(text) } -> std::same_as<std::optional<T>>;
};

/// A type that can be passed as a parameter.
template <class T>
concept Writable = requires(const T& value) {
  { Converter<T>::write(value) } -> std::convertible_to<std::optional<std::string>>;
};

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                  !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
concept Floating = std::same_as<T, float> || std::same_as<T, double>;

template <class T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text) {
  T value{};
  if constexpr (requires { std::from_chars(text.data(), text.data(), value); }) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  } else {
    // libc++ before 20 has no floating from_chars; a C locale of our own keeps the decimal point a point.
    static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
    const std::string copy{text};
    char* end = nullptr;
    value = static_cast<T>(::strtod_l(copy.c_str(), &end, plain));
    if (copy.empty() || end != copy.c_str() + copy.size()) return std::nullopt;
  }
  return value;
}

template <class T>
[[nodiscard]] std::string print_number(T value) {
  char room[64];
  const auto [end, error] = std::to_chars(room, room + sizeof room, value);
  return error == std::errc{} ? std::string{room, end} : std::string{};
}

[[nodiscard]] constexpr bool is_integer(Oid type) noexcept {
  return type == oid::int4 || type == oid::int8 || type == oid::int2 || type == oid::numeric || type == oid::object;
}
[[nodiscard]] constexpr bool is_number(Oid type) noexcept {
  return type == oid::float8 || type == oid::float4 || is_integer(type);
}

}  // namespace detail

/// Integers: `int2`, `int4`, `int8`, `oid` and `numeric`, the value checked against the range of `T`.
template <detail::Integer T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == 1   ? (std::signed_integral<T> ? "int8_t" : "uint8_t")
                                           : sizeof(T) == 2 ? (std::signed_integral<T> ? "int16_t" : "uint16_t")
                                           : sizeof(T) == 4 ? (std::signed_integral<T> ? "int32_t" : "uint32_t")
                                                            : (std::signed_integral<T> ? "int64_t" : "uint64_t");
  // The smallest that holds every T.
  static constexpr Oid element = sizeof(T) + std::unsigned_integral<T> <= 2   ? detail::oid::int2
                                 : sizeof(T) + std::unsigned_integral<T> <= 4 ? detail::oid::int4
                                 : sizeof(T) + std::unsigned_integral<T> <= 8 ? detail::oid::int8
                                                                              : detail::oid::numeric;
  static bool accepts(Oid type) noexcept { return detail::is_integer(type); }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static std::string write(T value) { return detail::print_number(value); }
};

/// `float4` and `float8`, and what integers are read from.
template <detail::Floating T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == sizeof(float) ? "float" : "double";
  static constexpr Oid element = sizeof(T) == sizeof(float) ? detail::oid::float4 : detail::oid::float8;
  static bool accepts(Oid type) noexcept { return detail::is_number(type); }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static std::string write(T value) { return detail::print_number(value); }
};

template <>
struct Converter<bool> {
  static constexpr std::string_view name = "bool";
  static constexpr Oid element = detail::oid::boolean;
  static bool accepts(Oid type) noexcept { return type == detail::oid::boolean; }
  static std::optional<bool> read(std::string_view text) {
    if (text == "t") return true;
    if (text == "f") return false;
    return std::nullopt;
  }
  static std::string write(bool value) { return value ? "t" : "f"; }
};

/// Any column can be read as its text.
template <>
struct Converter<std::string> {
  static constexpr std::string_view name = "std::string";
  static std::optional<std::string> read(std::string_view text) { return std::string{text}; }
  static std::string write(const std::string& value) { return value; }
};

/// A column is read as a view of its text too, see `Field::as`; nothing else is, as it would dangle.
template <>
struct Converter<std::string_view> {
  static constexpr std::string_view name = "std::string_view";
  static std::string write(std::string_view value) { return std::string{value}; }
};

}  // namespace lido::postgres
