// Looking at SQL: the characters that matter, and what may be shown of a statement.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

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

/// Copies a statement, or a message, without what stands behind the word `password` in it.
class WithoutPasswords {
 public:
  [[nodiscard]] static std::string of(std::string_view text) {
    if (find_word(text) == std::string_view::npos) return std::string{text};
    WithoutPasswords copy;
    copy.statement(text);
    return std::move(copy.shown_);
  }

 private:
  static constexpr std::string_view word = "password";
  [[nodiscard]] static std::size_t find_word(std::string_view text) noexcept {
    const auto found = std::ranges::search(text, word, {}, lower);
    return found.empty() ? std::string_view::npos : static_cast<std::size_t>(found.begin() - text.begin());
  }

  void statement(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view rest = text.substr(at);
      // The value that was taken out may have ended with an E.
      const bool escapes =
          at > 0 && lower(text[at - 1]) == 'e' && (at == 1 || !is_word(text[at - 2])) && rest.front() == '\'';
      if (const std::size_t length = escapes ? quoted_length(rest, true) : literal_length(rest); length > 0) {
        literal(rest.substr(0, length));
        at += length;
      } else if (const std::size_t comment = comment_length(rest); comment > 0) {
        text_of_another(rest.substr(0, comment));
        at += comment;
      } else if (rest.front() == '"') {
        const std::size_t name = quoted_length(rest, false);
        text_of_another(rest.substr(0, name));
        at += name;
      } else if (is_word(rest.front()) && rest.front() != '$') {
        const auto end = std::ranges::find_if_not(rest, is_word);
        const auto size = static_cast<std::size_t>(end - rest.begin());
        shown_.append(rest.substr(0, size));
        at += size;
        if (find_word(rest.substr(0, size)) == std::string_view::npos) continue;
        met_ = true;
        at += value(rest.substr(size), true);
      } else {
        shown_ += rest.front();
        ++at;
      }
    }
  }

  // Whatever it is used for: only the server knows where a password goes to.
  void literal(std::string_view text) {
    if (met_) return void(shown_ += "'***'");
    if (!text.starts_with('$')) {
      const bool ends = text.size() > 1 && text.ends_with('\'');
      text_of_another(text.substr(0, text.size() - (ends ? 1 : 0)));
      if (ends) shown_ += '\'';
      return;
    }
    const std::string_view tag = text.substr(0, text.find('$', 1) + 1);
    shown_.append(tag);
    text.remove_prefix(tag.size());
    const bool ends = text.ends_with(tag);
    statement(text.substr(0, text.size() - (ends ? tag.size() : 0)));  // mostly a function's body
    if (ends) shown_.append(tag);
  }

  // A literal, a name or a comment: what is quoted in there is quoted in a way of its own, and goes with the rest.
  void text_of_another(std::string_view text) {
    if (!met_) {
      const std::size_t found = find_word(text);
      if (found == std::string_view::npos) return void(shown_.append(text));
      met_ = true;
      shown_.append(text.substr(0, found));
      text.remove_prefix(found);
    }
    for (std::size_t found = find_word(text); found != std::string_view::npos; found = find_word(text)) {
      const std::size_t end = found + word.size();
      if (text.substr(0, end).find('\'') != std::string_view::npos) break;
      shown_.append(text.substr(0, end));
      text.remove_prefix(end);
      text.remove_prefix(value(text, false));
    }
    const std::size_t quote = text.find('\'');
    shown_.append(text.substr(0, quote));
    if (quote != std::string_view::npos) shown_ += "***";
  }

  // Behind the word: the length of an assignment, and of the value that is no literal, which is taken out.
  std::size_t value(std::string_view text, bool sql) {
    std::size_t at = 0;
    bool assigned = false;
    for (; at < text.size() && (is_space(text[at]) || text[at] == '=' || text[at] == ':' || text[at] == '>'); ++at)
      assigned = assigned || text[at] == '=';
    shown_.append(text.substr(0, at));
    text.remove_prefix(at);
    const bool parameter = text.starts_with('$') && text.size() > 1 && is_digit(text[1]);
    if (!assigned || (sql && (parameter || literal_length(text) > 0 || comment_length(text) > 0))) return at;
    const auto ends = [](char c) { return is_space(c) || c == '\'' || c == '&' || c == ';' || c == ')'; };
    const auto length = static_cast<std::size_t>(std::ranges::find_if(text, ends) - text.begin());
    if (length > 0) shown_ += "***";
    return at + length;
  }

  std::string shown_;
  bool met_ = false;  // the word
};

/// `text` with each literal behind the first `password`, and whatever follows a `=` behind one, replaced by `***`.
[[nodiscard]] inline std::string without_passwords(std::string_view text) { return WithoutPasswords::of(text); }

}  // namespace lido::postgres::detail
