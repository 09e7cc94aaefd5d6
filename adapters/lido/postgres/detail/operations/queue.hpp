// The statements of a pipeline with their parameters: each text once, and all values one behind the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/out_buffer.hpp>
#include <lido/postgres/detail/values/parameter_count.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// What many statements of a pipeline may have in common. Shared with results, which say where they come from.
struct QueuedText {
  explicit QueuedText(std::string_view text) : sql{text} {}

  std::string sql;
  Classified what = classify(sql);
};

struct QueuedStatement {
  std::shared_ptr<const QueuedText> text;
  std::size_t first = 0;  // of its values
  int count = 0;
  bool typed = false;   // one of its values has a type
  bool binary = false;  // or is in binary format
  bool untold = false;  // see `binds_untold`
  std::source_location where{};

  [[nodiscard]] const std::string& sql() const noexcept { return text->sql; }
};

/// Arrays as libpq takes them, used again for one statement after the other.
struct BoundArrays {
  std::vector<const char*> values;
  std::vector<Oid> types;
  std::vector<int> lengths, formats;
};

class StatementQueue {
 public:
  /// Copies what is bound. Throws `QueryError`, and has then nothing of it.
  void add(std::string_view sql, const std::source_location& where, const Bound& bound) {
    if (const std::string why = wrong_count(bound, sql); !why.empty())
      throw QueryError{why, {.message = why, .statement = without_passwords(sql), .where = where}};
    QueuedStatement added{.text = text_of(sql), .first = values_.size(), .count = bound.count, .where = where};
    added.untold = binds_untold(added.text->what.renames, bound);
    const std::size_t bytes = bytes_.size();
    try {
      for (std::size_t i = 0; i < static_cast<std::size_t>(bound.count); ++i) {
        const Value value = keep(bound, i);
        values_.push_back(value);
        added.typed = added.typed || value.type != 0;
        added.binary = added.binary || value.binary;
      }
      statements_.push_back(std::move(added));
    } catch (...) {
      values_.resize(statements_.empty() ? 0 : end_of(statements_.back()));
      bytes_.cut(bytes);
      throw;
    }
  }
  [[nodiscard]] std::size_t size() const noexcept { return statements_.size(); }
  [[nodiscard]] bool empty() const noexcept { return statements_.empty(); }
  void clear() noexcept {
    statements_.clear();
    values_.clear();
    bytes_.cut(0);
    texts_.clear();
  }

  [[nodiscard]] const QueuedStatement& operator[](std::size_t at) const noexcept { return statements_[at]; }
  [[nodiscard]] const QueuedStatement& front() const noexcept { return statements_.front(); }
  [[nodiscard]] auto begin() const noexcept { return statements_.begin(); }
  [[nodiscard]] auto end() const noexcept { return statements_.end(); }

  /// What is bound to a statement, in `arrays`: valid until they are used again, or this is changed.
  [[nodiscard]] Bound bound(const QueuedStatement& statement, BoundArrays& arrays) const {
    const auto count = static_cast<std::size_t>(statement.count);
    if (arrays.values.size() < count) {
      arrays.values.resize(count);
      arrays.types.resize(count);
      arrays.lengths.resize(count);
      arrays.formats.resize(count);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Value& value = values_[statement.first + i];
      arrays.values[i] = value.length < 0 ? nullptr : bytes_.view().data() + value.at;
      arrays.types[i] = value.type;
      arrays.lengths[i] = value.length;
      arrays.formats[i] = value.binary ? 1 : 0;
    }
    return {.count = statement.count,
            .values = arrays.values.data(),
            .types = statement.typed ? arrays.types.data() : nullptr,
            .lengths = statement.binary ? arrays.lengths.data() : nullptr,
            .formats = statement.binary ? arrays.formats.data() : nullptr};
  }
  /// How much a statement makes to be sent, in bytes, roughly.
  [[nodiscard]] std::size_t weight(const QueuedStatement& statement) const noexcept {
    const std::size_t end = end_of(statement);
    const std::size_t behind = end < values_.size() ? values_[end].at : bytes_.size();
    const std::size_t begin = statement.first < values_.size() ? values_[statement.first].at : bytes_.size();
    return statement.sql().size() + (behind - begin);
  }

 private:
  struct Value {
    std::size_t at;  // in the bytes
    int length;      // negative: null
    Oid type;
    bool binary;
  };

  [[nodiscard]] static std::size_t end_of(const QueuedStatement& statement) noexcept {
    return statement.first + static_cast<std::size_t>(statement.count);
  }
  [[nodiscard]] Value keep(const Bound& bound, std::size_t index) {
    const char* const text = bound.values[index];
    Value value{.at = bytes_.size(),
                .length = -1,
                .type = bound.types == nullptr ? 0 : bound.types[index],
                .binary = bound.formats != nullptr && bound.formats[index] != 0};
    if (text == nullptr) return value;
    const std::size_t length =
        bound.lengths != nullptr ? static_cast<std::size_t>(bound.lengths[index]) : std::strlen(text);
    value.length = static_cast<int>(length);
    char* const to = bytes_.room(length + 1);
    std::memcpy(to, text, length);
    to[length] = '\0';
    bytes_.filled(to + length + 1);
    return value;
  }

  // One of the last is likely to be it. Throws `QueryError`.
  [[nodiscard]] std::shared_ptr<const QueuedText> text_of(std::string_view sql) {
    constexpr std::size_t looked_at = 8;
    for (std::size_t i = texts_.size(); i > 0 && texts_.size() - i < looked_at; --i)
      if (texts_[i - 1]->sql == sql) return texts_[i - 1];
    StatementCache::check_text(sql);
    return texts_.emplace_back(std::make_shared<const QueuedText>(sql));
  }

  std::vector<QueuedStatement> statements_;
  std::vector<Value> values_;
  OutBuffer bytes_;  // of the values, each with a zero behind it
  std::vector<std::shared_ptr<const QueuedText>> texts_;
};

}  // namespace lido::postgres::detail
