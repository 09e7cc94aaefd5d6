// Whether an error may come from what was prepared too long ago.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Being prepared has to do with no error of these classes: of constraints and conflicts, of the state of a
/// transaction, of resources, of a lock or an administrator, and of what functions raise. With any other it may: with
/// a type that was made anew even an internal one (XX000). `raised_by`: the function of the server's that did.
[[nodiscard]] inline bool may_be_stale(const Diagnostics& error, std::string_view raised_by) noexcept {
  if (raised_by == "exec_stmt_raise") return false;
  const std::string_view state = error.sqlstate;
  constexpr std::array<std::string_view, 12> others{"08", "23", "25", "28", "2D", "3B",
                                                    "40", "53", "55", "57", "58", "P0"};
  return std::none_of(others.begin(), others.end(), [&](std::string_view other) { return state.starts_with(other); });
}

}  // namespace lido::postgres::detail
