// The statements that a session has prepared, least recently used first to go.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <list>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// What a prepared statement is one of: the same text is another one where its parameters have other types, or its
/// names mean something else.
struct StatementKey {
  std::string_view text;
  std::span<const Oid> types;   // of the parameters; none where the server infers all
  std::string_view names = {};  // see `NameScope`
};

struct StatementKeyHash {
  [[nodiscard]] std::size_t operator()(const StatementKey& key) const noexcept {
    std::size_t hash = std::hash<std::string_view>{}(key.text);
    if (!key.names.empty()) hash ^= std::hash<std::string_view>{}(key.names) * 31;
    for (const Oid type : key.types) hash = (hash ^ type) * 1'099'511'628'211U;
    return hash;
  }
};
struct StatementKeyEqual {
  [[nodiscard]] bool operator()(const StatementKey& a, const StatementKey& b) const noexcept {
    return a.text == b.text && a.names == b.names &&
           std::equal(a.types.begin(), a.types.end(), b.types.begin(), b.types.end());
  }
};

/// Remembers statements; one that comes a second time is worth preparing. It talks to nobody: what has to be told to
/// the server stands in `evicted()`. The server never has more of them than `size`, if those that are evicted go
/// before another one is prepared where there is no room.
class StatementCache {
 public:
  struct Entry {
    std::string text;
    std::vector<Oid> types;
    std::string names;
    std::string name;       // of the prepared statement; empty: there is none
    bool repeated = false;  // it was asked for before
    Leaves leaves = Leaves::nothing;
    Renames renames = Renames::nothing;
    bool literals = false;
    std::uint64_t read_by = 0;  // these, where it has any: see `told_by`
  };

  /// With `size` zero it remembers nothing.
  explicit StatementCache(std::size_t size) : size_{size} {}
  StatementCache(const StatementCache&) = delete;
  StatementCache& operator=(const StatementCache&) = delete;

  /// Whether a statement of such a text is remembered.
  [[nodiscard]] bool takes(std::string_view text) const noexcept { return size_ > 0 && text.size() <= longest; }
  /// The entry of `key`, now the most recently used; null when it is not to be remembered. Complexity: linear in the
  /// text, to hash it. `known`: what the text tells, if that was found out. `connection`: by whose settings its
  /// literals are read; where others are told by now, as behind a trigger that sets one, it is to be prepared anew.
  /// Throws `QueryError` when the text holds a zero byte.
  [[nodiscard]] Entry* use(const StatementKey& key, const Classified* known, const PGconn* connection) {
    Entry* const entry = use(key, known);
    if (entry == nullptr || !entry->literals) return entry;
    if (const std::uint64_t now = told_by(connection); std::exchange(entry->read_by, now) != now) retire(*entry);
    return entry;
  }
  [[nodiscard]] Entry* use(const StatementKey& key, const Classified* known = nullptr) {
    if (!takes(key.text)) return nullptr;
    if (const auto found = index_.find(key); found != index_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      found->second->repeated = true;
      return &entries_.front();
    }
    check_text(key.text);
    if (entries_.size() >= size_) evict(std::prev(entries_.end()));
    const Classified what = known != nullptr ? *known : classify(key.text);
    entries_.push_front({.text = std::string{key.text},
                         .types = {key.types.begin(), key.types.end()},
                         .names = std::string{key.names},
                         .name = {},
                         .leaves = what.leaves,
                         .renames = what.renames,
                         .literals = what.literals});
    try {
      index_.emplace(key_of(entries_.front()), entries_.begin());
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

  /// `entry` is prepared under `name`.
  void prepared(Entry& entry, std::string name) noexcept {
    entry.name = std::move(name);
    ++prepared_;
  }
  /// The prepared statement of `entry` is out of date, or is no longer wanted.
  void retire(Entry& entry) {
    if (entry.name.empty()) return;
    evicted_.push_back(entry.name);
    entry.name.clear();
    --prepared_;
  }
  /// What was to be prepared under `name` was not, as something before it failed. Complexity: linear.
  void never_prepared(std::string_view name) noexcept {
    std::erase(evicted_, name);
    for (Entry& entry : entries_) {
      if (entry.name != name) continue;
      entry.name.clear();
      --prepared_;
    }
  }
  /// All that was prepared is gone from the server, as after DISCARD ALL.
  void forget() noexcept {
    for (Entry& entry : entries_) entry.name.clear();
    prepared_ = 0;
    evicted_.clear();
  }
  /// What was prepared may be gone, or not.
  void distrust() {
    for (Entry& entry : entries_) retire(entry);
  }
  [[nodiscard]] bool holds_prepared() const noexcept { return prepared_ > 0; }
  /// One more may be prepared while the evicted ones are still there.
  [[nodiscard]] bool has_room() const noexcept { return prepared_ + evicted_.size() < size_; }
  /// Names to be deallocated when there is an occasion.
  [[nodiscard]] std::vector<std::string>& evicted() noexcept { return evicted_; }

  /// Throws `QueryError` for what cannot be sent as a statement.
  static void check_text(std::string_view sql) {
    check_length(sql.size(), [] { return std::string{"the statement"}; });
    if (sql.find('\0') != std::string_view::npos) throw QueryError{"the statement holds a zero byte"};
  }

 private:
  using Entries = std::list<Entry>;

  [[nodiscard]] static StatementKey key_of(const Entry& entry) noexcept {
    return {entry.text, entry.types, entry.names};
  }

  void evict(Entries::iterator entry) {
    retire(*entry);
    index_.erase(key_of(*entry));
    entries_.erase(entry);
  }

  // Whoever sends so much text at once spends his time elsewhere.
  static constexpr std::size_t longest = 16'384;

  std::size_t size_;
  Entries entries_;  // most recently used first
  std::unordered_map<StatementKey, Entries::iterator, StatementKeyHash, StatementKeyEqual> index_;
  std::size_t prepared_ = 0;  // how many entries have a name
  std::vector<std::string> evicted_;
  std::string prefix_;
  std::uint64_t last_ = 0;
};

}  // namespace lido::postgres::detail
