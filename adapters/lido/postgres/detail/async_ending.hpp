// How an asynchronous session ends, as operations.
#pragma once

#include <optional>
#include <utility>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/async_operations.hpp>
#include <lido/postgres/detail/ending.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// What is left of a session while it ends. The lease goes back as soon as nothing refers to the connection any more.
template <class Lease>
struct Transaction {
  Lease lease;
  std::optional<TransactionId> id;
  bool committed = false;
  Savepoints savepoints{};
};

/// COMMIT. Whatever comes of it, the session has ended, unless a savepoint is open.
template <class Lease>
class Committing {
 public:
  /// Throws what `BasicSession::commit` throws before it has sent anything.
  Committing(Transaction<Lease>& transaction, const Until& until) : transaction_{transaction} {
    Connection& connection = *transaction_.lease;
    if (!connection.is_alive() || !connection.is_usable()) {
      transaction_.lease.discard();
      throw lost_before_commit();
    }
    if (connection.in_transaction()) transaction_.savepoints.check_none_open();
    try {
      if (!connection.in_transaction()) throw no_transaction();
      check_time(until);
    } catch (const Error&) {
      transaction_.lease.release();  // the pool rolls back
      throw;
    }
    within([&] { script_.emplace(connection.channel(), "COMMIT"); });
  }

  [[nodiscard]] Socket socket() const noexcept { return socket_of(script_); }
  [[nodiscard]] Need step() {
    Need need = Need::nothing;
    within([&] {
      need = script_->step();
      if (need == Need::nothing) check_committed(script_->outcome().command_tag());
    });
    if (need == Need::nothing) {
      script_.reset();
      transaction_.committed = true;
      transaction_.lease.release();
    }
    return need;
  }
  void give_up(Wake why) {
    within([&] { script_->give_up(why); });
  }
  void outcome() const noexcept {}

 private:
  template <class Action>
  void within(Action action) {
    try {
      action();
    } catch (const QueryError&) {  // an answer
      script_.reset();
      transaction_.lease.release();
      throw;
    } catch (const Error& error) {
      script_.reset();
      transaction_.lease.discard();
      throw unknown_commit(error, transaction_.id);
    } catch (...) {
      script_.reset();
      transaction_.lease.discard();
      throw;
    }
  }

  Transaction<Lease>& transaction_;
  std::optional<Scripting> script_;
};

/// ROLLBACK. Throws nothing: a connection that is not in order afterwards is discarded.
template <class Lease>
class RollingBack {
 public:
  explicit RollingBack(Transaction<Lease>& transaction) : transaction_{transaction} {
    if (!transaction_.lease) return;
    Connection& connection = *transaction_.lease;
    if (!connection.is_usable())
      transaction_.lease.discard();
    else if (!connection.in_transaction())
      transaction_.lease.release();
    else
      within([&] { script_.emplace(connection.channel(), "ROLLBACK"); });
  }

  [[nodiscard]] Socket socket() const noexcept { return socket_of(script_); }
  [[nodiscard]] Need step() noexcept {
    Need need = Need::nothing;
    within([&] {
      if (script_) need = script_->step();
    });
    if (need != Need::nothing || !script_) return need;
    script_.reset();
    transaction_.lease->in_transaction() ? transaction_.lease.discard() : transaction_.lease.release();
    return need;
  }
  void give_up(Wake why) noexcept {
    within([&] { script_->give_up(why); });
  }
  void outcome() const noexcept {}

 private:
  template <class Action>
  void within(Action action) noexcept {
    try {
      action();
    } catch (...) {  // the server rolls back by itself
      script_.reset();
      transaction_.lease.discard();
    }
  }

  Transaction<Lease>& transaction_;
  std::optional<Scripting> script_;
};

}  // namespace lido::postgres::detail
