// How a transaction and its savepoints begin and end, as operations.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <lido/postgres/detail/operations/scripting.hpp>
#include <lido/postgres/detail/transaction/begin.hpp>
#include <lido/postgres/detail/transaction/beginning.hpp>
#include <lido/postgres/detail/transaction/ending.hpp>
#include <lido/postgres/detail/transaction/held_lease.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/detail/wire/tracing.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/trace_facts.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

// What puts the connection in order is no statement of the session's, and rows that are still to come are nobody's.
template <class Lease>
void Transaction<Lease>::let_go() noexcept {
  if (!lease) return;
  Channel& channel = lease->channel();
  channel.guests().dismiss();
  HeldTransaction& held = channel.held();
  may_be_committed = may_be_committed || committed || unknown || held.may_be_committed();
  channel.tracing().end(committed || held.is_committed()     ? TransactionEnd::Outcome::committed
                        : unknown || held.may_be_committed() ? TransactionEnd::Outcome::unknown
                                                             : TransactionEnd::Outcome::rolled_back);
  held.let_go();
}

/// The transaction of a session for its tracer, until it has begun.
class BeginningTrace {
 public:
  explicit BeginningTrace(Channel& channel) noexcept {
    if (channel.tracing()) traced_ = channel.tracing().transaction(channel.raw(), channel.where());
  }
  BeginningTrace(const BeginningTrace&) = delete;
  BeginningTrace& operator=(const BeginningTrace&) = delete;
  ~BeginningTrace() { traced_.end({}); }
  void begun(Channel& channel) noexcept {
    if (traced_) channel.tracing().hold(std::move(traced_));
  }

 private:
  Traced<TransactionEnd> traced_;
};

/// The begin of a session.
template <class Lease>
class BeginningSession : BeginningTrace, public Beginning {
 public:
  BeginningSession(Transaction<Lease>& transaction, const TransactionOptions& options)
      : BeginningTrace{transaction.lease->channel()},
        Beginning{transaction.lease->channel(), options},
        transaction_{transaction},
        tracks_{options.track_commit} {}
  void outcome() {
    const Result answer = Beginning::outcome();
    if (tracks_) transaction_.id = transaction_id_of(answer);
    transaction_.lease->channel().held().hold();
    begun(transaction_.lease->channel());
  }

 private:
  Transaction<Lease>& transaction_;
  bool tracks_;
};

/// One of the scripts of a savepoint, and what comes of it where it works.
class ChangingSavepoint : public Scripting {
 public:
  using Change = void (Savepoints::*)(SavepointId);
  ChangingSavepoint(Channel& channel, Savepoints& savepoints, SavepointId id, std::string script, Change change)
      : Scripting{channel, std::move(script)}, savepoints_{savepoints}, id_{id}, change_{change} {}
  void outcome() { (savepoints_.*change_)(id_); }

 private:
  Savepoints& savepoints_;
  SavepointId id_;
  Change change_;
};

/// COMMIT. Whatever comes of it, the session has ended, unless a savepoint or a stream is open.
template <class Lease>
class Committing {
 public:
  /// Throws what `BasicSession::commit` throws before it has sent anything.
  Committing(Transaction<Lease>& transaction, const Until& until) : transaction_{transaction} {
    auto& connection = *transaction_.lease;
    check_none_under_way(connection.channel());
    if (!connection.is_alive() || !connection.is_usable()) {
      const HeldTransaction held = connection.channel().held();
      transaction_.discard();
      if (held.is_committed()) throw lost_after_commit();
      if (held.is_prepared()) throw lost_after_prepare();
      if (held.may_be_committed()) throw unknown_commit(transaction_.id);
      throw lost_before_commit();
    }
    if (!connection.in_transaction()) {
      transaction_.was_ended();
      throw no_transaction();
    }
    transaction_.savepoints.check_none_open();
    try {
      check_time(until);
    } catch (const Error&) {
      if (!transaction_.rolls_back) transaction_.release();  // the pool does
      throw;
    }
    within([&] { script_.emplace(connection.channel(), "COMMIT"); });
  }

  [[nodiscard]] Socket socket() const noexcept { return socket_of(script_); }
  [[nodiscard]] Need step() {
    Need need = Need::nothing;
    within([&] { need = script_->step(); });
    if (need == Need::nothing) {
      script_.reset();
      transaction_.committed = true;
      transaction_.release();
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
      transaction_.release();
      throw;
    } catch (const Error& error) {
      script_.reset();
      transaction_.unknown = true;
      transaction_.discard();
      throw unknown_commit(error, transaction_.id);
    } catch (...) {
      script_.reset();
      transaction_.discard();
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
    auto& connection = *transaction_.lease;
    connection.channel().guests().dismiss();
    if (!connection.is_usable())
      transaction_.discard();
    else if (!connection.in_transaction())
      transaction_.was_ended();
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
    transaction_.lease->in_transaction() ? transaction_.discard() : transaction_.release();
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
      transaction_.discard();
    }
  }

  Transaction<Lease>& transaction_;
  std::optional<Scripting> script_;
};

}  // namespace lido::postgres::detail
