// One statement with parameters, prepared where it is worth it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/reading.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameter_count.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/staleness.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Runs a statement. The first time it is sent as it is; the second time it is prepared and run in one round trip, in
/// which evicted statements are deallocated too; from then on it is only run. `sql` and what is bound have to outlive
/// it.
///
/// What was prepared keeps the types that its parameters had then, and its result. When it fails, that may be why, and
/// it is prepared anew: at once, and run again, where nothing is lost by that; in a transaction, which has failed by
/// then, or ended where the statement was a COMMIT, the next time.
///
/// To deallocate what is not there any more is an error, which a transaction does not survive. So in one it is done
/// only where the server would have too many of them else, and where nothing ran since that may have dropped them; if
/// something did, nothing more is prepared in that transaction.
///
/// What was prepared where its names mean something else is another statement. Where nobody knows what they mean, the
/// server is asked in the same round trip: before what runs, which is then not prepared, and behind what may change it.
class Execution : public Answer {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Execution(Channel& channel, std::string_view sql, const Bound& bound) : Answer{channel, sql}, bound_{bound} {
    if (const std::string why = wrong_count(bound, sql); !why.empty()) throw channel.failed(sql, why);
    const PGTransactionStatusType status = channel.transaction();
    begun_idle_ = status == PQTRANS_IDLE;
    StatementCache& statements = channel.statements();
    NameScope& names = channel.names();
    names.look(status);
    const bool asks = statements.takes(sql) && status != PQTRANS_INERROR;
    const bool avoids = channel.held().avoids_prepared();
    if (names.known() != nullptr && !avoids)
      entry_ = statements.use({sql, types(), *names.known()}, nullptr, channel.raw());
    // A pipeline has no COPY, whose error is another one.
    asks_before_ = asks && !avoids && names.known() == nullptr && !is(first_word(sql), "copy");
    const bool certain = channel.left().value_or(Leaves::nothing) < Leaves::statements;
    const Leaves leaves = entry_ != nullptr ? entry_->leaves : leaves_behind(sql);
    renames_ = entry_ != nullptr ? entry_->renames : renames(sql, leaves);
    asks_behind_ = asks && renames_ != Renames::nothing;
    channel.leaves(leaves);
    names.runs(binds_untold(renames_, bound) ? Renames::untold : renames_);
    if (entry_ == nullptr || !entry_->repeated || status == PQTRANS_INERROR) {
      send(How::plain);
    } else if (entry_->name.empty()) {
      send(certain || begun_idle_ || statements.has_room() ? How::prepare : How::plain);
    } else {
      send(How::prepared);
    }
  }

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    do {
      const Need need = read([this](ResultHandle result) { take(std::move(result)); });
      if (need != Need::nothing) return need;
    } while (runs_again());
    put_back();
    note_names();
    reply().check();
    return Need::nothing;
  }

 private:
  enum class How : std::uint8_t { plain, prepare, prepared };

  void send(How how) {
    StatementCache& statements = reply().channel().statements();
    if (entry_ == nullptr) StatementCache::check_text(sql());
    how_ = how;
    // One that fails must not keep the others from being done: outside a transaction each is for itself.
    const bool alone = reply().channel().transaction() == PQTRANS_IDLE;
    if (how == How::prepare) {
      asks_before_ = asks_first_ = reply().channel().names().wants_first() && renames_ == Renames::nothing;
      if (alone || !statements.has_room()) dropped_.swap(statements.evicted());
      name_ = statements.new_name();
    }
    const bool follows = reply().channel().discard().outstanding() && !is(first_word(sql()), "copy");
    const bool pipeline = how == How::prepare || asks_before_ || asks_behind_ || follows;
    if (!pipeline) return reply().send([&](PGconn* raw) { return run(raw); });
    before_.clear();
    behind_.clear();
    first_ = asks_before_ ? asked_settings.size() : 0;
    last_statement_ = first_ + (how == How::prepare ? dropped_.size() + 1 : 0);
    const std::size_t syncs = (asks_before_ ? 2U : 1U) + (alone ? dropped_.size() : 0);
    reply().begin_pipeline(syncs + (asks_behind_ ? 1 : 0), asks_behind_ ? 1 : 0);
    reply().send([&](PGconn* raw) {
      if (asks_before_ && ask(raw) == 0) return 0;
      for (const std::string& name : dropped_) {
        const std::string script = "DEALLOCATE " + name;
        if (send_params(raw, script.c_str(), {}) == 0 || (alone && PQpipelineSync(raw) == 0)) return 0;
      }
      if (how == How::prepare &&
          PQsendPrepare(raw, name_.c_str(), entry_->text.c_str(), bound_.count, bound_.types) == 0)
        return 0;
      if (run(raw) == 0 || PQpipelineSync(raw) == 0) return 0;
      return asks_behind_ ? ask(raw) : 1;
    });
  }

  [[nodiscard]] int run(PGconn* raw) {
    if (how_ == How::plain)
      return send_params(raw, entry_ != nullptr ? entry_->text.c_str() : std::string{sql()}.c_str(), bound_);
    const std::string& name = how_ == How::prepare ? name_ : entry_->name;
    return PQsendQueryPrepared(raw, name.c_str(), bound_.count, bound_.values, bound_.lengths, bound_.formats, 0);
  }

  // SHOW and not current_setting(): that would fix what a repeatable read sees.
  [[nodiscard]] static int ask(PGconn* raw) noexcept {
    for (const char* sql : asked_settings)
      if (send_params(raw, sql, {}) == 0) return 0;
    return PQpipelineSync(raw);
  }

  void take(ResultHandle result) {
    const std::size_t at = reply().statement();
    if (!reply().is_pipeline() || at == last_statement_) {
      keep(std::move(result));
    } else if (at < first_ || at > last_statement_) {
      if (PQntuples(result.get()) == 1) (at < first_ ? before_ : behind_).emplace_back(PQgetvalue(result.get(), 0, 0));
    } else if (at + 1 == last_statement_) {
      reply().channel().statements().prepared(*entry_, std::exchange(name_, {}));
    }
  }

  // What the server said of the names, once all of it has come.
  void note_names() {
    Channel& channel = reply().channel();
    const auto text = [&](std::vector<std::string>& found) {
      std::string names;
      for (const char* setting : told_settings) {
        const char* const value = PQparameterStatus(channel.raw(), setting);
        names.append(value == nullptr ? "" : value).append(1, '\0');
      }
      for (const std::string& each : found) names.append(each).append(1, '\0');
      return names;
    };
    if (before_.size() == asked_settings.size() && asks_first_) {
      channel.names().found_first(text(before_));
    } else if (before_.size() == asked_settings.size()) {
      std::string names = channel.names().canonical(text(before_));
      static_cast<void>(channel.statements().use({sql(), types(), names}));
      if (renames_ == Renames::nothing) channel.names().found(std::move(names), channel.transaction());
    }
    if (behind_.size() == asked_settings.size())
      channel.names().found(channel.names().canonical(text(behind_)), channel.transaction());
  }

  // In a transaction the first that fails keeps those behind it from being done.
  void put_back() {
    const std::optional<Diagnostics>& error = reply().error();
    const std::size_t failed = error ? reply().failed_statement() : last_statement_;
    if (failed >= first_ && failed < first_ + dropped_.size()) {
      std::vector<std::string>& evicted = reply().channel().statements().evicted();
      const auto behind = static_cast<std::ptrdiff_t>(failed - first_) + 1;
      evicted.insert(evicted.end(), dropped_.begin() + behind, dropped_.end());
      if (error) reply().channel().held().note_stale(error->sqlstate);
    }
    dropped_.clear();
  }

  [[nodiscard]] bool runs_again() {
    const std::optional<Diagnostics>& error = reply().error();
    if (how_ != How::prepared || !error || !may_be_stale(*error, reply().raised_by()) || !retire()) return false;
    send(How::prepare);
    return true;
  }

  // What was prepared is not used any more. True: it may be run again.
  [[nodiscard]] bool retire() {
    const std::optional<Diagnostics>& error = reply().error();
    if (!error) return false;
    Channel& channel = reply().channel();
    const std::string& state = error->sqlstate;
    const bool missing = state == "26000" && names_ours(error->message);
    channel.statements().retire(*entry_);
    if (channel.transaction() != PQTRANS_IDLE) return channel.held().note_stale(state), false;
    // A COMMIT that was refused has ended its transaction: run again, it would keep nothing and look as if it had.
    if (!begun_idle_) return false;
    if (missing) return true;
    // Also where it was refused before it was run, a procedure may have committed: it was a statement of its own.
    if (state == "0A000" && reply().raised_by() == "RevalidateCachedQuery")
      return !is_one_of(first_word(sql()), "call do");
    return entry_->leaves == Leaves::nothing;  // else what it did to the session would be done twice
  }

  // In which quotes depends on the server's language.
  [[nodiscard]] bool names_ours(std::string_view message) const {
    const std::size_t at = message.find(entry_->name);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = message.substr(at + entry_->name.size());
    return rest.empty() || !is_digit(rest.front());  // else it is a longer name
  }

  [[nodiscard]] std::span<const Oid> types() const noexcept {
    if (bound_.types == nullptr) return {};
    return {bound_.types, static_cast<std::size_t>(bound_.count)};
  }

  Bound bound_;
  StatementCache::Entry* entry_ = nullptr;
  std::string name_;                          // under which it is being prepared
  std::vector<std::string> dropped_;          // what is deallocated before that
  std::vector<std::string> before_, behind_;  // what the server said of the names
  std::size_t first_ = 0;                     // in a pipeline: the first statement that is no question,
  std::size_t last_statement_ = 0;            // and the one whose result is wanted
  How how_ = How::plain;
  Renames renames_ = Renames::nothing;
  bool begun_idle_ = false;  // outside of a transaction
  bool asks_before_ = false;
  bool asks_first_ = false;  // what it was in the beginning
  bool asks_behind_ = false;
};

}  // namespace lido::postgres::detail
