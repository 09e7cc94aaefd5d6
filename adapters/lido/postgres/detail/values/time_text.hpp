// Dates and times as the server writes them with DateStyle ISO, and intervals with IntervalStyle postgres: the usual
// ones. What the other styles write is told apart, never read wrongly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/values/calendar.hpp>

namespace lido::postgres::detail {

/// Walks over such a text.
class TimeText {
 public:
  explicit constexpr TimeText(std::string_view text) noexcept : rest_{text} {}

  [[nodiscard]] constexpr bool done() const noexcept { return rest_.empty(); }
  [[nodiscard]] constexpr bool take(std::string_view text) noexcept {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  /// A number of that many digits, at most 18.
  [[nodiscard]] constexpr std::optional<std::int64_t> number(std::size_t least, std::size_t most) noexcept {
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < most && digits < rest_.size() && is_digit(rest_[digits]); ++digits)
      value = value * 10 + (rest_[digits] - '0');
    if (digits < least) return std::nullopt;
    rest_.remove_prefix(digits);
    return value;
  }

  /// `2024-02-29`, without the era.
  [[nodiscard]] constexpr std::optional<Civil> date() noexcept {
    const std::optional<std::int64_t> year = number(4, 7);
    if (!year || *year == 0 || !take("-")) return std::nullopt;
    const std::optional<std::int64_t> month = number(2, 2);
    if (!month || *month < 1 || *month > 12 || !take("-")) return std::nullopt;
    const std::optional<std::int64_t> day = number(2, 2);
    if (!day) return std::nullopt;
    return Civil{*year, *month, *day};
  }

