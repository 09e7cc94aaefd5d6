// Running an operation to its end in an event loop.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <stop_token>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Waits for the deadline and nothing else.
class Pausing {
 public:
  static constexpr bool pauses = true;
  [[nodiscard]] Socket socket() const noexcept { return -1; }
  [[nodiscard]] Need step() const noexcept { return over_ ? Need::nothing : Need::either; }
  void give_up(Wake) noexcept { over_ = true; }
  void outcome() const noexcept {}

 private:
  bool over_ = false;
};

/// Drives the operation that `Make` makes, of which it is a part that stays where it is: `begin`, then `done` is
/// called, then `take`. Destroyed before that, it gives the operation up. For the thread of the loop.
template <class Make, Reactor R>
class Drive : private Waiter {
  using Operation = std::invoke_result_t<Make&>;

 public:
  using Result = decltype(std::declval<Operation&>().outcome());
  using Done = void (*)(Drive&) noexcept;

  Drive(R& reactor, Until until, Make make, Done done)
      : reactor_{reactor}, until_{std::move(until)}, make_{std::move(make)}, done_{done} {}
  ~Drive() {
    if (under_way_ == nullptr) return;
    Operation& operation = *under_way_;
    finish();
    try {
      operation.give_up(Wake::stopped);  // the server may stop working on it
    } catch (...) {                      // nobody wants to know
    }
  }

  /// True: it waits, and `done` will be called. False: it has ended.
  [[nodiscard]] bool begin() noexcept {
    try {
      if (until_.stop.stop_possible()) on_stop_.emplace(until_.stop, Stop{*this});
      under_way_ = &operation_.emplace(InPlace{make_});
      // Once it waits, another thread of the loop may end it.
      if (go_on(*under_way_, Wake::ready)) return true;
    } catch (...) {
      error_ = std::current_exception();
    }
    finish();
    return false;
  }

  /// Has the operation give up, soon. From any thread while it waits.
  void stop() noexcept {
    stopped_.store(true);
    reactor_.post(*this);
  }

  /// What came of it; throws what the operation threw. Once. Nothing is left of the operation: this may be destroyed
  /// by another thread of the loop, when the connection is gone.
  [[nodiscard]] Result take() {
    struct End {
      ~End() { operation.reset(); }
      std::optional<Operation>& operation;
    };
    const End end{operation_};
    // Without an operation there is an error: what making it threw.
    if (!operation_ || error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    // It may have come to its end together with the stop, whose handler is behind: nobody takes what it gives.
    if constexpr (is_told_of_stops)
      if (stopped_.load()) operation_->stopped();
    return operation_->outcome();
  }

 private:
  struct InPlace {
    // NOLINTNEXTLINE(google-explicit-constructor): an operation stays where it is made
    operator Operation() const { return make(); }
    Make& make;
  };
  struct Stop {
    void operator()() const noexcept { drive.reactor_.post(drive); }
    Drive& drive;
  };

  void wake(Wake how) noexcept override {
    try {
      if (how == Wake::stopped) reactor_.cancel(*this);
      // Behind that: a stop that it took away together with one of the token's is seen here.
      if constexpr (is_told_of_stops)
        if (how == Wake::stopped && stopped_.load()) under_way_->stopped();
      // One that is due takes its step.
      const bool gave_way = std::exchange(gives_way_, false);
      if (how == Wake::timed_out && (gave_way || due(*under_way_) < until_.deadline)) how = Wake::ready;
      if (go_on(*under_way_, how)) return;
    } catch (...) {
      error_ = std::current_exception();
    }
    finish();
    done_(*this);
  }

  // True: it waits.
  bool go_on(Operation& operation, Wake how) {
    for (int steps = 1;; ++steps) {
      if (how != Wake::ready) operation.give_up(how);
      const Need need = operation.step();
      if (need == Need::nothing) return false;
      const Socket socket = operation.socket();
      how = Wake::ready;
      if (socket < 0 && !is_pause) continue;  // it is closed: whoever looks at it finds out
      const bool limited = until_.deadline != TimePoint::max();
      if (limited && Clock::now() >= until_.deadline) {
        how = Wake::timed_out;
      } else if (need != Need::at_once) {
        reactor_.wait(*this, socket, need, std::min(until_.deadline, due(operation)));
        return true;
      } else if (steps >= most_steps) {
        gives_way_ = true;
        reactor_.wait(*this, Socket{-1}, Need::readable, Clock::now());
        return true;
      }
    }
  }

  // When the operation takes its next step at the latest.
  [[nodiscard]] static TimePoint due(const Operation& operation) noexcept {
    if constexpr (requires { operation.due(); })
      return operation.due();
    else
      return TimePoint::max();
  }

  void finish() noexcept {
    on_stop_.reset();
    reactor_.cancel(*this);
    under_way_ = nullptr;
  }

  // With what is at hand, before others have their turn.
  static constexpr int most_steps = 16;
  static constexpr bool is_pause = requires { Operation::pauses; };
  // It does not give up with each stop of its token's.
  static constexpr bool is_told_of_stops = requires(Operation& operation) { operation.stopped(); };

  R& reactor_;
  const Until until_;
  Make make_;
  const Done done_;
  std::exception_ptr error_;
  std::optional<Operation> operation_;
  std::optional<std::stop_callback<Stop>> on_stop_;
  std::atomic<bool> stopped_{false};  // by `stop`
  bool gives_way_ = false;            // it waits for nothing but its turn
  Operation* under_way_ = nullptr;    // null before it begins and when it is over
};

}  // namespace lido::postgres::detail
