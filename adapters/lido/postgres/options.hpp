// The settings of a PostgreSQL pool.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/notice.hpp>
#include <lido/postgres/target.hpp>
#include <lido/worker.hpp>

namespace lido::postgres {

/// Settings of `Pool`, for designated initialisers; whatever is left out has the default given here.
struct Options {
  /// Connections that are kept. Range: 0 and more; at least 1 with `max_overflow`.
  std::size_t pool_size = 20;

  /// How many more may live while they are needed. Range: 0 and more.
  std::size_t max_overflow = 40;

  /// How many idle connections within `pool_size` are opened before anybody asks for them; `wait_until_ready` waits for
  /// them. Range: 0 to `pool_size`.
  std::size_t min_idle = 0;

  /// How long `acquire()` waits at most. Zero tries once; `Duration::max()` waits without limit. Range: 0 and more.
  Duration pool_timeout = std::chrono::seconds{30};

  /// Connections older than this are replaced, each up to a tenth earlier, so that they do not all expire at once.
  /// `Duration::max()` never. Range: more than 0.
  Duration pool_recycle = std::chrono::minutes{30};

  /// Ask the server before a lease of a connection that was idle for `pre_ping_after`. Without it, and below that time,
  /// only the socket is looked at, which is free and sees a session that the server ended, but no hung server; and not
  /// within 50 microseconds of an answer, when nobody can know better.
  bool pre_ping = true;

  /// The bypass window of `pre_ping`; zero pings before every lease. Range: 0 and more.
  Duration pre_ping_after = std::chrono::seconds{1};

  /// False: no pooling, every acquire opens and every release closes, still at most `pool_size + max_overflow`.
  bool pooling = true;

  /// How long a connection beyond `pool_size` is kept when nobody waits. Range: 0 and more.
  Duration idle_timeout = std::chrono::seconds{5};

  /// Connections that lay idle for longer are closed, those within `pool_size` too; `min_idle` of them are opened anew.
  /// `Duration::max()` never. Range: more than 0.
  Duration max_idle_time = Duration::max();

  /// How often a connection is leased before it is replaced. Range: 1 and more.
  std::size_t max_uses = std::numeric_limits<std::size_t>::max();

  /// How many callers may wait at once; one more gets `QueueFull` at once. Range: 0 (nobody waits) and more; 1 and more
  /// without pooling and with `workers = 0`.
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();

  /// Refuse at once (`SelfDeadlock`) to wait in a thread that holds a connection of the same pool. It holds what it has
  /// acquired until that comes back, also where the lease was moved to another thread.
  bool refuse_nested_wait = false;

  /// While no connection is open, and connecting has failed for so long, callers get its failure at once, instead of
  /// waiting for their time-out; as `PoolOptions::fail_fast_after`. `Duration::max()`: never. Range: 0 and more.
  Duration fail_fast_after = Duration::max();

  /// When even the shortest wait has stayed above it for a while, those who have waited beyond it get `Overloaded`, and
  /// the others are served in time; as `PoolOptions::max_standing_wait`. 100 ms are right where callers give up after a
  /// second. `Duration::max()`: never. Range: more than 0.
  Duration max_standing_wait = Duration::max();

  /// A caller whose time will be over before its turn gets `Overloaded` at once, where that is known; as
  /// `PoolOptions::refuse_hopeless`.
  bool refuse_hopeless = true;

  /// How long the oldest waiter may be overtaken by newcomers; as `PoolOptions::barging_limit`. Zero: strictly first
  /// come, first served. Range: 0 and more.
  Duration barging_limit = std::chrono::milliseconds{1};

  /// How long one attempt to connect may take. Range: more than 0.
  Duration connect_timeout = std::chrono::seconds{10};

  /// How long the server may take to answer the ping before a lease. Range: more than 0.
  Duration check_timeout = std::chrono::seconds{5};

  /// How long putting a connection back in order may take when it comes back. Range: more than 0.
  Duration reset_timeout = std::chrono::seconds{5};

  /// How long one statement may take before it is cancelled and its connection is discarded. `Duration::max()`: no
  /// limit. The server's own `statement_timeout` keeps the connection, but does not notice a dead network; use both.
  /// The connection of a COMMIT is discarded, and the COMMIT is not cancelled. Range: more than 0.
  Duration statement_timeout = Duration::max();

  /// What is done to a connection that comes back. Where functions that `ResetLevel::targeted` does not see change
  /// settings or take session locks, use `discard_all`, and `reopen` where not even a setting of one's own may be known
  /// to have been made.
  ResetLevel reset = ResetLevel::targeted;

