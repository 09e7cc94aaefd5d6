// The settings of a PostgreSQL pool.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

#include <lido/error.hpp>
#include <lido/facts.hpp>

namespace lido::postgres {

/// How thoroughly a connection is put in order between two borrowers. Each rung does what the one above it does.
enum class ResetLevel : std::uint8_t {
  none,         ///< free; a connection that comes back inside a transaction is closed
  rollback,     ///< a round trip if a transaction is open; session state (SET, LISTEN, locks, ...) stays
  targeted,     ///< and DISCARD ALL, if a statement was run that may have left session state
  discard_all,  ///< and DISCARD ALL, if any statement was run
};

/// Told of each statement after it ran, with its text (no parameters, no passwords) and how long it took. Called by the
/// threads that run the statements; what it throws is ignored.
using Echo = std::function<void(std::string_view sql, Duration took)>;

/// An `Echo` that writes one line a statement. `out` must outlive every pool that has it.
[[nodiscard]] inline Echo echo_to(std::ostream& out) {
  return [&out, mutex = std::make_shared<std::mutex>()](std::string_view sql, Duration took) {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const std::scoped_lock lock{*mutex};
    out << '[' << micros << " us] " << sql << '\n';
  };
}

/// What one connection remembers; a pool fills it from its `Options`.
struct ConnectionSettings {
  std::string application_name{};                ///< what pg_stat_activity shows; empty: the connection string's
  Duration statement_timeout = Duration::max();  ///< see `Options::statement_timeout`
  ResetLevel reset = ResetLevel::targeted;       ///< see `Options::reset`
  Echo echo{};                                   ///< see `Options::echo`
  bool load_balance_hosts = false;               ///< see `Options::load_balance_hosts`
  Duration max_lag = Duration::max();            ///< see `Options::max_lag`
};

/// Settings of `Pool`, for designated initialisers; whatever is left out has the default given here.
struct Options {
  /// Connections that are kept. Range: 0 and more; at least 1 with `max_overflow`.
  std::size_t pool_size = 20;

  /// How many more may live while they are needed. Range: 0 and more.
  std::size_t max_overflow = 40;

  /// How long `acquire()` waits at most. Zero tries once; `Duration::max()` waits without limit. Range: 0 and more.
  Duration pool_timeout = std::chrono::seconds{30};

  /// Connections older than this are replaced, each up to a tenth earlier, so that they do not all expire at once.
  /// `Duration::max()` never. Range: more than 0.
  Duration pool_recycle = std::chrono::minutes{30};

  /// Ask the server before lending a connection that was idle for `pre_ping_after`. Without it, and below that time,
  /// only the socket is looked at, which is free and sees a session that the server ended, but no hung server.
  bool pre_ping = true;

  /// The bypass window of `pre_ping`; zero pings before every loan. Range: 0 and more.
  Duration pre_ping_after = std::chrono::seconds{1};

  /// False: no pooling, every acquire opens and every release closes, still at most `pool_size + max_overflow`.
  bool pooling = true;

  /// How long a connection beyond `pool_size` is kept when nobody waits. Range: 0 and more.
  Duration linger = std::chrono::seconds{5};

  /// How long one attempt to connect may take. Range: more than 0.
  Duration connect_timeout = std::chrono::seconds{10};

  /// How long the server may take to answer the ping before a loan. Range: more than 0.
  Duration check_timeout = std::chrono::seconds{5};

  /// How long putting a connection back in order may take when it comes back. Range: more than 0.
  Duration reset_timeout = std::chrono::seconds{5};

  /// How long one statement may take before it is cancelled and its connection is discarded. `Duration::max()`: no
  /// limit. The server's own `statement_timeout` keeps the connection, but does not notice a dead network; use both.
  /// Range: more than 0.
  Duration statement_timeout = Duration::max();

  /// What is done to a connection that comes back. `targeted` does not see state left by functions that triggers,
  /// views, defaults and operators call; where these change settings or take session locks, use `discard_all`.
  ResetLevel reset = ResetLevel::targeted;

  /// How long a connection lies idle before the server is asked whether it still lives. `Duration::max()`: never.
  /// Range: more than 0.
  Duration keep_alive = std::chrono::minutes{2};

  /// A lease or session held for longer is reported as a leak (`events().on_leak`). `Duration::max()`: never. Range:
  /// more than 0.
  Duration leak_after = std::chrono::minutes{5};

  /// Of several hosts in the connection string try them in a random order each time, so that connections spread over
  /// them. False: in the order in which they stand there.
  bool load_balance_hosts = false;

  /// A standby that is further behind its primary is not used: its connections are closed, and opening one there fails.
  /// Measured before a loan, at most once in the time that is left of it. `Duration::max()`: whatever it lags. Range:
  /// more than 0.
  Duration max_lag = Duration::max();

  /// Told of every statement, for instance `echo_to(std::clog)`; empty for silence.
  Echo echo{};

  /// Shown in messages and metrics, so that several pools can be told apart.
  std::string name = "postgres";

  /// Shown by the server in pg_stat_activity; empty: what the connection string says.
  std::string application_name{};
};

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const Options& options) {
  // PostgreSQL's own bound of max_connections, which keeps a typing error from becoming an allocation.
  constexpr std::size_t most = 262'143;
  const auto positive = [](Duration value, const char* field) {
    if (value <= Duration::zero()) throw InvalidOption{field, "a duration above zero"};
  };
  const auto not_negative = [](Duration value, const char* field) {
    if (value < Duration::zero()) throw InvalidOption{field, "a duration of zero or more"};
  };
  if (options.pool_size > most) throw InvalidOption{"Options::pool_size", "at most 262143"};
  if (options.max_overflow > most - options.pool_size)
    throw InvalidOption{"Options::max_overflow", "at most 262143 together with pool_size"};
  if (options.pool_size + options.max_overflow == 0)
    throw InvalidOption{"Options::pool_size", "at least 1 together with max_overflow"};
  not_negative(options.pool_timeout, "Options::pool_timeout");
  positive(options.pool_recycle, "Options::pool_recycle");
  not_negative(options.pre_ping_after, "Options::pre_ping_after");
  not_negative(options.linger, "Options::linger");
  positive(options.connect_timeout, "Options::connect_timeout");
  positive(options.check_timeout, "Options::check_timeout");
  positive(options.reset_timeout, "Options::reset_timeout");
  positive(options.keep_alive, "Options::keep_alive");
  positive(options.leak_after, "Options::leak_after");
  positive(options.statement_timeout, "Options::statement_timeout");
  positive(options.max_lag, "Options::max_lag");
}

}  // namespace lido::postgres
