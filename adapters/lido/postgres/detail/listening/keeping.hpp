// A connection that listens and is opened anew when it is lost, step by step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/detail/connect/asking.hpp>
#include <lido/postgres/detail/connect/connecting_in_turn.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/hosts.hpp>
#include <lido/postgres/detail/listening/subscriptions.hpp>
#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/listener_options.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// What a listener is at. It outlives the waits of its owner: one that ends gives nothing up, and the next goes on. For
/// one thread at a time but where it says otherwise.
class Keeping {
 public:
  /// Throws `PermanentConnectError` for a malformed string, `InvalidOption`, and `QueryError`.
  Keeping(const std::string& connection_string, const std::vector<std::string>& channels, ListenerOptions options)
      : target_{session_target(connection_string, options.connection.application_name)},
        settings_{std::make_shared<const ConnectionSettings>(options.connection)},
        options_{std::move(options)} {
    validate(options_);
    for (const std::string& name : channels) subscriptions_.add(name);
  }
  Keeping(const Keeping&) = delete;
  Keeping& operator=(const Keeping&) = delete;

  /// Thread-safe.
  [[nodiscard]] Subscriptions& subscriptions() noexcept { return subscriptions_; }
  /// Thread-safe.
  [[nodiscard]] bool is_connected() const {
    const std::scoped_lock lock{mutex_};
    return connected_;
  }
  /// Thread-safe.
  [[nodiscard]] std::string last_failure() const {
    const std::scoped_lock lock{mutex_};
    return last_failure_;
  }

  /// -1 while it pauses.
  [[nodiscard]] Socket socket() noexcept {
    if (channel_) return channel_->socket();
    return socket_of(connecting_);
  }
  /// When it takes its next step at the latest.
  [[nodiscard]] TimePoint due() const noexcept {
    return connecting_ ? std::min(connecting_->due(), due_) : exchange_ || !channel_ ? due_ : silent_until_;
  }
  /// Between two attempts: there is no socket to wait for.
  [[nodiscard]] bool pauses() const noexcept { return !channel_ && !connecting_; }

  /// `Need::nothing`: there is an event. Throws `PermanentConnectError`, and `QueryError` where the server takes a
  /// channel's name for none; the next step begins anew.
  [[nodiscard]] Need step(const std::stop_token& stop) {
    while (events_.empty()) {
      try {
        const Need need = go_on(stop);
        if (need != Need::nothing) return socket() < 0 && !pauses() ? Need::at_once : need;
      } catch (const PermanentConnectError& error) {
        lose(error);
        throw;
      } catch (const QueryError& error) {
        // Not so of a server that takes none now: a standby, or one that is told to shut down.
        const bool is_a_name = error.sqlstate().starts_with("22") || error.sqlstate().starts_with("42");
        if (!is_a_name || changes_.empty()) {
          lose(error);
          continue;
        }
        exchange_.reset();
        if (changes_.size() == 1) {
          changes_.clear();
          throw;
        }
        singly_.insert(singly_.end(), changes_.begin(), changes_.end());  // all but that one are good
        changes_.clear();
      } catch (const Error& error) {
        lose(error);
      }
    }
    return Need::nothing;
  }
  [[nodiscard]] std::optional<ListenerEvent> take_event() {
    if (events_.empty()) return std::nullopt;
    std::optional<ListenerEvent> event{std::move(events_.front())};
    events_.pop_front();
    return event;
  }

 private:
  // `Need::nothing`: it has come a step further.
  Need go_on(const std::stop_token& stop) {
    if (!channel_) return connect(stop);
    if (exchange_) return finish_exchange();
    if (!singly_.empty()) {
      changes_.clear();
      changes_.push_back(std::move(singly_.front()));
      singly_.pop_front();
    } else {
      changes_ = subscriptions_.take_changes([this](ListenerEvent event) { events_.push_back(std::move(event)); });
    }
    if (!changes_.empty()) send(script_of(changes_));
    if (!changes_.empty() || !events_.empty()) return Need::nothing;
    if (!listening_) {
      listening_.emplace(*channel_);
      note_connected();
    }
    if (const Need need = listening_->step(); need != Need::nothing) {
      if (Clock::now() < silent_until_) return need;
      send("");  // a ping
      return Need::nothing;
    }
    heard();
    if (std::optional<Notification> notification = listening_->outcome())
      events_.push_back({.notification = *std::move(notification)});
    listening_.reset();
    return Need::nothing;
  }

  Need connect(const std::stop_token& stop) {
    const TimePoint now = Clock::now();
    if (!connecting_) {
      if (now < due_) return Need::either;
      due_ = saturating_add(now, options_.connect_timeout);
      const ConnectionString full = asked_for(target_, *settings_, {due_, stop});
      connecting_.emplace(one_by_one(full, settings_->load_balance_hosts), due_, settings_->on_notice);
    } else if (now >= due_) {
      connecting_->give_up(Wake::timed_out);
    }
    if (const Need need = connecting_->step(); need != Need::nothing) return need;
    channel_ = std::make_unique<Channel>(connecting_->take(), settings_);
    connecting_.reset();
    since_ = Clock::now();
    heard();
    return Need::nothing;
  }

