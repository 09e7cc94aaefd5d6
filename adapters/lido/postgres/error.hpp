// What goes wrong with PostgreSQL, told apart by what the caller can do about it.
//
// No error carries a parameter's value or a password: statements are shown with their `$1`, and every literal
// behind the word PASSWORD, wherever that stands, is blotted out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <lido/detail/concat.hpp>
#include <lido/error.hpp>

namespace lido::postgres {

/// What the server said of an error; empty where it said nothing.
struct Diagnostics {
  std::string sqlstate{};        ///< five characters, for instance `23505`
  std::string severity{};        ///< `ERROR`, `FATAL` or `PANIC`, in no locale
  std::string message{};         ///< the primary message
  std::string detail{};          ///< may quote data of the row at fault, so that `what()` leaves it out
  std::string hint{};            ///< the server's advice
  std::string context{};         ///< where in functions and statements within it, the innermost first
  std::string schema{};          ///< of the table, the type or the constraint
  std::string table{};           ///< the table
  std::string column{};          ///< the column
  std::string data_type{};       ///< the type, for instance a domain
  std::string constraint{};      ///< the constraint that was violated, or the unique index
  std::size_t position = 0;      ///< where in the statement, in characters counted from 1; 0 where that is not known
  std::string statement{};       ///< the statement, without its parameters
  std::source_location where{};  ///< where it was run; line 0 where that is not known
};

namespace detail {

/// What errors say. Not inline, so that each unit that throws some has it but once, or none where `extern template`
/// says that it is elsewhere.
template <class Form = void>
struct ErrorText {
  /// What `Error::what` says: the message, the SQLSTATE, and of which statement it is, cut to a line.
  [[nodiscard]] static std::string of(const std::string& message, const Diagnostics& about);
  /// And `ResultError::message`.
  [[nodiscard]] static std::string of_result(std::size_t row, const std::string& column, const std::string& wanted,
                                             const std::string& actual);
  [[nodiscard]] static std::shared_ptr<const Diagnostics> kept(Diagnostics&& diagnostics);
};

template <class Form>
std::string ErrorText<Form>::of(const std::string& message, const Diagnostics& about) {
  constexpr std::size_t longest = 200;
  std::string text = message;
  using lido::detail::concat;
  if (!about.sqlstate.empty()) text = concat({text, " (SQLSTATE ", about.sqlstate, ")"});
  if (!about.statement.empty() && message.find(about.statement) == std::string::npos) {
    std::string shown = about.statement.substr(0, longest);
    for (char& c : shown)
      if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    text = concat({text, "; statement: ", shown, about.statement.size() > longest ? "..." : ""});
  }
  if (about.where.line() != 0)
    text = concat({text, "; run at ", about.where.file_name(), ":", lido::detail::decimal(about.where.line())});
  return text;
}

template <class Form>
std::string ErrorText<Form>::of_result(std::size_t row, const std::string& column, const std::string& wanted,
                                       const std::string& actual) {
  return lido::detail::concat(
      {"row ", lido::detail::decimal(row), ", column ", column, ": wanted ", wanted, ", found ", actual});
}

template <class Form>
std::shared_ptr<const Diagnostics> ErrorText<Form>::kept(Diagnostics&& diagnostics) {
  return std::make_shared<const Diagnostics>(std::move(diagnostics));
}

}  // namespace detail

/// The base of everything that this adapter throws. `what()` ends with the statement, cut to a line, and where it was
/// run. Copies are cheap and never throw.
class [[gnu::visibility("default")]] Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what) : Error{what, {}} {}
  Error(const std::string& what, Diagnostics diagnostics)
      : std::runtime_error{detail::ErrorText<>::of(what, diagnostics)},
        diagnostics_{detail::ErrorText<>::kept(std::move(diagnostics))} {}

  [[nodiscard]] const std::string& sqlstate() const noexcept { return diagnostics_->sqlstate; }
  [[nodiscard]] const std::string& severity() const noexcept { return diagnostics_->severity; }
  [[nodiscard]] const std::string& message() const noexcept { return diagnostics_->message; }
  [[nodiscard]] const std::string& detail() const noexcept { return diagnostics_->detail; }
  [[nodiscard]] const std::string& hint() const noexcept { return diagnostics_->hint; }
  [[nodiscard]] const std::string& context() const noexcept { return diagnostics_->context; }
  [[nodiscard]] const std::string& constraint() const noexcept { return diagnostics_->constraint; }
  [[nodiscard]] const std::string& statement() const noexcept { return diagnostics_->statement; }
  /// Where the statement was run; line 0 where that is not known.
  [[nodiscard]] const std::source_location& where() const noexcept { return diagnostics_->where; }
  /// All of the above, and the names of the schema, the table, the column and the type.
  [[nodiscard]] const Diagnostics& diagnostics() const noexcept { return *diagnostics_; }

  /// The usual questions, by SQLSTATE.
  [[nodiscard]] bool is_unique_violation() const noexcept { return sqlstate() == "23505"; }
  [[nodiscard]] bool is_foreign_key_violation() const noexcept { return sqlstate() == "23503"; }
  [[nodiscard]] bool is_not_null_violation() const noexcept { return sqlstate() == "23502"; }
  [[nodiscard]] bool is_check_violation() const noexcept { return sqlstate() == "23514"; }
  [[nodiscard]] bool is_exclusion_violation() const noexcept { return sqlstate() == "23P01"; }
  /// One of the five above, or another of their class.
  [[nodiscard]] bool is_constraint_violation() const noexcept { return sqlstate().starts_with("23"); }
  [[nodiscard]] bool is_serialization_failure() const noexcept { return sqlstate() == "40001"; }
  [[nodiscard]] bool is_deadlock() const noexcept { return sqlstate() == "40P01"; }
  /// A lock was not to be had: NOWAIT, or `lock_timeout`.
  [[nodiscard]] bool is_lock_not_available() const noexcept { return sqlstate() == "55P03"; }
  /// The server ended the statement: its own `statement_timeout`, or a cancel.
  [[nodiscard]] bool is_query_canceled() const noexcept { return sqlstate() == "57014"; }
  [[nodiscard]] bool is_undefined_table() const noexcept { return sqlstate() == "42P01"; }
  [[nodiscard]] bool is_insufficient_privilege() const noexcept { return sqlstate() == "42501"; }

 private:
  std::shared_ptr<const Diagnostics> diagnostics_;
};

