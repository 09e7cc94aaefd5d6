// The transaction around a sandbox: what would begin and end one within it becomes a savepoint.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/sql/transaction_control.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/enclosure.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// For one connection at a time, and whoever has it.
///
/// One savepoint is there from the first statement on. Before a statement outside of a transaction, and before the
/// begin of one, it is made anew, so that what was done before is kept, and what fails undoes itself alone; where the
/// last statement failed, or the transaction was rolled back, it is gone back to. Ends are only noted: the next
/// statement sees to them.
class Sandboxing : public Enclosure {
 public:
  void opened() override {
    if (begun_) lost_ = true;  // on the connection before
  }

  std::optional<std::string> enter(Channel& channel, std::string_view sql) override {
    if (sql.empty()) return std::nullopt;  // a ping
    const TransactionControl control = control_of(sql);
    if (control.kind == Kind::mixed) refuse(sql);
    require_begun(channel, sql);
    if (std::exchange(closing_, false)) open_ = false;
    const bool failed = PQtransactionStatus(channel.raw()) == PQTRANS_INERROR;
    if (!open_) {
      if (control.kind == Kind::commit || control.kind == Kind::rollback) return "";  // the server would only warn
      renew(channel, failed);
    }
    switch (control.kind) {
      case Kind::begin:
        return begin(control, sql);
      case Kind::commit:
        channel.leaves(Leaves::state);  // what was set for the transaction alone goes on
        closing_ = true;
        return failed ? go_back : commit + ("; " + patience(channel));
      case Kind::rollback:
        closing_ = true;
        return go_back;
      case Kind::discard:
        if (open_) return std::nullopt;  // the server refuses that
        return std::string{discard_all}.append("; ").append(patience(channel));
      case Kind::none:
        if (!open_) channel.leaves(Leaves::state);  // as above, with the transaction that it is by itself
        return std::nullopt;
      case Kind::mixed:
      default:
        return std::nullopt;
    }
  }

  void require_none(std::string_view sql) const override {
    if (control_of(sql).kind != Kind::none) refuse(sql);
  }

  [[nodiscard]] PGTransactionStatusType transaction(PGTransactionStatusType real) const noexcept override {
    const bool within = real == PQTRANS_INTRANS || real == PQTRANS_INERROR;
    return within && (closing_ || !open_) ? PQTRANS_IDLE : real;
  }

  [[nodiscard]] bool has_begun() const noexcept { return begun_; }
  /// Rolls back all of it; the next statement begins anew. Throws `Error` where something is not undone by that, or was
  /// undone before, and `ConnectionLost`.
  void roll_back(Channel& channel) {
    const bool lost = lost_.exchange(false);
    const bool begun = begun_.exchange(false);
    bool ended = std::exchange(ended_, false);
    open_ = closing_ = false;
    const bool within = PQtransactionStatus(channel.raw()) != PQTRANS_IDLE;
    if (begun && !within && !lost) ended = true;
    if (within && !run(channel, go_back)) ended = true;
    if (within) run(channel, "ROLLBACK");
    if (ended) throw Error{was_ended};
    if (lost) throw Error{was_lost};
  }

 private:
  using Kind = TransactionControl::Kind;

  static constexpr const char* go_back = "ROLLBACK TO SAVEPOINT lido_sandbox";
  // A transaction that only reads does so from its savepoint on, up to whose release: what is checked then may be of
  // one that wrote. What is deferred stays so, for the end that never comes.
  static constexpr const char* commit =
      "RELEASE SAVEPOINT lido_begun; SAVEPOINT lido_check; SET CONSTRAINTS ALL IMMEDIATE; "
      "ROLLBACK TO SAVEPOINT lido_check; RELEASE SAVEPOINT lido_check";
  static constexpr const char* discard_all =
      "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; UNLISTEN *; "
      "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES";
  static constexpr const char* was_lost =
      "the sandbox's connection was lost, and with it what was done in it; rollback() begins anew";
  static constexpr const char* was_ended =
      "the sandbox's transaction was ended by a statement that lido did not see (through native(), for instance): what "
      "was done before it is not undone";

