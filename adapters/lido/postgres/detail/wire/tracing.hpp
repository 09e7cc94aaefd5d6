// The begins and ends that a connection tells its tracer of.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>
#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/trace_facts.hpp>
#include <lido/trace_facts.hpp>

namespace lido::postgres::detail {

using StatementSpan = std::unique_ptr<lido::detail::Span<StatementEnd>>;
using TransactionSpan = std::unique_ptr<lido::detail::Span<TransactionEnd>>;

/// A tracer, whatever its type. Null: it wants to hear nothing of these. May throw.
class SessionTracer {
 public:
  SessionTracer() = default;
  SessionTracer(const SessionTracer&) = delete;
  SessionTracer& operator=(const SessionTracer&) = delete;
  virtual ~SessionTracer() = default;
  virtual StatementSpan begin(const StatementBegin& begun) = 0;
  virtual TransactionSpan begin(const TransactionBegin& begun) = 0;
  [[nodiscard]] virtual std::string_view pool() const noexcept = 0;
};

/// What a tracer has begun, until its end. What it throws is nobody's.
template <class End>
class Traced {
 public:
  Traced() = default;
  Traced(Traced&&) noexcept = default;
  Traced& operator=(Traced&&) noexcept = default;
  template <class Begin>
  Traced(SessionTracer& tracer, const Begin& begun) noexcept : begun_{Clock::now()} {
    try {
      span_ = tracer.begin(begun);
    } catch (...) {  // a tracer that fails must not keep a statement from being run
    }
  }

  [[nodiscard]] explicit operator bool() const noexcept { return span_ != nullptr; }
  void end(End ended) noexcept {
    if (span_ == nullptr) return;
    ended.took = Clock::now() - begun_;
    try {
      std::exchange(span_, nullptr)->end(ended);
    } catch (...) {  // nor undo one
    }
  }

 private:
  std::unique_ptr<lido::detail::Span<End>> span_;
  TimePoint begun_{};
};

/// The tracer of one connection.
class ConnectionTracing {
 public:
  void trace(const std::shared_ptr<SessionTracer>& tracer, std::uint64_t connection) noexcept {
    tracer_ = tracer;
    connection_ = connection;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return tracer_ != nullptr; }

  [[nodiscard]] Traced<StatementEnd> statement(const PGconn* raw, std::string_view sql,
                                               std::source_location where) const {
    const std::string text = without_passwords(sql);
    return {*tracer_, StatementBegin{.session = session(raw), .text = text, .where = where}};
  }
  [[nodiscard]] Traced<TransactionEnd> transaction(const PGconn* raw, std::source_location where) const noexcept {
    return {*tracer_, TransactionBegin{.session = session(raw), .where = where}};
  }

  /// The session's transaction, once it has begun.
  void hold(Traced<TransactionEnd> transaction) noexcept { transaction_ = std::move(transaction); }
  void end(TransactionEnd::Outcome outcome) noexcept { transaction_.end({.outcome = outcome, .took = {}}); }

 private:
  [[nodiscard]] TracedSession session(const PGconn* raw) const noexcept {
    const auto text = [](const char* known) { return known == nullptr ? std::string_view{} : std::string_view{known}; };
    return {.pool = tracer_->pool(),
            .connection = connection_,
            .pid = PQbackendPID(raw),
            .host = text(PQhost(raw)),
            .port = text(PQport(raw)),
            .database = text(PQdb(raw))};
  }

  std::shared_ptr<SessionTracer> tracer_;
  std::uint64_t connection_ = 0;
  Traced<TransactionEnd> transaction_;
};

/// How many rows a result has, or its statement has changed.
[[nodiscard]] inline std::uint64_t rows_told(PGresult* result) noexcept {
  if (const int count = PQntuples(result); count > 0) return static_cast<std::uint64_t>(count);
  if (PQresultStatus(result) != PGRES_COMMAND_OK) return 0;
  std::string_view text = PQcmdTuples(result);
  return take_number<std::uint64_t>(text).value_or(0);
}

/// A statement on its way, of which somebody wants to know.
class StatementTrace {
 public:
  StatementTrace(Traced<StatementEnd> traced, std::string sqlstate) noexcept
      : traced_{std::move(traced)}, sqlstate_{std::move(sqlstate)} {}

  void returned(PGresult* result) noexcept { rows_ += rows_told(result); }
  /// The first error is the cause of others.
  void failed(const std::string& sqlstate) {
    if (sqlstate_.empty()) sqlstate_ = sqlstate;
  }
  /// It is run once more, unseen.
  void again() noexcept { sqlstate_.clear(); }
  void given_up(Wake why) noexcept {
    gave_up_ = why == Wake::timed_out ? StatementEnd::Outcome::timed_out : StatementEnd::Outcome::cancelled;
  }
  /// In a pipeline: this one has had its result, and what has failed is the next.
  void next() noexcept {
    traced_.end({.outcome = StatementEnd::Outcome::done, .took = {}, .rows = rows_, .sqlstate = {}});
  }
  [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }
  /// `complete`: all of the answer has come.
  void end(bool complete) noexcept {
    using enum StatementEnd::Outcome;
    const StatementEnd::Outcome outcome = gave_up_ ? *gave_up_ : !complete ? lost : sqlstate_.empty() ? done : refused;
    traced_.end({.outcome = outcome, .took = {}, .rows = rows_, .sqlstate = sqlstate_});
  }

 private:
  Traced<StatementEnd> traced_;
  std::string sqlstate_;
  std::uint64_t rows_ = 0;
  std::optional<StatementEnd::Outcome> gave_up_;
};

}  // namespace lido::postgres::detail