/// No connection came about; trying again may help.
class [[gnu::visibility("default")]] ConnectError : public Error {
 public:
  using Error::Error;
};

/// No connection came about, and none will until somebody changes a password, a name or a setting.
class [[gnu::visibility("default")]] PermanentConnectError : public ConnectError, public PermanentFailure {
 public:
  using ConnectError::ConnectError;
};

/// The server refused a statement. The connection is still good.
class [[gnu::visibility("default")]] QueryError : public Error {
 public:
  using Error::Error;
};

/// The deadline passed before the answer came. The server has been asked to give up, unless the statement is a COMMIT,
/// and the connection is unusable; unless the deadline had passed before anything was sent.
class [[gnu::visibility("default")]] QueryTimeout : public Error {
 public:
  using Error::Error;
};

/// The caller's stop token was requested before the answer came. The server has been asked to give up, unless the
/// statement commits, and the connection is unusable; unless the stop was requested before anything was sent.
class [[gnu::visibility("default")]] QueryCancelled : public Error {
 public:
  using Error::Error;
};

/// The session is gone: the server ended it, or the network did. What it had not committed is rolled back.
/// Outside of a transaction a statement commits itself, and may have been done: repeat only what may happen twice.
class [[gnu::visibility("default")]] ConnectionLost : public Error {
 public:
  using Error::Error;
};

/// A transaction, as the server counts them.
struct TransactionId {
  std::int64_t number = 0;    ///< as `pg_current_xact_id()` has it
  std::int64_t assigned = 0;  ///< not after this, by the server's clock, in microseconds since 1970
  friend bool operator==(const TransactionId&, const TransactionId&) = default;
};

/// COMMIT was sent and its answer never came: the transaction may have been committed or not. Nobody but the server
/// knows (`transaction_status` asks it), so it is no `ConnectionLost` and is never retried.
class [[gnu::visibility("default")]] CommitUnknown : public Error {
 public:
  using Error::Error;
  CommitUnknown(const std::string& what, Diagnostics diagnostics, std::optional<TransactionId> id)
      : Error{what, std::move(diagnostics)}, id_{id} {}

  /// Set if the transaction began with `TransactionOptions::track_commit`.
  [[nodiscard]] const std::optional<TransactionId>& transaction_id() const noexcept { return id_; }

 private:
  std::optional<TransactionId> id_;
};

/// A result does not hold what was asked of it.
class [[gnu::visibility("default")]] ResultError : public Error {
 public:
  /// Says where, what was wanted and what is there; never the value.
  ResultError(std::size_t row, const std::string& column, const std::string& wanted, const std::string& actual,
              Diagnostics about = {})
      : Error{detail::ErrorText<>::of_result(row, column, wanted, actual), std::move(about)},
        row_{row},
        column_{column},
        wanted_{wanted},
        actual_{actual} {}

  /// Counted from 0.
  [[nodiscard]] std::size_t row() const noexcept { return row_; }
  /// The column's name, or its number counted from 0 where it has none.
  [[nodiscard]] const std::string& column() const noexcept { return column_; }
  [[nodiscard]] const std::string& wanted() const noexcept { return wanted_; }
  [[nodiscard]] const std::string& actual() const noexcept { return actual_; }

 private:
  std::size_t row_;
  std::string column_;
  std::string wanted_;
  std::string actual_;
};

/// A setting from the environment or in a connection string is missing, unknown or malformed.
class [[gnu::visibility("default")]] SettingError : public Error {
 public:
  /// Names the variable or key, its value unless that may be secret (then pass nothing), and what would have been
  /// right.
  SettingError(const std::string& variable, const std::string& value, std::string_view expected)
      : Error{lido::detail::concat({variable, value.empty() ? "" : "=", value, ": expected ", expected})},
        variable_{variable} {}
  /// The same, found in what the variable `source` holds.
  SettingError(const std::string& source, const SettingError& found)
      : Error{lido::detail::concat({source, ": ", found.what()})}, variable_{found.variable_} {}
  /// The variable `source` holds what is no connection string, as `refusal` says.
  SettingError(const std::string& source, const PermanentConnectError& refusal)
      : Error{lido::detail::concat({source, ": ", refusal.what()})}, variable_{source} {}

  [[nodiscard]] const std::string& variable() const noexcept { return variable_; }

 private:
  std::string variable_;
};

/// The transaction lost against another one and may win when it is tried again: 40001 and 40P01.
[[nodiscard]] inline bool is_retryable(std::string_view sqlstate) noexcept {
  return sqlstate == "40001" || sqlstate == "40P01";
}

/// Connecting again with the same settings cannot help: wrong password, unknown role, database or setting, no
/// permission. 53300 (too many connections) and 57P03 (starting up) are none of these.
[[nodiscard]] inline bool is_permanent(std::string_view sqlstate) noexcept {
  return sqlstate.starts_with("28") || sqlstate.starts_with("42") || sqlstate.starts_with("22") ||
         sqlstate == "3D000" || sqlstate == "0A000";
}

}  // namespace lido::postgres
