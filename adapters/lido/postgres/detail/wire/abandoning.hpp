// What becomes of an answer that nobody wants to the end.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lido/postgres/detail/wire/cancelling.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Cancels a statement on the server and reads what is left of its answer, so that the connection can be used again.
/// When that does not work out, the connection is given up. So it is unless the statement itself ended by the cancel:
/// whatever the peer says that has got it, there may be a proxy between which has not forwarded it yet, and it would
/// hit what comes next. Its steps throw `ConnectionLost`.
class Abandoning {
 public:
  explicit Abandoning(Reply& reply) noexcept : reply_{reply} {}

  [[nodiscard]] Socket socket() const noexcept { return cancel_ && !asked_ ? cancel_->socket() : reply_.socket(); }
  [[nodiscard]] Need step() {
    if (!cancel_ && finished()) return Need::nothing;
    if (!cancel_) cancel_.emplace(reply_.channel().raw());
    if (!asked_ && !given_up_) {
      if (const Need need = cancel_->step(); need != Need::nothing) return need;
      asked_ = true;
      if (!cancel_->delivered()) give_up(Wake::timed_out);
    }
    if (given_up_) return Need::nothing;
    if (const Need need = drain(); need != Need::nothing) return need;
    // Not complete: the server was asked before it had begun, and a second cancel would be one too many.
    if (!reply_.complete() || !has_hit()) give_up(Wake::timed_out);
    return Need::nothing;
  }
  void give_up(Wake) noexcept {
    reply_.channel().give_up();
    given_up_ = true;
  }

  /// Reads what has come, which costs nothing; true: that was all.
  [[nodiscard]] bool finished() {
    constexpr int most = 64;  // of 8 KB or more; what a server has sent by now is mostly less
    for (int looks = 0; looks < most; ++looks) {
      const Need need = drain();
      if (reply_.complete()) return true;
      if (need != Need::at_once && !has_input(reply_.socket())) return false;
    }
    return false;
  }

 private:
  // `Need::nothing`: complete, or enough is read to tell that nobody has heard of a cancel.
  [[nodiscard]] Need drain() {
    constexpr int most = 100'000;
    for (int i = 0; i < most && !reply_.complete(); ++i) {
      if (const Need need = reply_.step(); need != Need::nothing) return need;
      static_cast<void>(reply_.result());
    }
    return Need::nothing;
  }

  // The answer says that it was cancelled, and by nobody else: not by a `statement_timeout`, which has the same
  // SQLSTATE, nor by a function that raises it. By its words alone: a server that says it in another language loses the
  // connection.
  [[nodiscard]] bool has_hit() {
    const std::optional<Diagnostics>& error = reply_.error();
    return error && error->sqlstate == "57014" && error->message.ends_with("user request") &&
           (reply_.raised_by().empty() || reply_.raised_by() == "ProcessInterrupts");
  }

  Reply& reply_;
  std::optional<Cancelling> cancel_;
  bool asked_ = false;
  bool given_up_ = false;
};

/// Abandons what nobody waits for any more, without blocking: unless all of its answer has come, the statement is
/// cancelled and the connection given up.
inline void abandon_at_once(Reply& reply) noexcept {
  if (reply.complete() || !reply.channel().usable()) return;
  try {
    if (!Abandoning{reply}.finished()) reply.give_up(Wake::stopped);
  } catch (...) {  // not complete, and so given up
  }
}

/// An answer that may be left before its end. Destroyed before, it gives the connection up, unless `abandon()` was
/// called and completed.
class Leavable {
 public:
  [[nodiscard]] Socket socket() const noexcept { return abandoning_ ? abandoning_->socket() : reply_.socket(); }
  /// Throws `QueryTimeout` or `QueryCancelled`; not while it is being abandoned.
  void give_up(Wake why) {
    if (abandoning_) return abandoning_->give_up(why);
    reply_.give_up(why);
  }
  [[nodiscard]] bool complete() const noexcept { return reply_.complete(); }
  [[nodiscard]] std::string_view sql() const noexcept { return reply_.sql(); }
  /// The next steps cancel the rest.
  void abandon() noexcept {
    if (!reply_.complete()) abandoning_.emplace(reply_);
  }
  void abandon_at_once() noexcept { detail::abandon_at_once(reply_); }

 protected:
  Leavable(Channel& channel, std::string_view sql) : reply_{channel, sql} {}
  ~Leavable() = default;

  [[nodiscard]] Reply& reply() noexcept { return reply_; }
  [[nodiscard]] const Reply& reply() const noexcept { return reply_; }
  /// What to step in its place.
  [[nodiscard]] std::optional<Abandoning>& abandoning() noexcept { return abandoning_; }

 private:
  Reply reply_;
  std::optional<Abandoning> abandoning_;
};

}  // namespace lido::postgres::detail
