// Text as a JSON string, and members of a JSON object.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lido::detail {

// How many bytes of `text` are one well-formed UTF-8 sequence (Unicode, table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF). Where they are none, `valid` is false and the bytes are those that one replacement stands
// for: as many as could have begun a sequence, and at least one.
struct Utf8Sequence {
  std::size_t length = 1;
  bool valid = true;
};

[[nodiscard]] constexpr Utf8Sequence first_utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {};
  if (lead < 0xC2 || lead > 0xF4) return {.length = 1, .valid = false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte has a range of its own.
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t index = 1; index < length; ++index) {
    if (index >= text.size() || byte(index) < low || byte(index) > high) return {.length = index, .valid = false};
    low = 0x80;
    high = 0xBF;
  }
  return {.length = length, .valid = true};
}

// `text` in quotes, by RFC 8259: quotes, backslashes and control characters escaped, invalid UTF-8 replaced by U+FFFD.
[[nodiscard]] inline std::string json_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string quoted = "\"";
  while (!text.empty()) {
    const Utf8Sequence sequence = first_utf8_sequence(text);
    const char character = text.front();
    const auto code = static_cast<unsigned char>(character);
    if (!sequence.valid) {
      quoted += "\\ufffd";
    } else if (character == '"' || character == '\\') {
      quoted += {'\\', character};
    } else if (character == '\n') {
      quoted += "\\n";
    } else if (code < 0x20) {
      quoted += "\\u00";
      quoted += {digits[code >> 4], digits[code & 0xF]};
    } else {
      quoted += text.substr(0, sequence.length);
    }
    text.remove_prefix(sequence.length);
  }
  return quoted += '"';
}

// Adds a member to the object that `text` ends in, and that is still open. `value` is JSON.
inline void add_json_member(std::string& text, std::string_view key, std::string_view value) {
  text += text.back() == '{' ? "\"" : ",\"";
  text += key;
  text += "\":";
  text += value;
}

}  // namespace lido::detail
