// The settings of a `Listener`, and what it tells.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/notification.hpp>

namespace lido::postgres {

/// What a `Listener` tells.
struct ListenerEvent {
  enum class Kind : std::uint8_t {
    notification,  ///< somebody has sent one
    /// From now on the channel's notifications come, as after each reconnect: whatever was sent before may have been
    /// missed. The place to load what the notifications are about.
    subscribed,
    unsubscribed,  ///< by `remove`; no more of the channel's come
    lost,          ///< the connection is gone; what is sent from now on until `subscribed` is missed
  };

  Kind kind = Kind::notification;
  /// Of `subscribed` and `unsubscribed` the channel alone is set, of `lost` nothing.
  Notification notification{};
  bool again = false;  ///< of `subscribed`: it was subscribed before, so that something may have been missed
};

/// As logs spell it.
[[nodiscard]] constexpr std::string_view to_string(ListenerEvent::Kind kind) noexcept {
  switch (kind) {
    case ListenerEvent::Kind::notification:
      return "notification";
    case ListenerEvent::Kind::subscribed:
      return "subscribed";
    case ListenerEvent::Kind::unsubscribed:
      return "unsubscribed";
    case ListenerEvent::Kind::lost:
      return "lost";
    default:
      return "unknown";
  }
}

/// How a `Listener` connects and keeps connected.
struct ListenerOptions {
  /// Of its connection; `statement_timeout`, `reset` and `statement_cache` play no part.
  ConnectionSettings connection{};
  /// How long one attempt to connect may take. Range: more than 0.
  Duration connect_timeout = std::chrono::seconds{10};
  /// The first pause, after the second failure in a row, doubled with each that follows; each pause is up to a half
  /// shorter, so that many listeners do not come back at once. The first failure after a connection that lived for
  /// `backoff_max` is followed by an attempt at once. Range: more than 0.
  Duration backoff_min = std::chrono::milliseconds{100};
  /// The longest pause. Range: `backoff_min` and more.
  Duration backoff_max = std::chrono::seconds{10};
  /// How long nothing comes before the server is asked whether it still lives. `Duration::max()`: never. Range: more
  /// than 0.
  Duration ping_after = std::chrono::seconds{30};
  /// How long the server may take to answer that, and LISTEN and UNLISTEN; then the connection counts as lost. Range:
  /// more than 0.
  Duration answer_timeout = std::chrono::seconds{5};
};

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const ListenerOptions& options) {
  lido::detail::require_positive(options.connect_timeout, "ListenerOptions::connect_timeout");
  lido::detail::require_positive(options.backoff_min, "ListenerOptions::backoff_min");
  lido::detail::require_positive(options.ping_after, "ListenerOptions::ping_after");
  lido::detail::require_positive(options.answer_timeout, "ListenerOptions::answer_timeout");
  if (options.backoff_max < options.backoff_min)
    throw InvalidOption{"ListenerOptions::backoff_max", "a duration not below backoff_min"};
}

}  // namespace lido::postgres
