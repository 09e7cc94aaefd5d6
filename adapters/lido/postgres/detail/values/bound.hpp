// A statement's parameters as libpq is told them, and a copy of them that lasts.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace lido::postgres::detail {

/// Looks at parameters that live elsewhere; pointers may be null as libpq allows it.
struct Bound {
  int count = 0;
  const char* const* values = nullptr;
  const Oid* types = nullptr;
  const int* lengths = nullptr;  // of all, for the binary ones
  const int* formats = nullptr;  // 0 is text, 1 binary; null: all are text
  bool counted = false;          // only for a statement that takes just as many
};

/// `PQsendQueryParams` with what is bound.
[[nodiscard]] inline int send_params(PGconn* raw, const char* sql, const Bound& bound) noexcept {
  return PQsendQueryParams(raw, sql, bound.count, bound.types, bound.values, bound.lengths, bound.formats, 0);
}

/// What `Parameters` are; they may do without types, lengths and formats.
template <class Parameters>
[[nodiscard]] Bound bound_of(const Parameters& parameters) noexcept {
  if constexpr (requires { parameters.run_time(); }) {
    if (const auto* const all = parameters.run_time(); all != nullptr) return *all;
  }
  Bound bound{.count = static_cast<int>(parameters.size()), .values = parameters.values()};
  if constexpr (requires { parameters.types(); }) bound.types = parameters.types();
  if constexpr (requires { parameters.lengths(); }) bound.lengths = parameters.lengths();
  if constexpr (requires { parameters.formats(); }) bound.formats = parameters.formats();
  return bound;
}

/// Owns a copy of parameters.
class StoredParameters {
 public:
  StoredParameters() = default;
  explicit StoredParameters(const Bound& bound) {
    const auto count = static_cast<std::size_t>(bound.count);
    counted_ = bound.counted;
    texts_.resize(count);
    null_.resize(count);
    if (bound.types != nullptr) types_.assign(bound.types, bound.types + count);
    if (bound.formats != nullptr) formats_.assign(bound.formats, bound.formats + count);
    if (bound.lengths != nullptr) lengths_.assign(bound.lengths, bound.lengths + count);
    for (std::size_t i = 0; i < count; ++i) {
      const char* value = bound.values[i];
      null_[i] = value == nullptr;
      if (value == nullptr) continue;
      const bool binary = bound.formats != nullptr && bound.formats[i] != 0;
      const bool known = binary || bound.lengths != nullptr;
      texts_[i].assign(value, known ? static_cast<std::size_t>(bound.lengths[i]) : std::strlen(value));
    }
  }

  /// In bytes, roughly.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t sum = 0;
    for (const std::string& text : texts_) sum += text.size();
    return sum;
  }
  /// Valid until this is moved, changed or destroyed, and until the next call.
  [[nodiscard]] Bound bound() {
    values_.resize(texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) values_[i] = null_[i] ? nullptr : texts_[i].c_str();
    return {.count = static_cast<int>(texts_.size()),
            .values = values_.data(),
            .types = types_.empty() ? nullptr : types_.data(),
            .lengths = lengths_.empty() ? nullptr : lengths_.data(),
            .formats = formats_.empty() ? nullptr : formats_.data(),
            .counted = counted_};
  }

 private:
  std::vector<std::string> texts_;
  std::vector<bool> null_;
  std::vector<Oid> types_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<const char*> values_;
  bool counted_ = false;
};

}  // namespace lido::postgres::detail