  void send(std::string script) {
    listening_.reset();
    script_ = std::move(script);
    due_ = saturating_add(Clock::now(), options_.answer_timeout);
    exchange_.emplace(*channel_, script_, [this](PGconn* raw) { return PQsendQuery(raw, script_.c_str()); });
  }
  Need finish_exchange() {
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): `send` made it
    if (const Need need = exchange_->step(); need != Need::nothing) {
      if (Clock::now() < due_) return need;
      throw ConnectionLost{"connection lost: no answer to a listener in time"};
    }
    exchange_.reset();
    heard();
    take_notifications();  // what came before the answer is of channels that may be gone by it
    for (const ChannelChange& each : std::exchange(changes_, {}))
      if (std::optional<ListenerEvent> event = subscriptions_.done(each)) events_.push_back(*std::move(event));
    note_connected();
    return Need::nothing;
  }
  void take_notifications() {
    while (std::optional<Notification> notification = Listening::next(*channel_))
      events_.push_back({.notification = *std::move(notification)});
  }
  void note_connected() {
    const std::scoped_lock lock{mutex_};
    connected_ = true;
  }
  void heard() noexcept { silent_until_ = saturating_add(Clock::now(), options_.ping_after); }

  void lose(const Error& error) {
    if (channel_ && channel_->is_ours()) take_notifications();  // they came before the end
    exchange_.reset();
    listening_.reset();
    connecting_.reset();
    const bool connected = std::exchange(channel_, nullptr) != nullptr;
    changes_.clear();
    singly_.clear();
    subscriptions_.lose_all();
    const TimePoint now = Clock::now();
    if (connected && now - since_ >= options_.backoff_max) failures_ = 0;
    due_ = saturating_add(now, pause(++failures_));
    const std::scoped_lock lock{mutex_};
    last_failure_ = error.what();
    if (std::exchange(connected_, false)) events_.push_back({.kind = ListenerEvent::Kind::lost});
  }
  // After that many failures in a row.
  [[nodiscard]] Duration pause(std::size_t failures) const {
    if (failures < 2) return Duration::zero();
    Duration longest = options_.backoff_min;
    for (std::size_t i = 2; i < failures && longest < options_.backoff_max; ++i)
      longest = longest > options_.backoff_max / 2 ? options_.backoff_max : longest * 2;
    std::random_device seed;
    std::uniform_int_distribution<Duration::rep> any{longest.count() / 2, longest.count()};
    return Duration{any(seed)};
  }

  const ConnectionString target_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  const ListenerOptions options_;
  Subscriptions subscriptions_;
  std::optional<ConnectingInTurn> connecting_;
  std::unique_ptr<Channel> channel_;
  std::string script_;  // what `exchange_` is about
  std::optional<Exchange> exchange_;
  std::optional<Listening> listening_;
  std::vector<ChannelChange> changes_;  // what the server is being told
  std::deque<ChannelChange> singly_;    // what it is to be told one by one, as it has refused it together
  std::deque<ListenerEvent> events_;
  std::size_t failures_ = 0;  // in a row
  TimePoint due_ = TimePoint::min();
  TimePoint since_ = TimePoint::min();
  TimePoint silent_until_ = TimePoint::max();
  mutable std::mutex mutex_;
  bool connected_ = false;
  std::string last_failure_;
};

/// One wait of a listener, as an operation: done when there is an event, or when it was given up.
class Heeding {
 public:
  /// While it pauses there is no socket, and the time alone is waited for.
  static constexpr bool pauses = true;

  /// `stop` is the owner's; `woken` is what a change requests, and the owner through this.
  Heeding(std::shared_ptr<Keeping> keeping, std::stop_token stop, std::stop_source woken)
      : keeping_{std::move(keeping)}, stop_{std::move(stop)}, link_{stop_, Link{std::move(woken)}} {}
  Heeding(const Heeding&) = delete;
  Heeding& operator=(const Heeding&) = delete;

  [[nodiscard]] Socket socket() const noexcept { return keeping_->socket(); }
  [[nodiscard]] TimePoint due() const noexcept { return std::min(keeping_->due(), look_); }
  /// Throws as `Keeping::step`.
  [[nodiscard]] Need step() {
    if (changed_) {
      given_up_ = given_up_ || stop_.stop_requested();
      look_ = Clock::now() + stop_slice;
    }
    return given_up_ ? Need::nothing : keeping_->step(stop_);
  }
  /// Not because something has changed, which the next step sees to: that ends with an event.
  void give_up(Wake why) {
    const bool changed = why == Wake::stopped && keeping_->subscriptions().take_woken();
    given_up_ = !changed || cancelled_ || stop_.stop_requested();
    changed_ = true;
  }
  /// Whoever waits has it cancelled, perhaps together with a change: two stops may come as one.
  void stopped() noexcept { cancelled_ = true; }
  /// What has come together with the cancellation is for the next wait.
  [[nodiscard]] std::optional<ListenerEvent> outcome() { return cancelled_ ? std::nullopt : keeping_->take_event(); }

 private:
  struct Link {
    void operator()() const noexcept { woken.request_stop(); }
    mutable std::stop_source woken;
  };

  std::shared_ptr<Keeping> keeping_;
  std::stop_token stop_;
  std::stop_callback<Link> link_;
  bool given_up_ = false;
  bool cancelled_ = false;
  bool changed_ = false;  // `woken` is used up, and the owner's stop has to be looked for
  TimePoint look_ = TimePoint::max();
};

}  // namespace lido::postgres::detail
