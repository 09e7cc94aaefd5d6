// Dates and times as the server reads them, whatever its DateStyle is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <lido/postgres/detail/values/calendar.hpp>

namespace lido::postgres::detail {

// What is written goes behind `to`, and its end is returned.

/// Two digits, of what is below 100.
inline char* put_two(char* to, std::uint32_t value) noexcept {
  static constexpr std::array<char, 200> all = [] {
    std::array<char, 200> digits{};
    for (std::size_t i = 0; i < 100; ++i) {
      digits[2 * i] = static_cast<char>('0' + i / 10);
      digits[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return digits;
  }();
  std::memcpy(to, all.data() + 2 * value, 2);
  return to + 2;
}
/// At least so many digits.
[[nodiscard]] inline char* put_padded(char* to, std::uint64_t value, std::size_t width) noexcept {
  std::uint64_t rest = value;
  for (std::size_t i = 0; i < width; ++i) rest /= 10;
  for (; rest > 0; rest /= 10) ++width;
  for (char* at = to + width; at != to; value /= 10) *--at = static_cast<char>('0' + value % 10);
  return to + width;
}

[[nodiscard]] inline char* put_date(char* to, const Civil& date) noexcept {
  const auto year = static_cast<std::uint64_t>(date.year > 0 ? date.year : 1 - date.year);
  if (year < 10'000)
    to = put_two(put_two(to, static_cast<std::uint32_t>(year) / 100), static_cast<std::uint32_t>(year) % 100);
  else
    to = put_padded(to, year, 4);
  *to++ = '-';
  to = put_two(to, static_cast<std::uint32_t>(date.month));
  *to++ = '-';
  return put_two(to, static_cast<std::uint32_t>(date.day));
}

/// What a date ends with.
[[nodiscard]] inline char* put_era(char* to, const Civil& date) noexcept {
  constexpr std::string_view before_christ = " BC";
  return date.year > 0 ? to : to + before_christ.copy(to, before_christ.size());
}

/// How many characters a date or a time has at most: 20 digits of hours or 7 of a year, and the rest of it.
inline constexpr std::size_t longest_time = 48;

/// A `date`, by the days since 1970; null in a year that the server does not know.
[[nodiscard]] inline char* put_days(char* to, std::int64_t days) noexcept {
  if (days < -most_days || days > most_days) return nullptr;
  const Civil date = civil_of(days);
  return put_era(put_date(to, date), date);
}

/// A time of day or an interval.
[[nodiscard]] inline char* put_time(char* to, std::int64_t microseconds) noexcept {
  if (microseconds < 0) *to++ = '-';
  // Unsigned, as the least value has no opposite.
  const std::uint64_t size =
      microseconds < 0 ? 0 - static_cast<std::uint64_t>(microseconds) : static_cast<std::uint64_t>(microseconds);
  const std::uint64_t seconds = size / 1'000'000;
  const auto fraction = static_cast<std::uint32_t>(size - seconds * 1'000'000);
  const std::uint64_t hours = seconds / 3600;
  const auto rest = static_cast<std::uint32_t>(seconds - hours * 3600);
  to = hours < 100 ? put_two(to, static_cast<std::uint32_t>(hours)) : put_padded(to, hours, 2);
  *to++ = ':';
  to = put_two(to, rest / 60);
  *to++ = ':';
  to = put_two(to, rest % 60);
  *to++ = '.';
  return put_two(put_two(put_two(to, fraction / 10'000), fraction / 100 % 100), fraction % 100);
}

/// A `timestamp` or `timestamptz`, with `offset` behind the time.
[[nodiscard]] inline char* put_timestamp(char* to, std::int64_t microseconds, std::string_view offset) noexcept {
  const std::int64_t days = floor_divide(microseconds, microseconds_a_day);
  const Civil date = civil_of(days);
  to = put_date(to, date);
  *to++ = ' ';
  // Unsigned, as the begin of the first day may be before the least value.
  constexpr auto a_day = static_cast<std::uint64_t>(microseconds_a_day);
  const std::uint64_t time = static_cast<std::uint64_t>(microseconds) - static_cast<std::uint64_t>(days) * a_day;
  to = put_time(to, static_cast<std::int64_t>(time));
  to += offset.copy(to, offset.size());
  return put_era(to, date);
}

}  // namespace lido::postgres::detail