  [[noreturn]] static void refuse(std::string_view sql) {
    const std::string message =
        "in a sandbox a transaction begins and ends by a Session, or by a statement that stands alone: no scripts and "
        "pipelines with BEGIN or COMMIT among others, no AND CHAIN, no PREPARE TRANSACTION";
    throw QueryError{
        message, {.sqlstate = "0A000", .severity = "ERROR", .message = message, .statement = without_passwords(sql)}};
  }
  [[noreturn]] static void refuse(std::string_view sql, const char* message) {
    throw QueryError{
        message, {.sqlstate = "25P01", .severity = "ERROR", .message = message, .statement = without_passwords(sql)}};
  }
  [[noreturn]] void refuse_ended(std::string_view sql) {
    ended_ = true;
    refuse(sql, was_ended);
  }

  void require_begun(Channel& channel, std::string_view sql) {
    if (lost_) refuse(sql, was_lost);
    const bool outside = PQtransactionStatus(channel.raw()) == PQTRANS_IDLE;
    if (ended_ || (begun_ && outside)) refuse_ended(sql);
    if (begun_) return;
    if (outside) run(channel, "BEGIN");
    const std::string savepoint = patience(channel) + "; SAVEPOINT lido_sandbox";
    run(channel, savepoint.c_str());
    begun_ = true;
    open_ = closing_ = false;
  }

  void renew(Channel& channel, bool failed) {
    const std::string sql =
        failed ? go_back : "RELEASE SAVEPOINT lido_sandbox; " + patience(channel) + "; SAVEPOINT lido_sandbox";
    if (!run(channel, sql.c_str())) refuse_ended(sql);
  }

  // Outside of its transactions the application's session is idle for as long as it likes. Behind each COMMIT anew, and
  // before each statement, as it may have set them, or RESET ALL may have brought those of the role or database back.
  [[nodiscard]] static std::string patience(const Channel& channel) {
    std::string sql = "SET LOCAL idle_in_transaction_session_timeout = 0";
    if (PQserverVersion(channel.raw()) >= 170000) sql += "; SET LOCAL transaction_timeout = 0";
    return sql;
  }

  std::optional<std::string> begin(const TransactionControl& control, std::string_view sql) {
    if (open_) return std::nullopt;  // the server warns of it
    open_ = true;
    if (first_word(sql) == "SAVEPOINT") return std::nullopt;  // a session's, with its settings
    return control.read_only ? "SAVEPOINT lido_begun; SET TRANSACTION READ ONLY" : "SAVEPOINT lido_begun";
  }

  // In the thread of the caller, also of a loop: a round trip of what never waits for others. False: the savepoint is
  // not there. Throws `ConnectionLost`.
  static bool run(Channel& channel, const char* sql) {
    const Until soon{saturating_add(Clock::now(), std::chrono::seconds{5})};
    bool there = true;
    if (PQsendQuery(channel.raw(), sql) == 0) throw channel.lost(sql);
    for (;;) {
      for (Need need = channel.pending(); need != Need::nothing; need = channel.pending()) {
        if (need != Need::at_once && wait_for(channel.socket(), need, soon) != Wake::ready)
          throw channel.lost(sql, "no answer to what a sandbox asks");
        if (!channel.consume()) break;
      }
      const ResultHandle result{PQgetResult(channel.raw())};
      if (!result) break;
      if (PQresultStatus(result.get()) != PGRES_FATAL_ERROR) continue;
      Diagnostics error = channel.diagnose(result.get(), sql);
      there = error.sqlstate != "3B001" && error.sqlstate != "25P01";
      if (there) throw channel.lost(std::move(error));
    }
    if (PQstatus(channel.raw()) != CONNECTION_OK) throw channel.gone(sql, one_line(PQerrorMessage(channel.raw())));
    return there;
  }

  // Those that the pool's workers look at, too, when they open a connection.
  std::atomic<bool> begun_{false};  // the transaction around all
  std::atomic<bool> lost_{false};   // with its connection
  bool open_ = false;               // one within it
  bool closing_ = false;            // which has been told to end
  bool ended_ = false;              // the one around all, by somebody else
};

}  // namespace lido::postgres::detail
