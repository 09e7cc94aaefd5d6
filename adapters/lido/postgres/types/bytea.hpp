// Bytes: `std::vector<std::byte>` and `bytea`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

inline constexpr std::string_view hex_digits = "0123456789abcdef";

// The value of a hexadecimal digit, 16 for what is none; a table, as a megabyte of them is nothing unusual.
inline constexpr auto hex_values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(16);
  for (std::uint8_t i = 0; i < 16; ++i) {
    values[static_cast<unsigned char>(hex_digits[i])] = i;
    if (i >= 10) values[static_cast<unsigned char>(hex_digits[i] - 32)] = i;
  }
  return values;
}();

/// Reads twice as many digits as `bytes` has room for; false if one is none.
[[nodiscard]] inline bool read_hex(const char* digits, std::span<std::byte> bytes) noexcept {
  unsigned wrong = 0;
  for (std::byte& byte : bytes) {
    const unsigned high = hex_values[static_cast<unsigned char>(*digits++)];
    const unsigned low = hex_values[static_cast<unsigned char>(*digits++)];
    wrong |= high | low;
    byte = static_cast<std::byte>(high << 4U | (low & 15U));
  }
  return wrong < 16;
}

inline void append_hex(std::string& text, std::span<const std::byte> bytes) {
  std::size_t at = text.size();
  text.resize(at + 2 * bytes.size());
  for (const std::byte byte : bytes) {
    text[at++] = hex_digits[std::to_integer<std::size_t>(byte >> 4)];
    text[at++] = hex_digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
}

}  // namespace detail

/// `bytea`. A parameter is sent as it is, without a copy, and may be large.
template <>
struct Converter<std::vector<std::byte>> {
  static constexpr std::string_view name = "std::vector<std::byte>";
  static constexpr Oid type = detail::oid::bytea;
  static bool accepts(Oid column) noexcept { return column == detail::oid::bytea; }
  static std::optional<std::vector<std::byte>> read(std::string_view text) {
    if (!text.starts_with("\\x") || text.size() % 2 != 0) return std::nullopt;
    std::vector<std::byte> bytes(text.size() / 2 - 1);
    if (!detail::read_hex(text.data() + 2, bytes)) return std::nullopt;
    return bytes;
  }
  static bool receives(Oid column) noexcept { return accepts(column); }
  static std::optional<std::vector<std::byte>> receive(std::string_view bytes) {
    const auto* const begin = reinterpret_cast<const std::byte*>(bytes.data());
    return std::vector<std::byte>(begin, begin + bytes.size());
  }
  static std::string_view reason(std::string_view text) noexcept {
    return text.starts_with("\\x") ? "a value that does not fit" : "an escaped value (bytea_output must be hex)";
  }
  static std::string write(const std::vector<std::byte>& value) {
    std::string text = "\\x";
    detail::append_hex(text, value);
    return text;
  }
  static std::span<const std::byte> bytes(const std::vector<std::byte>& value) noexcept { return value; }
};

/// Bytes that are somewhere else, as a parameter.
template <>
struct Converter<std::span<const std::byte>> {
  static constexpr std::string_view name = "bytes";
  static constexpr Oid type = detail::oid::bytea;
  static std::string write(std::span<const std::byte> value) {
    std::string text = "\\x";
    detail::append_hex(text, value);
    return text;
  }
  static std::span<const std::byte> bytes(std::span<const std::byte> value) noexcept { return value; }
};

}  // namespace lido::postgres
