// Operations that own what they are about: their caller does not wait with its arguments in hand. Each has an
// `outcome()`, once it is done.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/execution.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/detail/operations/pipelining.hpp>
#include <lido/postgres/detail/operations/resetting.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notification.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// One statement with parameters.
class Executing {
 public:
  Executing(Channel& channel, std::string sql, StoredParameters parameters)
      : sql_{std::move(sql)},
        parameters_{std::move(parameters)},
        bound_{parameters_.bound()},
        execution_{channel, sql_, bound_} {}

  [[nodiscard]] Socket socket() const noexcept { return execution_.socket(); }
  [[nodiscard]] Need step() { return execution_.step(); }
  void give_up(Wake why) { execution_.give_up(why); }
  [[nodiscard]] Result outcome() { return execution_.outcome(); }

 private:
  std::string sql_;
  StoredParameters parameters_;
  Bound bound_;
  Learned<Execution> execution_;
};

/// Statements without parameters; `shown` is what may be told of them.
class Scripting {
 public:
  Scripting(Channel& channel, const std::string& sql) : Scripting{channel, sql, sql} {}
  Scripting(Channel& channel, std::string sql, std::string shown)
      : sql_{std::move(sql)}, shown_{std::move(shown)}, exchange_{channel, shown_, [&](PGconn* raw) {
                                                                    StatementCache::check_text(sql_);
                                                                    channel.runs(sql_);
                                                                    if (channel.ends_failed(sql_))
                                                                      sql_.resize(first_statement(sql_).size());
                                                                    return PQsendQuery(raw, sql_.c_str());
                                                                  }} {}

  [[nodiscard]] Socket socket() const noexcept { return exchange_.socket(); }
  [[nodiscard]] Need step() { return exchange_.step(); }
  void give_up(Wake why) { exchange_.give_up(why); }
  [[nodiscard]] Result outcome() { return exchange_.outcome(); }

 private:
  std::string sql_;
  std::string shown_;
  Learned<Exchange> exchange_;
};

/// The statements of a pipeline.
class Running {
 public:
  Running(Channel& channel, Pipeline pipeline) : channel_{channel}, pipeline_{std::move(pipeline)} {
    if (!pipeline_.empty()) pipelining_.emplace(channel, pipeline_.statements());
  }

  [[nodiscard]] Socket socket() const noexcept { return learning_ ? learning_->socket() : socket_of(pipelining_); }
  [[nodiscard]] Need step() {
    if (!pipelining_) return Need::nothing;
    if (!learning_) {
      if (const Need need = pipelining_->step(); need != Need::nothing) return need;
      learning_.emplace(channel_);
      for (const ResultHandle& result : pipelining_->results()) learning_->look_at(result.get());
    }
    return learning_->step();
  }
  void give_up(Wake why) {
    if (learning_)
      learning_->give_up(why);
    else if (pipelining_)
      pipelining_->give_up(why);
  }
  [[nodiscard]] std::vector<Result> outcome() {
    return pipelining_ ? results_of(*pipelining_, pipeline_, channel_.array_types()) : std::vector<Result>{};
  }

 private:
  Channel& channel_;
  Pipeline pipeline_;
  std::optional<Pipelining> pipelining_;
  std::optional<Learning> learning_;
};

/// The next notification.
class Hearing : public Listening {
 public:
  using Listening::Listening;
  [[nodiscard]] std::optional<Notification> outcome() noexcept { return notification(); }
};

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

using Pinging = Trying<Exchange>;
[[nodiscard]] inline Pinging pinging(Channel& channel) {
  return Pinging{[&](std::optional<Exchange>& exchange) {
    if (channel.peek() && channel.quiet())
      exchange.emplace(channel, "", [](PGconn* raw) { return PQsendQuery(raw, ""); });
  }};
}
[[nodiscard]] inline Trying<Resetting> resetting(Channel& channel) {
  return Trying<Resetting>{[&](std::optional<Resetting>& operation) { operation.emplace(channel); }};
}

}  // namespace lido::postgres::detail
