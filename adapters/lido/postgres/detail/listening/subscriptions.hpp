// The channels of a listener: which it wants, and which the server has.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/listener_options.hpp>
#include <lido/postgres/notification.hpp>

namespace lido::postgres::detail {

/// What is to be told to the server of one channel.
struct ChannelChange {
  std::string name;
  bool listen = true;  // else UNLISTEN
};

/// As one script. Names are quoted.
[[nodiscard]] inline std::string script_of(const std::vector<ChannelChange>& changes) {
  std::string script;
  for (const ChannelChange& each : changes)
    script.append(script.empty() ? "" : "; ").append(each.listen ? "LISTEN " : "UNLISTEN ") += channel_name(each.name);
  return script;
}

/// Thread-safe. Its size is that of the channels that are wanted, and of those whose end the server has not been told.
class Subscriptions {
 public:
  /// Throws `QueryError` for what cannot be a channel's name.
  void add(std::string_view name) {
    static_cast<void>(channel_name(name));
    change(name, State::to_listen);
  }
  void remove(std::string_view name) { change(name, State::to_unlisten); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> wanted;
    const std::scoped_lock lock{mutex_};
    for (const auto& [name, channel] : channels_)
      if (channel.state != State::to_unlisten) wanted.push_back(name);
    return wanted;
  }

  /// Of a wait that begins now: a stop is requested as soon as something is changed.
  [[nodiscard]] std::stop_source begin_wait() {
    std::stop_source begun;
    const std::scoped_lock lock{mutex_};
    waiting_ = begun;
    woken_ = false;
    return begun;
  }
  /// Whether it was by a change that the wait was woken. Once.
  [[nodiscard]] bool take_woken() {
    const std::scoped_lock lock{mutex_};
    return std::exchange(woken_, false);
  }

  /// The connection is gone: the server has none of them any more.
  void lose_all() {
    const std::scoped_lock lock{mutex_};
    for (auto& [name, channel] : channels_) {
      channel.on_server = false;
      if (channel.state == State::listening) channel.state = State::to_listen;
    }
    changed_ = true;
  }
  /// What the server has to be told. Of what it need not be told, `tell` is called with the event.
  template <class Tell>
  [[nodiscard]] std::vector<ChannelChange> take_changes(Tell tell) {
    std::vector<ChannelChange> changes;
    const std::scoped_lock lock{mutex_};
    if (!std::exchange(changed_, false)) return changes;
    for (auto each = channels_.begin(); each != channels_.end();) {
      const auto& [name, channel] = *each;
      if (channel.state == State::to_unlisten && !channel.on_server) {
        tell(ListenerEvent{.kind = ListenerEvent::Kind::unsubscribed, .notification = {.channel = name}});
        each = channels_.erase(each);
        continue;
      }
      if (channel.state != State::listening) changes.push_back({name, channel.state == State::to_listen});
      ++each;
    }
    return changes;
  }
  /// The server has done it; what there is to be told of that. Nothing where it is out of date by now: then there is
  /// another change.
  [[nodiscard]] std::optional<ListenerEvent> done(const ChannelChange& change) {
    const std::scoped_lock lock{mutex_};
    const auto found = channels_.find(change.name);
    if (found == channels_.end()) return std::nullopt;
    Channel& channel = found->second;
    channel.on_server = change.listen;
    if (channel.state != (change.listen ? State::to_listen : State::to_unlisten)) return std::nullopt;
    ListenerEvent event{.kind = change.listen ? ListenerEvent::Kind::subscribed : ListenerEvent::Kind::unsubscribed,
                        .notification = {.channel = change.name},
                        .again = std::exchange(channel.subscribed, true) && change.listen};
    if (change.listen)
      channel.state = State::listening;
    else
      channels_.erase(found);
    return event;
  }

 private:
  enum class State : std::uint8_t { to_listen, listening, to_unlisten };
  struct Channel {
    State state = State::to_listen;
    bool subscribed = false;  // before
    bool on_server = false;   // as far as is known
  };

  void change(std::string_view name, State state) {
    std::stop_source waiting{std::nostopstate};
    {
      const std::scoped_lock lock{mutex_};
      auto found = channels_.find(name);
      if (found == channels_.end()) {
        if (state == State::to_unlisten) return;
        found = channels_.emplace(std::string{name}, Channel{}).first;
      } else if (found->second.state == state ||
                 (state == State::to_listen && found->second.state == State::listening)) {
        return;
      }
      found->second.state = state;
      changed_ = true;
      woken_ = true;
      waiting = waiting_;
    }
    waiting.request_stop();  // what it calls may lock whatever it likes
  }

  mutable std::mutex mutex_;
  std::map<std::string, Channel, std::less<>> channels_;
  std::stop_source waiting_{std::nostopstate};
  bool changed_ = false;
  bool woken_ = false;
};

}  // namespace lido::postgres::detail
