// The rows of a statement one after the other, in constant memory.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <lido/postgres/detail/abandoning.hpp>
#include <lido/postgres/detail/bound.hpp>
#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/streaming.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// The rows of a statement while it runs, an input range to be walked over once: of `Row` for `Stream<>`, of `T` for
/// `Stream<T>`, whose statement has one column, of tuples for more. What an iterator refers to is valid until it is
/// incremented. No other statement can run on the connection, which has to outlive it, until it has ended.
///
/// Destroyed before the last row, it has the statement cancelled and reads what is left, for at most two seconds; a
/// connection that is not in order by then is given up. In a transaction that cancel fails the transaction.
template <class... T>
class Stream {
 public:
  Stream(detail::Channel& channel, Until until, std::string_view sql, const detail::Bound& bound)
      : sql_{sql}, until_{std::move(until)}, channel_{channel}, streaming_{channel, sql_, bound} {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { detail::abandon_within_bound(channel_, streaming_); }

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
    [[nodiscard]] bool ended() const noexcept { return !stream_->rows_; }
    Stream* stream_;
  };

  /// The next row, which is the first at first. Blocks until it is there; throws as `Connection::exec_until` does.
  [[nodiscard]] Iterator begin() {
    if (!rows_) next();
    return Iterator{*this};
  }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  /// The present row, as `*begin()`.
  [[nodiscard]] auto value() const {
    Row row{{rows_.get(), nullptr}, at_};
    if constexpr (sizeof...(T) == 0) {
      return row;
    } else {
      try {
        if constexpr (requires { row.template as<T...>(); }) {
          return row.template as<T...>();
        } else {
          if (row.size() != 1) throw ResultError{at_, "*", "1 column", std::to_string(row.size())};
          return row[0].template as<T...>();
        }
      } catch (const ResultError& error) {  // which counts from the beginning of what has just come
        throw ResultError{before_ + at_, error.column(), error.wanted(), error.actual()};
      }
    }
  }

 private:
  void next() {
    if (rows_ && ++at_ < count()) return;
    before_ += count();
    at_ = 0;
    rows_.reset();
    if (streaming_.complete()) return;
    detail::check_in_time(streaming_, until_);
    detail::complete(streaming_, until_);
    rows_ = streaming_.rows();
  }
  [[nodiscard]] std::size_t count() const noexcept {
    return rows_ ? static_cast<std::size_t>(PQntuples(rows_.get())) : 0;
  }

  std::string sql_;
  Until until_;
  detail::Channel& channel_;
  detail::Streaming streaming_;
  detail::ResultHandle rows_;  // what came last
  std::size_t at_ = 0;         // the present row of these
  std::size_t before_ = 0;     // how many came before these
};

}  // namespace lido::postgres
