// How a transaction ends, as decisions: what may be sent, and what came of it. No I/O.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline ConnectionLost lost_before_commit() {
  return ConnectionLost{"the connection was lost before COMMIT; nothing is committed"};
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

/// The savepoints of one transaction, the innermost last.
class Savepoints {
 public:
  using Id = SavepointId;

  [[nodiscard]] Id next() noexcept { return ++last_; }
  void opened(Id id) { open_.push_back(id); }
  [[nodiscard]] bool is_open(Id id) const noexcept { return std::ranges::find(open_, id) != open_.end(); }
  [[nodiscard]] bool empty() const noexcept { return open_.empty(); }
  /// `id` is over, and with it all within.
  void closed(Id id) noexcept { open_.erase(std::ranges::find(open_, id), open_.end()); }

  /// Throws `Error` where `id` is not the innermost.
  void check_innermost(Id id) const {
    if (!is_open(id)) throw Error{"the savepoint has ended: it, one around it, or its session"};
    if (open_.back() != id) throw Error{"a savepoint within this one is still open: release it first, or roll it back"};
  }
  /// Throws `Error` where a COMMIT would keep what nobody has released.
  void check_none_open() const {
    if (!empty()) throw Error{"a savepoint is still open: release it before COMMIT, or roll it back"};
  }

 private:
  std::vector<Id> open_;
  Id last_ = 0;
};

}  // namespace lido::postgres::detail
