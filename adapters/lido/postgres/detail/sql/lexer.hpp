// SQL cut into its tokens, for whoever looks at a statement: one lexer, so that all see the same statement. It works in
// one pass and keeps nothing: time is linear in the text, whatever it holds, and the stack does not grow with it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace lido::postgres::detail {

// Not <cctype>: these must not follow the locale.
[[nodiscard]] constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
[[nodiscard]] constexpr bool is_beyond_ascii(char c) noexcept { return static_cast<unsigned char>(c) > 127; }
/// Part of a word: letters, digits, `_`, `$`, and whatever is beyond ASCII.
[[nodiscard]] constexpr bool is_word(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_' || c == '$' || is_beyond_ascii(c);
}

/// Whether `text` is `expected`, which is in lower case.
[[nodiscard]] constexpr bool is(std::string_view text, std::string_view expected) noexcept {
  return text.size() == expected.size() &&
         std::equal(text.begin(), text.end(), expected.begin(), [](char a, char b) { return lower(a) == b; });
}
/// Where `text` first has `word`, in whichever case; npos: nowhere.
[[nodiscard]] constexpr std::size_t find_in_any_case(std::string_view text, std::string_view word) noexcept {
  for (std::size_t at = 0; at + word.size() <= text.size(); ++at) {
    std::size_t same = 0;
    while (same < word.size() && lower(text[at + same]) == lower(word[same])) ++same;
    if (same == word.size()) return at;
  }
  return std::string_view::npos;
}
/// Whether it is in `list`, lower-case words separated by one space.
[[nodiscard]] constexpr bool is_one_of(std::string_view text, std::string_view list) noexcept {
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(' '));
    if (is(text, one)) return true;
    list.remove_prefix(std::min(list.size(), one.size() + 1));
  }
  return false;
}

// As `take_number`, for each type of number.
[[nodiscard, gnu::noinline]] constexpr std::optional<std::uint64_t> take_digits(std::string_view& text,
                                                                                std::uint64_t most) noexcept {
  std::uint64_t number = 0;
  std::size_t at = 0;
  bool fits = true;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    fits = fits && digit <= most && number <= (most - digit) / 10;
    number = fits ? number * 10 + digit : most;
  }
  text.remove_prefix(at);
  return at > 0 && fits ? std::optional{number} : std::nullopt;
}
/// Takes the digits that `text` begins with off it, and says what number they are; nothing where there are none, or
/// where it is too large. Not `std::from_chars`, which brings each base for each type, and each unit compiles it.
template <class Number>
[[nodiscard]] constexpr std::optional<Number> take_number(std::string_view& text) noexcept {
  const std::optional<std::uint64_t> number = take_digits(text, std::numeric_limits<Number>::max());
  return number ? std::optional{static_cast<Number>(*number)} : std::nullopt;
}

/// `name` as an identifier of SQL, whatever characters it has.
[[nodiscard]] inline std::string quoted_name(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted.append(c == '"' ? 2 : 1, c);
  return quoted += '"';
}

enum class Token : unsigned char {
  end,
  blank,      ///< white space
  comment,    ///< of either kind
  word,       ///< a keyword, or a name without quotes
  quoted,     ///< a name in quotes, `U&"..."` included
  literal,    ///< a text in whichever way it is written, continued on other lines or not
  number,     ///< without its exponent, which is a word
  parameter,  ///< `$1`
  symbol,     ///< any other character
};

/// One token, and where it stands.
struct Piece {
  Token kind = Token::end;
  std::string_view text{};
  /// Where it ends is a matter of the session's settings (`standard_conforming_strings`, the client's encoding), so
  /// that what follows may be anything. Of literals and words.
  bool doubtful = false;

  /// It is the word `expected`, which is in lower case.
  [[nodiscard]] constexpr bool is_the_word(std::string_view expected) const noexcept {
    return kind == Token::word && is(text, expected);
  }
  [[nodiscard]] constexpr bool is_the_symbol(char c) const noexcept {
    return kind == Token::symbol && text.front() == c;
  }
};

/// Walks over a statement, or a script of several, by the rules of PostgreSQL's chapter on lexical structure. What is
/// not finished reaches to the end of the text.
class Lexer {
 public:
  explicit constexpr Lexer(std::string_view text) noexcept : text_{text} {}

  /// The next token; its pieces are the whole text. Complexity: linear in the token and the space behind it.
  constexpr Piece next() noexcept {
    doubtful_ = false;
    const std::size_t start = at_;
    const Token kind = take();
    return {kind, text_.substr(start, at_ - start), doubtful_};
  }
  /// The next one that is neither blank nor a comment.
  constexpr Piece next_solid() noexcept {
    Piece piece = next();
    while (piece.kind == Token::blank || piece.kind == Token::comment) piece = next();
    return piece;
  }
  /// What has not been looked at.
  [[nodiscard]] constexpr std::string_view rest() const noexcept { return text_.substr(at_); }
  constexpr void skip(std::size_t count) noexcept { at_ = std::min(at_ + count, text_.size()); }

