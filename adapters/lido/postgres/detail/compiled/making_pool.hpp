// How a pool is made of its settings.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <lido/facts.hpp>
#include <lido/options.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/notice.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/policies.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/recycle.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline RetireAfter retirement_of(const Options& options) {
  return {.age = options.pool_recycle, .idle = options.max_idle_time, .uses = options.max_uses};
}

[[nodiscard]] inline ConnectionSettings settings_of(const Options& options,
                                                    const std::shared_ptr<Enclosure>& enclosure) {
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

[[nodiscard]] inline PoolOptions pool_options_of(const Options& options) {
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
  pool.refuse_hopeless = options.refuse_hopeless;
  pool.workers = options.workers;
  pool.sweep_interval = options.sweep_interval;
  pool.backoff_min = options.backoff_min;
  pool.backoff_max = options.backoff_max;
  pool.start_worker = options.start_worker;
  return pool;
}

template <class Form>
MadePool MakingPool<Form>::make(const std::string& connection_string, const Options& options,
                                const std::shared_ptr<Enclosure>& enclosure) {
  // Its string has no `pool_` keys any more, and its options are in their ranges.
  Environment from = options_from_string(connection_string, options);
  std::shared_ptr<Notices> notices;
  if (NoticeListener& listener = from.options.on_notice; listener) {
    notices = std::make_shared<Notices>();
    listener = [told = std::move(listener), all = notices](const Notice& notice) {
      if (const Notices::Call call{*all}) told(notice);
    };
  }
  MadePool made{lido::Pool<Connection, Growth, CheckSession, Recycle>{
                    Connector{from.connection_string, settings_of(from.options, enclosure)},
                    growth_of(from.options),
                    {.ping = from.options.pre_ping, .after = from.options.pre_ping_after},
                    Recycle{InvalidateOnFailover{}, retirement_of(from.options), ResetOnReturn{}},
                    pool_options_of(from.options)},
                std::move(notices)};
  return made;
}

template <class Form>
void MakingPool<Form>::silence(Notices& notices) noexcept {
  notices.silence(saturating_add(Clock::now(), std::chrono::seconds{10}));
}

}  // namespace lido::postgres::detail
