// Arrays as the server writes them: `{1,NULL,"with space"}`, `{{1,2},{3,4}}`, `[2:3]={1,2}`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Walks over the text of an array.
class ArrayText {
 public:
  struct Item {
    std::string_view text;  ///< without quotes and escapes; valid until the next item
    bool null;
  };

  /// Skips the lower bounds: elements are read in their order, whatever the first one's number is.
  explicit ArrayText(std::string_view text, char delimiter = ',') : rest_{text}, delimiter_{delimiter} {
    if (!rest_.starts_with('[')) return;
    const std::size_t end = rest_.find_first_not_of("[]:+-0123456789");
    if (end != std::string_view::npos && rest_[end] == '=') rest_.remove_prefix(end + 1);
  }

  [[nodiscard]] bool take_delimiter() noexcept { return take(delimiter_); }
  [[nodiscard]] bool done() const noexcept { return rest_.empty(); }
  [[nodiscard]] bool take(char c) noexcept {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// The next element; nothing where there is none.
  [[nodiscard]] std::optional<Item> item() {
    if (take('"')) return quoted();
    const char ends[] = {delimiter_, '{', '}', '"', '\\'};
    const std::string_view text = rest_.substr(0, rest_.find_first_of(std::string_view{ends, sizeof ends}));
    if (text.empty()) return std::nullopt;
    rest_.remove_prefix(text.size());
    return Item{text, text == "NULL"};
  }

 private:
  [[nodiscard]] std::optional<Item> quoted() {
    copy_.clear();
    for (;;) {
      const std::size_t end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos || end + 1 == rest_.size()) return std::nullopt;  // a `}` has to follow
      const std::string_view part = rest_.substr(0, end);
      if (rest_[end] == '"') {
        rest_.remove_prefix(end + 1);
        if (copy_.empty()) return Item{part, false};
        copy_ += part;
        return Item{copy_, false};
      }
      copy_ += part;
      copy_ += rest_[end + 1];  // stands for itself, whatever it is
      rest_.remove_prefix(end + 2);
    }
  }

  std::string_view rest_;
  char delimiter_;
  std::string copy_;  // of an element with escapes
};

/// Whether nothing in the text of an array can be a delimiter but its commas: outside of quotes it has words and
/// numbers.
[[nodiscard]] inline bool has_commas_alone(std::string_view array) noexcept {
  bool quoted = false;
  for (std::size_t at = 0; at < array.size(); ++at) {
    const char c = array[at];
    if (c == '"') quoted = !quoted;
    if (c == '\\') ++at;
    if (quoted || c == '"' || c == '\\' || is_word(c)) continue;
    if (std::string_view{"{},.+-()[]= "}.find(c) == std::string_view::npos && !(c == ':' && array.front() == '['))
      return false;
  }
  return true;
}

/// Appends an element in which nothing is to be escaped: in quotes where there is a blank, or anyway.
inline void append_short_item(std::string& array, std::string_view text, bool quote) {
  quote = quote || text.find(' ') != std::string_view::npos;
  if (quote) array += '"';
  array += text;
  if (quote) array += '"';
}

/// Appends an element, in quotes where it could be taken for something else, or anyway.
inline void append_array_item(std::string& array, std::string_view text, bool quote) {
  const bool plain = !quote && !text.empty() && !is(text, "null") &&
                     text.find_first_of(",{}\"\\ \t\n\r\v\f") == std::string_view::npos;
  if (plain) return void(array += text);
  array += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') array += '\\';
    array += c;
  }
  array += '"';
}

}  // namespace lido::postgres::detail
