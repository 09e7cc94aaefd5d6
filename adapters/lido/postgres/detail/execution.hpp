// One statement with parameters, prepared where it is worth it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
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
/// which evicted statements are deallocated too; from then on it is only run. `sql` and what is bound have to outlive
/// it.
///
/// What was prepared keeps the types that its parameters had then, and its result. When it fails, that may be why, and
/// it is prepared anew: at once, and run again, where nothing is lost by that; in a transaction, which has failed by
/// then, the next time.
///
/// To deallocate what is not there any more is an error, which a transaction does not survive. So in one it is done
/// only where the server would have too many of them else, and where nothing ran since that may have dropped them; if
/// something did, nothing more is prepared in that transaction.
class Execution {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Execution(Channel& channel, std::string_view sql, const Bound& bound)
      : reply_{channel, sql}, bound_{bound}, entry_{entry_of(channel, sql, bound)} {
    const bool certain = channel.left().value_or(Leaves::nothing) != Leaves::statements;
    channel.leaves(entry_ != nullptr ? entry_->leaves : leaves_behind(sql));
    if (entry_ == nullptr || !entry_->repeated || channel.transaction() == PQTRANS_INERROR) {
      send_plain();
    } else if (entry_->name.empty()) {
      may_prepare(certain) ? prepare() : send_plain();
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
      } else if (std::exchange(prepared_, false) && may_be_stale() && retire()) {
        prepare();
      } else {
        break;
      }
    }
    put_back();
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
    StatementCache::check_text(reply_.sql());
    const std::string text{reply_.sql()};
    reply_.send([&](PGconn* raw) { return send_params(raw, text.c_str(), bound_); });
  }

  void prepare() {
    StatementCache& statements = reply_.channel().statements();
    // One that fails must not keep the others from being done: outside a transaction each is for itself.
    const bool alone = reply_.channel().transaction() == PQTRANS_IDLE;
    if (alone || !statements.has_room()) dropped_.swap(statements.evicted());
    name_ = statements.new_name();
    reply_.begin_pipeline(alone ? dropped_.size() + 1 : 1);
    reply_.send([&](PGconn* raw) {
      for (const std::string& name : dropped_) {
        const std::string sql = "DEALLOCATE " + name;
        if (send_params(raw, sql.c_str(), {}) == 0 || (alone && PQpipelineSync(raw) == 0)) return 0;
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
    } else if (reply_.statement() == dropped_.size()) {
      reply_.channel().statements().prepared(*entry_, std::exchange(name_, {}));
    }
  }

  // In a transaction the first that fails keeps those behind it from being done.
  void put_back() {
    if (reply_.error() && reply_.failed_statement() < dropped_.size()) {
      std::vector<std::string>& evicted = reply_.channel().statements().evicted();
      const auto behind = static_cast<std::ptrdiff_t>(reply_.failed_statement()) + 1;
      evicted.insert(evicted.end(), dropped_.begin() + behind, dropped_.end());
      reply_.channel().held().note_stale(reply_.error()->sqlstate);
    }
    dropped_.clear();
  }

  // Being prepared has to do with no error of these classes: of constraints and conflicts, of the state of a
  // transaction, of resources, of a lock or an administrator, and of what functions raise. With any other it may: with
  // a type that was made anew even an internal one (XX000).
  [[nodiscard]] bool may_be_stale() noexcept {
    if (!reply_.error()) return false;
    const std::string_view state = reply_.error()->sqlstate;
    constexpr std::array<std::string_view, 12> others{"08", "23", "25", "28", "2D", "3B",
                                                      "40", "53", "55", "57", "58", "P0"};
    return std::ranges::none_of(others, [&](std::string_view other) { return state.starts_with(other); });
  }

  // What was prepared is not used any more. True: it may be run again.
  [[nodiscard]] bool retire() {
    Channel& channel = reply_.channel();
    const std::string& state = reply_.error()->sqlstate;
    const bool missing = state == "26000" && names_ours(reply_.error()->message);
    channel.statements().retire(*entry_);
    if (channel.transaction() != PQTRANS_IDLE) return channel.held().note_stale(state), false;
    if (missing) return true;
    // Also where it was refused before it was run, a procedure may have committed: it was a statement of its own.
    if (state == "0A000" && reply_.raised_by() == "RevalidateCachedQuery")
      return !is_one_of(first_word(reply_.sql()), "call do");
    return entry_->leaves == Leaves::nothing;  // else what it did to the session would be done twice
  }

  // In which quotes depends on the server's language.
  [[nodiscard]] bool names_ours(std::string_view message) const {
    const std::size_t at = message.find(entry_->name);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = message.substr(at + entry_->name.size());
    return rest.empty() || !is_digit(rest.front());  // else it is a longer name
  }

  [[nodiscard]] static StatementCache::Entry* entry_of(Channel& channel, std::string_view sql, const Bound& bound) {
    if (channel.held().avoids_prepared()) return nullptr;
    return channel.statements().use({sql, types_of(bound)});
  }
  [[nodiscard]] static std::span<const Oid> types_of(const Bound& bound) noexcept {
    if (bound.types == nullptr) return {};
    return {bound.types, static_cast<std::size_t>(bound.count)};
  }
  [[nodiscard]] bool may_prepare(bool certain) noexcept {
    return certain || reply_.channel().transaction() == PQTRANS_IDLE || reply_.channel().statements().has_room();
  }

  Reply reply_;
  Bound bound_;
  StatementCache::Entry* entry_;
  std::string name_;                  // under which it is being prepared
  std::vector<std::string> dropped_;  // what is deallocated before that
  ResultHandle last_;
  bool prepared_ = false;
};

}  // namespace lido::postgres::detail
