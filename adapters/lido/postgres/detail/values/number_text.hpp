// Numbers as text: what is written does not depend on a number's digits, what is read is what the server has.
#pragma once

#include <locale.h>
#include <stdlib.h>

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                  !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

template <class T>
concept Floating = std::same_as<T, float> || std::same_as<T, double>;

/// `text` without a fraction that is zero: a numeric of 2.00 is the whole number 2.
[[nodiscard]] constexpr std::string_view without_empty_fraction(std::string_view text) noexcept {
  const std::size_t point = text.find('.');
  const bool empty = point != std::string_view::npos && point + 1 < text.size() &&
                     text.find_first_not_of('0', point + 1) == std::string_view::npos;
  return empty ? text.substr(0, point) : text;
}

template <Integer T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{}) return std::nullopt;
  // Hardly ever is there a point: looked for only where the digits have ended.
  if (end != last && !without_empty_fraction({end, last}).empty()) return std::nullopt;
  return value;
}

/// How many characters a number has at most.
template <Integer T>
[[nodiscard]] constexpr std::size_t longest_number() noexcept {
  return std::numeric_limits<T>::digits10 + 3;
}
template <Floating T>
[[nodiscard]] constexpr std::size_t longest_number() noexcept {
  return 400;  // the least double has 326
}

/// Writes a number behind `to`, where there is room for the longest. Returns its end.
template <Integer T>
[[nodiscard]] char* put_number(char* to, T value) noexcept {
  return std::to_chars(to, to + longest_number<T>(), value).ptr;
}
/// Without an exponent, so that a whole number is one for the server too, and by the names that every type of number
/// has for what is none.
template <Floating T>
[[nodiscard]] char* put_number(char* to, T value) noexcept {
  if (!std::isfinite(value)) {
    const std::string_view name = std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
    return to + name.copy(to, name.size());
  }
  // To find the shortest digits takes long, and a whole number has no others.
  constexpr T limit = static_cast<T>(std::uint64_t{1} << std::numeric_limits<T>::digits);
  if (std::fabs(value) < limit && std::trunc(value) == value && (value != 0 || !std::signbit(value)))
    return put_number(to, static_cast<std::int64_t>(value));
  return std::to_chars(to, to + longest_number<T>(), value, std::chars_format::fixed).ptr;
}

template <class T>
[[nodiscard]] std::string print_number(T value) {
  char room[longest_number<T>()];
  return {room, put_number(room, value)};
}

/// Whether `text` is `12`, `-12.5`, or one of these with an exponent.
[[nodiscard]] constexpr bool is_decimal(std::string_view text) noexcept {
  const auto digits = [&text] {
    const std::size_t before = text.size();
    while (!text.empty() && is_digit(text.front())) text.remove_prefix(1);
    return text.size() < before;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  if (!digits()) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (!digits()) return false;
  }
  if (text.starts_with('e')) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (!digits()) return false;
  }
  return text.empty();
}

/// The nearest `T` to a decimal; an infinity or zero where it is out of range.
template <Floating T>
[[nodiscard]] T nearest(std::string_view text) {
  T value{};
  if constexpr (requires { std::from_chars(text.data(), text.data(), value); }) {
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{}) return value;
    return 0;
  } else {
    // libc++ before 20 has no floating from_chars; a C locale of our own keeps the decimal point a point.
    static const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
    const std::string copy{text};
    if constexpr (std::same_as<T, float>) {
      return ::strtof_l(copy.c_str(), nullptr, plain);
    } else {
      return ::strtod_l(copy.c_str(), nullptr, plain);
    }
  }
}

/// Whether `value`, beyond which not every whole number is one of its type, is all of `text`.
template <Floating T>
[[nodiscard]] bool holds_all_of(T value, std::string_view text) {
  if (text.find('e') == std::string_view::npos) return print_number(value) == without_empty_fraction(text);
  // Only columns of float4 and float8 have exponents. What they print is the shortest text that means the number.
  char room[64];
  const char* const end = std::to_chars(room, room + sizeof room, value, std::chars_format::scientific).ptr;
  return nearest<double>({room, end}) == nearest<double>(text);
}

/// A fraction is rounded to the nearest, as in C++ itself; a whole number, or the whole part of a large one, is not.
template <Floating T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text) {
  if (!is_decimal(text)) {
    if (text == "NaN") return std::numeric_limits<T>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<T>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<T>::infinity();
    return std::nullopt;
  }
  const T value = nearest<T>(text);
  if (std::isinf(value)) return std::nullopt;
  if (value == 0 && text.substr(0, text.find('e')).find_first_of("123456789") != std::string_view::npos)
    return std::nullopt;
  constexpr T limit = static_cast<T>(std::uint64_t{1} << std::numeric_limits<T>::digits);
  if (std::fabs(value) >= limit && !holds_all_of(value, text)) return std::nullopt;
  return value;
}

/// The same for what is a float8, whose text may be that of a `float` which it is not.
[[nodiscard]] inline std::optional<float> narrowed(std::string_view text) {
  const std::optional<float> value = parse_number<float>(text);
  constexpr float limit = 1U << std::numeric_limits<float>::digits;
  if (value && std::fabs(*value) >= limit && std::isfinite(*value) &&
      static_cast<double>(*value) != nearest<double>(text))
    return std::nullopt;
  return value;
}

}  // namespace lido::postgres::detail
