// How C++ values become parameters and columns become C++ values: one specialisation of `Converter` a type.
#pragma once

#include <locale.h>
#include <stdlib.h>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <libpq-fe.h>

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
/// `static bool accepts(Oid type)` restricts the column types that are read; without it any is.
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
  { Converter<T>::write(value) } -> std::convertible_to<std::string>;
};

namespace detail {

// The numbers of the server's types, fixed for ever by src/include/catalog/pg_type.dat.
namespace oid {
inline constexpr Oid boolean = 16, bytea = 17, int8 = 20, int2 = 21, int4 = 23, object = 26, float4 = 700, float8 = 701,
                     numeric = 1700;
}

/// The server's name of a usual type, or its number.
[[nodiscard]] inline std::string type_name(Oid type) {
  struct Entry {
    Oid type;
    std::string_view name;
  };
  static constexpr Entry known[] = {
      {16, "bool"},       {17, "bytea"},     {18, "char"},   {19, "name"},   {20, "int8"},        {21, "int2"},
      {23, "int4"},       {25, "text"},      {26, "oid"},    {114, "json"},  {700, "float4"},     {701, "float8"},
      {1042, "bpchar"},   {1043, "varchar"}, {1082, "date"}, {1083, "time"}, {1114, "timestamp"}, {1184, "timestamptz"},
      {1186, "interval"}, {1700, "numeric"}, {2278, "void"}, {2950, "uuid"}, {3802, "jsonb"},
  };
  for (const Entry& entry : known)
    if (entry.type == type) return std::string{entry.name};
  return "the type with OID " + std::to_string(type);
}

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

}  // namespace detail

template <detail::Integer T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == 1   ? (std::signed_integral<T> ? "int8_t" : "uint8_t")
                                           : sizeof(T) == 2 ? (std::signed_integral<T> ? "int16_t" : "uint16_t")
                                           : sizeof(T) == 4 ? (std::signed_integral<T> ? "int32_t" : "uint32_t")
                                                            : (std::signed_integral<T> ? "int64_t" : "uint64_t");
  static bool accepts(Oid type) noexcept {
    using namespace detail;
    return type == oid::int4 || type == oid::int8 || type == oid::int2 || type == oid::numeric || type == oid::object;
  }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static std::string write(T value) { return detail::print_number(value); }
};

template <detail::Floating T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == sizeof(float) ? "float" : "double";
  static bool accepts(Oid type) noexcept {
    using namespace detail;
    return type == oid::float8 || type == oid::float4 || Converter<int>::accepts(type);
  }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static std::string write(T value) { return detail::print_number(value); }
};

template <>
struct Converter<bool> {
  static constexpr std::string_view name = "bool";
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

/// `bytea`.
template <>
struct Converter<std::vector<std::byte>> {
  static constexpr std::string_view name = "std::vector<std::byte>";
  static bool accepts(Oid type) noexcept { return type == detail::oid::bytea; }
  static std::optional<std::vector<std::byte>> read(std::string_view text) {
    if (!text.starts_with("\\x") || text.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() / 2 - 1);
    for (std::size_t i = 2; i < text.size(); i += 2) {
      unsigned value = 0;
      const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
      if (error != std::errc{} || end != text.data() + i + 2) return std::nullopt;
      bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
  }
  static std::string write(const std::vector<std::byte>& bytes) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text = "\\x";
    text.reserve(2 + 2 * bytes.size());
    for (const std::byte byte : bytes) {
      text += digits[std::to_integer<std::size_t>(byte >> 4)];
      text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    return text;
  }
};

}  // namespace lido::postgres
