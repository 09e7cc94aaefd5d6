// Parameters of which the number, or the types, are known only when the program runs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres {

/// All the parameters of a statement, in the place of a list of them: `connection.exec(sql, params)`, and so wherever a
/// statement takes parameters. The statement has to take just as many: else `QueryError`, and nothing is sent. May be
/// used again, also with another statement, and by several threads that do not change it.
///
/// Copies what is added, and copies are independent of each other. One that is moved from is empty.
class Params {
 public:
  Params() = default;
  Params(const Params& other) : types_{other.types_}, lengths_{other.lengths_}, formats_{other.formats_} {
    texts_.reserve(other.size());
    values_.reserve(other.size());
    for (std::size_t i = 0; i < other.size(); ++i) keep(other.values_[i], other.bytes_of(i));
    total_ = other.total_;
  }
  Params(Params&& other) noexcept : Params{} { swap(other); }
  Params& operator=(Params other) noexcept { return swap(other), *this; }
  ~Params() = default;

  /// Appends what is to be bound to the next of `$1`, `$2` and so on: whatever may be passed to `exec`, a null
  /// included. Throws `QueryError` for a value that cannot be passed, and for more than a statement can take, and has
  /// then nothing of it.
  template <detail::Parameter T>
  Params& add(const T& value) {
    if (size() == most) throw QueryError{"a statement takes at most " + std::to_string(most) + " parameters"};
    const detail::Parameters<1> one{value, detail::Before{size(), total_}};
    append(detail::bound_of(one));
    return *this;
  }

  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
  [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
  void clear() noexcept { Params{}.swap(*this); }
  void swap(Params& other) noexcept {
    texts_.swap(other.texts_);
    values_.swap(other.values_);
    types_.swap(other.types_);
    lengths_.swap(other.lengths_);
    formats_.swap(other.formats_);
    std::swap(total_, other.total_);
  }
  friend void swap(Params& one, Params& other) noexcept { one.swap(other); }

  /// For this library: a view, valid until this is changed.
  [[nodiscard]] detail::Bound bound() const noexcept {
    // Without types the server says best when it cannot infer one.
    const bool typed = std::any_of(types_.begin(), types_.begin() + static_cast<std::ptrdiff_t>(size()),
                                   [](Oid type) { return type != 0; });
    return {.count = static_cast<int>(size()),
            .values = values_.data(),
            .types = typed ? types_.data() : nullptr,
            .lengths = lengths_.data(),
            .formats = formats_.data(),
            .counted = true};
  }

 private:
  static constexpr std::size_t most = 65'535;  // what the protocol counts with 16 bits

  [[nodiscard]] std::size_t bytes_of(std::size_t index) const noexcept {
    return static_cast<std::size_t>(lengths_[index]);
  }
  void append(const detail::Bound& one) {
    const char* const value = *one.values;
    const int length = value == nullptr ? 0 : *one.lengths;
    // Counted by `values_`: what is behind, because something threw, is overwritten.
    lengths_.resize(size());
    formats_.resize(size());
    types_.resize(size());
    lengths_.push_back(length);
    formats_.push_back(*one.formats);
    types_.push_back(one.types == nullptr ? 0 : *one.types);
    keep(value, static_cast<std::size_t>(length));
    total_ += static_cast<std::size_t>(length);
  }
  void keep(const char* value, std::size_t bytes) {
    if (value != nullptr) {
      // Where it does not move, also when more is added.
      auto copy = std::make_unique<char[]>(bytes + 1);
      std::memcpy(copy.get(), value, bytes);
      value = copy.get();
      texts_.push_back(std::move(copy));
    }
    values_.push_back(value);
  }

  std::vector<std::unique_ptr<char[]>> texts_;
  std::vector<const char*> values_;
  std::vector<Oid> types_;
  std::vector<int> lengths_;  // also of texts
  std::vector<int> formats_;
  std::size_t total_ = 0;  // bytes
};

}  // namespace lido::postgres