  /// `23:59:59.123456`, or with more hours, in microseconds of that sign.
  [[nodiscard]] constexpr std::optional<std::int64_t> time(std::size_t digits_of_hours,
                                                           std::int64_t sign = 1) noexcept {
    const std::optional<std::int64_t> hours = number(2, digits_of_hours);
    if (!hours || !take(":")) return std::nullopt;
    const std::optional<std::int64_t> minutes = number(2, 2);
    if (!minutes || *minutes > 59 || !take(":")) return std::nullopt;
    const std::optional<std::int64_t> seconds = number(2, 2);
    if (!seconds || *seconds > 59) return std::nullopt;
    std::int64_t fraction = 0;
    if (take(".")) {
      const std::size_t before = rest_.size();
      const std::optional<std::int64_t> digits = number(1, 6);
      if (!digits) return std::nullopt;
      fraction = *digits;
      for (std::size_t count = before - rest_.size(); count < 6; ++count) fraction *= 10;
    }
    std::int64_t total = sign * *hours;
    const std::int64_t rest = (*minutes * 60 + *seconds) * 1'000'000 + fraction;
    if (!multiply(total, 3'600'000'000) || !add(total, sign * rest)) return std::nullopt;
    return total;
  }

  /// `+01`, `-03:30`, or with seconds, in microseconds to the east.
  [[nodiscard]] constexpr std::optional<std::int64_t> offset() noexcept {
    const bool west = take("-");
    if (!west && !take("+")) return std::nullopt;
    std::int64_t total = 0;
    std::int64_t unit = 3'600'000'000;
    do {
      const std::optional<std::int64_t> part = number(2, 2);
      if (!part || *part > 59) return std::nullopt;
      total += *part * unit;
      unit /= 60;
    } while (unit >= 1'000'000 && take(":"));
    return west ? -total : total;
  }

 private:
  std::string_view rest_;
};

[[nodiscard]] constexpr std::optional<Civil> valid(Civil date, bool before_christ) noexcept {
  if (before_christ) date.year = 1 - date.year;
  if (civil_of(days_of(date)) != date) return std::nullopt;  // for instance a 30th of February
  return date;
}

/// A `date`.
[[nodiscard]] constexpr std::optional<Civil> read_date(std::string_view text) noexcept {
  TimeText rest{text};
  const std::optional<Civil> date = rest.date();
  const bool before_christ = rest.take(" BC");
  if (!date || !rest.done()) return std::nullopt;
  return valid(*date, before_christ);
}

/// A `timestamp`, or with an offset from UTC a `timestamptz`, in microseconds since 1970.
[[nodiscard]] constexpr std::optional<std::int64_t> read_timestamp(std::string_view text, bool has_offset) noexcept {
  TimeText rest{text};
  const std::optional<Civil> date = rest.date();
  if (!date || !rest.take(" ")) return std::nullopt;
  const std::optional<std::int64_t> time = rest.time(2);
  if (!time || *time >= microseconds_a_day) return std::nullopt;
  const std::optional<std::int64_t> offset = has_offset ? rest.offset() : 0;
  const bool before_christ = rest.take(" BC");
  if (!offset || !rest.done()) return std::nullopt;
  const std::optional<Civil> correct = valid(*date, before_christ);
  if (!correct) return std::nullopt;
  std::int64_t total = days_of(*correct);
  if (!multiply(total, microseconds_a_day) || !add(total, *time) || !add(total, -*offset)) return std::nullopt;
  return total;
}

/// A `time`, in microseconds since midnight; 24:00:00 is one.
[[nodiscard]] constexpr std::optional<std::int64_t> read_time(std::string_view text) noexcept {
  TimeText rest{text};
  const std::optional<std::int64_t> time = rest.time(2);
  return time && rest.done() && *time <= microseconds_a_day ? time : std::nullopt;
}

/// An `interval` without months, in microseconds; a day has 24 hours.
[[nodiscard]] constexpr std::optional<std::int64_t> read_interval(std::string_view text) noexcept {
  TimeText rest{text};
  std::int64_t total = 0;
  for (bool any = false; !rest.done(); any = true) {
    if (any && !rest.take(" ")) return std::nullopt;
    const std::int64_t sign = rest.take("-") ? -1 : 1;
    if (sign > 0) static_cast<void>(rest.take("+"));
    TimeText ahead = rest;
    std::optional<std::int64_t> part = ahead.number(1, 18);
    if (part && (ahead.take(" days") || ahead.take(" day"))) {
      *part *= sign;
      if (!multiply(*part, microseconds_a_day)) return std::nullopt;
    } else {  // comes last
      ahead = rest;
      part = ahead.time(12, sign);
      if (!part || !ahead.done()) return std::nullopt;
    }
    if (!add(total, *part)) return std::nullopt;
    rest = ahead;
  }
  return text.empty() ? std::nullopt : std::optional{total};
}

/// An `interval` of months and years alone, in months.
[[nodiscard]] constexpr std::optional<std::int64_t> read_months(std::string_view text) noexcept {
  if (text == "00:00:00") return 0;
  TimeText rest{text};
  const auto part = [&rest](std::string_view one, std::string_view several) -> std::optional<std::int64_t> {
    TimeText ahead = rest;
    const std::int64_t sign = ahead.take("-") ? -1 : 1;
    if (sign > 0) static_cast<void>(ahead.take("+"));
    const std::optional<std::int64_t> count = ahead.number(1, 10);
    if (!count || !(ahead.take(several) || ahead.take(one))) return std::nullopt;
    rest = ahead;
    return sign * *count;
  };
  const std::optional<std::int64_t> years = part(" year", " years");
  if (years && rest.done()) return *years * 12;
  if (years && !rest.take(" ")) return std::nullopt;
  const std::optional<std::int64_t> months = part(" mon", " mons");
  if (!months || !rest.done()) return std::nullopt;
  return years.value_or(0) * 12 + *months;
}

inline void append_padded(std::string& text, std::uint64_t value, std::size_t width) {
  const std::string digits = std::to_string(value);
  if (digits.size() < width) text.append(width - digits.size(), '0');
  text += digits;
}

[[nodiscard]] inline std::string print_date(const Civil& date) {
  std::string text;
  append_padded(text, static_cast<std::uint64_t>(date.year > 0 ? date.year : 1 - date.year), 4);
  text += '-';
  append_padded(text, static_cast<std::uint64_t>(date.month), 2);
  text += '-';
  append_padded(text, static_cast<std::uint64_t>(date.day), 2);
  return text;
}

/// What a date ends with.
[[nodiscard]] constexpr std::string_view era(const Civil& date) noexcept { return date.year > 0 ? "" : " BC"; }

/// A `date`, by the days since 1970; nothing in a year that the server does not know.
[[nodiscard]] inline std::optional<std::string> print_days(std::int64_t days) {
  constexpr std::int64_t most = 3'650'000'000;  // of seven digits, as many as are read
  if (days < -most || days > most) return std::nullopt;
  const Civil date = civil_of(days);
  return print_date(date).append(era(date));
}

/// A time of day or an interval.
[[nodiscard]] inline std::string print_time(std::int64_t microseconds) {
  std::string text = microseconds < 0 ? "-" : "";
  // Unsigned, as the least value has no opposite.
  const std::uint64_t size =
      microseconds < 0 ? 0 - static_cast<std::uint64_t>(microseconds) : static_cast<std::uint64_t>(microseconds);
  append_padded(text, size / 3'600'000'000, 2);
  text += ':';
  append_padded(text, size / 60'000'000 % 60, 2);
  text += ':';
  append_padded(text, size / 1'000'000 % 60, 2);
  text += '.';
  append_padded(text, size % 1'000'000, 6);
  return text;
}

/// A `timestamp` or `timestamptz`, with `offset` behind the time.
[[nodiscard]] inline std::string print_timestamp(std::int64_t microseconds, std::string_view offset) {
  const std::int64_t days = floor_divide(microseconds, microseconds_a_day);
  const Civil date = civil_of(days);
  std::string text = print_date(date) + ' ' + print_time(microseconds - days * microseconds_a_day);
  text += offset;
  text += era(date);
  return text;
}

/// Why a date or time could not be read.
[[nodiscard]] inline std::string_view why_no_time(std::string_view text) noexcept {
  if (text.ends_with("infinity")) return "infinity, which it cannot hold";
  TimeText rest{text};
  if (!rest.date()) return "a text that is not in ISO style (set datestyle to 'ISO')";
  return "a value that it cannot hold exactly";
}

}  // namespace lido::postgres::detail
