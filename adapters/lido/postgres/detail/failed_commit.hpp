// COMMIT of a transaction that has failed: the server rolls back and answers with the tag ROLLBACK, which is no error.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Whether the first statement of `sql` is there to keep what its transaction did: COMMIT, END, or PREPARE TRANSACTION.
/// Complexity: linear in what stands before it.
[[nodiscard]] constexpr bool begins_with_commit(std::string_view sql) noexcept {
  std::size_t at = 0;
  while (at < sql.size()) {
    const std::size_t comment = comment_length(sql.substr(at));
    if (comment == 0 && !is_space(sql[at]) && sql[at] != ';') break;
    at += std::max<std::size_t>(comment, 1);
  }
  sql.remove_prefix(at);
  const auto is = [&](std::string_view verb) {
    return sql.size() >= verb.size() && std::ranges::equal(sql.substr(0, verb.size()), verb, {}, lower) &&
           (sql.size() == verb.size() || !is_word(sql[verb.size()]));
  };
  return is("commit") || is("end") || is("prepare");
}

/// `script` without what stands behind its first statement, which begins as above. Complexity: linear.
[[nodiscard]] constexpr std::string_view first_statement(std::string_view script) noexcept {
  bool begun = false;
  for (std::size_t at = 0; at < script.size();) {
    const std::string_view rest = script.substr(at);
    const std::size_t comment = comment_length(rest);
    if (begun && rest.front() == ';') return script.substr(0, at);
    begun = begun || (comment == 0 && !is_space(rest.front()) && rest.front() != ';');
    at += std::max<std::size_t>(comment > 0 ? comment : literal_length(rest), 1);
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
