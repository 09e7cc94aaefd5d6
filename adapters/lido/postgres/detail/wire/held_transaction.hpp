// The transaction that a session holds on its connection, seen where every statement passes.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/transaction_control.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// What a statement, or COMMIT, meets where the transaction that it was meant for is over.
[[nodiscard]] inline QueryError no_transaction(std::string_view sql, const std::string& message) {
  return {message, {.sqlstate = "25P01", .severity = "ERROR", .message = message, .statement = without_passwords(sql)}};
}

/// Whether `sql` is COMMIT, PREPARE TRANSACTION or COMMIT PREPARED and nothing else: the server may be waiting for its
/// standby. Of a script nobody knows how far the server is, nor of a statement whether it commits by itself.
/// Complexity: linear.
[[nodiscard]] constexpr bool is_commit(std::string_view sql) noexcept {
  Lexer lexer{sql};
  Piece first = lexer.next_solid();
  while (first.is_the_symbol(';')) first = lexer.next_solid();
  const bool prepares = first.is_the_word("prepare") && lexer.next_solid().is_the_word("transaction");
  if (!prepares && !first.is_the_word("commit") && !first.is_the_word("end")) return false;
  Lexer all{sql};
  bool ended = false;
  static_cast<void>(control_of_next(all, ended));
  static_cast<void>(control_of_next(all, ended));
  return ended;
}

/// While it is held, no statement is sent outside a transaction: it would commit by itself.
class HeldTransaction {
 public:
  /// It has begun.
  void hold() noexcept {
    *this = {};
    held_ = true;
  }
  /// The session has ended, or is about to give the connection back: what does that may say what it likes.
  void let_go() noexcept { *this = {}; }
  [[nodiscard]] bool is_held() const noexcept { return held_; }

  /// Throws `QueryError` where a statement has ended the transaction. A ping, which is empty, changes nothing.
  void require(std::string_view sql, PGTransactionStatusType status) const {
    if (held_ && status == PQTRANS_IDLE && !sql.empty())
      throw no_transaction(sql, "a statement has ended the session's transaction; this one was not sent");
  }

  /// A statement ended with this tag.
  void note_command(std::string_view tag) noexcept {
    committed_ = committed_ || tag == "COMMIT";
    prepared_ = prepared_ || tag == "PREPARE TRANSACTION";
  }
  /// A statement has committed it, also where another one has begun since.
  [[nodiscard]] bool is_committed() const noexcept { return committed_; }
  /// A statement has prepared it, for somebody to commit.
  [[nodiscard]] bool is_prepared() const noexcept { return prepared_; }

  /// The answer to this statement will never come.
  void note_unanswered(std::string_view sql) noexcept {
    using Kind = TransactionControl::Kind;
    const Kind kind = held_ ? control_of(sql).kind : Kind::none;
    unseen_ = unseen_ || kind == Kind::commit || kind == Kind::mixed;
  }
  /// A statement has committed it, or may have, as the connection was lost before the answer came; or somebody may yet.
  [[nodiscard]] bool may_be_committed() const noexcept { return committed_ || unseen_ || prepared_; }

  /// It has failed with this error of a statement that was prepared before, perhaps because it was.
  void note_stale(const std::string& sqlstate) noexcept { sqlstate.copy(stale_.data(), stale_.size()); }
  [[nodiscard]] bool is_stale(std::string_view sqlstate) const noexcept {
    return sqlstate == std::string_view{stale_.data(), stale_.size()};
  }
  /// Its statements are sent as they are.
  void avoid_prepared() noexcept { avoids_prepared_ = true; }
  [[nodiscard]] bool avoids_prepared() const noexcept { return avoids_prepared_; }

 private:
  bool held_ = false;
  bool committed_ = false;
  bool prepared_ = false;
  bool unseen_ = false;  // a COMMIT was sent whose answer nobody saw
  bool avoids_prepared_ = false;
  std::array<char, 5> stale_{};  // an SQLSTATE
};

}  // namespace lido::postgres::detail
