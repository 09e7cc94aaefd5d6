// Universally unique identifiers.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <lido/postgres/types/bytea.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// A UUID: 16 bytes in the order in which they are written.
struct Uuid {
  std::array<std::byte, 16> bytes{};

  /// From its usual form, `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`, in either case; nothing for any other.
  [[nodiscard]] static std::optional<Uuid> parse(std::string_view text) noexcept {
    if (text.size() != length) return std::nullopt;
    Uuid uuid;
    std::size_t at = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      if (has_dash_before(i) && text[at++] != '-') return std::nullopt;
      if (!detail::read_hex(text.data() + at, std::span{uuid.bytes}.subspan(i, 1))) return std::nullopt;
      at += 2;
    }
    return uuid;
  }
  /// Its usual form, in lower case.
  [[nodiscard]] std::string to_string() const {
    char room[length];
    return {room, put(room)};
  }
  /// The same, written behind `to`; returns its end.
  [[nodiscard]] char* put(char* to) const noexcept {
    constexpr const char* digits = "0123456789abcdef";
    for (std::size_t i = 0; i < 16; ++i) {
      const auto byte = std::to_integer<unsigned>(bytes[i]);
      if (has_dash_before(i)) *to++ = '-';
      *to++ = digits[byte >> 4U];
      *to++ = digits[byte & 15U];
    }
    return to;
  }
  /// Of its usual form.
  static constexpr std::size_t length = 36;

  friend auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  [[nodiscard]] static constexpr bool has_dash_before(std::size_t byte) noexcept {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
  }
};

/// `uuid`.
template <>
struct Converter<Uuid> {
  static constexpr std::string_view name = "lido::postgres::Uuid";
  static constexpr Oid type = detail::oid::uuid;
  static bool accepts(Oid column) noexcept { return column == detail::oid::uuid; }
  static std::optional<Uuid> read(std::string_view text) noexcept { return Uuid::parse(text); }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<Uuid> receive(std::string_view bytes) noexcept {
    Uuid uuid;
    if (bytes.size() != uuid.bytes.size()) return std::nullopt;
    std::memcpy(uuid.bytes.data(), bytes.data(), bytes.size());
    return uuid;
  }
  static constexpr std::size_t longest = Uuid::length;
  static char* put(char* to, const Uuid& value) noexcept { return value.put(to); }
  static std::string write(const Uuid& value) { return value.to_string(); }
};

namespace detail {

template <>
struct Sent<Uuid> {
  static constexpr bool into(Oid type) noexcept { return type == oid::uuid; }
  static char* put(char* to, const Uuid& value, Oid) noexcept {
    std::memcpy(to, value.bytes.data(), value.bytes.size());
    return to + value.bytes.size();
  }
};

}  // namespace detail

}  // namespace lido::postgres
