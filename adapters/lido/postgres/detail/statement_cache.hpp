// The statements that a session has prepared, least recently used first to go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Remembers texts; one that comes a second time is worth preparing. It talks to nobody: what has to be told to the
/// server stands in `evicted()`.
class StatementCache {
 public:
  struct Entry {
    std::string text;
    std::vector<Oid> types;  // of the parameters, where they were given
    std::string name;        // of the prepared statement; empty: there is none
    bool repeated = false;   // it was asked for before
    Leaves leaves = Leaves::nothing;
  };

  /// With `size` zero it remembers nothing.
  explicit StatementCache(std::size_t size) : size_{size} {}
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  /// The entry of `sql`, now the most recently used; null when it is not to be remembered. Complexity: constant; where
  /// it is new, linear in its length. Throws `QueryError` when `sql` holds a zero byte.
  [[nodiscard]] Entry* use(std::string_view sql) {
    if (size_ == 0 || sql.size() > longest) return nullptr;
    if (const auto found = index_.find(sql); found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      found->second->repeated = true;
      return &entries_.front();
    }
    refuse_zero(sql);
    if (entries_.size() >= size_) evict(std::prev(entries_.end()));
    entries_.push_front({.text = std::string{sql}, .types = {}, .name = {}, .leaves = leaves_behind(sql)});
    try {
      index_.emplace(entries_.front().text, entries_.begin());
    } catch (...) {
      entries_.pop_front();
      throw;
    }
    return &entries_.front();
  }

  /// A name that no other session has either: behind a pooler that mixes sessions, what is prepared under it by another
  /// one must not be taken for one's own.
  [[nodiscard]] std::string new_name() {
    if (prefix_.empty()) {
      std::random_device random;
      const std::uint64_t number = (std::uint64_t{random()} << 32U) | random();
      prefix_ = "lido_" + std::to_string(number) + '_';
    }
    return prefix_ + std::to_string(++last_);
  }

  /// The prepared statement of `entry` is out of date, or is no longer wanted.
  void retire(Entry& entry) {
    if (!entry.name.empty()) evicted_.push_back(std::move(entry.name));
    entry.name.clear();
  }
  /// All that was prepared is gone from the server, as after DISCARD ALL.
  void forget() noexcept {
    for (Entry& entry : entries_) entry.name.clear();
    evicted_.clear();
  }
  /// What was prepared may be gone, or not.
  void distrust() {
    for (Entry& entry : entries_) retire(entry);
  }
  [[nodiscard]] bool holds_prepared() const noexcept {
    for (const Entry& entry : entries_)
      if (!entry.name.empty()) return true;
    return false;
  }
  /// Names to be deallocated when there is an occasion.
  [[nodiscard]] std::vector<std::string>& evicted() noexcept { return evicted_; }

  static void refuse_zero(std::string_view sql) {
    if (sql.find('\0') != std::string_view::npos) throw QueryError{"the statement holds a zero byte"};
  }

 private:
  using Entries = std::list<Entry>;

  void evict(Entries::iterator entry) {
    retire(*entry);
    index_.erase(entry->text);
    entries_.erase(entry);
  }

  // Whoever sends so much text at once spends his time elsewhere.
  static constexpr std::size_t longest = 16'384;

  std::size_t size_;
  Entries entries_;  // most recently used first
  std::unordered_map<std::string_view, Entries::iterator> index_;
  std::vector<std::string> evicted_;
  std::string prefix_;
  std::uint64_t last_ = 0;
};

}  // namespace lido::postgres::detail
