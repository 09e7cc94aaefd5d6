// Is the service behind a pool there? What a liveness or readiness endpoint answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <ostream>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <lido/detail/describe.hpp>
#include <lido/detail/json.hpp>
#include <lido/error.hpp>
#include <lido/health.hpp>
#include <lido/pool.hpp>

namespace lido {

/// The outcome of `check_health`.
enum class HealthStatus : std::uint8_t {
  unhealthy,  ///< none could be opened in time, or the one that came did not answer; `HealthReport::error` says why
  exhausted,  ///< all that the check may have are leased: the service may be there, and the pool is too small for it
  healthy,    ///< a connection answered
};

[[nodiscard]] constexpr std::string_view to_string(HealthStatus status) noexcept {
  return status == HealthStatus::healthy ? "healthy" : status == HealthStatus::exhausted ? "exhausted" : "unhealthy";
}

/// What `check_health` found. The figures are those of the pool after the check, which does not count itself among
/// them, unless a worker still puts its connection in order (`async_check_health`).
struct HealthReport {
  std::string name;  ///< `PoolOptions::name`
  HealthStatus status = HealthStatus::unhealthy;
  std::size_t pool_size = 0;                ///< connections kept open though idle
  std::size_t checked_out_connections = 0;  ///< with a holder
  std::size_t overflow = 0;                 ///< connections beyond `pool_size`
  std::size_t total = 0;                    ///< connections, whatever they are doing
  std::size_t available = 0;                ///< idle: open and ready to be leased
  std::size_t max_size = 0;                 ///< never more connections than this
  std::size_t waiting = 0;                  ///< callers in the queue
  Duration latency{};  ///< of the one round trip, whether it succeeded or not; zero where none was begun
  std::string error;   ///< empty if healthy, or out of memory; the words of whoever threw, and what caused it
};

namespace detail {

// What is checked: a pool, or a share of one.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
Platform platform_of(const Pool<Connection, Growth, Health, Recycle, Platform>&);  // never called
template <class Connection, class Growth, class Health, class Recycle, class Platform>
Platform platform_of(const Share<Pool<Connection, Growth, Health, Recycle, Platform>>&);  // never called
template <class AnyPool>
using PlatformOf = decltype(platform_of(std::declval<const AnyPool&>()));
template <class AnyPool>
concept Checkable = requires { typename PlatformOf<AnyPool>; };

// The figures of the pool, either way.
template <Checkable AnyPool>
[[nodiscard]] Statistics pool_figures(const AnyPool& pool) {
  if constexpr (requires { pool.pool_statistics(); })
    return pool.pool_statistics();
  else
    return pool.statistics();
}
// Whether what was just acquired is guaranteed to the share, and nobody waits who might have it instead.
template <Checkable AnyPool>
[[nodiscard]] bool is_its_own(const AnyPool& pool) {
  if constexpr (requires { pool.pool_statistics(); }) {
    const ShareStatistics figures = pool.statistics();
    return figures.leased <= figures.guaranteed && figures.waiting == 0;
  } else {
    return false;
  }
}

// One check on its way, for whoever acquires and pings, in whatever way.
class HealthCheck {
 public:
  // Throws `InvalidOption`: zero would grant the pool's own check its full time, and ours none.
  HealthCheck(TimePoint now, Duration timeout) : deadline_{saturating_add(now, timeout)} {
    require_positive(timeout, "check_health(timeout)");
  }

  [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }

  // There is a connection of `pool`. False: it is not to be asked, and goes back as it came. Who waits while the pool
  // can still grow waits for an open, which no round trip holds up.
  template <Checkable AnyPool>
  [[nodiscard]] bool may_ask(const AnyPool& pool, TimePoint now) {
    begun_ = now;
    const Statistics figures = pool_figures(pool);
    if (figures.waiting_for_more() > 0 && figures.now.leased >= figures.max_size && !is_its_own(pool)) {
      report_.status = HealthStatus::exhausted;
      report_.error = "callers wait for a connection; the one that came was left to them";
      return false;
    }
    if (now < deadline_) return true;
    report_.error = "no time was left for a round trip";
    return false;
  }
  // What it said; `error` is what the ping threw, or null. False: it is to be discarded.
  [[nodiscard]] bool answered(bool answer, const std::exception_ptr& error, TimePoint now) {
    report_.latency = now - begun_;
    if (answer)
      report_.status = HealthStatus::healthy;
    else
      report_.error = error != nullptr ? describe(error) : "the connection did not answer, or not in time";
    return answer;
  }
  // There is no connection.
  void refused(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const AcquireTimeout& late) {
      if (late.phase() == Phase::waiting) report_.status = HealthStatus::exhausted;
    } catch (const QueueFull&) {
      report_.status = HealthStatus::exhausted;
    } catch (const SelfDeadlock&) {
      report_.status = HealthStatus::exhausted;
    } catch (...) {
      report_.status = HealthStatus::unhealthy;
    }
    report_.error = describe(error);
  }
  // Where there is no memory for more.
  [[nodiscard]] HealthReport bare_report() const noexcept {
    HealthReport bare;
    bare.status = report_.status;
    return bare;
  }
  template <Checkable AnyPool>
  [[nodiscard]] HealthReport report(const AnyPool& pool) {
    const Statistics figures = pool_figures(pool);
    report_.name = figures.name;
    report_.pool_size = figures.pool_size;
    report_.checked_out_connections = figures.now.leased;
    report_.overflow = figures.overflow();
    report_.total = figures.now.total();
    report_.available = figures.now.idle;
    report_.max_size = figures.max_size;
    report_.waiting = figures.now.waiting;
    return std::move(report_);
  }

