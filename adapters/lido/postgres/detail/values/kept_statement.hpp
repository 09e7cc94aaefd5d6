// A copy of a statement and its parameters, for whoever runs it later.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/detail/spare_blocks.hpp>
#include <lido/postgres/detail/values/bound.hpp>

namespace lido::postgres::detail {

/// All of it in one block, in memory of a statement that was run before. What it gives stays where it is when this is
/// moved.
class KeptStatement {
 public:
  KeptStatement(std::string_view sql, const Bound& bound)
      : bound_{.count = bound.count, .counted = bound.counted}, length_{sql.size()} {
    const auto count = static_cast<std::size_t>(bound.count);
    size_ = sql.size() + 1 + count * sizeof(const char*);
    if (bound.types != nullptr) size_ += count * sizeof(Oid);
    if (bound.lengths != nullptr) size_ += count * sizeof(int);
    if (bound.formats != nullptr) size_ += count * sizeof(int);
    for (std::size_t i = 0; i < count; ++i)
      if (bound.values[i] != nullptr) size_ += length_of(bound, i) + 1;
    memory_ = static_cast<char*>(lido::detail::SpareBlocks::allocate(size_));
    // What is aligned most comes first.
    char* at = memory_;
    const char** const values = put<const char*>(at, nullptr, count);
    bound_.values = values;
    if (bound.types != nullptr) bound_.types = put(at, bound.types, count);
    if (bound.lengths != nullptr) bound_.lengths = put(at, bound.lengths, count);
    if (bound.formats != nullptr) bound_.formats = put(at, bound.formats, count);
    sql_ = put_text(at, sql);
    for (std::size_t i = 0; i < count; ++i)
      values[i] = bound.values[i] == nullptr ? nullptr : put_text(at, {bound.values[i], length_of(bound, i)});
  }
  KeptStatement(KeptStatement&& other) noexcept
      : bound_{other.bound_},
        sql_{other.sql_},
        length_{other.length_},
        size_{other.size_},
        memory_{std::exchange(other.memory_, nullptr)} {}
  KeptStatement& operator=(KeptStatement&&) = delete;
  ~KeptStatement() {
    if (memory_ != nullptr) lido::detail::SpareBlocks::free(memory_, size_);
  }

  /// Valid as long as whatever this is moved to. The text ends with a zero.
  [[nodiscard]] std::string_view sql() const noexcept { return {sql_, length_}; }
  [[nodiscard]] const Bound& bound() const noexcept { return bound_; }

 private:
  // Of binary values, and where there are lengths of all.
  [[nodiscard]] static std::size_t length_of(const Bound& bound, std::size_t i) noexcept {
    const bool binary = bound.formats != nullptr && bound.formats[i] != 0;
    return binary || bound.lengths != nullptr ? static_cast<std::size_t>(bound.lengths[i])
                                              : std::strlen(bound.values[i]);
  }
  template <class T>
  static T* put(char*& at, const T* from, std::size_t count) noexcept {
    static_assert(std::is_trivially_copyable_v<T>);
    T* const to = reinterpret_cast<T*>(at);
    if (from != nullptr && count > 0) std::memcpy(at, static_cast<const void*>(from), count * sizeof(T));
    at += count * sizeof(T);
    return to;
  }
  static const char* put_text(char*& at, std::string_view text) noexcept {
    char* const to = at;
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to[text.size()] = '\0';
    at += text.size() + 1;
    return to;
  }

  Bound bound_;
  const char* sql_;
  std::size_t length_;
  std::size_t size_;
  char* memory_;
};

}  // namespace lido::postgres::detail
