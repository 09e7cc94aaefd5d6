// The settings of options.hpp as text.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include <lido/detail/concat.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/options.hpp>

namespace lido::postgres::detail {

struct Unit {
  std::string_view name;
  Duration span;
};
// As PostgreSQL spells them, and nanoseconds; the greatest first.
inline constexpr std::array units{Unit{"d", std::chrono::hours{24}},        Unit{"h", std::chrono::hours{1}},
                                  Unit{"min", std::chrono::minutes{1}},     Unit{"s", std::chrono::seconds{1}},
                                  Unit{"ms", std::chrono::milliseconds{1}}, Unit{"us", std::chrono::microseconds{1}},
                                  Unit{"ns", std::chrono::nanoseconds{1}}};

/// The whole of `text` as a number without a sign.
template <class Number>
[[nodiscard]] std::optional<Number> whole_number(std::string_view text) noexcept {
  const std::optional<Number> number = take_number<Number>(text);
  return text.empty() ? number : std::nullopt;
}

/// A duration of zero or more: a number and a unit, a number of seconds without one, or `never`. A fraction has to be
/// exact in nanoseconds.
[[nodiscard]] inline std::optional<Duration> parse_duration(std::string_view text) noexcept {
  if (text == "never") return Duration::max();
  const auto next_digits = [&text] {
    const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
    text.remove_prefix(digits.size());
    return digits;
  };
  const std::optional<std::int64_t> count = whole_number<std::int64_t>(next_digits());
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = next_digits();
    if (fraction.empty()) return std::nullopt;
  }
  const std::string_view name = text.empty() ? std::string_view{"s"} : text;
  const auto* const unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& each) { return each.name == name; });
  if (!count || unit == units.end()) return std::nullopt;
  // Below the greatest duration, which would mean something else; with room for the fraction.
  if (*count > (Duration::max() - Duration{1}) / unit->span - (fraction.empty() ? 0 : 1)) return std::nullopt;
  Duration span = *count * unit->span;
  Duration part = unit->span;
  for (const char digit : fraction) {
    if (part % 10 != Duration::zero()) return std::nullopt;
    part /= 10;
    span += (digit - '0') * part;
  }
  return span;
}

[[nodiscard]] inline std::string print_duration(Duration span) {
  if (span == Duration::max()) return "never";
  if (span == Duration::zero()) return "0";
  for (const Unit& unit : units)
    if (span % unit.span == Duration::zero())
      return lido::detail::concat({lido::detail::decimal(span / unit.span), unit.name});
  return "";
}

[[nodiscard]] inline std::optional<bool> parse_flag(std::string_view text) {
  std::string word;
  for (const char c : text) word.append(1, lower(c));
  for (const std::string_view yes : {"true", "1", "yes", "on"})
    if (word == yes) return true;
  for (const std::string_view no : {"false", "0", "no", "off"})
    if (word == no) return false;
  return std::nullopt;
}

[[nodiscard]] inline std::optional<ResetLevel> parse_reset_level(std::string_view text) noexcept {
  for (std::uint8_t value = 0; to_string(ResetLevel{value}) != "unknown"; ++value)
    if (to_string(ResetLevel{value}) == text) return ResetLevel{value};
  return std::nullopt;
}

/// What the text of `setting` has to be, for errors.
[[nodiscard]] inline std::string expected_of(const OptionSetting& setting) {
  using lido::detail::concat, lido::detail::decimal;
  const auto range = [&](std::string_view end) {
    return concat({"a whole number from ", decimal(setting.least), " to ", decimal(setting.most), end});
  };
  const auto expected = [&]<class T>(T Options::*) -> std::string {
    if constexpr (std::is_same_v<T, std::size_t>)
      return setting.most == any_number
                 ? concat({"a whole number of at least ", decimal(setting.least), ", or unlimited"})
                 : range("");
    if constexpr (std::is_same_v<T, std::optional<std::size_t>>) return range(", or default");
    if constexpr (std::is_same_v<T, Duration>)
      return concat({setting.zero ? "a duration of zero or more" : "a duration above zero",
                     ": 500ms, 30s, 5min, 2h, 1d, a number of seconds, or never", setting.zero ? "" : " (-1)"});
    if constexpr (std::is_same_v<T, bool>) return "true, 1, yes or on, or false, 0, no or off";
    if constexpr (std::is_same_v<T, ResetLevel>) {
      std::string names = "one of";
      for (std::uint8_t value = 0; to_string(ResetLevel{value}) != "unknown"; ++value)
        names.append(value == 0 ? " " : ", ").append(to_string(ResetLevel{value}));
      return names;
    }
    return "text";
  };
  return std::visit(expected, setting.member);
}

/// Within the range of `setting`; nothing where it is not.
[[nodiscard]] inline std::optional<std::size_t> parse_count(const OptionSetting& setting,
                                                            std::string_view text) noexcept {
  if (text == "unlimited" && setting.most == any_number) return any_number;
  const std::optional<std::size_t> number = whole_number<std::size_t>(text);
  return number && *number >= setting.least && *number <= setting.most ? number : std::nullopt;
}

/// Sets an option to what `text` says; false, and nothing is changed, where that is not as `expected_of` says.
[[nodiscard]] inline bool assign(Options& options, const OptionSetting& setting, std::string_view text) {
  const auto set = [&]<class T>(T Options::* member) {
    const auto parsed = [&]() -> std::optional<T> {
      if constexpr (std::is_same_v<T, std::size_t>) {
        return parse_count(setting, text);
      } else if constexpr (std::is_same_v<T, std::optional<std::size_t>>) {
        if (text == "default") return T{};
        const std::optional<std::size_t> number = parse_count(setting, text);
        return number ? std::optional<T>{number} : std::nullopt;
      } else if constexpr (std::is_same_v<T, Duration>) {
        if (text == "-1" && !setting.zero) return Duration::max();
        const std::optional<Duration> span = parse_duration(text);
        return span && (setting.zero || *span > Duration::zero()) ? span : std::nullopt;
      } else if constexpr (std::is_same_v<T, bool>) {
        return parse_flag(text);
      } else if constexpr (std::is_same_v<T, ResetLevel>) {
        return parse_reset_level(text);
      } else {
        return std::string{text};
      }
    }();
    if (parsed) options.*member = *parsed;
    return parsed.has_value();
  };
  return std::visit(set, setting.member);
}

/// The value of an option, as `assign` reads it.
[[nodiscard]] inline std::string print(const Options& options, const OptionSetting& setting) {
  const auto text = [&]<class T>(T Options::* member) -> std::string {
    if constexpr (std::is_same_v<T, Duration>) return print_duration(options.*member);
    if constexpr (std::is_same_v<T, bool>) return options.*member ? "true" : "false";
    if constexpr (std::is_same_v<T, ResetLevel>) return std::string{to_string(options.*member)};
    if constexpr (std::is_same_v<T, std::size_t>)
      return setting.most == any_number && options.*member == any_number ? "unlimited"
                                                                         : lido::detail::decimal(options.*member);
    if constexpr (std::is_same_v<T, std::optional<std::size_t>>)
      return options.*member ? lido::detail::decimal(*(options.*member)) : "default";
    if constexpr (std::is_same_v<T, std::string>) return options.*member;
  };
  return std::visit(text, setting.member);
}

}  // namespace lido::postgres::detail
