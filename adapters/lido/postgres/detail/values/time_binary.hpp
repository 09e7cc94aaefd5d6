// Dates and times in the server's binary format, which counts from the begin of the year 2000.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

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

}  // namespace lido::postgres::detail