  /// How many statements a connection remembers, the least recently used going first. One that `exec` runs for a second
  /// time is prepared on the server, and is neither sent nor parsed from then on. Zero: none is ever prepared, as a
  /// pooler wants it that mixes sessions and does not track prepared statements (PgBouncer in transaction mode).
  /// Range: 0 to 65536.
  ///
  /// A text whose parameters have other types is another statement, and so is one that runs with another search_path or
  /// role, however these are set. Behind a statement that may change them, as one with a function that is not
  /// PostgreSQL's own may, the server is asked in the same round trip, which takes it some 30 us.
  ///
  /// What is prepared keeps the types that its parameters had then. When it fails with an error that may come from that
  /// (of any class but those of constraints, conflicts, resources, and what functions raise), it is prepared anew:
  /// outside a transaction at once, and run again unseen, unless its text may leave state in the session; in `transact`
  /// by another call of the body. In a `Session` the error is the caller's, once a connection and statement. What does
  /// not fail is not noticed: where a migration makes a `date` column a `timestamptz`, a value for it is still read as
  /// a date. End the generation after such a migration (`Pool::invalidate`), or cast the parameter in the statement.
  std::size_t statement_cache = 128;

  /// How long a connection lies idle before the server is asked whether it still lives. `Duration::max()`: never.
  /// Range: more than 0.
  Duration keep_alive = std::chrono::minutes{2};

  /// How often the background looks at idle connections. Range: more than 0.
  Duration sweep_interval = std::chrono::seconds{1};

  /// The first pause after an attempt to connect has failed, doubled with each failure in a row. Range: more than 0.
  Duration backoff_min = std::chrono::milliseconds{10};

  /// The longest pause between attempts while connecting fails. Range: `backoff_min` and more.
  Duration backoff_max = std::chrono::milliseconds{250};

  /// Threads that open, close, check and sweep behind the callers; as `PoolOptions::workers`. Zero: the threads that
  /// acquire and release do, and whoever calls `maintain()`. Unset: 5, or 0 without pooling. Range: 0 to 256.
  std::optional<std::size_t> workers{};

  /// A lease or session held for longer is reported as a leak (`events().on_leak`). `Duration::max()`: never. Range:
  /// more than 0.
  Duration leak_after = std::chrono::minutes{5};

  /// Of several hosts in the connection string try them in a random order each time, so that connections spread over
  /// them. False: in the order in which they stand there.
  bool load_balance_hosts = false;

  /// A standby that is further behind its primary is not used: its connections are closed, and one that is opened goes
  /// to the next host of the connection string; where there is none, opening fails.
  /// Measured before a lease, at most once in the time that is left of it, from what the standby has received: that a
  /// silent connection to its primary is a broken one it knows after `wal_receiver_timeout` only. `Duration::max()`:
  /// whatever it lags. Range: more than 0.
  Duration max_lag = Duration::max();

  /// Told of every statement, for instance `echo_to(std::clog)`; empty for silence.
  Echo echo{};

  /// Told of the server's notices, also of those that come while a connection is opened; empty: they are dropped. Once
  /// the pool's destructor has returned it is not called any more, whatever leases outlive the pool: that waits for the
  /// calls that go on in other threads, ten seconds at most.
  NoticeListener on_notice{};

  /// Asked for the password of every connection that is opened, for instance for a token that is valid for a short
  /// while only; wins over a password in the connection string. Empty: the password is libpq's business.
  PasswordSource password{};

  /// Asked where each connection goes to that is opened: host, port, user, password, database, or all of the connection
  /// string, for service discovery, blue/green and tokens; wins over the connection string. Connections that are open
  /// stay where they are; `Pool::invalidate` has them leave. Empty: the connection string says it.
  TargetSource target{};

  /// How the pool's workers begin, for instance as fibres of an event loop; as `PoolOptions::start_worker`. Empty: as
  /// threads.
  StartWorker start_worker{};

  /// Shown in messages and metrics, so that several pools can be told apart.
  std::string name = "postgres";

  /// Shown by the server in pg_stat_activity, unless the connection string, PGAPPNAME or a service file says another.
  std::string application_name{};
};

namespace detail {

// PostgreSQL's own bound of max_connections, which keeps a typing error from becoming an allocation.
inline constexpr std::size_t most_connections = 262'143;

/// One of the `Options` that can be set in a connection string, by the environment, and in code. What all of these know
/// of it is here.
struct OptionSetting {
  using Member = std::variant<std::size_t Options::*, std::optional<std::size_t> Options::*, Duration Options::*,
                              bool Options::*, std::string Options::*, ResetLevel Options::*>;

  std::string_view option;               ///< the member's name
  Member member;                         ///< the member
  bool zero = false;                     ///< of a duration: zero is in its range
  std::size_t least = 0;                 ///< of a number: the begin of its range
  std::size_t most = most_connections;   ///< and its end
  std::string_view other_variable = {};  ///< a second name in the environment

