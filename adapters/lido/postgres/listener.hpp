// LISTEN on a connection of its own, which is opened anew when it is lost.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/detail/listening/keeping.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/listener_options.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// What listeners have in common, blocking or not: the channels, and how it goes. Thread-safe.
class ListenerChannels {
 public:
  /// Listens to one more channel, whatever characters its name has; nothing where it is listened to. Told by
  /// `subscribed`. Wakes a wait in another thread or coroutine, which does it. Throws `QueryError` for a name of more
  /// than 63 bytes, which the server would cut, for an empty one, and for one with a zero byte. Does no I/O.
  void add(std::string_view channel) { keeping_->subscriptions().add(channel); }
  /// Listens to it no more; nothing where it is not listened to. Told by `unsubscribed`. The rest as `add`.
  void remove(std::string_view channel) { keeping_->subscriptions().remove(channel); }
  /// Those that are wanted, sorted.
  [[nodiscard]] std::vector<std::string> channels() const { return keeping_->subscriptions().names(); }
  /// Connected and subscribed, as far as is known.
  [[nodiscard]] bool is_connected() const { return keeping_->is_connected(); }
  /// Why it was last not connected, without a secret; empty: never.
  [[nodiscard]] std::string last_failure() const { return keeping_->last_failure(); }

 protected:
  ListenerChannels(const std::string& connection_string, const std::vector<std::string>& channels,
                   ListenerOptions options)
      : keeping_{std::make_shared<detail::Keeping>(connection_string, channels, std::move(options))} {}
  ~ListenerChannels() = default;
  ListenerChannels(ListenerChannels&&) noexcept = default;
  ListenerChannels& operator=(ListenerChannels&&) noexcept = default;

  std::shared_ptr<detail::Keeping> keeping_;
};

/// Listens to channels on a connection of its own, which no pool has. Lost, it is opened anew after a pause, and all
/// channels are subscribed anew. Who waits is told of that by events, and so that something may have been missed.
/// Movable; `wait` is for one thread at a time, and does all the work: without a wait nothing is sent and nothing is
/// answered. One that is moved from can only be destroyed or assigned to.
class Listener : public ListenerChannels {
 public:
  /// Does not connect yet. Throws `PermanentConnectError` when the string is malformed, `InvalidOption`, naming the
  /// field, and `QueryError` as `add` does.
  explicit Listener(const std::string& connection_string, const std::vector<std::string>& channels = {},
                    ListenerOptions options = {})
      : ListenerChannels{connection_string, channels, std::move(options)} {}

  /// The next event; nothing at the deadline and when a stop was requested (then a later wait goes on where this one
  /// was). Connects and subscribes where that is to be done. Blocks until `until`, except that libpq resolves host
  /// names by itself, and for as long as `ConnectionSettings::password` and `target` do. Throws `PermanentConnectError`
  /// where trying again cannot help, and `QueryError` where the server does not take a channel's name; a later wait
  /// tries again, after a pause.
  [[nodiscard]] std::optional<ListenerEvent> wait(const Until& until) {
    for (;;) {
      const std::stop_source woken = keeping_->subscriptions().begin_wait();
      const Need need = keeping_->step(until.stop);
      if (need == Need::nothing) return keeping_->take_event();
      if (until.stop.stop_requested() || Clock::now() >= until.deadline) return std::nullopt;
      const std::stop_callback link{until.stop, [source = woken]() mutable { source.request_stop(); }};
      const Until sooner{std::min(until.deadline, keeping_->due()), woken.get_token()};
      if (keeping_->pauses())
        detail::pause_until(sooner);
      else if (need == Need::at_once)
        static_cast<void>(detail::give_way(sooner));
      else
        static_cast<void>(detail::wait_for(keeping_->socket(), need, sooner));
    }
  }

 private:
  using Need = detail::Need;
};

}  // namespace lido::postgres
