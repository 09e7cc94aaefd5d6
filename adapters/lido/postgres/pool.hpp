// The PostgreSQL pool, ready made.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <lido/detail/listening.hpp>
#include <lido/detail/platform.hpp>
#include <lido/facts.hpp>
#include <lido/options.hpp>
#include <lido/pool.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/policies.hpp>

namespace lido::postgres {

/// Opens connections for a pool: any `lido::Pool` takes it as its connector. Cheap to copy.
class Connector {
 public:
  /// Throws `PermanentConnectError` when `connection_string` is malformed.
  explicit Connector(const std::string& connection_string, ConnectionSettings settings = {})
      : target_{std::make_shared<const detail::ConnectionString>(
            detail::session_target(connection_string, settings.application_name))},
        settings_{std::make_shared<const ConnectionSettings>(std::move(settings))} {}

  /// Connects. Blocks until `info.deadline` or until `info.stop` is requested; throws `ConnectError`.
  Connection operator()(const OpenInfo& info) const {
    return Connection::connect(*target_, info.deadline, info.stop, settings_);
  }

 private:
  std::shared_ptr<const detail::ConnectionString> target_;
  std::shared_ptr<const ConnectionSettings> settings_;
};

/// A pool of sessions with the settings of `Options`; all its members are those of `lido::Pool`.
class Pool : public lido::Pool<Connection, Growth, CheckSession, Recycle> {
 public:
  /// A pool on `connection_string`, a URI or `key=value` pairs as libpq takes them. Its `pool_` keys win over `options`
  /// (see environment.hpp). Opens nothing yet. Throws `PermanentConnectError` when the string is malformed,
  /// `SettingError`, naming the key, and `InvalidOption`, naming the field.
  explicit Pool(const std::string& connection_string, const Options& options = {})
      : Pool{Parsed{options_from_string(connection_string, options)}} {}

  /// A pool as the environment says: `Pool pool{options_from_environment()};`.
  explicit Pool(const Environment& environment) : Pool{environment.connection_string, environment.options} {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    if (notices_) notices_->silence(saturating_add(Clock::now(), std::chrono::seconds{10}));
  }

 protected:
  /// For `Sandbox`.
  Pool(const Environment& environment, std::shared_ptr<detail::Enclosure> enclosure)
      : Pool{Parsed{options_from_string(environment.connection_string, environment.options), std::move(enclosure)}} {}

 private:
  using Notices = lido::detail::Listening<lido::StandardPlatform>;

  // Its string has no `pool_` keys any more, and its options are in their ranges.
  struct Parsed : Environment {
    explicit Parsed(Environment from, std::shared_ptr<detail::Enclosure> around = {})
        : Environment{std::move(from)}, enclosure{std::move(around)} {
      NoticeListener& listener = options.on_notice;
      if (!listener) return;
      notices = std::make_shared<Notices>();
      listener = [told = std::move(listener), all = notices](const Notice& notice) {
        if (const Notices::Call call{*all}) told(notice);
      };
    }
    std::shared_ptr<detail::Enclosure> enclosure;
    std::shared_ptr<Notices> notices;
  };
  explicit Pool(const Parsed& from)
      : lido::Pool<Connection, Growth, CheckSession, Recycle>{Connector{from.connection_string,
                                                                        settings_of(from.options, from.enclosure)},
                                                              growth_of(from.options),
                                                              {.ping = from.options.pre_ping,
                                                               .after = from.options.pre_ping_after},
                                                              Recycle{InvalidateOnFailover{},
                                                                      retirement_of(from.options), ResetOnReturn{}},
                                                              pool_options_of(from.options)},
        notices_{from.notices} {}

  [[nodiscard]] static Growth growth_of(const Options& options) {
    return {.overflow = {.pool_size = options.pool_size,
                         .max_overflow = options.max_overflow,
                         .idle_timeout = options.idle_timeout,
                         .min_idle = options.min_idle},
            .pooling = options.pooling};
  }
  [[nodiscard]] static RetireAfter retirement_of(const Options& options) {
    return {.age = options.pool_recycle, .idle = options.max_idle_time, .uses = options.max_uses};
  }
  [[nodiscard]] static ConnectionSettings settings_of(const Options& options,
                                                      const std::shared_ptr<detail::Enclosure>& enclosure) {
    return {.application_name = options.application_name,
            .statement_timeout = options.statement_timeout,
            .reset = options.reset,
            .statement_cache = options.statement_cache,
            .echo = options.echo,
            .load_balance_hosts = options.load_balance_hosts,
            .max_lag = options.max_lag,
            .password = options.password,
            .target = options.target,
            .on_notice = options.on_notice,
            .enclosure = enclosure};
  }
  [[nodiscard]] static PoolOptions pool_options_of(const Options& options) {
    PoolOptions pool;
    pool.name = options.name;
    pool.acquire_timeout = options.pool_timeout;
    pool.open_timeout = options.connect_timeout;
    pool.check_timeout = options.check_timeout;
    pool.reset_timeout = options.reset_timeout;
    pool.keep_alive = options.keep_alive;
    pool.leak_after = options.leak_after;
    pool.barging_limit = options.barging_limit;
    pool.max_waiting = options.max_waiting;
    pool.refuse_nested_wait = options.refuse_nested_wait;
    pool.fail_fast_after = options.fail_fast_after;
    pool.max_standing_wait = options.max_standing_wait;
    pool.workers = options.workers;
    pool.sweep_interval = options.sweep_interval;
    pool.backoff_min = options.backoff_min;
    pool.backoff_max = options.backoff_max;
    pool.start_worker = options.start_worker;
    return pool;
  }

  std::shared_ptr<Notices> notices_;  // null: nobody listens
};

/// A `Pool` without pooling, for tests: every acquire connects, every release closes, so that no test sees what another
/// one left behind. Otherwise it is the same, its limit and its queue included.
class TestPool : public Pool {
 public:
  /// As the constructors of `Pool`; `Options::pooling` is ignored.
  explicit TestPool(const std::string& connection_string, Options options = {})
      : Pool{without_pooling(options_from_string(connection_string, std::move(options)))} {}
  explicit TestPool(const Environment& environment) : TestPool{environment.connection_string, environment.options} {}

 private:
  [[nodiscard]] static Environment without_pooling(Environment environment) {
    environment.options.pooling = false;
    return environment;
  }
};

}  // namespace lido::postgres
