// Looking up words in the lists of builtins.hpp, and one list more.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include <lido/postgres/detail/sql/builtins.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Whether `word` is in a list of builtins.hpp. Complexity: logarithmic.
[[nodiscard]] constexpr bool is_builtin(std::string_view word, std::string_view list) noexcept {
  while (!list.empty()) {
    const std::size_t begin = list.rfind(' ', list.size() / 2) + 1;  // npos + 1 is 0
    const std::size_t end = std::min(list.find(' ', begin), list.size());
    const std::string_view middle = list.substr(begin, end - begin);
    if (is(word, middle)) return true;
    const bool before = std::lexicographical_compare(word.begin(), word.end(), middle.begin(), middle.end(),
                                                     [](char a, char b) { return lower(a) < lower(b); });
    list = before ? list.substr(0, begin == 0 ? 0 : begin - 1) : list.substr(std::min(end + 1, list.size()));
  }
  return false;
}
[[nodiscard]] constexpr bool is_keyword(std::string_view word) noexcept {
  return is_builtin(word, no_function_names) || is_builtin(word, operator_keywords) ||
         is_builtin(word, unreserved_keywords);
}

/// Functions of what DISCARD ALL leaves in the session; of the slots, the temporary ones, which several arguments tell.
inline constexpr std::string_view lasting_functions =
    "pg_replication_origin_session_setup pg_backup_start pg_start_backup pg_create_physical_replication_slot "
    "pg_create_logical_replication_slot pg_copy_physical_replication_slot pg_copy_logical_replication_slot";

}  // namespace lido::postgres::detail
