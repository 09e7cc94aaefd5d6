// Dates and times in the server's binary format, which counts from the begin of the year 2000.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/calendar.hpp>

namespace lido::postgres::detail {

/// A `date` in days since 1970; nothing for an infinity.
[[nodiscard]] constexpr std::optional<std::int64_t> received_days(std::string_view bytes) noexcept {
  const std::optional<std::int32_t> days = received<std::int32_t>(bytes);
  if (!days || infinity_of(bytes) != 0) return std::nullopt;
  return std::int64_t{*days} + days_of({2000, 1, 1});
}

/// A `timestamp` or `timestamptz` in microseconds since 1970; nothing for an infinity, and for what is too late.
[[nodiscard]] constexpr std::optional<std::int64_t> received_moment(std::string_view bytes) noexcept {
  std::optional<std::int64_t> count = received<std::int64_t>(bytes);
  if (!count || infinity_of(bytes) != 0 || !add(*count, days_of({2000, 1, 1}) * microseconds_a_day))
    return std::nullopt;
  return count;
}

// What is too early or too late goes as what no server takes, so that it says the same as of the text.

/// A `date`, of days since 1970.
[[nodiscard]] inline char* put_days_binary(char* to, std::int64_t days) noexcept {
  using Limits = std::numeric_limits<std::int32_t>;
  if (days < -most_days || days > most_days) return nullptr;
  const bool fits = add(days, -days_of({2000, 1, 1})) && days > Limits::min() && days < Limits::max();
  return put_binary(to, fits ? static_cast<std::int32_t>(days) : Limits::min() + 1);
}
/// A `timestamp` or `timestamptz`, of microseconds since 1970.
[[nodiscard]] inline char* put_moment_binary(char* to, std::int64_t count) noexcept {
  constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();
  const bool fits = add(count, -days_of({2000, 1, 1}) * microseconds_a_day) && count != never;
  return put_binary(to, fits ? count : never + 1);
}

template <class Time, Oid Type>
struct SentMoment {
  static constexpr bool into(Oid type) noexcept { return type == Type; }
  static char* put(char* to, Time value, Oid) noexcept {
    const std::optional<std::int64_t> count = to_microseconds(value.time_since_epoch());
    return count ? put_moment_binary(to, *count) : nullptr;
  }
};
template <class Time>
struct SentDay {
  static constexpr bool into(Oid type) noexcept { return type == oid::date; }
  static char* put(char* to, Time value, Oid) noexcept {
    const std::optional<std::int64_t> days = to_count<std::chrono::days>(value.time_since_epoch());
    return days ? put_days_binary(to, *days) : nullptr;
  }
};

template <OfFixedLength Duration>
struct Sent<std::chrono::sys_time<Duration>> : SentMoment<std::chrono::sys_time<Duration>, oid::timestamptz> {};
template <OfFixedLength Duration>
struct Sent<std::chrono::local_time<Duration>> : SentMoment<std::chrono::local_time<Duration>, oid::timestamp> {};
template <OfDays Duration>
struct Sent<std::chrono::sys_time<Duration>> : SentDay<std::chrono::sys_time<Duration>> {};
template <OfDays Duration>
struct Sent<std::chrono::local_time<Duration>> : SentDay<std::chrono::local_time<Duration>> {};
template <>
struct Sent<std::chrono::year_month_day> {
  static constexpr bool into(Oid type) noexcept { return type == oid::date; }
  static char* put(char* to, std::chrono::year_month_day value, Oid) noexcept {
    return value.ok() ? put_days_binary(to, std::chrono::local_days{value}.time_since_epoch().count()) : nullptr;
  }
};

}  // namespace lido::postgres::detail
