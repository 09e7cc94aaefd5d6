// Dates and times as the server writes them with DateStyle ISO, and intervals with IntervalStyle postgres: the usual
// ones. What the other styles write is told apart, never read wrongly.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

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

/// Eight characters, the first in the lowest byte.
[[nodiscard]] constexpr std::uint64_t eight_of(const char* text) noexcept {
  std::uint64_t eight = 0;
  if (std::endian::native == std::endian::little && !std::is_constant_evaluated())
    std::memcpy(&eight, text, 8);
  else
    for (int i = 7; i >= 0; --i) eight = eight << 8U | static_cast<unsigned char>(text[i]);
  return eight;
}

/// What eight characters are to be: a digit where `text` has a 0, else what it has.
struct EightForm {
  consteval explicit EightForm(const char (&text)[9]) : characters{eight_of(text)} {
    for (unsigned i = 0; i < 8; ++i) digits |= std::uint64_t{text[i] == '0'} << 8 * i;
  }
  std::uint64_t characters;
  std::uint64_t digits = 0;  // a one for each
};

/// The digits by twos: each byte has ten times its own digit and the next. `wrong` is set where something else has
/// come.
[[nodiscard]] constexpr std::uint64_t digits_by_twos(const char* text, EightForm form, bool& wrong) noexcept {
  const std::uint64_t values = eight_of(text) ^ form.characters;
  const std::uint64_t above_nine = ((values + form.digits * (0x80 - 10)) | values) & form.digits << 7U;
  const std::uint64_t others = values & ~(form.digits * 0xff);
  wrong = wrong || (above_nine | others) != 0;
  return values * 10 + (values >> 8U);
}

/// A `timestamp` in its usual form, in one pass; nothing for any other form, which may be a timestamp all the same.
[[nodiscard]] constexpr std::optional<std::int64_t> read_usual_timestamp(std::string_view text,
                                                                         bool has_offset) noexcept {
  constexpr std::size_t usual = 19;  // characters without the fraction and the offset
  if (text.size() < usual) return std::nullopt;
  const auto byte = [](std::uint64_t of, unsigned number) {
    return static_cast<std::uint32_t>(of >> 8 * number & 0xff);
  };
  bool wrong = false;
  const auto two = [&](std::size_t at) {
    wrong = wrong || !is_digit(text[at]) || !is_digit(text[at + 1]);
    return static_cast<std::uint32_t>((text[at] - '0') * 10 + (text[at + 1] - '0'));
  };
  const std::uint64_t date = digits_by_twos(text.data(), EightForm{"0000-00-"}, wrong);
  const std::uint64_t time = digits_by_twos(text.data() + 11, EightForm{"00:00:00"}, wrong);
  const std::uint32_t year = byte(date, 0) * 100 + byte(date, 2), month = byte(date, 5), day = two(8);
  const std::uint32_t hours = byte(time, 0), minutes = byte(time, 3), seconds = byte(time, 6);
  // What is beyond the 28th is not for here to judge.
  if (wrong || text[10] != ' ' || year == 0 || month - 1 >= 12 || day - 1 >= 28 || hours >= 24 || minutes >= 60 ||
      seconds >= 60)
    return std::nullopt;
  std::int64_t total = days_of({year, month, day}) * microseconds_a_day +
                       std::int64_t{hours * 3600 + minutes * 60 + seconds} * 1'000'000;
  std::size_t at = usual;
  if (at < text.size() && text[at] == '.') {
    constexpr std::array<std::uint32_t, 7> worth{1'000'000, 100'000, 10'000, 1'000, 100, 10, 1};
    const std::size_t end = std::min(text.size(), usual + worth.size());
    std::uint32_t fraction = 0;
    for (++at; at < end && is_digit(text[at]); ++at)
      fraction = fraction * 10 + static_cast<std::uint32_t>(text[at] - '0');
    if (at == usual + 1) return std::nullopt;
    total += fraction * worth[at - usual - 1];
  }
  if (has_offset) {
    if (text.size() != at + 3 || (text[at] != '+' && text[at] != '-')) return std::nullopt;
    const std::uint32_t east = two(at + 1);
    if (wrong || east >= 60) return std::nullopt;
    const std::int64_t offset = east * std::int64_t{3'600'000'000};
    total += text[at] == '-' ? offset : -offset;
    at += 3;
  }
  return at != text.size() ? std::nullopt : std::optional{total};
}

/// A `date`.
[[nodiscard]] constexpr std::optional<Civil> read_date(std::string_view text) noexcept {
  TimeText rest{text};
  const std::optional<Civil> date = rest.date();
  const bool before_christ = rest.take(" BC");
  if (!date || !rest.done()) return std::nullopt;
  return valid(*date, before_christ);
}

/// A `timestamp` in any form.
[[nodiscard]] constexpr std::optional<std::int64_t> read_any_timestamp(std::string_view text,
                                                                       bool has_offset) noexcept {
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

/// A `timestamp`, or with an offset from UTC a `timestamptz`, in microseconds since 1970.
[[nodiscard]] constexpr std::optional<std::int64_t> read_timestamp(std::string_view text, bool has_offset) noexcept {
  const std::optional<std::int64_t> usual = read_usual_timestamp(text, has_offset);
  return usual ? usual : read_any_timestamp(text, has_offset);
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

/// Why a date or time could not be read.
[[nodiscard]] inline std::string_view why_no_time(std::string_view text) noexcept {
  if (text.ends_with("infinity")) return "infinity, which it cannot hold";
  TimeText rest{text};
  if (!rest.date()) return "a text that is not in ISO style (set datestyle to 'ISO')";
  return "a value that it cannot hold exactly";
}

}  // namespace lido::postgres::detail
