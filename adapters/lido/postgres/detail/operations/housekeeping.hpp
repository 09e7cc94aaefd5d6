// What a pool asks of a connection: an answer of yes or no, and no exception.
#pragma once

#include <concepts>
#include <optional>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/resetting.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// The housekeeping of a connection: false where a statement would throw.
template <class Operation>
class Trying {
 public:
  /// `make` is called with where to make the operation, which it may leave empty for false.
  template <std::invocable<std::optional<Operation>&> Make>
  explicit Trying(Make make) {
    within([&] { return make(operation_), Need::nothing; });
  }

  [[nodiscard]] Socket socket() const noexcept { return socket_of(operation_); }
  [[nodiscard]] Need step() {
    return within([&] { return operation_ ? operation_->step() : Need::nothing; });
  }
  void give_up(Wake why) {
    within([&] {
      operation_->give_up(why);
      return Need::nothing;
    });
  }
  [[nodiscard]] bool outcome() const noexcept {
    if constexpr (requires { operation_->fit(); })
      return operation_ && operation_->fit();
    else
      return operation_.has_value();
  }

 protected:
  [[nodiscard]] std::optional<Operation>& operation() noexcept { return operation_; }

 private:
  template <class Action>
  Need within(Action action) {
    try {
      return action();
    } catch (const Error&) {
      operation_.reset();
      return Need::nothing;
    }
  }

  std::optional<Operation> operation_;
};

/// A statement without parameters, and what it returned; nothing where it would throw.
class Question : public Trying<Exchange> {
 public:
  Question(Channel& channel, const Until& until, const char* sql)
      : Trying{[&](std::optional<Exchange>& exchange) {
          check_time(until);
          exchange.emplace(channel, sql, [sql](PGconn* raw) { return PQsendQuery(raw, sql); });
        }} {}
  [[nodiscard]] std::optional<Result> outcome() {
    if (auto& exchange = operation()) return Result{exchange->result()};
    return std::nullopt;
  }
};

using Pinging = Trying<Exchange>;
[[nodiscard]] inline Pinging pinging(Channel& channel, const Until& until) {
  return Pinging{[&](std::optional<Exchange>& exchange) {
    check_time(until);
    if (channel.peek() && channel.quiet())
      exchange.emplace(channel, "", [](PGconn* raw) { return PQsendQuery(raw, ""); });
  }};
}
[[nodiscard]] inline Trying<Resetting> resetting(Channel& channel) {
  return Trying<Resetting>{[&](std::optional<Resetting>& operation) { operation.emplace(channel); }};
}

}  // namespace lido::postgres::detail
