// `std::hash` for the types of values, so that they are keys of unordered containers.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/interval.hpp>
#include <lido/postgres/types/json.hpp>
#include <lido/postgres/types/numeric.hpp>
#include <lido/postgres/types/range.hpp>
#include <lido/postgres/types/uuid.hpp>

namespace lido::postgres::detail {

template <class T>
concept StandardHash = requires(const T& value) {
  { std::hash<T>{}(value) } -> std::same_as<std::size_t>;
};
template <class T>
inline constexpr bool is_time = false;
template <class Clock, class Duration>
inline constexpr bool is_time<std::chrono::time_point<Clock, Duration>> = true;
template <>
inline constexpr bool is_time<std::chrono::year_month_day> = true;
template <class T>
concept Hashable = StandardHash<T> || is_time<T>;

/// Together with what is in `seed`.
[[nodiscard]] constexpr std::size_t mixed(std::size_t seed, std::size_t value) noexcept {
  constexpr std::size_t golden = 0x9e37'79b9'7f4a'7c15 & SIZE_MAX;
  return seed ^ (value + golden + (seed << 6) + (seed >> 2));
}

template <Hashable T>
[[nodiscard]] std::size_t hash_of(const T& value) {
  if constexpr (StandardHash<T>) {
    return std::hash<T>{}(value);
  } else if constexpr (std::same_as<T, std::chrono::year_month_day>) {
    const std::size_t year = std::hash<int>{}(static_cast<int>(value.year()));
    return mixed(mixed(year, static_cast<unsigned>(value.month())), static_cast<unsigned>(value.day()));
  } else {
    return std::hash<typename T::rep>{}(value.time_since_epoch().count());
  }
}

}  // namespace lido::postgres::detail

template <>
struct std::hash<lido::postgres::Uuid> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Uuid& value) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()});
  }
};

template <>
struct std::hash<lido::postgres::Numeric> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Numeric& value) const noexcept {
    return std::hash<std::string>{}(value.digits);
  }
};

template <>
struct std::hash<lido::postgres::Json> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Json& value) const noexcept {
    return std::hash<std::string>{}(value.text);
  }
};

template <>
struct std::hash<lido::postgres::Interval> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Interval& value) const noexcept {
    const auto of = [](auto count) { return std::hash<decltype(count)>{}(count); };
    using lido::postgres::detail::mixed;
    return mixed(mixed(of(value.months.count()), of(value.days.count())), of(value.time.count()));
  }
};

template <class T>
  requires lido::postgres::detail::Hashable<T>
struct std::hash<lido::postgres::OrInfinity<T>> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::OrInfinity<T>& value) const {
    return value.is_finite() ? lido::postgres::detail::hash_of(value.value()) : std::hash<int>{}(value.sign());
  }
};

template <class T>
  requires lido::postgres::detail::Hashable<T>
struct std::hash<lido::postgres::Range<T>> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Range<T>& value) const {
    if (value.empty) return 0;
    const auto of = [](const std::optional<T>& bound, bool inclusive) {
      return bound ? lido::postgres::detail::mixed(lido::postgres::detail::hash_of(*bound), inclusive ? 1 : 2) : 3;
    };
    return lido::postgres::detail::mixed(of(value.lower, value.lower_inclusive),
                                         of(value.upper, value.upper_inclusive));
  }
};

template <class T>
  requires lido::postgres::detail::Hashable<T>
struct std::hash<lido::postgres::Multirange<T>> {
  [[nodiscard]] std::size_t operator()(const lido::postgres::Multirange<T>& value) const {
    std::size_t seed = value.ranges.size();
    for (const auto& range : value.ranges)
      seed = lido::postgres::detail::mixed(seed, std::hash<lido::postgres::Range<T>>{}(range));
    return seed;
  }
};
