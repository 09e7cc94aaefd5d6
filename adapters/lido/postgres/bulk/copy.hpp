// COPY: rows into a table and out of it, as ranges.
#pragma once

#include <cstddef>
#include <iterator>
#include <ranges>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/detail/wire/abandoning.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// What `Connection::copy_in` takes: tuples of parameters (or pairs, or arrays), which become rows; or text, which is
/// sent as it is, in pieces that may end anywhere.
template <class Rows>
concept CopySource = std::ranges::input_range<Rows> && detail::CopyRow<std::ranges::range_reference_t<Rows>>;

/// The rows of a COPY ... TO STDOUT while it runs, an input range to be walked over once. `CopyOut<>` is a range of
/// `std::string_view`, each a row as the server sent it, its line end included; `CopyOut<T>` one of `T`, of the only
/// column, and with more types one of tuples, both of which need the text format as it is by default as it is by
/// default. What an iterator refers to is valid until it is incremented. No other statement can run on the connection,
/// which has to outlive it, until it has ended.
///
/// Destroyed before the last row, it behaves as a `Stream`.
template <class... T>
class CopyOut {
 public:
  CopyOut(const detail::Call& call, std::string_view sql)
      : until_{call.until}, channel_{call.begin()}, lines_{channel_, sql} {}
  CopyOut(const CopyOut&) = delete;
  CopyOut& operator=(const CopyOut&) = delete;
  ~CopyOut() { detail::abandon_within_bound(channel_, lines_.operation()); }

  class Iterator {
   public:
    using value_type = decltype(std::declval<const CopyOut&>().value());
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(CopyOut& rows) noexcept : rows_{&rows} {}
    /// Throws `ResultError` when the row is not as it was asked for.
    [[nodiscard]] value_type operator*() const { return rows_->value(); }
    /// As `begin()`.
    Iterator& operator++() { return rows_->next(), *this; }
    void operator++(int) { rows_->next(); }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return it.ended(); }

   private:
    [[nodiscard]] bool ended() const noexcept { return !rows_->lines_.present(); }
    CopyOut* rows_;
  };

  /// The next row, which is the first at first. Blocks until it is there; throws as `Connection::exec_until` does.
  [[nodiscard]] Iterator begin() {
    if (!lines_.present()) next();
    return Iterator{*this};
  }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  /// The present row, as `*begin()`.
  [[nodiscard]] auto value() const { return lines_.value(); }

 private:
  void next() {
    if (lines_.advance()) return;
    detail::check_in_time(lines_.operation(), until_);
    detail::complete(lines_.operation(), until_);
    lines_.arrived();
  }

  Until until_;
  detail::Channel& channel_;
  detail::IncomingLines<T...> lines_;
};

}  // namespace lido::postgres
