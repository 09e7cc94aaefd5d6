// LISTEN on a connection of its own, which is opened anew when it is lost, as something to be awaited.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <lido/postgres/detail/listening/keeping.hpp>
#include <lido/postgres/listener.hpp>
#include <lido/postgres/listener_options.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// As `Listener`, in an event loop: `AsyncListener listener{OnReactor{reactor}, url, {"news"}}`. For one coroutine at a
/// time, but for what is thread-safe.
template <class Runner>
class AsyncListener : public ListenerChannels {
 public:
  /// As the constructor of `Listener`.
  AsyncListener(Runner runner, const std::string& connection_string, const std::vector<std::string>& channels = {},
                ListenerOptions options = {})
      : ListenerChannels{connection_string, channels, std::move(options)}, runner_{std::move(runner)} {}

  /// As `Listener::wait`, to be awaited for a `std::optional<ListenerEvent>`. Nothing also when it is cancelled; then a
  /// later wait goes on where this one was. Blocks no thread, but for what blocks in `Listener::wait` beyond its
  /// deadline.
  auto wait(const Until& until = {}) {
    const std::stop_source woken = keeping_->subscriptions().begin_wait();
    return runner_.run(Until{until.deadline, woken.get_token()}, [keeping = keeping_, stop = until.stop, woken] {
      return detail::Heeding{keeping, stop, woken};
    });
  }

 private:
  Runner runner_;
};

}  // namespace lido::postgres
