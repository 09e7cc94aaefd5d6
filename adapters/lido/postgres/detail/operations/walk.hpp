// The way through rows that come one after the other: a thread goes it as well as an event loop.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/wire/aftermath.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/guests.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Where one is in `Rows`, which are `IncomingRows` or `IncomingLines`. `advance()`, and where that finds nothing at
/// hand, this is an operation that is completed, and then `arrived()`. Once nothing is to come it refers to the
/// connection no more.
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
  /// Throws what those of `Rows` throw, and `Error` where the connection has gone.
  [[nodiscard]] Need step() {
    return letting_go(*this, [&] { return rows().operation().step(); });
  }
  void give_up(Wake why) {
    letting_go(*this, [&] { rows().operation().give_up(why); });
  }

  /// Goes on to the next row. False: it has to come first. Throws when it never will: `QueryTimeout`, `QueryCancelled`,
  /// `ConnectionLost`, or `Error`.
  [[nodiscard]] bool advance() {
    if (std::exchange(unseen_, false)) return true;
    if (!rows_) return over();
    if (rows_->advance()) {
      if (!rows_->present()) let_go_if_over();
      return true;
    }
    if (!channel_->usable()) return let_go_if_over(), over();
    check_in_time(*this, until_);
    return false;
  }
  void arrived() {
    Rows& found = rows();
    found.arrived();
    if (!found.present()) let_go_if_over();
  }
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
    let_go_if_over();
    if (!rows_) return false;
    rows_->operation().abandon();
    return true;
  }
  void abandon_at_once() noexcept {
    if (rows_) rows_->operation().abandon_at_once();
  }
  /// Harmless while something is to come.
  void let_go_if_over() noexcept {
    if (!rows_) return;
    const bool complete = rows_->operation().complete();
    if (!complete && channel_->usable()) return;
    aftermath_.note(complete, *channel_, rows_->operation().sql());
    rows_.reset();
    unlink();
  }

 private:
  // Unless all has come, this gives the connection up.
  void leave() noexcept override { rows_.reset(); }

  // Without rows: whether they came to their end; throws where they did not.
  [[nodiscard]] bool over() const { return aftermath_.complete() || there(rows_).present(); }

  [[nodiscard]] Rows& rows() { return there(rows_); }
  [[nodiscard]] const Rows& rows() const { return there(rows_); }
  template <class Kept>
  [[nodiscard]] static auto& there(Kept& rows) {
    if (!rows) throw Error{"these rows have ended with their session, or with their connection"};
    return *rows;
  }

  Channel* channel_;
  Until until_;
  std::optional<Rows> rows_;  // none once it has let go of the connection
  Aftermath aftermath_;
  bool unseen_ = false;
};

}  // namespace lido::postgres::detail