 private:
  TimePoint deadline_;
  TimePoint begun_{};  // the round trip
  HealthReport report_;
};

template <class AnyPool>
[[nodiscard]] HealthReport check_health_of(AnyPool& pool, Duration timeout, std::source_location where) {
  using Platform = PlatformOf<AnyPool>;
  HealthCheck check{Platform::now(), timeout};
  try {
    auto lease = pool.acquire(timeout, where);
    if (check.may_ask(pool, Platform::now())) {
      bool answer = false;
      std::exception_ptr error;
      try {
        answer = lease->ping(check.deadline());
      } catch (...) {
        error = std::current_exception();
      }
      if (!check.answered(answer, error, Platform::now())) lease.discard();
    }
  } catch (...) {
    check.refused(std::current_exception());
  }
  return check.report(pool);
}

}  // namespace detail

/// Acquires a connection and pings it, once, all within `timeout`: the checks of the pool's own policies at acquire
/// count towards it. It queues as any caller, and what comes while all are leased and others wait it leaves to them.
/// Blocks for at most that long (as far as the connector's and the connection's hooks keep to their deadlines), and
/// then for what the recycle policy does on release (`PoolOptions::reset_timeout` at most). A connection that does not
/// answer is discarded. An unhealthy pool is a report, not an exception: throws `InvalidOption` for a `timeout` that is
/// not above zero, and `std::bad_alloc`. Thread-safe. Without blocking: async_check_health.hpp.
template <Pingable Connection, class Growth, class Health, class Recycle, class Platform>
[[nodiscard]] HealthReport check_health(Pool<Connection, Growth, Health, Recycle, Platform>& pool, Duration timeout,
                                        std::source_location where = std::source_location::current()) {
  return detail::check_health_of(pool, timeout, where);
}

/// The same for the callers of a share: `exhausted` where these wait for too long. A connection that is guaranteed to
/// it is pinged whoever else waits. The figures of the report are the pool's.
template <Pingable Connection, class Growth, class Health, class Recycle, class Platform>
[[nodiscard]] HealthReport check_health(Share<Pool<Connection, Growth, Health, Recycle, Platform>> share,
                                        Duration timeout,
                                        std::source_location where = std::source_location::current()) {
  return detail::check_health_of(share, timeout, where);
}

namespace detail {

// Milliseconds with three decimals, whatever the locale.
[[nodiscard]] inline std::string decimal_milliseconds(Duration span) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(span).count();
  const std::string fraction = std::to_string(1000 + micros % 1000);
  return std::to_string(micros / 1000) + '.' + fraction.substr(1);
}

}  // namespace detail

/// The report as one JSON object (RFC 8259): the members by their names, `latency` as `latency_ms`, `error` null where
/// there is none.
[[nodiscard]] inline std::string to_json(const HealthReport& report) {
  std::string text = "{";
  const auto add = [&](std::string_view key, std::string_view value) { detail::add_json_member(text, key, value); };
  add("name", detail::json_string(report.name));
  add("status", detail::json_string(to_string(report.status)));
  add("pool_size", std::to_string(report.pool_size));
  add("checked_out_connections", std::to_string(report.checked_out_connections));
  add("overflow", std::to_string(report.overflow));
  add("total", std::to_string(report.total));
  add("available", std::to_string(report.available));
  add("max_size", std::to_string(report.max_size));
  add("waiting", std::to_string(report.waiting));
  add("latency_ms", detail::decimal_milliseconds(report.latency));
  add("error", report.error.empty() ? "null" : detail::json_string(report.error));
  return text += '}';
}

/// The report for people: the figures on one line, then the error, if there is one.
inline std::ostream& operator<<(std::ostream& out, const HealthReport& report) {
  std::string text = report.name + ": ";
  text += to_string(report.status);
  text += ", latency " + detail::decimal_milliseconds(report.latency) + " ms; " + std::to_string(report.total) +
          " of at most " + std::to_string(report.max_size) + " connections (" +
          std::to_string(report.checked_out_connections) + " checked out, " + std::to_string(report.available) +
          " available, pool size " + std::to_string(report.pool_size) + ", overflow " +
          std::to_string(report.overflow) + "), " + std::to_string(report.waiting) + " waiting";
  if (!report.error.empty()) text += ": " + report.error;
  return out << text;
}

}  // namespace lido
