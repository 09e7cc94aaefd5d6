// The settings by which the server reads the text of a statement: its names, and its literals.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Of these it tells each change at once,
inline constexpr std::array<const char*, 6> told_settings{
    "session_authorization", "DateStyle",       "TimeZone",
    "IntervalStyle",         "client_encoding", "standard_conforming_strings"};
/// these it has to be asked for,
inline constexpr std::array<const char*, 2> asked_settings{"SHOW search_path", "SHOW role"};
/// and these, which hardly anybody sets, it is not asked for. By the last three a constant becomes a text, which a plan
/// keeps.
inline constexpr std::string_view untold_settings =
    "array_nulls transform_null_equals timezone_abbreviations xmloption lc_monetary bytea_output extra_float_digits "
    "quote_all_identifiers";

/// Whether `name` is one of them, of its own or as SET writes it.
[[nodiscard]] constexpr bool is_read_by(std::string_view name) noexcept {
  return is_one_of(name,
                   "search_path role session session_authorization schema local datestyle timezone time intervalstyle "
                   "client_encoding names standard_conforming_strings xml") ||
         is_one_of(name, untold_settings);
}

/// What is between the quotes of a name or of a text, in whichever way it is written.
[[nodiscard]] constexpr std::string_view within_quotes(std::string_view text) noexcept {
  const std::size_t begin = std::min(text.find_first_of("'\"$"), text.size());
  text.remove_prefix(begin);  // as of E'...'
  const std::size_t tag = text.starts_with('$') ? text.find('$', 1) : 0;
  const std::size_t quote = tag == std::string_view::npos ? 0 : tag + 1;
  return text.size() < 2 * quote ? text : text.substr(quote, text.size() - 2 * quote);
}

/// Whether `sql` names one that nobody asks for, as a name or as a text. Complexity: linear.
[[nodiscard]] constexpr bool names_untold(std::string_view sql) noexcept {
  Lexer lexer{sql};
  for (Piece piece = lexer.next_solid(); piece.kind != Token::end; piece = lexer.next_solid()) {
    const bool quoted = piece.kind == Token::quoted || piece.kind == Token::literal;
    if (is_one_of(quoted ? within_quotes(piece.text) : piece.text, untold_settings)) return true;
    if (piece.is_the_word("xml") && Lexer{lexer}.next_solid().is_the_word("option")) return true;
  }
  return false;
}

/// Whether `sql` may put back all settings. Complexity: linear.
[[nodiscard]] constexpr bool resets_all(std::string_view sql) noexcept {
  Lexer lexer{sql};
  for (Piece piece = lexer.next_solid(); piece.kind != Token::end; piece = lexer.next_solid())
    if (piece.is_the_word("reset") && Lexer{lexer}.next_solid().is_the_word("all")) return true;
  return false;
}

/// Whether `sql` has a text that settings may read in another way. Complexity: linear.
[[nodiscard]] constexpr bool has_literals(std::string_view sql) noexcept {
  Lexer lexer{sql};
  Piece piece = lexer.next();
  while (piece.kind != Token::end && piece.kind != Token::literal && !piece.doubtful) piece = lexer.next();
  return piece.kind != Token::end;
}

}  // namespace lido::postgres::detail
