// A pool for tests: all that is done with it is undone at its end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/transaction/sandboxing.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/pool.hpp>

namespace lido::postgres {

/// A `Pool` of one connection, whose statements, sessions and transactions are all in one transaction that is rolled
/// back at the end. Code that takes a `Pool&` takes it, blocking or not: what it commits is a savepoint that is kept,
/// what it rolls back or what fails is undone, and the retries of `transact` work. One holder at a time: another thread
/// waits for its turn, for at most `pool_timeout`, and a second acquire of a thread that holds the connection is a
/// `SelfDeadlock` at once. What it cannot contain stands in sandbox.md.
///
/// It costs a round trip before each statement outside of a transaction and before each transaction, which blocks for
/// at most five seconds, also in an event loop, and the reset of `targeted` whenever the connection comes back.
class Sandbox : public Pool {
 public:
  /// As the constructors of `Pool`. Of `options`, those about the number and the age of connections are ignored, and so
  /// are `max_lag` and `statement_cache`: nothing is prepared. `reset` is `targeted` at most.
  explicit Sandbox(const std::string& connection_string, Options options = {})
      : Sandbox{options_from_string(connection_string, std::move(options)), std::make_shared<detail::Sandboxing>()} {}
  explicit Sandbox(const Environment& environment) : Sandbox{environment.connection_string, environment.options} {}
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  /// Rolls back, if nobody holds the connection; else that is rolled back when it is closed.
  ~Sandbox() {
    try {
      if (sandboxing_->has_begun())
        if (const auto lease = this->try_acquire()) sandboxing_->roll_back((*lease)->channel());
    } catch (...) {  // the server rolls back by itself
    }
  }

  /// Undoes all that was done since the beginning, and begins anew: for the end of each test. Blocks as `acquire` does
  /// and for a round trip. Throws what `acquire` throws, also where a lease or a session has not ended, and `Error`
  /// where not all is undone, as a statement has ended the transaction, or where it was undone before, with a
  /// connection that was lost.
  void rollback() {
    const auto lease = this->acquire();
    sandboxing_->roll_back(lease->channel());
  }

 private:
  Sandbox(const Environment& environment, std::shared_ptr<detail::Sandboxing> sandboxing)
      : Pool{enclosed(environment), sandboxing}, sandboxing_{std::move(sandboxing)} {}

  [[nodiscard]] static Environment enclosed(Environment environment) {
    Options& options = environment.options;
    options.pool_size = 1;
    options.max_overflow = 0;
    options.min_idle = 0;
    options.pooling = true;
    options.pool_recycle = Duration::max();
    options.max_idle_time = Duration::max();
    options.keep_alive = Duration::max();
    options.max_uses = std::numeric_limits<std::size_t>::max();
    options.max_lag = Duration::max();
    options.refuse_nested_wait = true;
    options.statement_cache = 0;
    options.reset = std::min(options.reset, ResetLevel::targeted);
    return environment;
  }

  std::shared_ptr<detail::Sandboxing> sandboxing_;
};

}  // namespace lido::postgres
