// How many parameters a statement takes, for those who pass a number of them that the compiler does not know.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/values/bound.hpp>

namespace lido::postgres::detail {

/// Whether a `$1` stands in a word behind what may be an operator: in a client's encoding where no character ends with
/// one of ASCII, as UTF8, it is a parameter (`ключ[$1]`).
[[nodiscard]] constexpr bool may_have_parameter(std::string_view word) noexcept {
  for (std::size_t at = word.find('$', 1); at < word.size(); at = word.find('$', at + 1))
    if (!is_word(word[at - 1]) && at + 1 < word.size() && is_digit(word[at + 1])) return true;
  return false;
}

/// The greatest number behind a `$`; nothing where the session's settings decide what is a parameter.
[[nodiscard]] inline std::optional<std::size_t> parameters_in(std::string_view sql) noexcept {
  std::size_t most = 0;
  Lexer lexer{sql};
  for (Piece piece = lexer.next(); piece.kind != Token::end; piece = lexer.next()) {
    if (piece.doubtful || (piece.kind == Token::word && may_have_parameter(piece.text))) return std::nullopt;
    if (piece.kind != Token::parameter) continue;
    std::string_view digits = piece.text.substr(1);
    most = std::max(most, take_number<std::size_t>(digits).value_or(std::numeric_limits<std::size_t>::max()));
  }
  return most;
}

/// Why `bound` cannot be passed to `sql`; empty where it can, and where only the server knows.
[[nodiscard]] inline std::string wrong_count(const Bound& bound, std::string_view sql) {
  if (!bound.counted) return {};
  const std::optional<std::size_t> wanted = parameters_in(sql);
  const auto given = static_cast<std::size_t>(bound.count);
  if (!wanted || *wanted == given) return {};
  return "Params has " + std::to_string(given) + (given == 1 ? " parameter" : " parameters") + ", and the statement " +
         (*wanted == 0 ? "takes none" : "has $1 to $" + std::to_string(*wanted));
}

}  // namespace lido::postgres::detail
