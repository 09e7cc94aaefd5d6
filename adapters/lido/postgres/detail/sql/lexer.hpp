// Looking at SQL: the characters that matter, and where literals and comments end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace lido::postgres::detail {

// Not <cctype>: these must not follow the locale.
[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
/// Part of a word: letters, digits, `_`, `$`, and whatever is beyond ASCII.
[[nodiscard]] constexpr bool is_word(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) > 127;
}

/// The length of the quoted literal that `text` begins with, both quotes included.
[[nodiscard]] constexpr std::size_t quoted_length(std::string_view text, bool escapes) noexcept {
  const char quote = text.front();
  std::size_t at = 1;
  while (at < text.size()) {
    const bool doubled = text[at] == quote && at + 1 < text.size() && text[at + 1] == quote;  // stands for itself
    if (doubled || (escapes && text[at] == '\\')) {
      at += 2;
    } else if (text[at] != quote) {
      ++at;
    } else {
      return at + 1;
    }
  }
  return text.size();
}

/// The length of the literal that `text` begins with, in whichever of SQL's ways it is written; 0 where it is none.
[[nodiscard]] constexpr std::size_t literal_length(std::string_view text) noexcept {
  if (text.starts_with('\'')) return quoted_length(text, false);
  if (text.size() > 1 && lower(text[0]) == 'e' && text[1] == '\'') return 1 + quoted_length(text.substr(1), true);
  if (text.size() > 2 && lower(text[0]) == 'u' && text[1] == '&' && text[2] == '\'')
    return 2 + quoted_length(text.substr(2), false);
  const std::size_t second = text.starts_with('$') ? text.find('$', 1) : std::string_view::npos;
  if (second == std::string_view::npos || is_digit(text[1])) return 0;
  const std::string_view tag = text.substr(0, second + 1);
  if (!std::ranges::all_of(tag, is_word)) return 0;
  const std::size_t close = text.find(tag, tag.size());
  return close == std::string_view::npos ? text.size() : close + tag.size();
}

/// `name` as an identifier of SQL, whatever characters it has.
[[nodiscard]] inline std::string quoted_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted.append(c == '"' ? 2 : 1, c);
  return quoted += '"';
}

/// The length of the comment that `text` begins with, up to the end of its line or its last `*/`; 0 where it is none.
[[nodiscard]] constexpr std::size_t comment_length(std::string_view text) noexcept {
  if (text.starts_with("--")) return std::min(text.find_first_of("\n\r"), text.size());
  if (!text.starts_with("/*")) return 0;
  std::size_t at = 0, depth = 0;  // they nest
  do {
    const std::string_view two = text.substr(at, 2);
    if (two == "/*") ++depth;
    if (two == "*/") --depth;
    at += two == "/*" || two == "*/" ? 2 : 1;
  } while (depth > 0 && at < text.size());
  return at;
}

}  // namespace lido::postgres::detail
