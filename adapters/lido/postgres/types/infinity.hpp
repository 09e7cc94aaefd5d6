// Dates, timestamps and intervals that may be infinite.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/joined.hpp>
#include <lido/postgres/types/chrono.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// A `T`, or later than each (`infinity`), or earlier than each (`-infinity`).
template <class T>
class OrInfinity {
 public:
  constexpr OrInfinity() : value_{T{}} {}
  constexpr OrInfinity(T value) : value_{std::move(value)} {}  // NOLINT(google-explicit-constructor): it is one
  [[nodiscard]] static constexpr OrInfinity infinity() { return OrInfinity{1}; }
  [[nodiscard]] static constexpr OrInfinity minus_infinity() { return OrInfinity{-1}; }

  [[nodiscard]] constexpr bool is_finite() const noexcept { return sign_ == 0; }
  /// 1 for infinity, -1 for that which is earlier than each, 0 for what is finite.
  [[nodiscard]] constexpr int sign() const noexcept { return sign_; }
  /// Throws `std::bad_optional_access` unless it is finite.
  [[nodiscard]] constexpr const T& value() const { return value_.value(); }

  friend constexpr bool operator==(const OrInfinity& a, const OrInfinity& b) {
    return a.sign_ == b.sign_ && a.value_ == b.value_;
  }
  friend constexpr bool operator<(const OrInfinity& a, const OrInfinity& b)
    requires requires(const T& value) { value < value; }
  {
    return a.sign_ == b.sign_ ? a.is_finite() && *a.value_ < *b.value_ : a.sign_ < b.sign_;
  }
  friend constexpr bool operator>(const OrInfinity& a, const OrInfinity& b)
    requires requires(const T& value) { value < value; }
  {
    return b < a;
  }
  friend constexpr bool operator<=(const OrInfinity& a, const OrInfinity& b)
    requires requires(const T& value) { value < value; }
  {
    return !(b < a);
  }
  friend constexpr bool operator>=(const OrInfinity& a, const OrInfinity& b)
    requires requires(const T& value) { value < value; }
  {
    return !(a < b);
  }

 private:
  explicit constexpr OrInfinity(int sign) : sign_{sign} {}

  std::optional<T> value_;
  int sign_ = 0;
};

namespace detail {

inline constexpr std::string_view infinity_start = "lido::postgres::OrInfinity<";

template <class T>
concept MayBeInfinite = requires {
  requires Converter<T>::type == oid::date || Converter<T>::type == oid::timestamp ||
                   Converter<T>::type == oid::timestamptz || Converter<T>::type == oid::interval;
};

}  // namespace detail

/// What a `T` is read from: `date`, `timestamp`, `timestamptz`, and since PostgreSQL 17 `interval`.
template <detail::MayBeInfinite T>
struct Converter<OrInfinity<T>> {
  static constexpr std::string_view name = detail::joined_name<detail::infinity_start, T>;
  static constexpr Oid type = Converter<T>::type;

  static bool accepts(Oid column) noexcept { return Converter<T>::accepts(column); }
  static std::optional<OrInfinity<T>> read(std::string_view text) {
    if (text == "infinity") return OrInfinity<T>::infinity();
    if (text == "-infinity") return OrInfinity<T>::minus_infinity();
    std::optional<T> value = Converter<T>::read(text);
    if (!value) return std::nullopt;
    return OrInfinity<T>{*std::move(value)};
  }
  static bool receives(Oid column) noexcept
    requires detail::Receives<Converter<T>, T>
  {
    return accepts(column);
  }
  static std::optional<OrInfinity<T>> receive(std::string_view bytes) {
    if (const int sign = detail::infinity_of(bytes); sign != 0)
      return sign > 0 ? OrInfinity<T>::infinity() : OrInfinity<T>::minus_infinity();
    std::optional<T> value = Converter<T>::receive(bytes);
    if (!value) return std::nullopt;
    return OrInfinity<T>{*std::move(value)};
  }
  static auto reason(std::string_view text) { return Converter<T>::reason(text); }
  static std::optional<std::string> write(const OrInfinity<T>& value) {
    if (!value.is_finite()) return value.sign() > 0 ? "infinity" : "-infinity";
    return Converter<T>::write(value.value());
  }
};

namespace detail {

template <MayBeInfinite T>
  requires Sends<T>
struct Sent<OrInfinity<T>> {
  static constexpr bool into(Oid type) noexcept { return Sent<T>::into(type); }
  static char* put(char* to, const OrInfinity<T>& value, Oid type) noexcept {
    if (value.is_finite()) return Sent<T>::put(to, value.value(), type);
    return type == oid::date ? put_infinity<std::int32_t>(to, value.sign())
                             : put_infinity<std::int64_t>(to, value.sign());
  }

 private:
  template <class Count>
  static char* put_infinity(char* to, int sign) noexcept {
    return put_binary(to, sign > 0 ? std::numeric_limits<Count>::max() : std::numeric_limits<Count>::min());
  }
};

}  // namespace detail

}  // namespace lido::postgres
