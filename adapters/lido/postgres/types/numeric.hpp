// Exact decimal numbers, kept as their digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// A `numeric` with all its digits, for an arithmetic of your choice: `-12.50`, also `NaN` and `Infinity`. Equal are
/// two of the same digits, so that 1.5 and 1.50 are not.
struct Numeric {
  std::string digits;

  friend bool operator==(const Numeric&, const Numeric&) = default;
};

/// `numeric` and integers. A parameter is what the server infers, so that one beside a `bigint` finds its index; where
/// nothing tells, or a function has a variant for `double precision`, write `$1::numeric`. Many are an array of
/// `numeric`.
template <>
struct Converter<Numeric> {
  static constexpr std::string_view name = "lido::postgres::Numeric";
  static constexpr Oid element = detail::oid::numeric;
  static bool accepts(Oid column) noexcept { return detail::is_integer(column); }
  static std::optional<Numeric> read(std::string_view text) {
    if (text != "NaN" && text != "Infinity" && text != "-Infinity" && !is_decimal(text)) return std::nullopt;
    return Numeric{std::string{text}};
  }
  static std::string write(const Numeric& value) { return value.digits; }

 private:
  [[nodiscard]] static bool is_decimal(std::string_view text) noexcept {
    if (text.starts_with('-')) text.remove_prefix(1);
    const std::size_t point = text.find('.');
    if (point != std::string_view::npos && !is_digits(text.substr(point + 1))) return false;
    return is_digits(text.substr(0, point));
  }
  [[nodiscard]] static bool is_digits(std::string_view text) noexcept {
    for (const char c : text)
      if (!detail::is_digit(c)) return false;
    return !text.empty();
  }
};

}  // namespace lido::postgres
