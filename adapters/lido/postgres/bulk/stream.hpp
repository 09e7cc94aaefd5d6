// The rows of a statement one after the other, in constant memory.
#pragma once

#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/abandoning.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// The rows of a statement while it runs, an input range to be walked over once: of `Row` for `Stream<>`, of `T` for
/// `Stream<T>`, whose statement has one column, of tuples for more. What an iterator refers to is valid until it is
/// incremented. No other statement can run on the connection, which has to outlive it, until it has ended.
///
/// Destroyed before the last row, it has the statement cancelled and reads what is left, for at most two seconds. The
/// connection stays usable if the whole answer was at hand, or if the statement ended by that cancel; else it is given
/// up, as the cancel may still be on its way. In a transaction that cancel fails the transaction.
template <class... T>
class Stream {
 public:
  Stream(const detail::Call& call, std::string_view sql, const detail::Bound& bound)
      : until_{call.until}, channel_{call.begin()}, rows_{channel_, sql, bound} {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { detail::abandon_within_bound(channel_, rows_.operation()); }

  class Iterator {
   public:
    using value_type = decltype(std::declval<const Stream&>().value());
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(Stream& stream) noexcept : stream_{&stream} {}
    /// Throws `ResultError` when the row is not as it was asked for.
    [[nodiscard]] value_type operator*() const { return stream_->value(); }
    /// As `begin()`.
    Iterator& operator++() { return stream_->next(), *this; }
    void operator++(int) { stream_->next(); }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return it.ended(); }

   private:
    [[nodiscard]] bool ended() const noexcept { return !stream_->rows_.present(); }
    Stream* stream_;
  };

  /// The next row, which is the first at first. Blocks until it is there; throws as `Connection::exec_until` does.
  [[nodiscard]] Iterator begin() {
    if (!rows_.present()) next();
    return Iterator{*this};
  }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  /// The present row, as `*begin()`.
  [[nodiscard]] auto value() const { return rows_.value(); }

 private:
  void next() {
    if (rows_.advance()) return;
    detail::check_in_time(rows_.operation(), until_);
    detail::complete(rows_.operation(), until_);
    rows_.arrived();
  }

  Until until_;
  detail::Channel& channel_;
  detail::IncomingRows<T...> rows_;
};

}  // namespace lido::postgres
