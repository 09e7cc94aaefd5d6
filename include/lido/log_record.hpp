// What a pool does, as records of named values, and a record as a line of text.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/json.hpp>
#include <lido/facts.hpp>

namespace lido {

/// How urgent a record is.
enum class LogLevel : std::uint8_t {
  debug,    ///< each acquire and each release
  info,     ///< connections opened and closed
  warning,  ///< a connection found dead, an acquire that ran out of time, a lease that is held for too long
  error,    ///< the service cannot be reached
};

[[nodiscard]] constexpr std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    default:
      return "error";
  }
}

/// How a record is written as a line.
enum class LogFormat : std::uint8_t {
  key_value,  ///< `level=info event=database_connection_created pool=orders connection=1`, text in quotes if need be
  json,       ///< one JSON object (RFC 8259)
};

/// One value of a record.
struct LogField {
  std::string_view key;
  std::string value;
  bool number = false;  ///< written without quotes in JSON
};

/// Something that happened in a pool.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view event;        ///< for instance `database_connection_created`
  std::vector<LogField> fields;  ///< in the order in which they are written; `pool` comes first
};

namespace detail {

// A value as it stands behind `key=`: bare if it is one plain word, else in quotes and on one line. A message from a
// server must forge neither a line nor a key.
[[nodiscard]] inline std::string logfmt_value(std::string_view value) {
  const auto is_plain = [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != '"' && c != '=' && c != '\\';
  };
  bool plain = !value.empty();
  for (const char c : value) plain = plain && is_plain(c);
  if (plain) return std::string{value};
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '\n')
      quoted += "; ";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      quoted += ' ';
    else if (c == '"' || c == '\\')
      (quoted += '\\') += c;
    else
      quoted += c;
  }
  return quoted += '"';
}

}  // namespace detail

/// `record` as one line, without its end. Throws `std::bad_alloc`.
[[nodiscard]] inline std::string to_string(const LogRecord& record, LogFormat format) {
  const bool json = format == LogFormat::json;
  std::string line = json ? "{\"level\":\"" : "level=";
  line += to_string(record.level);
  line += json ? "\",\"event\":\"" : " event=";
  line += record.event;
  if (json) line += '"';
  for (const LogField& field : record.fields) {
    line += json ? ",\"" : " ";
    line += field.key;
    line += json ? "\":" : "=";
    line += field.number ? field.value : json ? detail::json_string(field.value) : detail::logfmt_value(field.value);
  }
  if (json) line += '}';
  return line;
}

}  // namespace lido
