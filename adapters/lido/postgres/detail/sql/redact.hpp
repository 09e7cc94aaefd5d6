// What may be shown of a statement, or of a message that may quote one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

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
