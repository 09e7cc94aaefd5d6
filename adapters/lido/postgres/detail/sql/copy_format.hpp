// Whether a COPY is in the format that rows of C++ values are written in and read from: text, with a tab between
// fields, `\N` for NULL, no header, in the client's encoding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Looks for what asks for another format. What it does not know may be a format too.
class CopyFormat {
 public:
  /// What is in the way, the name of an option as it stands in `sql`; empty where there is none, and where `sql` is no
  /// COPY to or from the client, which the server tells. `escapes`: a backslash is one in every literal. Complexity:
  /// linear.
  [[nodiscard]] static std::string_view other_than_text(std::string_view sql, bool escapes = false) noexcept {
    CopyFormat format{sql, escapes};
    return format.find_direction() ? format.options() : format.doubt_;
  }

 private:
  CopyFormat(std::string_view sql, bool escapes) noexcept : lexer_{sql}, escapes_{escapes} {}

  void advance() noexcept {
    qualified_ = here_.is_the_symbol('.');
    here_ = lexer_.next_solid();
    if (here_.doubtful) doubt_ = "a literal with a backslash before a quote";
  }
  [[nodiscard]] bool at_end() const noexcept { return here_.kind == Token::end; }

  // Up to and with `FROM STDIN` or `TO STDOUT`; either of the last words goes with either of the first.
  [[nodiscard]] bool find_direction() noexcept {
    do advance();
    while (here_.is_the_symbol(';'));
    if (!here_.is_the_word("copy")) return false;
    advance();
    if (here_.is_the_word("binary")) {
      doubt_ = here_.text;
      return false;
    }
    for (std::size_t depth = 0; !at_end() && doubt_.empty(); advance()) {
      if (here_.is_the_symbol('(')) ++depth;
      if (here_.is_the_symbol(')') && depth > 0) --depth;
      if (depth > 0 || qualified_ || !(here_.is_the_word("from") || here_.is_the_word("to"))) continue;
      advance();
      return here_.is_the_word("stdin") || here_.is_the_word("stdout");
    }
    return false;
  }

  [[nodiscard]] std::string_view options() noexcept {
    for (advance(); !at_end(); advance()) {
      if (here_.is_the_word("where")) return {};  // a condition for rows that come in, and the last there is
      if (here_.is_the_symbol('(')) {
        const std::string_view found = list();
        if (!found.empty()) return found;
      } else if (!here_.is_the_word("with") && !here_.is_the_word("freeze") && !here_.is_the_symbol(';')) {
        return shown(here_);  // the old syntax
      }
    }
    return doubt_;
  }

  // `(name value, name value)`.
  [[nodiscard]] std::string_view list() noexcept {
    do {
      advance();
      const Piece name = here_;
      advance();
      const Piece value = here_;
      std::size_t depth = 0;  // of a list of columns
      for (; !at_end(); advance()) {
        if (depth == 0 && (here_.is_the_symbol(',') || here_.is_the_symbol(')'))) break;
        if (here_.is_the_symbol('(')) ++depth;
        if (here_.is_the_symbol(')')) --depth;
      }
      if (!doubt_.empty()) return doubt_;
      if (!fits(without_quotes(name.text), value)) return shown(name);
    } while (here_.is_the_symbol(','));
    return {};
  }

  // What stands elsewhere may be a value.
  [[nodiscard]] static std::string_view shown(const Piece& piece) noexcept {
    return piece.kind == Token::word || piece.kind == Token::quoted ? piece.text : "what follows STDIN or STDOUT";
  }

  [[nodiscard]] bool fits(std::string_view name, const Piece& value) const noexcept {
    const std::string_view text = without_quotes(value.text);
    if (is(name, "format")) return is(text, "text");
    if (is(name, "header")) return is_one_of(text, "false off 0");
    if (is(name, "encoding")) return is_one_of(text, "utf8 utf-8");
    if (is(name, "delimiter")) return text == "\t" || is(value.text, "e'\\t'");
    if (is(name, "null")) return (value.text == "'\\N'" && !escapes_) || is(value.text, "e'\\\\n'");
    // What to do with rows, not how they look.
    return is_one_of(name, "freeze on_error log_verbosity reject_limit");
  }
  [[nodiscard]] static std::string_view without_quotes(std::string_view text) noexcept {
    const bool quoted = text.size() > 1 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front();
    return quoted ? text.substr(1, text.size() - 2) : text;
  }

  Lexer lexer_;
  bool escapes_;
  Piece here_;
  bool qualified_ = false;  // by what stands before a dot: a name, whatever word it is
  std::string_view doubt_;  // which may end elsewhere, so that options are not where they seem to be
};

/// What to say of such an option.
[[nodiscard]] inline std::string why_not_text(std::string_view option) {
  return "rows of values need the text format of COPY with its usual delimiter and NULL and without a header: leave " +
         std::string{option} + " away, or pass and take text as it is";
}

}  // namespace lido::postgres::detail
