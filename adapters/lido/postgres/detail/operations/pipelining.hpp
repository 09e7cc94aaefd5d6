// Several statements in one go.
#pragma once

#include <cstddef>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/enclosure.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

struct QueuedStatement {
  std::string sql;
  StoredParameters parameters;
  std::source_location where{};
};

/// Sends statements without waiting for the answers of those before, reads while it sends, so that neither side can
/// wait for the other, and collects the answers. `statements`, of which there is at least one, has to outlive it.
class Pipelining {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Pipelining(Channel& channel, std::span<QueuedStatement> statements)
      : statements_{statements},
        reply_{channel, allowed(channel, statements)},
        results_(statements.size()),
        last_{statements.size()} {
    // An error ends a pipeline, and COMMIT of a failed transaction is one.
    if (channel.ends_failed(statements.front().sql)) last_ = 1;
    for (const QueuedStatement& statement : statements) channel.runs(statement.sql);
    reply_.begin_pipeline(1);
  }

  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }
  /// Throws `ConnectionLost`.
  [[nodiscard]] Need step() {
    while (!reply_.complete()) {
      if (!synchronised_ && PQflush(reply_.channel().raw()) == 0) send_more();
      const Need need = reply_.step();
      if (need == Need::nothing) {
        take(reply_.result());
      } else if (synchronised_ || need != Need::readable) {
        return need;
      }  // else there is room for more
    }
    return Need::nothing;
  }
  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { reply_.give_up(why); }

  /// When it is complete: one a statement; null from the one on that failed.
  [[nodiscard]] std::vector<ResultHandle>& results() noexcept { return results_; }
  /// The error that ended it early, and which statement it was.
  [[nodiscard]] std::optional<Diagnostics>& error() noexcept { return reply_.error(); }
  [[nodiscard]] std::size_t failed_statement() const noexcept { return reply_.failed_statement(); }

 private:
  // The first of them.
  [[nodiscard]] static std::string_view allowed(const Channel& channel, std::span<QueuedStatement> statements) {
    if (const Enclosure* const around = channel.settings().enclosure.get())
      for (const QueuedStatement& each : statements) around->require_none(each.sql);
    return statements.front().sql;
  }

  void send_more() {
    constexpr std::size_t batch = 65'536;  // what libpq sends at once
    reply_.send([this](PGconn* raw) {
      for (std::size_t size = 0; sent_ < last_ && !reply_.error() && size < batch; ++sent_) {
        QueuedStatement& statement = statements_[sent_];
        if (send_params(raw, statement.sql.c_str(), statement.parameters.bound()) == 0) return 0;
        size += statement.sql.size() + statement.parameters.size();
      }
      synchronised_ = sent_ == last_ || reply_.error();
      return synchronised_ ? PQpipelineSync(raw) : 1;
    });
  }
  void take(ResultHandle result) {
    const std::size_t at = reply_.statement();
    if (!result || at >= results_.size()) return;
    reply_.about(statements_[at].sql);
    if (is_copy(result)) refuse_copy(reply_);
    results_[at] = std::move(result);
  }

  std::span<QueuedStatement> statements_;
  Reply reply_;
  std::vector<ResultHandle> results_;
  std::size_t last_;  // how many are to be sent
  std::size_t sent_ = 0;
  bool synchronised_ = false;
};

}  // namespace lido::postgres::detail
