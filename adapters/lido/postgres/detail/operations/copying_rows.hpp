// COPY ... FROM STDIN with rows that are made one after the other.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/facts.hpp>
#include <lido/postgres/detail/operations/copy_statement.hpp>
#include <lido/postgres/detail/operations/copying.hpp>
#include <lido/postgres/detail/values/copy_binary.hpp>
#include <lido/postgres/detail/values/copy_frame.hpp>
#include <lido/postgres/detail/values/copy_source.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/values/out_buffer.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// Rows on their way into a COPY, sent by the batch.
class CopyBuffer {
 public:
  /// Throws `QueryError` for what cannot be passed, and has then nothing of it.
  template <CopyRow Row>
  void append(Row&& row) {
    if constexpr (CopyText<Row>) {
      const std::string_view piece = std::forward<Row>(row);
      check_length(piece.size(), [] { return std::string{"a piece of a COPY"}; });
      text_.append(piece);
    } else {
      const std::size_t before = text_.size();
      try {
        append_values(row);
        check_length(text_.size() - before, [] { return std::string{"a row of a COPY"}; });
      } catch (...) {
        text_.cut(before);
        throw;
      }
    }
  }
  [[nodiscard]] bool is_full() const noexcept { return text_.size() >= batch; }
  /// From here on rows are written for columns of these types in the binary format, unless there are none.
  void begin(const std::vector<Oid>& columns) {
    columns_ = columns;
    if (!columns_.empty()) text_.append(copy_header);
  }
  void end() {
    if (!columns_.empty()) text_.append(copy_trailer);
  }
  void send(CopyingIn& copying) {
    copying.put(text_.view());
    text_.cut(0);
  }

 private:
  template <Copyable Row>
  void append_values(const Row& row) {
    if constexpr (may_gain_by_binary<Row>) {
      if (!columns_.empty()) return append_sent_row(text_, row, columns_);
    }
    append_row(text_, row);
  }

  // The server works on a message once all of it has come, and libpq sends so much at once.
  static constexpr std::size_t batch = 8'192;
  OutBuffer text_;
  std::vector<Oid> columns_;  // none: as text
};

/// Copies the rows of a range. What the range throws ends the COPY with an error, for which it waits for two seconds at
/// most.
template <std::ranges::view Rows>
class CopyingRows {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  CopyingRows(Channel& channel, std::string_view sql, Rows rows)
      : sql_{checked(channel, sql)}, copying_{channel, sql_, suits(rows)}, rows_{std::move(rows)} {}

  [[nodiscard]] Socket socket() const noexcept { return copying_.socket(); }
  /// When it takes its next step at the latest.
  [[nodiscard]] TimePoint due() const noexcept { return due_; }

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (stage_ == Stage::failing) return confirm_failure();
    if (const Need need = copying_.step(); need != Need::nothing || stage_ == Stage::ending) return need;
    feed();
    if (stage_ != Stage::feeding) return step();
    // Whoever waits looks at the time meanwhile, and a loop at others: the server may take it as fast as it is made.
    return copying_.rest();
  }

  /// Throws `QueryTimeout` or `QueryCancelled`; not when the range has thrown.
  void give_up(Wake why) {
    if (stage_ != Stage::failing) copying_.give_up(why);
    try {
      copying_.give_up(why);
    } catch (const Error&) {  // what the range threw comes first
    }
    over_ = true;
  }

  /// How many rows the server has stored; throws what the range threw.
  [[nodiscard]] std::size_t outcome() {
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    return Result{copying_.result()}.affected_rows();
  }

 private:
  // Before anything is sent.
  [[nodiscard]] static std::string_view checked([[maybe_unused]] Channel& channel, std::string_view sql) {
    if constexpr (!CopyText<std::ranges::range_reference_t<Rows>>) require_text_format(channel, sql);
    return sql;
  }

  // Few rows are not worth the round trip.
  [[nodiscard]] static CopyStatement::Suits suits([[maybe_unused]] Rows& rows) {
    using Row = std::ranges::range_reference_t<Rows>;
    if constexpr (!CopyText<Row>) {
      if constexpr (may_gain_by_binary<Row>) {
        if constexpr (std::ranges::sized_range<Rows>)
          if (std::cmp_less(std::ranges::size(rows), few)) return nullptr;
        return &are_sent_into<Row>;
      }
    }
    return nullptr;
  }
  static constexpr int few = 1000;

  enum class Stage : std::uint8_t { beginning, feeding, ending, failing };

  void feed() {
    stage_ = Stage::feeding;
    within([&] {
      if (!next_) {
        buffer_.begin(copying_.columns());
        next_.emplace(std::ranges::begin(rows_));
      }
      for (; *next_ != std::ranges::end(rows_) && !buffer_.is_full(); ++*next_) buffer_.append(**next_);
    });
    if (stage_ == Stage::failing) return;
    const bool ended = !buffer_.is_full();
    if (ended) buffer_.end();
    buffer_.send(copying_);
    if (!ended) return;
    copying_.end();
    stage_ = Stage::ending;
  }
  template <class Action>
  void within(Action action) {
    try {
      action();
    } catch (...) {
      error_ = std::current_exception();
      stage_ = Stage::failing;
      due_ = saturating_add(Clock::now(), std::chrono::seconds{2});
      try {
        copying_.fail("the rows came to an end with an exception");
      } catch (const Error&) {
        over_ = true;
      }
    }
  }
  [[nodiscard]] Need confirm_failure() {
    try {
      if (!over_ && Clock::now() >= due_) give_up(Wake::timed_out);
      return over_ ? Need::nothing : copying_.step();
    } catch (const Error&) {  // the server confirms, or the connection is lost
      return Need::nothing;
    }
  }

  std::string sql_;
  CopyingIn copying_;
  Rows rows_;
  std::optional<std::ranges::iterator_t<Rows>> next_;
  CopyBuffer buffer_;
  std::exception_ptr error_;
  TimePoint due_ = TimePoint::max();
  Stage stage_ = Stage::beginning;
  bool over_ = false;
};

}  // namespace lido::postgres::detail
