// What becomes of an answer that nobody wants to the end.
#pragma once

#include <chrono>
#include <optional>

#include <lido/facts.hpp>
#include <lido/postgres/detail/cancelling.hpp>
#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/reply.hpp>
#include <lido/postgres/detail/wait.hpp>

namespace lido::postgres::detail {

/// Cancels a statement on the server and reads what is left of its answer, so that the connection can be used again.
/// When that does not work out, the connection is given up. Its steps throw `ConnectionLost`.
class Abandoning {
 public:
  explicit Abandoning(Reply& reply) noexcept : reply_{reply} {}

  [[nodiscard]] Socket socket() const noexcept { return cancel_ && !asked_ ? cancel_->socket() : reply_.socket(); }
  [[nodiscard]] Need step() {
    if (!cancel_ && finished()) return Need::nothing;
    while (!given_up_ && !reply_.complete()) {
      if (!cancel_) cancel_.emplace(reply_.channel().raw());
      if (!asked_) {
        if (const Need need = cancel_->step(); need != Need::nothing) return need;
        asked_ = true;
        if (!cancel_->delivered()) give_up(Wake::timed_out);
      } else if (const Need need = drain(); need != Need::nothing) {
        return need;
      } else if (!reply_.complete()) {  // it was asked before it had begun
        cancel_.reset();
        asked_ = false;
      }
    }
    return Need::nothing;
  }
  void give_up(Wake) noexcept {
    reply_.channel().give_up();
    given_up_ = true;
  }

  /// Reads what has come, which costs nothing; true: that was all.
  [[nodiscard]] bool finished() {
    constexpr int most = 8;
    for (int looks = 1; looks <= most; ++looks) {
      const Need need = drain();
      if (reply_.complete()) return true;
      if (looks > 1 && need != Need::at_once) return false;  // only the second time looks at the socket
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

/// Abandons `operation`, a `Streaming` or `CopyingOut`. Blocks for at most two seconds.
template <class Operation>
void abandon_within_bound(Channel& channel, Operation& operation) noexcept {
  if (operation.complete() || !channel.usable()) return;
  try {
    operation.abandon();
    complete(operation, saturating_add(Clock::now(), std::chrono::seconds{2}));
  } catch (...) {  // not complete, and so given up
  }
}

}  // namespace lido::postgres::detail
