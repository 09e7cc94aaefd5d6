// The way through rows that come one after the other: a thread goes it as well as an event loop.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/guests.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Where one is in `Rows`, which are `IncomingRows` or `IncomingLines`. `advance()`, and where that finds nothing at
/// hand, the operation completes a step, and then `arrived()`.
template <class Rows>
class Walk : private Guest {
 public:
  /// Sends. Throws `QueryError` or `ConnectionLost`.
  template <class... Rest>
  Walk(const Call& call, std::string_view sql, const Rest&... rest)
      : Guest{call.begin().guests()},
        channel_{call.channel},
        until_{call.until},
        rows_{std::in_place, *channel_, sql, rest...} {}

  [[nodiscard]] const Until& until() const noexcept { return until_; }
  [[nodiscard]] Socket socket() const noexcept { return rows_ ? rows_->socket() : Socket{-1}; }
  /// What takes the steps. Throws `Error` where the connection has gone.
  [[nodiscard]] auto& operation() { return rows().operation(); }

  /// Goes on to the next row. False: it has to come first. Throws when it never will: `QueryTimeout`, `QueryCancelled`,
  /// `ConnectionLost`, or `Error`.
  [[nodiscard]] bool advance() {
    if (std::exchange(unseen_, false) || rows().advance()) return true;
    if (!channel_->usable()) throw channel_->gone(operation().sql(), "the connection is not usable any more");
    check_in_time(operation(), until_);
    return false;
  }
  void arrived() { rows().arrived(); }
  /// There is a present row; else it has not begun, or has ended.
  [[nodiscard]] bool present() const noexcept { return rows_ && rows_->present(); }
  /// That row. Throws `ResultError` when it is not as it was asked for, and `Error`.
  [[nodiscard]] auto value() const { return rows().value(); }
  /// The present row is the first, which nobody has asked for yet.
  void keep() noexcept { unseen_ = present(); }

  /// The next steps of the operation cancel the rest. False: there is none.
  [[nodiscard]] bool abandon() noexcept {
    unseen_ = false;
    if (!rows_) return false;
    rows_->clear();
    if (rows_->operation().complete() || !channel_->usable()) return false;
    rows_->operation().abandon();
    return true;
  }
  void abandon_at_once() noexcept {
    if (rows_) rows_->operation().abandon_at_once();
  }

 private:
  // Unless all has come, this gives the connection up.
  void leave() noexcept override { rows_.reset(); }

  [[nodiscard]] Rows& rows() { return there(rows_); }
  [[nodiscard]] const Rows& rows() const { return there(rows_); }
  template <class Kept>
  [[nodiscard]] static auto& there(Kept& rows) {
    if (!rows) throw Error{"these rows have ended with their session, or with their connection"};
    return *rows;
  }

  Channel* channel_;
  Until until_;
  std::optional<Rows> rows_;
  bool unseen_ = false;
};

}  // namespace lido::postgres::detail
