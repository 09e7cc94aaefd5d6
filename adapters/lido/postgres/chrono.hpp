// Dates and times, as std::chrono has them.
//
// What is read does not depend on the session's TimeZone, since the server writes the offset; it does need the server's
// usual DateStyle (`ISO`) and IntervalStyle (`postgres`). In another style nothing is read wrongly: a `ResultError`
// says which setting to change. What is passed depends on neither.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/converter.hpp>
#include <lido/postgres/detail/calendar.hpp>
#include <lido/postgres/detail/time_text.hpp>

namespace lido::postgres {

/// `timestamptz`: a moment. A `Duration` coarser than microseconds reads what it holds exactly; of a finer one what is
/// beyond microseconds is cut off when it is passed, as the server knows nothing finer.
template <detail::Counting Duration>
struct Converter<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  using Value = std::chrono::time_point<std::chrono::system_clock, Duration>;
  static constexpr std::string_view name = "std::chrono::sys_time";
  static constexpr Oid type = detail::oid::timestamptz;
  static bool accepts(Oid column) noexcept { return column == detail::oid::timestamptz; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<std::int64_t> count = detail::read_timestamp(text, true);
    const std::optional<Duration> since = count ? detail::from_microseconds<Duration>(*count) : std::nullopt;
    return since ? std::optional{Value{*since}} : std::nullopt;
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  static std::optional<std::string> write(Value value) {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.time_since_epoch());
    return count ? std::optional{detail::print_timestamp(*count, "+00")} : std::nullopt;
  }
};

/// `timestamp`: what a calendar and a clock on the wall show, nobody knows where. Precision as above.
template <detail::Counting Duration>
struct Converter<std::chrono::local_time<Duration>> {
  using Value = std::chrono::local_time<Duration>;
  static constexpr std::string_view name = "std::chrono::local_time";
  static constexpr Oid type = detail::oid::timestamp;
  static bool accepts(Oid column) noexcept { return column == detail::oid::timestamp; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<std::int64_t> count = detail::read_timestamp(text, false);
    const std::optional<Duration> since = count ? detail::from_microseconds<Duration>(*count) : std::nullopt;
    return since ? std::optional{Value{*since}} : std::nullopt;
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  static std::optional<std::string> write(Value value) {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.time_since_epoch());
    return count ? std::optional{detail::print_timestamp(*count, "")} : std::nullopt;
  }
};

/// `date`, from the year -32767 to 32767; the year 0 is 1 BC.
template <>
struct Converter<std::chrono::year_month_day> {
  using Value = std::chrono::year_month_day;
  static constexpr std::string_view name = "std::chrono::year_month_day";
  static constexpr Oid type = detail::oid::date;
  static bool accepts(Oid column) noexcept { return column == detail::oid::date; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<detail::Civil> date = detail::read_date(text);
    if (!date || date->year < static_cast<int>(std::chrono::year::min()) ||
        date->year > static_cast<int>(std::chrono::year::max()))
      return std::nullopt;
    return Value{std::chrono::year{static_cast<int>(date->year)},
                 std::chrono::month{static_cast<unsigned>(date->month)},
                 std::chrono::day{static_cast<unsigned>(date->day)}};
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  /// Nothing unless `value.ok()`.
  static std::optional<std::string> write(Value value) {
    if (!value.ok()) return std::nullopt;
    const detail::Civil date{static_cast<int>(value.year()), static_cast<unsigned>(value.month()),
                             static_cast<unsigned>(value.day())};
    return detail::print_date(date).append(detail::era(date));
  }
};

/// `time`: the time of a day, up to 24:00:00. Precision as above.
template <detail::Counting Duration>
struct Converter<std::chrono::hh_mm_ss<Duration>> {
  using Value = std::chrono::hh_mm_ss<Duration>;
  static constexpr std::string_view name = "std::chrono::hh_mm_ss";
  static constexpr Oid type = detail::oid::time;
  static bool accepts(Oid column) noexcept { return column == detail::oid::time; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<std::int64_t> count = detail::read_time(text);
    const std::optional<Duration> since = count ? detail::from_microseconds<Duration>(*count) : std::nullopt;
    return since ? std::optional{Value{*since}} : std::nullopt;
  }
  /// Nothing when it is negative or longer than a day.
  static std::optional<std::string> write(const Value& value) {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.to_duration());
    if (!count || *count < 0 || *count > detail::microseconds_a_day) return std::nullopt;
    return detail::print_time(*count);
  }
};

/// `interval` without months and years, which have no fixed length; a day has 24 hours. Precision as above.
template <class Rep, class Period>
  requires detail::Counting<std::chrono::duration<Rep, Period>>
struct Converter<std::chrono::duration<Rep, Period>> {
  using Value = std::chrono::duration<Rep, Period>;
  static constexpr std::string_view name = "std::chrono::duration";
  static constexpr Oid type = detail::oid::interval;
  static bool accepts(Oid column) noexcept { return column == detail::oid::interval; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<std::int64_t> count = detail::read_interval(text);
    return count ? detail::from_microseconds<Value>(*count) : std::nullopt;
  }
  static std::string_view reason(std::string_view text) noexcept {
    if (text.find("year") != std::string_view::npos || text.find("mon") != std::string_view::npos)
      return "months, which have no fixed length";
    if (!detail::read_interval(text))
      return "a value that is too long, or not in its usual style (set intervalstyle to 'postgres')";
    return "a value that it cannot hold exactly";
  }
  static std::optional<std::string> write(Value value) {
    const std::optional<std::int64_t> count = detail::to_microseconds(value);
    return count ? std::optional{detail::print_time(*count)} : std::nullopt;
  }
};

}  // namespace lido::postgres
