// COPY: rows into a table and out of it, as ranges.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/abandoning.hpp>
#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/copy_text.hpp>
#include <lido/postgres/detail/copying.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// What `Connection::copy_in` takes: tuples of parameters (or pairs, or arrays), which become rows; or text, which is
/// sent as it is, in pieces that may end anywhere.
template <class Rows>
concept CopySource =
    std::ranges::input_range<Rows> && (std::convertible_to<std::ranges::range_reference_t<Rows>, std::string_view> ||
                                       detail::Copyable<std::ranges::range_reference_t<Rows>>);

namespace detail {

/// Copies `rows` and returns how many the server has stored. What the range throws ends the COPY with an error.
template <CopySource Rows>
std::size_t copy_in(Channel& channel, const Until& until, std::string_view sql, Rows&& rows) {
  constexpr std::size_t batch = 65'536;
  CopyingIn copying{channel, sql};
  complete(copying, until);
  try {
    std::string buffer;
    const auto send = [&] {
      copying.put(buffer);
      buffer.clear();
      check_in_time(copying, until);
      complete(copying, until);
    };
    for (auto&& row : rows) {
      if constexpr (std::convertible_to<decltype(row), std::string_view>) {
        buffer.append(std::string_view{row});
      } else {
        append_row(buffer, row);
      }
      if (buffer.size() >= batch) send();
    }
    send();
  } catch (...) {
    if (!channel.usable()) throw;
    copying.fail("the rows came to an end with an exception");
    try {
      complete(copying, saturating_add(Clock::now(), std::chrono::seconds{2}));
    } catch (const Error&) {  // the server confirms, or the connection is given up
    }
    throw;
  }
  copying.end();
  complete(copying, until);
  return Result{copying.result()}.affected_rows();
}

}  // namespace detail

/// The rows of a COPY ... TO STDOUT while it runs, an input range to be walked over once. `CopyOut<>` is a range of
/// `std::string_view`, each a row as the server sent it, its line end included; `CopyOut<T>` one of `T`, of the only
/// column, and with more types one of tuples, both of which need the text format. What an iterator refers to is valid
/// until it is incremented. No other statement can run on the connection, which has to outlive it, until it has ended.
///
/// Destroyed before the last row, it behaves as a `Stream`.
template <class... T>
class CopyOut {
 public:
  CopyOut(detail::Channel& channel, Until until, std::string_view sql)
      : sql_{sql}, until_{std::move(until)}, channel_{channel}, copying_{channel, sql_} {}
  CopyOut(const CopyOut&) = delete;
  CopyOut& operator=(const CopyOut&) = delete;
  ~CopyOut() { detail::abandon_within_bound(channel_, copying_); }

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
    [[nodiscard]] bool ended() const noexcept { return rows_->copying_.chunk().empty(); }
    CopyOut* rows_;
  };

  /// The next row, which is the first at first. Blocks until it is there; throws as `Connection::exec_until` does.
  [[nodiscard]] Iterator begin() {
    if (copying_.chunk().empty()) next();
    return Iterator{*this};
  }
  [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  /// The present row, as `*begin()`.
  [[nodiscard]] auto value() const {
    if constexpr (sizeof...(T) == 0) {
      return copying_.chunk();
    } else {
      if (copying_.is_binary()) throw QueryError{"COPY in the binary format cannot be read as typed rows"};
      std::tuple<T...> row = detail::read_line<T...>(copying_.chunk(), number_ - 1);
      if constexpr (sizeof...(T) == 1) {
        return std::get<0>(std::move(row));
      } else {
        return row;
      }
    }
  }

 private:
  void next() {
    if (copying_.complete()) return;
    detail::check_in_time(copying_, until_);
    detail::complete(copying_, until_);
    ++number_;
  }

  std::string sql_;
  Until until_;
  detail::Channel& channel_;
  detail::CopyingOut copying_;
  std::size_t number_ = 0;  // of rows that have come
};

}  // namespace lido::postgres
