// Whether a text is one statement.
#pragma once

#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Whether `sql` is plainly one statement, or none: not where it depends on the session's settings where a literal
/// ends. Complexity: linear.
[[nodiscard]] constexpr bool is_one_statement(std::string_view sql) noexcept {
  bool begun = false;
  bool over = false;
  Lexer lexer{sql};
  for (Piece piece = lexer.next_solid(); piece.kind != Token::end; piece = lexer.next_solid()) {
    const bool semicolon = piece.is_the_symbol(';');
    if (piece.doubtful || (over && !semicolon)) return false;
    over = over || (begun && semicolon);
    begun = begun || !semicolon;
  }
  return true;
}

}  // namespace lido::postgres::detail