 private:
  [[nodiscard]] constexpr char peek(std::size_t ahead = 0) const noexcept {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  constexpr Token take() noexcept {
    if (at_ == text_.size()) return Token::end;
    const char c = peek();
    if (is_space(c)) return take_space(), Token::blank;
    if (c == '-' && peek(1) == '-') return take_line(), Token::comment;
    if (c == '/' && peek(1) == '*') return take_comment(), Token::comment;
    if (c == '\'') return take_literal(false), Token::literal;
    if (c == '"') return take_quoted(), Token::quoted;
    if (c == '$') return take_dollar();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return take_number(), Token::number;
    if (is_word(c)) return take_word();
    return ++at_, Token::symbol;
  }

  constexpr void take_space() noexcept {
    while (is_space(peek())) ++at_;
  }
  constexpr void take_line() noexcept { at_ = std::min(text_.find_first_of("\n\r", at_), text_.size()); }
  constexpr void take_comment() noexcept {
    std::size_t depth = 0;  // they nest
    do {
      const bool begins = peek() == '/' && peek(1) == '*', ends = peek() == '*' && peek(1) == '/';
      if (begins) ++depth;
      if (ends) --depth;
      skip(begins || ends ? 2 : 1);
    } while (depth > 0 && at_ < text_.size());
  }

  constexpr void take_digits() noexcept {
    while (is_digit(peek())) ++at_;
  }
  constexpr void take_number() noexcept {
    take_digits();
    if (peek() != '.' || peek(1) == '.') return;
    ++at_;
    take_digits();
  }

  // In some of the clients' encodings a character ends with what would be one of ASCII alone.
  [[nodiscard]] constexpr bool is_tail() const noexcept {
    return peek() >= 0x40 && peek() < 0x7f && is_beyond_ascii(text_[at_ - 1]);
  }

  constexpr Token take_word() noexcept {
    const std::size_t start = at_;
    for (++at_; is_word(peek()) || is_tail(); ++at_) {
      // It may be an operator, and the `$` begins a literal.
      doubtful_ = doubtful_ || (peek() == '$' && !is_word(text_[at_ - 1]) && !is_digit(peek(1)));
    }
    const std::string_view word = text_.substr(start, at_ - start);
    if (peek() == '\'' && is_one_of(word, "e b x n")) return take_literal(is(word, "e")), Token::literal;
    if (peek() != '&' || !is(word, "u") || (peek(1) != '\'' && peek(1) != '"')) return Token::word;
    ++at_;
    if (peek() == '"') return take_quoted(), Token::quoted;
    return take_literal(false), Token::literal;
  }

  constexpr void take_quoted() noexcept {
    do {  // a doubled quote stands for itself, and is the same as the end and a new beginning
      at_ = std::min(text_.find('"', at_ + 1), text_.size());
      skip(1);
    } while (peek() == '"');
  }

  constexpr void take_literal(bool escapes) noexcept {
    do {
      for (++at_; at_ < text_.size() && peek() != '\''; ++at_) {
        if (peek() != '\\') continue;
        const std::size_t first = at_;
        const std::size_t behind = text_.find_first_not_of('\\', at_);
        const bool ends = behind != std::string_view::npos && text_[behind] == '\'';
        doubtful_ = doubtful_ || (ends && (!escapes || is_beyond_ascii(text_[at_ - 1])));
        // All of them but, where they escape, the last of an odd number, which has what is behind it.
        at_ = std::min(behind, text_.size()) - 1;
        if (escapes && (at_ - first) % 2 == 0) ++at_;
      }
      skip(1);
      at_ = std::min(at_, text_.size());
    } while (peek() == '\'' || is_continued());
  }
  // Two literals with white space between that has a line end are one. Moves there.
  constexpr bool is_continued() noexcept {
    const std::size_t end = at_;
    for (;;) {
      if (is_space(peek()))
        take_space();
      else if (peek() == '-' && peek(1) == '-')
        take_line();
      else
        break;
    }
    const bool line = text_.substr(end, at_ - end).find_first_of("\n\r") != std::string_view::npos;
    if (line && peek() == '\'') return true;
    at_ = end;
    return false;
  }

  constexpr Token take_dollar() noexcept {
    const std::size_t start = at_++;
    if (is_digit(peek())) return take_digits(), Token::parameter;
    for (; (is_word(peek()) && peek() != '$') || is_tail(); ++at_) doubtful_ = doubtful_ || is_beyond_ascii(peek());
    if (peek() != '$') return at_ = start + 1, Token::symbol;
    ++at_;
    // The tag has no other `$` than its ends, so that the search is linear whatever the text is.
    const std::string_view tag = text_.substr(start, at_ - start);
    const std::size_t close = text_.find(tag, at_);
    at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
    return Token::literal;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool doubtful_ = false;
};

/// The first word of a statement; empty where it begins with something else.
[[nodiscard]] constexpr std::string_view first_word(std::string_view sql) noexcept {
  const Piece first = Lexer{sql}.next_solid();
  return first.kind == Token::word ? first.text : std::string_view{};
}

}  // namespace lido::postgres::detail
