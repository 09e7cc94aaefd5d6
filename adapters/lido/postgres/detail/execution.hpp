// One statement with parameters, prepared where it is worth it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/bound.hpp>
#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/exchange.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/reply.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/statement_cache.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Runs a statement. The first time it is sent as it is; the second time it is prepared and run in one round trip, in
/// which evicted statements are deallocated too; from then on it is only run. When the server has lost the prepared
/// statement, or its result has changed, it is prepared anew and run again; in a transaction, which has failed by then,
/// only the next time. `sql` and what is bound have to outlive it.
class Execution {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Execution(Channel& channel, std::string_view sql, const Bound& bound)
      : reply_{channel, sql}, bound_{bound}, entry_{channel.statements().use(sql)} {
    channel.leaves(entry_ != nullptr ? entry_->leaves : leaves_behind(sql));
    const bool same_types = entry_ == nullptr || entry_->name.empty() || has_types(*entry_);
    if (!same_types) channel.statements().retire(*entry_);
    if (entry_ == nullptr || !entry_->repeated || channel.transaction() == PQTRANS_INERROR) {
      send_plain();
    } else if (entry_->name.empty()) {
      prepare();
    } else {
      reply_.send([&](PGconn* raw) { return run(raw); });
      prepared_ = true;
    }
  }

  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    for (;;) {
      if (const Need need = reply_.step(); need != Need::nothing) return need;
      if (!reply_.complete()) {
        take(reply_.result());
      } else if (std::exchange(prepared_, false) && is_stale()) {
        prepare();
      } else {
        break;
      }
    }
    reply_.check();
    return Need::nothing;
  }

  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { reply_.give_up(why); }

  /// What the statement returned, once a step has returned `Need::nothing`.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(last_); }

 private:
  void send_plain() {
    if (entry_ != nullptr)
      return reply_.send([&](PGconn* raw) { return send_params(raw, entry_->text.c_str(), bound_); });
    StatementCache::refuse_zero(reply_.sql());
    const std::string text{reply_.sql()};
    reply_.send([&](PGconn* raw) { return send_params(raw, text.c_str(), bound_); });
  }

  void prepare() {
    StatementCache& statements = reply_.channel().statements();
    // What is not there any more would be an error, which a transaction would not survive.
    std::vector<std::string> evicted;
    if (reply_.channel().transaction() == PQTRANS_IDLE) evicted.swap(statements.evicted());
    name_ = statements.new_name();
    reply_.begin_pipeline(evicted.size() + 1);
    reply_.send([&](PGconn* raw) {
      for (const std::string& name : evicted) {
        const std::string sql = "DEALLOCATE " + name;
        if (send_params(raw, sql.c_str(), {}) == 0 || PQpipelineSync(raw) == 0) return 0;
      }
      if (PQsendPrepare(raw, name_.c_str(), entry_->text.c_str(), bound_.count, bound_.types) == 0) return 0;
      return PQsendQueryPrepared(raw, name_.c_str(), bound_.count, bound_.values, bound_.lengths, bound_.formats, 0) !=
                     0
                 ? PQpipelineSync(raw)
                 : 0;
    });
  }

  [[nodiscard]] int run(PGconn* raw) const noexcept {
    return PQsendQueryPrepared(raw, entry_->name.c_str(), bound_.count, bound_.values, bound_.lengths, bound_.formats,
                               0);
  }

  void take(ResultHandle result) {
    if (is_copy(result)) refuse_copy(reply_);
    if (name_.empty()) {
      last_ = std::move(result);
    } else if (reply_.syncs() == 1) {
      // The first result in this part of the pipeline is that of the preparation.
      entry_->name = std::exchange(name_, {});
      entry_->types.assign(bound_.types, bound_.types == nullptr ? nullptr : bound_.types + bound_.count);
    }
  }

  // The server refused to run what was prepared: it has done nothing. What a procedure runs may be refused as well,
  // when it has committed before.
  [[nodiscard]] bool is_stale() {
    const std::optional<Diagnostics>& error = reply_.error();
    if (!error) return false;
    const std::string& state = error->sqlstate;
    const bool missing = state == "26000" && names_ours(error->message);
    if (!missing && !(state == "0A000" && reply_.raised_by() == "RevalidateCachedQuery")) return false;
    reply_.channel().statements().retire(*entry_);
    return reply_.channel().transaction() == PQTRANS_IDLE && (missing || !runs_a_procedure());
  }

  [[nodiscard]] bool runs_a_procedure() const noexcept { return is_one_of(first_word(reply_.sql()), "call do"); }

  // In which quotes depends on the server's language.
  [[nodiscard]] bool names_ours(std::string_view message) const {
    const std::size_t at = message.find(entry_->name);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = message.substr(at + entry_->name.size());
    return rest.empty() || !is_digit(rest.front());  // else it is a longer name
  }

  [[nodiscard]] bool has_types(const StatementCache::Entry& entry) const noexcept {
    if (bound_.types == nullptr) return entry.types.empty();
    return entry.types.size() == static_cast<std::size_t>(bound_.count) &&
           std::equal(entry.types.begin(), entry.types.end(), bound_.types);
  }

  Reply reply_;
  Bound bound_;
  StatementCache::Entry* entry_;
  std::string name_;  // under which it is being prepared
  ResultHandle last_;
  bool prepared_ = false;
};

}  // namespace lido::postgres::detail
