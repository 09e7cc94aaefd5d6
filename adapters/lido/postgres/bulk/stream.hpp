// The rows of a statement one after the other, in constant memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/detail/operations/walk.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres {

/// Rows while they come, an input range to be walked over once, in constant memory: `Stream` of a statement, `CopyOut`
/// of a COPY. What an iterator refers to is valid until it is incremented. No other statement can run on the
/// connection, which has to outlive it, until it has ended. A session may end before: then there is no next row, but an
/// `Error`.
///
/// Destroyed before the last row, it has the statement cancelled and reads what is left, for at most two seconds. The
/// connection stays usable if the whole answer was at hand, or if the statement ended by that cancel; else it is given
/// up, as the cancel may still be on its way. In a transaction that cancel fails the transaction.
template <class Rows>
class RowsOf {
 public:
  /// For this library: sends.
  template <class... Rest>
  explicit RowsOf(const detail::Call& call, std::string_view sql, const Rest&... rest) : walk_{call, sql, rest...} {}
  RowsOf(const RowsOf&) = delete;
  RowsOf& operator=(const RowsOf&) = delete;
  ~RowsOf() {
    if (!walk_.abandon()) return;
    try {
      detail::complete(walk_, saturating_add(Clock::now(), std::chrono::seconds{2}));
    } catch (...) {  // not complete, and so given up
    }
  }

  class Iterator {
   public:
    using value_type = decltype(std::declval<const RowsOf&>().value());
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(RowsOf& rows) noexcept : rows_{&rows} {}
    /// Throws `ResultError` when the row is not as it was asked for.
    [[nodiscard]] value_type operator*() const { return rows_->value(); }
    /// As `begin()`.
    Iterator& operator++() { return rows_->next(), *this; }
    void operator++(int) { rows_->next(); }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return it.ended(); }

   private:
    [[nodiscard]] bool ended() const noexcept { return !rows_->walk_.present(); }
    RowsOf* rows_;
  };

  /// The next row, which is the first at first. Blocks until it is there; throws as `Connection::exec_until` does.
  [[nodiscard]] Iterator begin() {
    if (!walk_.present()) next();
    return Iterator{*this};
  }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  /// The present row, as `*begin()`.
  [[nodiscard]] auto value() const { return walk_.value(); }

 private:
  void next() {
    if (walk_.advance()) return;
    detail::complete(walk_, walk_.until());
    walk_.arrived();
  }

  detail::Walk<Rows> walk_;
};

}  // namespace lido::postgres
