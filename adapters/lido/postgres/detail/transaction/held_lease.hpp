// What a session has of its pool and of its transaction.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// The savepoints of one transaction, the innermost last.
class Savepoints {
 public:
  using Id = SavepointId;

  [[nodiscard]] Id next() noexcept { return ++last_; }
  void opened(Id id) { open_.push_back(id); }
  [[nodiscard]] bool is_open(Id id) const noexcept { return std::find(open_.begin(), open_.end(), id) != open_.end(); }
  [[nodiscard]] bool empty() const noexcept { return open_.empty(); }
  /// `id` is over, and with it all within.
  void closed(Id id) noexcept { open_.erase(std::find(open_.begin(), open_.end(), id), open_.end()); }

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

/// What a session has. The lease goes back as soon as nothing refers to the connection any more.
template <class Lease>
struct Transaction {
  Lease lease;
  bool rolls_back = false;  // its session does so by itself, as it can wait for it
  bool committed = false;
  bool unknown = false;           // COMMIT was not answered
  bool may_be_committed = false;  // by whatever has ended it: known once the lease is gone
  std::optional<TransactionId> id{};
  Savepoints savepoints{};

  ~Transaction() { let_go(); }
  /// A statement has ended it, which may have been a COMMIT.
  void was_ended() noexcept {
    may_be_committed = true;
    release();
  }
  void release() noexcept {
    let_go();
    lease.release();
  }
  void discard() noexcept {
    let_go();
    lease.discard();
  }
  // Defined in transacting.hpp, and not inline: a unit that has sessions need know nothing of channels.
  void let_go() noexcept;
};

/// Defined in retry.hpp.
template <class AnySession>
[[nodiscard]] bool may_have_committed(AnySession& session);

}  // namespace lido::postgres::detail
