// How a transaction ends, as decisions: what may be sent, and what came of it. No I/O.
#pragma once

#include <optional>

#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline ConnectionLost lost_before_commit() {
  return ConnectionLost{"the connection was lost before COMMIT; nothing is committed"};
}
/// The same where a statement has committed, and another transaction may have begun since.
[[nodiscard]] inline ConnectionLost lost_after_commit() {
  return ConnectionLost{"the connection was lost before COMMIT; a statement had committed what was done before it"};
}
/// The same where it has prepared it for somebody to commit.
[[nodiscard]] inline ConnectionLost lost_after_prepare() {
  return ConnectionLost{"the connection was lost before COMMIT; a statement had prepared the transaction"};
}
[[nodiscard]] inline QueryError no_transaction() {
  return no_transaction("COMMIT", "COMMIT without a transaction: a statement of the session has ended it");
}

/// Throws `Error` where rows are still to come, as from a stream.
inline void check_none_under_way(const Channel& channel) {
  if (channel.usable() && channel.transaction() == PQTRANS_ACTIVE)
    throw Error{"a stream or a COPY is still open: let it end before COMMIT"};
}

/// What becomes of `error` when COMMIT ended with it and not with an answer.
[[nodiscard]] inline CommitUnknown unknown_commit(const Error& error, const std::optional<TransactionId>& id) {
  return {"COMMIT was sent and not answered: " + error.message(), error.diagnostics(), id};
}
/// The same where it was a statement's, whose error somebody has taken no notice of.
[[nodiscard]] inline CommitUnknown unknown_commit(const std::optional<TransactionId>& id) {
  return {"COMMIT was sent by a statement and not answered", {}, id};
}

}  // namespace lido::postgres::detail