  /// In a connection string: `pool_` and the option's name, unless that begins so.
  [[nodiscard, gnu::noinline]] std::string key() const {
    return lido::detail::concat({option.starts_with("pool_") ? "" : "pool_", option});
  }
  /// In the environment: `DATABASE_POOL_SIZE` for `pool_size`.
  [[nodiscard, gnu::noinline]] std::string variable() const {
    std::string name = lido::detail::concat({"DATABASE_", key()});
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    return name;
  }
};

// Of the other members `application_name` is libpq's key and variable (PGAPPNAME), and functions are code.
inline constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();
inline constexpr std::array settings{
    OptionSetting{.option = "pool_size", .member = &Options::pool_size},
    OptionSetting{
        .option = "max_overflow", .member = &Options::max_overflow, .other_variable = "DATABASE_MAX_OVERFLOW"},
    OptionSetting{.option = "min_idle", .member = &Options::min_idle},
    OptionSetting{.option = "pool_timeout", .member = &Options::pool_timeout, .zero = true},
    OptionSetting{.option = "pool_recycle", .member = &Options::pool_recycle},
    OptionSetting{.option = "pre_ping", .member = &Options::pre_ping},
    OptionSetting{.option = "pre_ping_after", .member = &Options::pre_ping_after, .zero = true},
    OptionSetting{.option = "pooling", .member = &Options::pooling},
    OptionSetting{.option = "idle_timeout", .member = &Options::idle_timeout, .zero = true},
    OptionSetting{.option = "max_idle_time", .member = &Options::max_idle_time},
    OptionSetting{.option = "max_uses", .member = &Options::max_uses, .least = 1, .most = any_number},
    OptionSetting{.option = "max_waiting", .member = &Options::max_waiting, .most = any_number},
    OptionSetting{.option = "refuse_nested_wait", .member = &Options::refuse_nested_wait},
    OptionSetting{.option = "fail_fast_after", .member = &Options::fail_fast_after, .zero = true},
    OptionSetting{.option = "max_standing_wait", .member = &Options::max_standing_wait},
    OptionSetting{.option = "refuse_hopeless", .member = &Options::refuse_hopeless},
    OptionSetting{.option = "barging_limit", .member = &Options::barging_limit, .zero = true},
    OptionSetting{.option = "connect_timeout", .member = &Options::connect_timeout},
    OptionSetting{.option = "check_timeout", .member = &Options::check_timeout},
    OptionSetting{.option = "reset_timeout", .member = &Options::reset_timeout},
    OptionSetting{.option = "statement_timeout", .member = &Options::statement_timeout},
    OptionSetting{.option = "reset", .member = &Options::reset},
    OptionSetting{.option = "statement_cache", .member = &Options::statement_cache, .most = 65'536},
    OptionSetting{.option = "keep_alive", .member = &Options::keep_alive},
    OptionSetting{.option = "sweep_interval", .member = &Options::sweep_interval},
    OptionSetting{.option = "backoff_min", .member = &Options::backoff_min},
    OptionSetting{.option = "backoff_max", .member = &Options::backoff_max},
    OptionSetting{.option = "workers", .member = &Options::workers, .most = 256},
    OptionSetting{.option = "leak_after", .member = &Options::leak_after},
    OptionSetting{.option = "load_balance_hosts", .member = &Options::load_balance_hosts},
    OptionSetting{.option = "max_lag", .member = &Options::max_lag},
    OptionSetting{.option = "name", .member = &Options::name},
};

}  // namespace detail

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const Options& options) {
  for (const detail::OptionSetting& setting : detail::settings) {
    const auto refuse = [&](std::string_view expected, const std::string& number) {
      using lido::detail::concat;
      throw InvalidOption{concat({"Options::", setting.option}), concat({expected, number})};
    };
    const auto check = [&](std::size_t number) {
      if (number < setting.least) refuse("at least ", lido::detail::decimal(setting.least));
      if (number > setting.most) refuse("at most ", lido::detail::decimal(setting.most));
    };
    if (const auto* number = std::get_if<std::size_t Options::*>(&setting.member); number != nullptr)
      check(options.**number);
    if (const auto* number = std::get_if<std::optional<std::size_t> Options::*>(&setting.member); number != nullptr)
      if (const std::optional<std::size_t>& count = options.**number; count) check(*count);
    if (const auto* span = std::get_if<Duration Options::*>(&setting.member); span != nullptr)
      if (const Duration value = options.**span; value < Duration{setting.zero ? 0 : 1})
        refuse(setting.zero ? "a duration of zero or more" : "a duration above zero", {});
  }
  if (options.max_overflow > detail::most_connections - options.pool_size)
    throw InvalidOption{"Options::max_overflow",
                        lido::detail::concat(
                            {"at most ", lido::detail::decimal(detail::most_connections), " together with pool_size"})};
  if (options.pool_size + options.max_overflow == 0)
    throw InvalidOption{"Options::pool_size", "at least 1 together with max_overflow"};
  if (options.min_idle > options.pool_size) throw InvalidOption{"Options::min_idle", "at most pool_size"};
  if (options.backoff_max < options.backoff_min)
    throw InvalidOption{"Options::backoff_max", "a duration not below backoff_min"};
  if (options.max_waiting == 0 && (!options.pooling || options.workers == 0))
    throw InvalidOption{"Options::max_waiting", "at least 1 where callers connect for themselves"};
}

}  // namespace lido::postgres
