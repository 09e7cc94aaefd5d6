// Dates and times, as std::chrono has them.
//
// What is read does not depend on the session's TimeZone, since the server writes the offset; it does need the server's
// usual DateStyle (`ISO`) and IntervalStyle (`postgres`). In another style nothing is read wrongly: a `ResultError`
// says which setting to change. What is passed depends on neither.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/values/calendar.hpp>
#include <lido/postgres/detail/values/time_binary.hpp>
#include <lido/postgres/detail/values/time_put.hpp>
#include <lido/postgres/detail/values/time_text.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

// A time that knows nothing shorter than a day.
template <class Time>
struct DateConverter {
  static constexpr Oid type = oid::date;
  static bool accepts(Oid column) noexcept { return column == oid::date; }
  static std::optional<Time> read(std::string_view text) noexcept {
    const std::optional<Civil> date = read_date(text);
    return date ? of_days(days_of(*date)) : std::nullopt;
  }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<Time> receive(std::string_view bytes) noexcept {
    const std::optional<std::int64_t> days = received_days(bytes);
    return days ? of_days(*days) : std::nullopt;
  }
  static std::string_view reason(std::string_view text) noexcept { return why_no_time(text); }
  static constexpr std::size_t longest = longest_time;
  static char* put(char* to, Time value) noexcept {
    const std::optional<std::int64_t> days = to_count<std::chrono::days>(value.time_since_epoch());
    return days ? put_days(to, *days) : nullptr;
  }
  static std::optional<std::string> write(Time value) { return written<DateConverter>(value); }

 private:
  static std::optional<Time> of_days(std::int64_t days) noexcept {
    const auto since = from_count<std::chrono::days, typename Time::duration>(days);
    return since ? std::optional{Time{*since}} : std::nullopt;
  }
};

/// A time that many microseconds after 1970; nothing where there are none, or where it cannot hold them exactly.
template <class Time>
[[nodiscard]] std::optional<Time> of_microseconds(const std::optional<std::int64_t>& count) noexcept {
  const auto since = count ? from_microseconds<typename Time::duration>(*count) : std::nullopt;
  return since ? std::optional{Time{*since}} : std::nullopt;
}

}  // namespace detail

/// `timestamptz`: a moment. A `Duration` coarser than microseconds reads what it holds exactly; of a finer one what is
/// beyond microseconds is cut off when it is passed, as the server knows nothing finer. Where a `timestamp` or a `date`
/// is wanted the server itself converts the moment, in the session's TimeZone. One that counts months or years does not
/// compile.
template <detail::OfFixedLength Duration>
struct Converter<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  using Value = std::chrono::time_point<std::chrono::system_clock, Duration>;
  static constexpr std::string_view name = "std::chrono::sys_time";
  static constexpr Oid type = detail::oid::timestamptz;
  static bool accepts(Oid column) noexcept { return column == detail::oid::timestamptz; }
  static std::optional<Value> read(std::string_view text) noexcept {
    return detail::of_microseconds<Value>(detail::read_timestamp(text, true));
  }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<Value> receive(std::string_view bytes) noexcept {
    return detail::of_microseconds<Value>(detail::received_moment(bytes));
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  static constexpr std::size_t longest = detail::longest_time;
  static char* put(char* to, Value value) noexcept {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.time_since_epoch());
    return count ? detail::put_timestamp(to, *count, "+00") : nullptr;
  }
  static std::optional<std::string> write(Value value) { return detail::written<Converter>(value); }
};

/// `date`: a day, as `std::chrono::sys_days` is one, whatever the session's TimeZone. Compared with a `timestamptz` or
/// stored as one, a date is the midnight of the session's TimeZone; for that of UTC pass a `std::chrono::sys_seconds`.
template <detail::OfDays Duration>
struct Converter<std::chrono::time_point<std::chrono::system_clock, Duration>>
    : detail::DateConverter<std::chrono::time_point<std::chrono::system_clock, Duration>> {
  static constexpr std::string_view name = "std::chrono::sys_days";
};

/// `timestamp`: what a calendar and a clock on the wall show, nobody knows where. Where a `timestamptz` is wanted the
/// server takes it for a time of the session's TimeZone. Precision as above.
template <detail::OfFixedLength Duration>
struct Converter<std::chrono::local_time<Duration>> {
  using Value = std::chrono::local_time<Duration>;
  static constexpr std::string_view name = "std::chrono::local_time";
  static constexpr Oid type = detail::oid::timestamp;
  static bool accepts(Oid column) noexcept { return column == detail::oid::timestamp; }
  static std::optional<Value> read(std::string_view text) noexcept {
    return detail::of_microseconds<Value>(detail::read_timestamp(text, false));
  }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<Value> receive(std::string_view bytes) noexcept {
    return detail::of_microseconds<Value>(detail::received_moment(bytes));
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  static constexpr std::size_t longest = detail::longest_time;
  static char* put(char* to, Value value) noexcept {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.time_since_epoch());
    return count ? detail::put_timestamp(to, *count, "") : nullptr;
  }
  static std::optional<std::string> write(Value value) { return detail::written<Converter>(value); }
};

