// Waiting for a notification.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notification.hpp>

namespace lido::postgres::detail {

/// `name` as an identifier. Throws `QueryError` for what LISTEN would cut, where `pg_notify` refuses it: it would be
/// another channel; and for what cannot be a name.
[[nodiscard]] inline std::string channel_name(std::string_view name) {
  if (name.empty()) throw QueryError{"the channel's name is empty"};
  if (name.find('\0') != std::string_view::npos) throw QueryError{"the channel's name holds a zero byte"};
  if (name.size() > most_name)
    throw QueryError{"the channel's name: " + std::to_string(name.size()) + " bytes, where the server takes " +
                     std::to_string(most_name)};
  return quoted_name(name);
}

/// Done when a notification has come, or when it was given up; the connection stays good either way.
class Listening {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  explicit Listening(Channel& channel) : channel_{channel} { channel.require_quiet(what); }

  [[nodiscard]] Socket socket() const noexcept { return channel_.socket(); }
  /// Throws `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (given_up_) return Need::nothing;
    channel_.require_ours(what);
    const bool ended = std::exchange(waited_, true) && !channel_.consume();
    if (!channel_.discard().collect(channel_.raw())) throw channel_.lost(what, "DISCARD ALL failed");
    if (const bool late = channel_.discard().outstanding(); late && !ended) return channel_.to_read();
    notification_ = next(channel_);
    if (notification_) return Need::nothing;
    if (ended || !channel_.usable()) throw channel_.gone(what, one_line(PQerrorMessage(channel_.raw())));
    return channel_.to_read();
  }
  void give_up(Wake) noexcept { given_up_ = true; }
  /// Whoever waits has it cancelled: what has come is for the next wait.
  void stopped() noexcept {
    if (notification_) channel_.unheard() = std::exchange(notification_, std::nullopt);
  }

  /// One that has come.
  [[nodiscard]] static std::optional<Notification> next(Channel& channel) {
    if (channel.unheard()) return std::exchange(channel.unheard(), std::nullopt);
    const LibpqMemory<PGnotify> heard{PQnotifies(channel.raw())};
    if (!heard) return std::nullopt;
    return Notification{.channel = heard->relname, .payload = heard->extra, .pid = heard->be_pid};
  }

  /// Nothing when it was given up.
  [[nodiscard]] std::optional<Notification> outcome() noexcept { return std::move(notification_); }

 private:
  static constexpr const char* what = "(waiting for a notification)";

  Channel& channel_;
  std::optional<Notification> notification_;
  bool waited_ = false;
  bool given_up_ = false;
};

}  // namespace lido::postgres::detail
