// Which statements of a pipeline are prepared, and what comes of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/operations/queue.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/sql/transaction_control.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/detail/wire/staleness.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Sends the statements of a pipeline, from the one on that comes a second time by the name of what is prepared. That
/// is prepared in the pipeline itself: a name is taken for good as it is sent, and given up again where an error came
/// before it.
///
/// None is prepared, or run by its name, behind one that may change what names mean: nobody asks there. Nor is any in a
/// sandbox. What is evicted is deallocated before the first, where that is outside a transaction; in one none is
/// prepared where the server has no room.
///
/// A pipeline counts what is sent by units: what is deallocated, what is prepared, and what is run.
class PipelinePreparing {
 public:
  /// To be told before the statements of `queue` are sent, but not that they are about to run.
  PipelinePreparing(Channel& channel, const StatementQueue& queue)
      : channel_{channel}, queue_{queue}, begun_idle_{channel.transaction() == PQTRANS_IDLE} {
    channel.names().look(channel.transaction());
    const std::string* const names = channel.names().known();
    const bool prepares = names != nullptr && channel.transaction() != PQTRANS_INERROR &&
                          !channel.held().avoids_prepared() && !channel.settings().enclosure &&
                          channel.settings().statement_cache > 0;
    if (!prepares) return;
    names_ = *names;
    const QueuedText* before = nullptr;
    while (until_ < queue.size()) {
      const QueuedText* const text = queue[until_++].text.get();
      if (text != before && !keeps_names(*text)) break;
      before = text;
    }
    if (begun_idle_) dropped_.swap(channel.statements().evicted());
  }

  /// How many synchronisations come before that of the statements.
  [[nodiscard]] std::size_t syncs() const noexcept { return dropped_.size(); }
  /// Sends what comes before the first statement. Zero: libpq has refused it.
  [[nodiscard]] int begin(PGconn* raw) {
    for (const std::string& name : dropped_)
      if (send_params(raw, ("DEALLOCATE " + name).c_str(), {}) == 0 || PQpipelineSync(raw) == 0) return 0;
    units_ = first_ = dropped_.size();
    return 1;
  }
  /// Sends a statement, which is the next. Zero: libpq has refused it.
  [[nodiscard]] int send(PGconn* raw, std::size_t at, const Bound& bound) {
    const QueuedText& text = *queue_[at].text;
    StatementCache::Entry* const entry = at < until_ ? entry_of(text, bound) : nullptr;
    if (entry == nullptr || !entry->repeated || (entry->name.empty() && !channel_.statements().has_room()))
      return ++units_, send_params(raw, text.sql.c_str(), bound);
    if (entry->name.empty()) {
      std::string name = channel_.statements().new_name();
      if (PQsendPrepare(raw, name.c_str(), text.sql.c_str(), bound.count, bound.types) == 0) return 0;
      fresh_.push_back({units_++, name});
      channel_.statements().prepared(*entry, std::move(name));
    }
    ++units_;
    return PQsendQueryPrepared(raw, entry->name.c_str(), bound.count, bound.values, bound.lengths, bound.formats, 0);
  }

  /// The statement whose unit this is, and of the last of these the one behind; for units that only grow.
  [[nodiscard]] std::size_t statement_of(std::size_t unit) noexcept {
    while (passed_ < fresh_.size() && fresh_[passed_].unit < unit) ++passed_;
    return unit - std::min(unit, first_ + passed_);
  }
  /// It is no answer to a statement.
  [[nodiscard]] bool is_beside(std::size_t unit) noexcept {
    static_cast<void>(statement_of(unit));
    return unit < first_ || (passed_ < fresh_.size() && fresh_[passed_].unit == unit);
  }

  /// The unit has failed, and none behind it was run. True: it may be that what was prepared before is out of date, and
  /// the whole may be run once more, which has left nothing; nothing is run by a name then.
  [[nodiscard]] bool failed(std::size_t unit, const Diagnostics& error, std::string_view raised_by) {
    StatementCache& statements = channel_.statements();
    for (const Fresh& each : fresh_)
      if (each.unit >= unit) statements.never_prepared(each.name);
    const std::size_t at = statement_of(unit);
    if (at >= std::min(until_, queue_.size()) || !may_be_stale(error, raised_by)) return false;
    BoundArrays arrays;
    StatementCache::Entry* const entry = entry_of(*queue_[at].text, queue_.bound(queue_[at], arrays));
    const auto is_it = [&](const Fresh& each) { return each.name == entry->name; };
    if (entry == nullptr || entry->name.empty() || std::any_of(fresh_.begin(), fresh_.end(), is_it)) return false;
    statements.retire(*entry);
    if (channel_.transaction() != PQTRANS_IDLE) return channel_.held().note_stale(error.sqlstate), false;
    if (!begun_idle_) return false;
    for (std::size_t i = 0; i <= at; ++i)
      if (i == 0 || queue_[i].text != queue_[i - 1].text)
        if (!leaves_nothing(*queue_[i].text)) return false;
    until_ = 0;
    dropped_.clear();
    fresh_.clear();
    first_ = passed_ = units_ = 0;
    return true;
  }

 private:
  struct Fresh {
    std::size_t unit;  // that prepares it
    std::string name;
  };

  // What is prepared is there behind it, and means the same.
  [[nodiscard]] bool keeps_names(const QueuedText& text) const noexcept {
    if (text.what.renames != Renames::nothing || text.what.leaves >= Leaves::statements) return false;
    return !drops_prepared(text.sql) && !redefines(text.sql) && (begun_idle_ || !ends_local(text.sql));
  }
  [[nodiscard]] static bool leaves_nothing(const QueuedText& text) noexcept {
    return text.what.leaves == Leaves::nothing && control_of(text.sql).kind == TransactionControl::Kind::none;
  }

  // As that of the statement before, where it is the same: the most of a pipeline are.
  [[nodiscard]] StatementCache::Entry* entry_of(const QueuedText& text, const Bound& bound) {
    const std::span<const Oid> types =
        bound.types == nullptr ? std::span<const Oid>{} : std::span{bound.types, static_cast<std::size_t>(bound.count)};
    if (&text == last_text_ && last_ != nullptr &&
        std::equal(last_->types.begin(), last_->types.end(), types.begin(), types.end())) {
      last_->repeated = true;
      return last_;
    }
    last_text_ = &text;
    return last_ = channel_.statements().use({text.sql, types, names_}, &text.what, channel_.raw());
  }

  Channel& channel_;
  const StatementQueue& queue_;
  bool begun_idle_;
  std::string names_;
  std::size_t until_ = 0;  // how many may be run by a name
  std::vector<std::string> dropped_;
  std::vector<Fresh> fresh_;  // what is prepared here
  std::size_t first_ = 0;     // the first unit of a statement
  std::size_t units_ = 0;     // how many were sent
  std::size_t passed_ = 0;    // of `fresh_`, before the unit that was asked about last
  const QueuedText* last_text_ = nullptr;
  StatementCache::Entry* last_ = nullptr;
};

}  // namespace lido::postgres::detail