/// `date`: a day, as `std::chrono::local_days` is one.
template <detail::OfDays Duration>
struct Converter<std::chrono::local_time<Duration>> : detail::DateConverter<std::chrono::local_time<Duration>> {
  static constexpr std::string_view name = "std::chrono::local_days";
};

/// `date`, from the year -32767 to 32767; the year 0 is 1 BC.
template <>
struct Converter<std::chrono::year_month_day> {
  using Value = std::chrono::year_month_day;
  static constexpr std::string_view name = "std::chrono::year_month_day";
  static constexpr Oid type = detail::oid::date;
  static bool accepts(Oid column) noexcept { return column == detail::oid::date; }
  static std::optional<Value> read(std::string_view text) noexcept { return of_civil(detail::read_date(text)); }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<Value> receive(std::string_view bytes) noexcept {
    const std::optional<std::int64_t> days = detail::received_days(bytes);
    return of_civil(days ? std::optional{detail::civil_of(*days)} : std::nullopt);
  }
  static std::string_view reason(std::string_view text) noexcept { return detail::why_no_time(text); }
  static constexpr std::size_t longest = detail::longest_time;
  static char* put(char* to, Value value) noexcept {
    if (!value.ok()) return nullptr;
    const detail::Civil date{static_cast<int>(value.year()), static_cast<unsigned>(value.month()),
                             static_cast<unsigned>(value.day())};
    return detail::put_era(detail::put_date(to, date), date);
  }
  /// Nothing unless `value.ok()`.
  static std::optional<std::string> write(Value value) { return detail::written<Converter>(value); }

 private:
  static std::optional<Value> of_civil(const std::optional<detail::Civil>& date) noexcept {
    if (!date || date->year < static_cast<int>(std::chrono::year::min()) ||
        date->year > static_cast<int>(std::chrono::year::max()))
      return std::nullopt;
    return Value{std::chrono::year{static_cast<int>(date->year)},
                 std::chrono::month{static_cast<unsigned>(date->month)},
                 std::chrono::day{static_cast<unsigned>(date->day)}};
  }
};

/// `time`: the time of a day, up to 24:00:00. Precision as above.
template <detail::OfFixedLength Duration>
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
  static constexpr std::size_t longest = detail::longest_time;
  static char* put(char* to, const Value& value) noexcept {
    const std::optional<std::int64_t> count = detail::to_microseconds(value.to_duration());
    if (!count || *count < 0 || *count > detail::microseconds_a_day) return nullptr;
    return detail::put_time(to, *count);
  }
  /// Nothing when it is negative or longer than a day.
  static std::optional<std::string> write(const Value& value) { return detail::written<Converter>(value); }
};

/// `interval` without months and years, which have no fixed length. A day has 24 hours, in both directions:
/// `std::chrono::days{1}` is passed as `24:00:00`, so that `$1 + moment` is 24 hours later and not the same time of the
/// next day, where daylight saving begins or ends in between; for that pass the text `1 day`. Precision as above.
/// Stored as a `time` the server drops whole days of it; pass a `std::chrono::hh_mm_ss`.
template <class Rep, class Period>
  requires detail::OfFixedLength<std::chrono::duration<Rep, Period>>
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
    if (text.ends_with("infinity")) return "infinity, which it cannot hold";
    if (text.find("year") != std::string_view::npos || text.find("mon") != std::string_view::npos)
      return "months, which have no fixed length";
    if (!detail::read_interval(text))
      return "a value that is too long, or not in its usual style (set intervalstyle to 'postgres')";
    return "a value that it cannot hold exactly";
  }
  static constexpr std::size_t longest = detail::longest_time;
  static char* put(char* to, Value value) noexcept {
    const std::optional<std::int64_t> count = detail::to_microseconds(value);
    return count ? detail::put_time(to, *count) : nullptr;
  }
  static std::optional<std::string> write(Value value) { return detail::written<Converter>(value); }
};

/// `interval` of whole months, as `std::chrono::months` and `std::chrono::years` count them: `months{1}` is passed as
/// `1 mon`, so that the server adds it by the calendar. One with days or a time in it is no such.
template <class Rep, class Period>
  requires detail::OfMonths<std::chrono::duration<Rep, Period>>
struct Converter<std::chrono::duration<Rep, Period>> {
  using Value = std::chrono::duration<Rep, Period>;
  static constexpr std::string_view name = "std::chrono::months";
  static constexpr Oid type = detail::oid::interval;
  static bool accepts(Oid column) noexcept { return column == detail::oid::interval; }
  static std::optional<Value> read(std::string_view text) noexcept {
    const std::optional<std::int64_t> count = detail::read_months(text);
    return count ? detail::from_count<std::chrono::months, Value>(*count) : std::nullopt;
  }
  static std::string_view reason(std::string_view text) noexcept {
    if (text.ends_with("infinity")) return "infinity, which it cannot hold";
    return detail::read_months(text)
               ? "a value that it cannot hold exactly"
               : "days or a time in it, or not in its usual style (set intervalstyle to 'postgres')";
  }
  static std::optional<std::string> write(Value value) {
    const std::optional<std::int64_t> count = detail::to_count<std::chrono::months>(value);
    if (!count || !std::in_range<std::int32_t>(*count)) return std::nullopt;
    return std::to_string(*count) + " mons";
  }
};

}  // namespace lido::postgres
