// Text put together of pieces, for messages: a call each, where `+` has the compiler write out every piece.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace lido::detail {

[[nodiscard, gnu::cold, gnu::noinline]] inline std::string concat(std::initializer_list<std::string_view> pieces) {
  std::string text;
  for (const std::string_view piece : pieces) text.append(piece);
  return text;
}

[[nodiscard, gnu::cold, gnu::noinline]] inline std::string decimal_text(std::uint64_t number, bool negative) {
  char digits[21];
  std::size_t at = sizeof digits;
  do digits[--at] = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  if (negative) digits[--at] = '-';
  return {digits + at, sizeof digits - at};
}

// As `std::to_string`.
template <std::integral Number>
[[nodiscard]] std::string decimal(Number number) {
  const bool negative = std::cmp_less(number, 0);
  const auto bits = static_cast<std::uint64_t>(number);
  return decimal_text(negative ? 0 - bits : bits, negative);
}

}  // namespace lido::detail
