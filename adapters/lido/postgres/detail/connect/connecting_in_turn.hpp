// Connecting to the first of several hosts that will do.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/detail/connect/connecting.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notice.hpp>

namespace lido::postgres::detail {

/// Tries one host after the other. Each has an equal share of the time that is left, so that one that never answers
/// leaves some for the others: in non-blocking mode libpq would stay with it for as long as the network does.
class ConnectingInTurn {
 public:
  /// `hosts` has one element at least; `listener` has to outlive it.
  ConnectingInTurn(std::vector<ConnectionString> hosts, TimePoint deadline, const NoticeListener& listener)
      : hosts_{std::move(hosts)}, deadline_{deadline}, listener_{listener} {}
  ConnectingInTurn(const ConnectingInTurn&) = delete;
  ConnectingInTurn& operator=(const ConnectingInTurn&) = delete;

  [[nodiscard]] Socket socket() const noexcept { return socket_of(attempt_); }
  /// When the present host has had its share.
  [[nodiscard]] TimePoint due() const noexcept { return due_; }

  /// Throws `ConnectError`, with what each host said, or, where each failed for good, `PermanentConnectError`.
  [[nodiscard]] Need step() {
    for (;;) {
      try {
        Connecting& attempt = present();
        if (due_ < deadline_ && Clock::now() >= due_) attempt.give_up(Wake::timed_out);
        const Need need = attempt.step();
        if (need == Need::nothing) connection_ = attempt.take();
        return need;
      } catch (const PermanentConnectError& error) {
        note(error);
        if (next_ == hosts_.size()) fail();
      } catch (const ConnectError& error) {
        note(error);
        for_good_ = false;
        if (next_ == hosts_.size()) fail();
      }
    }
  }

  [[noreturn]] void give_up(Wake why) {
    try {
      present().give_up(why);
    } catch (const ConnectError& error) {
      note(error);
      for_good_ = false;
      fail();
    }
  }

  /// The connection, once a step has returned `Need::nothing`.
  [[nodiscard]] ConnectionHandle take() noexcept { return std::move(connection_); }
  /// What was taken will not do after all, and `said` says why: the next step is the first at the next host. Throws as
  /// `step` does where there is none, or none is to be tried as this is the `last`.
  void refuse(const std::string& said, bool last) {
    try {
      throw ConnectError{said};
    } catch (const ConnectError& error) {
      note(error);
      for_good_ = false;
      if (last || next_ == hosts_.size()) fail();
    }
  }

 private:
  // The attempt at the present host, or else, begun here, at the next.
  Connecting& present() {
    if (attempt_) return *attempt_;
    const TimePoint now = Clock::now();
    const auto left = static_cast<Duration::rep>(hosts_.size() - next_);
    due_ = deadline_ == TimePoint::max() ? deadline_ : now + std::max((deadline_ - now) / left, Duration::zero());
    const ConnectionString& host = hosts_[next_++];
    // As libpq has it where it blocks: for each host.
    if (const std::optional<Duration> limit = host.connect_timeout())
      due_ = std::min(due_, saturating_add(now, *limit));
    return attempt_.emplace(host, listener_);
  }

  // The present host will not do.
  void note(const ConnectError& error) {
    attempt_.reset();
    if (!said_.message.empty()) said_.message += "; ";
    said_.message += error.message().empty() ? error.what() : error.message();
    if (!error.sqlstate().empty()) said_.sqlstate = error.sqlstate(), said_.severity = error.severity();
  }

  // Where an exception is being handled, which is thrown on where there is one host alone.
  [[noreturn]] void fail() {
    if (hosts_.size() == 1) throw;
    const std::string message = lido::detail::concat({"no host will do: ", said_.message});
    if (for_good_) throw PermanentConnectError{message, std::move(said_)};
    throw ConnectError{message, std::move(said_)};
  }

  const std::vector<ConnectionString> hosts_;
  const TimePoint deadline_;
  const NoticeListener& listener_;
  std::optional<Connecting> attempt_;
  ConnectionHandle connection_;
  std::size_t next_ = 0;
  TimePoint due_ = TimePoint::max();
  Diagnostics said_;
  bool for_good_ = true;
};

}  // namespace lido::postgres::detail
