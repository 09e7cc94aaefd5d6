// COMMIT of a transaction that has failed: the server rolls back and answers with the tag ROLLBACK, which is no error.
#pragma once

#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Whether the first statement of `sql` is there to keep what its transaction did: COMMIT, END, or PREPARE TRANSACTION.
/// Complexity: linear in what stands before it.
[[nodiscard]] constexpr bool begins_with_commit(std::string_view sql) noexcept {
  Lexer lexer{sql};
  Piece first = lexer.next_solid();
  while (first.is_the_symbol(';')) first = lexer.next_solid();
  return first.is_the_word("commit") || first.is_the_word("end") || first.is_the_word("prepare");
}

/// `script` without what stands behind its first statement, which begins as above. Complexity: linear.
[[nodiscard]] constexpr std::string_view first_statement(std::string_view script) noexcept {
  bool begun = false;
  Lexer lexer{script};
  for (Piece piece = lexer.next_solid(); piece.kind != Token::end; piece = lexer.next_solid()) {
    if (!piece.is_the_symbol(';'))
      begun = true;
    else if (begun)
      return script.substr(0, script.size() - lexer.rest().size() - 1);
  }
  return script;
}

[[nodiscard]] inline Diagnostics failed_commit(std::string_view sql) {
  return {.sqlstate = "25P02",
          .severity = "ERROR",
          .message = "COMMIT of a failed transaction: the server rolled it back",
          .hint = "a statement failed before and its error was not heeded",
          .statement = without_passwords(sql)};
}

}  // namespace lido::postgres::detail
