// Intervals of months, days and microseconds, as the server has them.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/values/interval_text.hpp>
#include <lido/postgres/detail/values/time_put.hpp>
#include <lido/postgres/detail/values/time_text.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// What the server adds one after the other: months by the calendar, days by the clock on the wall, and time. Equal are
/// two of the same parts; for the server also a month and 30 days are, and a day and 24 hours.
struct Interval {
  std::chrono::months months{};  ///< years too; at most those that 32 bits hold, as the days
  std::chrono::days days{};
  std::chrono::microseconds time{};

  friend bool operator==(const Interval&, const Interval&) = default;
};

/// `interval`, in whichever IntervalStyle the session has.
template <>
struct Converter<Interval> {
  static constexpr std::string_view name = "lido::postgres::Interval";
  static constexpr Oid type = detail::oid::interval;

  static bool accepts(Oid column) noexcept { return column == detail::oid::interval; }
  static std::optional<Interval> read(std::string_view text) noexcept {
    const std::optional<detail::IntervalParts> parts = detail::IntervalText::read(text);
    if (!parts || !std::in_range<std::int32_t>(parts->months) || !std::in_range<std::int32_t>(parts->days))
      return std::nullopt;
    return Interval{std::chrono::months{static_cast<std::int32_t>(parts->months)},
                    std::chrono::days{static_cast<std::int32_t>(parts->days)},
                    std::chrono::microseconds{parts->microseconds}};
  }
  static std::string_view reason(std::string_view text) noexcept {
    return text.ends_with("infinity") ? "infinity, which it cannot hold" : "a text that is no interval";
  }
  /// Nothing for more months or days than 32 bits hold.
  static std::optional<std::string> write(const Interval& value) {
    if (!std::in_range<std::int32_t>(value.months.count()) || !std::in_range<std::int32_t>(value.days.count()))
      return std::nullopt;
    // Each has a sign, as with the standard's style the first one would hold for those without.
    const auto signed_text = [](std::int64_t count) { return (count < 0 ? "" : "+") + std::to_string(count); };
    std::string text = signed_text(value.months.count()) + " mons " + signed_text(value.days.count()) + " days ";
    const std::int64_t time = value.time.count();
    if (time == std::numeric_limits<std::int64_t>::min())  // which the server reads in two pieces alone
      return text.append("-2562047788 hours ").append("-54775808 us");
    char room[detail::longest_time];
    return text.append(time < 0 ? "" : "+").append(room, detail::put_time(room, time));
  }
};

}  // namespace lido::postgres
