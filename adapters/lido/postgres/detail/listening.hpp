// Waiting for a notification.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/diagnose.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/notification.hpp>

namespace lido::postgres::detail {

/// Done when a notification has come, or when it was given up; the connection stays good either way.
class Listening {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  explicit Listening(Channel& channel) : channel_{channel} { channel.require_quiet(what); }

  [[nodiscard]] Socket socket() const noexcept { return channel_.socket(); }
  /// Throws `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (given_up_) return Need::nothing;
    const bool ended = std::exchange(waited_, true) && !channel_.consume();
    if (const LibpqMemory<PGnotify> heard{PQnotifies(channel_.raw())}) {
      notification_ = Notification{.channel = heard->relname, .payload = heard->extra, .pid = heard->be_pid};
      return Need::nothing;
    }
    if (ended || !channel_.usable()) throw channel_.gone(what, one_line(PQerrorMessage(channel_.raw())));
    return channel_.to_read();
  }
  void give_up(Wake) noexcept { given_up_ = true; }

  /// Nothing when it was given up.
  [[nodiscard]] std::optional<Notification> notification() noexcept { return std::move(notification_); }

 private:
  static constexpr const char* what = "(waiting for a notification)";

  Channel& channel_;
  std::optional<Notification> notification_;
  bool waited_ = false;
  bool given_up_ = false;
};

}  // namespace lido::postgres::detail
