// What a connection needs before its next borrower gets it, as a decision. No I/O.
#pragma once

#include <lido/postgres/options.hpp>

namespace lido::postgres::detail {

/// How a connection was used since it was last put in order; it is quiet: no statement, COPY or pipeline under way.
struct SessionUse {
  bool in_transaction = false;
  bool used = false;     ///< a statement was run
  bool touched = false;  ///< one of them may have left something in the session
};

/// What to send, one after the other.
struct ResetPlan {
  bool close = false;  ///< nothing: it is not to be used again
  bool rollback = false;
  bool discard_all = false;  ///< not in one script with the other: the server would refuse
};

[[nodiscard]] constexpr ResetPlan reset_plan(ResetLevel level, const SessionUse& use) noexcept {
  const bool closes = (level == ResetLevel::reopen && use.used) || (level == ResetLevel::none && use.in_transaction);
  if (closes) return {.close = true};
  return {
      .rollback = use.in_transaction,
      .discard_all = (level == ResetLevel::targeted && use.touched) || (level == ResetLevel::discard_all && use.used)};
}

}  // namespace lido::postgres::detail
