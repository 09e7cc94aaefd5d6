// The rows of a statement while it runs, one at a time: where one is in them, and how the present one is read.
//   IncomingRows   of any statement
//   IncomingLines  of COPY ... TO STDOUT
// Both have the same members, over which a `Walk` goes.
#pragma once

#include <cstddef>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/copy_statement.hpp>
#include <lido/postgres/detail/operations/copying.hpp>
#include <lido/postgres/detail/operations/streaming.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/values/read_binary.hpp>
#include <lido/postgres/detail/values/read_copy_binary.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/row.hpp>

namespace lido::postgres::detail {

/// The statement that rows are of, and its place, which errors name.
struct Asked {
  Asked(const Channel& channel, std::string_view text) : sql{text}, where{channel.where()} {}

  [[nodiscard]] Origin origin() const noexcept { return {kept_of(sql), where, {}}; }
  [[nodiscard]] Diagnostics about(const char* message = "") const {
    return {.message = message, .statement = shown_of_kept(origin().statement), .where = where};
  }

  std::string sql;
  std::source_location where;
};

/// `Row`s without `T`, else what these read. Stays where it is.
template <class... T>
class IncomingRows {
 public:
  /// Sends. What is bound may go afterwards. Throws `QueryError` or `ConnectionLost`.
  IncomingRows(Channel& channel, std::string_view sql, const Bound& bound)
      : channel_{channel}, asked_{channel, sql}, streaming_{channel, asked_.sql, bound, suits()} {}

  [[nodiscard]] Streaming& operation() noexcept { return streaming_; }
  [[nodiscard]] Socket socket() const noexcept { return streaming_.socket(); }
  /// Goes on to the next row. False: it has to come first.
  [[nodiscard]] bool advance() noexcept {
    if (rows_ && ++at_ < count()) return true;
    clear();
    return streaming_.complete();
  }
  void arrived() noexcept {
    rows_.reset();
    ResultHandle rows = streaming_.rows();
    if (!rows) return;
    rows_.emplace(std::move(rows), channel_.array_types(), asked_.origin());
    binary_ = PQbinaryTuples(rows_->handle.get()) != 0;
  }
  /// There is a present row; else they have not begun, or have ended.
  [[nodiscard]] bool present() const noexcept { return rows_.has_value(); }
  /// The rows that came last are in the binary format.
  [[nodiscard]] bool is_binary() const noexcept { return binary_; }
  /// No present row any more.
  void clear() noexcept {
    before_ += count();
    at_ = 0;
    rows_.reset();
  }

  /// The present row, valid until the next. Throws `ResultError` when it is not as it was asked for.
  [[nodiscard]] auto value() const {
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): it is present
    const SharedResult& rows = *rows_;
    if constexpr (sizeof...(T) == 0) {
      return Row{{&rows, nullptr}, at_};
    } else {
      using Shape = RowShape<T...>;
      try {
        // One statement: what comes later has the same columns.
        if constexpr (Shape::by_name) {
          if (order_.empty()) {
            check<Shape>(rows);
            order_ = find_and_check<Shape>(rows.source(), at_);
          }
          return read<Shape>(rows, order_.data());
        } else {
          if (!fits_) {
            check<Shape>(rows);
            static_cast<void>(rows.template order<Shape>(at_));
          }
          fits_ = true;
          return read<Shape>(rows, InOrder{});
        }
      } catch (const ResultError& error) {  // which counts from the beginning of what has just come
        throw ResultError{before_ + at_, error.column(), error.wanted(), error.actual(), rows.about()};
      }
    }
  }

 private:
  [[nodiscard]] static constexpr Streaming::Suits suits() noexcept {
    if constexpr (gains_by_binary(RowColumns<T...>{})) return &suits_binary<RowShape<T...>>;
    return nullptr;
  }

  template <class Shape>
  void check([[maybe_unused]] const SharedResult& rows) const {
    if constexpr (suits() != nullptr) check_format<Shape>(rows.handle.get(), at_);
  }
  template <class Shape, class Order>
  [[nodiscard]] typename Shape::Value read(const SharedResult& rows, Order order) const {
    if constexpr (suits() != nullptr)
      if (binary_) return make_row<Shape>(BinaryFields<Order>{rows.handle.get(), static_cast<int>(at_), order});
    return read_row<Shape>(rows.source(), at_, order);
  }

  [[nodiscard]] std::size_t count() const noexcept { return rows_ ? rows_of(rows_->handle.get()) : 0; }

  Channel& channel_;
  Asked asked_;
  Streaming streaming_;
  std::optional<SharedResult> rows_;     // what came last
  std::size_t at_ = 0;                   // the present row of these
  std::size_t before_ = 0;               // how many came before these
  mutable std::vector<unsigned> order_;  // the columns of a struct's members, once a row was read
  mutable bool fits_ = false;            // the columns have been checked
  bool binary_ = false;                  // how they are written
};

/// Lines as the server sent them without `T`, else what these read. Stays where it is.
template <class... T>
class IncomingLines {
 public:
  /// Sends. Throws `QueryError` or `ConnectionLost`.
  IncomingLines(Channel& channel, std::string_view sql)
      : asked_{channel, checked(channel, sql)}, copying_{channel, asked_.sql, suits()} {}

  [[nodiscard]] CopyingOut& operation() noexcept { return copying_; }
  [[nodiscard]] Socket socket() const noexcept { return copying_.socket(); }
  [[nodiscard]] bool advance() noexcept {
    clear();
    return copying_.complete();
  }
  void arrived() noexcept { ++number_; }
  [[nodiscard]] bool present() const noexcept { return !copying_.chunk().empty(); }
  void clear() noexcept { copying_.clear(); }

  /// As that of `IncomingRows`; throws `QueryError` where typed rows are binary.
  [[nodiscard]] auto value() const {
    if constexpr (sizeof...(T) == 0) {
      return copying_.chunk();
    } else {
      if (copying_.is_binary() && copying_.columns().empty()) throw QueryError{binary, asked_.about(binary)};
      try {
        if constexpr (suits() != nullptr)
          if (!copying_.columns().empty())
            return read_received_row<T...>(copying_.chunk(), copying_.columns(), number_ - 1);
        return read_line<T...>(copying_.chunk(), number_ - 1);
      } catch (const ResultError& error) {
        throw ResultError{error.row(), error.column(), error.wanted(), error.actual(), asked_.about()};
      }
    }
  }

 private:
  static constexpr const char* binary = "COPY in the binary format cannot be read as typed rows";

  [[nodiscard]] static constexpr CopyStatement::Suits suits() noexcept {
    if constexpr (sizeof...(T) > 0)
      if constexpr (gains_by_binary(RowColumns<T...>{})) return &are_received_from<RowShape<T...>>;
    return nullptr;
  }
  // Before anything is sent.
  [[nodiscard]] static std::string_view checked([[maybe_unused]] Channel& channel, std::string_view sql) {
    if constexpr (sizeof...(T) > 0) require_text_format(channel, sql);
    return sql;
  }

  Asked asked_;
  CopyingOut copying_;
  std::size_t number_ = 0;  // of rows that have come
};

}  // namespace lido::postgres::detail
