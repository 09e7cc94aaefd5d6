// Several statements in one go.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/preparing.hpp>
#include <lido/postgres/detail/operations/queue.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/enclosure.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Sends statements without waiting for the answers of those before, reads while it sends, so that neither side can
/// wait for the other, and collects the answers. `statements`, of which there is at least one, has to outlive it.
class Pipelining {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Pipelining(Channel& channel, const StatementQueue& statements)
      : statements_{statements},
        reply_{channel, allowed(channel, statements)},
        preparing_{channel, statements},
        results_(statements.size()),
        last_{statements.size()} {
    // An error ends a pipeline, and COMMIT of a failed transaction is one.
    if (channel.ends_failed(statements.front().sql())) last_ = 1;
    const QueuedText* before = nullptr;
    for (const QueuedStatement& statement : statements) {
      if (statement.text.get() == before && !statement.untold) continue;
      before = statement.text.get();
      channel.runs(before->what, statement.untold);
    }
    begin();
  }

  Pipelining(const Pipelining&) = delete;
  Pipelining& operator=(const Pipelining&) = delete;
  ~Pipelining() {
    if (reply_.complete() || !reply_.channel().held().is_held()) return;
    for (std::size_t at = about_; at < statements_.size(); ++at)
      reply_.channel().held().note_unanswered(statements_[at].sql());
  }

  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }
  /// Throws `ConnectionLost`.
  [[nodiscard]] Need step() {
    do {
      while (!reply_.complete()) {
        if (!synchronised_ && (reply_.error() || PQflush(reply_.channel().raw()) == 0)) send_more();
        const Need need = reply_.step();
        if (need == Need::nothing)
          take(reply_.result());
        else if (synchronised_ || need != Need::readable)
          return need;
        else  // there is room for more: whoever takes the steps looks at the time first, and a loop at others
          return Need::at_once;
      }
    } while (runs_again());
    return Need::nothing;
  }
  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) {
    std::size_t at = about_;  // the first without an answer: the server may be further
    while (at < results_.size() && results_[at]) ++at;
    reply_.give_up(why, at < results_.size() && is_commit(statements_[at].sql()));
  }

  /// When it is complete: one a statement; null from the one on that failed.
  [[nodiscard]] std::vector<ResultHandle>& results() noexcept { return results_; }
  /// The error that ended it early, and which statement it was.
  [[nodiscard]] std::optional<Diagnostics>& error() noexcept { return reply_.error(); }
  [[nodiscard]] std::size_t failed_statement() const noexcept { return failed_; }

 private:
  // The first of them.
  [[nodiscard]] static std::string_view allowed(const Channel& channel, const StatementQueue& statements) {
    if (const Enclosure* const around = channel.settings().enclosure.get())
      for (const QueuedStatement& each : statements) around->require_none(each.sql());
    return statements.front().sql();
  }

  void begin() {
    reply_.begin_pipeline(preparing_.syncs() + 1);
    reply_.keep_open(true);
    synchronised_ = false;
    begun_ = false;
    sent_ = 0;
  }
  void send_more() {
    // The answers to these are read while the server works on the next ones, and the next are made while it answers.
    constexpr std::size_t batch = 8'192;
    reply_.send([this](PGconn* raw) {
      if (!std::exchange(begun_, true) && preparing_.begin(raw) == 0) return 0;
      for (std::size_t size = 0; sent_ < last_ && !reply_.error() && size < batch; ++sent_) {
        const QueuedStatement& statement = statements_[sent_];
        if (preparing_.send(raw, sent_, statements_.bound(statement, arrays_)) == 0) return 0;
        size += statements_.weight(statement);
      }
      synchronised_ = sent_ == last_ || reply_.error();
      reply_.keep_open(!synchronised_);
      return synchronised_ ? PQpipelineSync(raw) : 1;
    });
  }
  void take(ResultHandle result) {
    if (!result || preparing_.is_beside(reply_.statement())) return;
    const std::size_t at = preparing_.statement_of(reply_.statement());
    if (at >= results_.size()) return;
    if (at > about_) reply_.about(statements_[about_ = at].sql());
    if (is_copy(result)) refuse_copy(reply_);
    reply_.returned(result.get());
    results_[at] = std::move(result);
  }
  [[nodiscard]] bool runs_again() {
    const auto& error = reply_.error();
    if (!error) return false;
    const std::size_t unit = reply_.failed_statement();
    failed_ = preparing_.statement_of(unit);
    if (!preparing_.failed(unit, *error, reply_.raised_by())) {
      if (failed_ > about_ && failed_ < results_.size()) reply_.about(statements_[about_ = failed_].sql());
      return false;
    }
    for (ResultHandle& result : results_) result.reset();
    begin();
    return true;
  }

  const StatementQueue& statements_;
  Reply reply_;
  PipelinePreparing preparing_;
  BoundArrays arrays_;
  std::vector<ResultHandle> results_;
  std::size_t last_;  // how many are to be sent
  std::size_t sent_ = 0;
  std::size_t about_ = 0;  // the statement that was told of last
  std::size_t failed_ = 0;
  bool begun_ = false;
  bool synchronised_ = false;
};

}  // namespace lido::postgres::detail
