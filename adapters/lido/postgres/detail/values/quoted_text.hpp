// What stands between brackets in composite values and ranges: `(1,"with, comma",)`, `["a","b")`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lido::postgres::detail {

/// Walks over such a text. What it returns is valid until the next item.
class QuotedText {
 public:
  struct Item {
    std::string_view text;  ///< without quotes and escapes
    bool missing;           ///< nothing stands there, not even quotes
  };

  explicit QuotedText(std::string_view text) noexcept : rest_{text} {}

  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  [[nodiscard]] bool take(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// What stands before the next of `ends`, or in quotes; nothing where it does not end.
  [[nodiscard]] std::optional<Item> item(std::string_view ends) {
    if (take('"')) return quoted();
    const std::size_t end = rest_.find_first_of(ends);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return Item{text, text.empty()};
  }

 private:
  [[nodiscard]] std::optional<Item> quoted() {
    copy_.clear();
    for (;;) {
      const std::size_t end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos || end + 1 == rest_.size()) return std::nullopt;  // a bracket has to follow
      const std::string_view part = rest_.substr(0, end);
      if (rest_[end] == '"' && rest_[end + 1] != '"') {
        rest_.remove_prefix(end + 1);
        if (copy_.empty()) return Item{part, false};
        copy_ += part;
        return Item{copy_, false};
      }
      copy_ += part;
      copy_ += rest_[end + 1];  // a quote, or whatever it is
      rest_.remove_prefix(end + 2);
    }
  }

  std::string_view rest_;
  std::string copy_;  // of an item with escapes
};

/// Appends an item, in quotes where it could be taken for something else.
inline void append_quoted(std::string& out, std::string_view text) {
  if (!text.empty() && text.find_first_of("\"\\()[],{} \t\n\r\v\f") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += c;
    out += c;
  }
  out += '"';
}

}  // namespace lido::postgres::detail
