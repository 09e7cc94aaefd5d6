// Dates of the proleptic Gregorian calendar for all years that the server knows, which are more than std::chrono's; and
// counting in microseconds without overflow.
//
// The two conversions are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years,
// and years that begin with March.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <ratio>
#include <utility>

namespace lido::postgres::detail {

inline constexpr std::int64_t microseconds_a_day = 86'400'000'000;

struct Civil {
  std::int64_t year;  // 0 is 1 BC
  std::int64_t month;
  std::int64_t day;

  friend bool operator==(const Civil&, const Civil&) = default;
};

[[nodiscard]] constexpr std::int64_t floor_divide(std::int64_t value, std::int64_t by) noexcept {
  return value / by - (value % by < 0 ? 1 : 0);
}

/// Days since 1970-01-01.
[[nodiscard]] constexpr std::int64_t days_of(const Civil& date) noexcept {
  // So many eras later all is positive, and 32 bits are enough for all but the last step.
  constexpr std::int64_t later = 30'000;
  const auto year = static_cast<std::uint32_t>(date.year - (date.month <= 2 ? 1 : 0) + later * 400);
  const auto month = static_cast<std::uint32_t>(date.month + (date.month > 2 ? -3 : 9));
  const std::uint32_t era = year / 400;
  const std::uint32_t year_of_era = year - era * 400;
  const std::uint32_t day_of_year = (153 * month + 2) / 5 + static_cast<std::uint32_t>(date.day) - 1;
  const std::uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return (std::int64_t{era} - later) * 146'097 + day_of_era - 719'468;
}

[[nodiscard]] constexpr Civil civil_of(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = floor_divide(days, 146'097);
  const std::int64_t day_of_era = days - era * 146'097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t month = (5 * day_of_year + 2) / 153;
  return {.year = year_of_era + era * 400 + (month >= 10 ? 1 : 0),
          .month = month + (month < 10 ? 3 : -9),
          .day = day_of_year - (153 * month + 2) / 5 + 1};
}

[[nodiscard]] constexpr bool multiply(std::int64_t& value, std::int64_t by) noexcept {
  if (value > std::numeric_limits<std::int64_t>::max() / by || value < std::numeric_limits<std::int64_t>::min() / by)
    return false;
  value *= by;
  return true;
}

/// Before 1970 and behind it: a date of more has a year of more digits than are read.
inline constexpr std::int64_t most_days = 3'650'000'000;

[[nodiscard]] constexpr bool add(std::int64_t& value, std::int64_t more) noexcept {
  if (more > 0 ? value > std::numeric_limits<std::int64_t>::max() - more
               : value < std::numeric_limits<std::int64_t>::min() - more)
    return false;
  value += more;
  return true;
}

/// A duration that counts, as opposed to measures.
template <class T>
concept Counting = std::integral<typename T::rep> && sizeof(typename T::rep) <= sizeof(std::int64_t);

/// One of months or years, whose length a calendar knows. That std::chrono takes a month for 30.436875 days is of no
/// use to a database.
template <class T>
concept OfMonths = Counting<T> && std::ratio_divide<typename T::period, std::chrono::months::period>::den == 1;

/// One whose length is always the same.
template <class T>
concept OfFixedLength = Counting<T> && !OfMonths<T>;

/// One that knows nothing shorter than a day: days and weeks.
template <class T>
concept OfDays = OfFixedLength<T> && std::ratio_divide<typename T::period, std::chrono::days::period>::den == 1;

/// `count` of the periods of `Whole` as a `Duration`, which counts some of these at once; nothing when that cannot hold
/// them exactly.
template <class Whole, Counting Duration>
[[nodiscard]] constexpr std::optional<Duration> from_count(std::int64_t count) noexcept {
  constexpr std::int64_t each = std::ratio_divide<typename Duration::period, typename Whole::period>::num;
  if (count % each != 0 || !std::in_range<typename Duration::rep>(count / each)) return std::nullopt;
  return Duration{static_cast<typename Duration::rep>(count / each)};
}

/// A duration in periods of `Whole`; nothing when they are too many.
template <class Whole, Counting Duration>
[[nodiscard]] constexpr std::optional<std::int64_t> to_count(Duration duration) noexcept {
  constexpr std::int64_t each = std::ratio_divide<typename Duration::period, typename Whole::period>::num;
  if (!std::in_range<std::int64_t>(duration.count())) return std::nullopt;
  auto count = static_cast<std::int64_t>(duration.count());
  return multiply(count, each) ? std::optional{count} : std::nullopt;
}

/// That many microseconds as a `Duration`; nothing when that cannot hold them exactly.
template <Counting Duration>
[[nodiscard]] constexpr std::optional<Duration> from_microseconds(std::int64_t count) noexcept {
  using Factor = std::ratio_divide<std::micro, typename Duration::period>;
  if (count % Factor::den != 0) return std::nullopt;
  count /= Factor::den;
  if (!multiply(count, Factor::num) || !std::in_range<typename Duration::rep>(count)) return std::nullopt;
  return Duration{static_cast<typename Duration::rep>(count)};
}

/// A duration in microseconds, rounded down; nothing when they are too many.
template <Counting Duration>
[[nodiscard]] constexpr std::optional<std::int64_t> to_microseconds(Duration duration) noexcept {
  using Factor = std::ratio_divide<typename Duration::period, std::micro>;
  if (!std::in_range<std::int64_t>(duration.count())) return std::nullopt;
  auto count = static_cast<std::int64_t>(duration.count());
  if (!multiply(count, Factor::num)) return std::nullopt;
  return floor_divide(count, Factor::den);
}

}  // namespace lido::postgres::detail
