// Statements that begin and end transactions, told by their text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// What a script does with its transaction.
struct TransactionControl {
  enum class Kind : std::uint8_t {
    none,
    begin,
    commit,
    rollback,
    discard,  ///< DISCARD ALL, which cannot be in a transaction
    mixed,  ///< several of these, or one among other statements, or one that does more: AND CHAIN, PREPARE TRANSACTION
  };
  Kind kind = Kind::none;
  bool read_only = false;  ///< of begin
};

/// The savepoint with which lido's own sessions begin in a sandbox, in the place of BEGIN.
inline constexpr std::string_view begun_savepoint = "lido_begun";

/// One statement. Moves behind it.
[[nodiscard]] constexpr TransactionControl control_of_next(Lexer& lexer, bool& empty) noexcept {
  using Kind = TransactionControl::Kind;
  TransactionControl found;
  Piece first = lexer.next_solid();
  while (first.is_the_symbol(';')) first = lexer.next_solid();
  empty = first.kind == Token::end;
  if (empty) return found;
  Piece piece = lexer.next_solid();
  if (first.is_the_word("begin") || (first.is_the_word("start") && piece.is_the_word("transaction")) ||
      (first.is_the_word("savepoint") && piece.is_the_word(begun_savepoint)))
    found.kind = Kind::begin;
  else if (first.is_the_word("commit") || first.is_the_word("end"))
    found.kind = piece.is_the_word("prepared") ? Kind::none : Kind::commit;
  else if (first.is_the_word("rollback") || first.is_the_word("abort"))
    found.kind = piece.is_the_word("prepared") ? Kind::none : Kind::rollback;
  else if (first.is_the_word("prepare") && piece.is_the_word("transaction"))
    found.kind = Kind::mixed;
  else if (first.is_the_word("discard") && piece.is_the_word("all"))
    found.kind = Kind::discard;
  // What is in parentheses, as in CREATE RULE, is not the end; and the body of an SQL function has statements in it.
  // Its own END is the one that no statement of it can have: each ends with a semicolon.
  bool routine = false, body = false;
  std::size_t depth = 0;
  for (Piece before; piece.kind != Token::end && (depth > 0 || body || !piece.is_the_symbol(';'));
       piece = lexer.next_solid()) {
    if (piece.is_the_symbol('(')) ++depth;
    if (piece.is_the_symbol(')') && depth > 0) --depth;
    if (first.is_the_word("create") && (before.kind == Token::end || before.is_the_word("replace")))
      routine = routine || piece.is_the_word("function") || piece.is_the_word("procedure");
    if (routine && depth == 0 && before.is_the_word("begin") && piece.is_the_word("atomic")) body = true;
    if (body && depth == 0 && piece.is_the_word("end") && (before.is_the_symbol(';') || before.is_the_word("atomic")))
      body = false;
    if (found.kind == Kind::rollback && piece.is_the_word("to")) found.kind = Kind::none;
    const bool ends = found.kind == Kind::rollback || found.kind == Kind::commit;
    if (ends && piece.is_the_word("chain") && !before.is_the_word("no")) found.kind = Kind::mixed;
    if (before.is_the_word("read") && piece.is_the_word("only")) found.read_only = true;
    before = piece;
  }
  if (body) found.kind = Kind::mixed;  // nobody knows what is in it
  return found;
}

/// Complexity: linear in `sql`.
[[nodiscard]] constexpr TransactionControl control_of(std::string_view sql) noexcept {
  using Kind = TransactionControl::Kind;
  Lexer lexer{sql};
  bool empty = false;
  TransactionControl first = control_of_next(lexer, empty);
  const bool own = first_word(sql) == "SAVEPOINT";  // its settings follow
  while (!empty) {
    const TransactionControl next = control_of_next(lexer, empty);
    if (empty) break;
    if (own && first.kind == Kind::begin) first.read_only = first.read_only || next.read_only;
    if (next.kind != Kind::none || (first.kind != Kind::none && !own)) return {.kind = Kind::mixed};
  }
  return first;
}

}  // namespace lido::postgres::detail
