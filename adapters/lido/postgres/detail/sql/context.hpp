// A token and its neighbours, which say what it is.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string_view>

#include <lido/postgres/detail/sql/keywords.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Walks over a script, without white space and comments.
class Context {
 public:
  explicit constexpr Context(std::string_view sql) noexcept : lexer_{sql}, ahead_{lexer_.next_solid()} {}

  /// Moves to the next token; false at the end.
  constexpr bool next() noexcept {
    std::move_backward(before_.begin(), std::prev(before_.end()), before_.end());
    before_.front() = piece_;
    piece_ = ahead_;
    ahead_ = lexer_.next_solid();
    return piece_.kind != Token::end;
  }

  [[nodiscard]] constexpr const Piece& piece() const noexcept { return piece_; }
  [[nodiscard]] constexpr const Piece& ahead() const noexcept { return ahead_; }
  /// Behind what is ahead.
  [[nodiscard]] constexpr Piece behind() const noexcept { return Lexer{lexer_}.next_solid(); }
  /// Back by one, or more.
  [[nodiscard]] constexpr const Piece& before(std::size_t back = 0) const noexcept { return before_[back]; }
  /// One of the keywords `words` stands there: not a name behind a dot.
  [[nodiscard]] constexpr bool was(std::size_t back, std::string_view words) const noexcept {
    return before_[back].kind == Token::word && is_one_of(before_[back].text, words) &&
           !before_[back + 1].is_the_symbol('.');
  }

  [[nodiscard]] constexpr bool calls() const noexcept { return ahead_.is_the_symbol('('); }
  /// A name is ahead that is no keyword, so that this is no expression.
  [[nodiscard]] constexpr bool is_table_ahead() const noexcept {
    return ahead_.kind == Token::quoted || (ahead_.kind == Token::word && !is_keyword(ahead_.text));
  }
  /// What stands before is complete, so that an operator follows and no call. `group`: a parenthesis is. `joins`: the
  /// operator is JOIN.
  [[nodiscard]] constexpr bool is_operand_before(bool joins, bool group) const noexcept {
    const Piece& last = before_[0];
    if (last.kind == Token::symbol) return last.is_the_symbol(']') || (last.is_the_symbol(')') && group);
    if (last.kind != Token::word) return last.kind != Token::end;
    if (before_[1].is_the_symbol('.')) return true;
    if (joins && is_one_of(last.text, "left right inner full cross outer natural")) return true;
    return !is_keyword(last.text);
  }

 private:
  Lexer lexer_;
  Piece piece_{};
  Piece ahead_;
  std::array<Piece, 4> before_{};  // the last one first
};

}  // namespace lido::postgres::detail
