// A primary and its standbys: writes here, reads there.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <utility>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/pool.hpp>

namespace lido::postgres {

/// Settings of `ReadWritePools`; whatever is left out has the default given here.
struct ReadWriteOptions {
  /// Its name is "writes" unless you give it one, and that of `reads` "reads".
  Options writes{};
  /// Its `max_lag` bounds how old what is read may be, save for what is held up on the way to the standby, see there;
  /// one that is `Duration::max()` stands for a second. For its `load_balance_hosts` see below.
  Options reads{};
  /// How long a read waits for a standby's connection, where there are any and none is idle, before it goes to the
  /// primary; no longer than half of its own time. Range: 0 and more.
  Duration patience = std::chrono::milliseconds{500};
  /// Whether the standbys are tried in a random order, in place of what `reads` says: else the first of them, while it
  /// is there, has all reads.
  bool load_balance_hosts = true;
};

/// A pool on the primary and one on the standbys. Thread-safe as its pools are. There is no promise that a read sees
/// what the same caller wrote just now: read that through `writes()`.
class ReadWritePools {
 public:
  using Lease = Pool::Lease;

  /// Both strings may name the same hosts, with `target_session_attrs=read-write` in the first and `standby` or
  /// `prefer-standby` in the second; then both pools find their servers again after a fail-over. Throws as the
  /// constructor of `Pool` does, and `InvalidOption`.
  ReadWritePools(const std::string& primary, const std::string& standbys, const ReadWriteOptions& options = {})
      : patience_{checked(options.patience)},
        writes_{primary, named(options.writes, "writes")},
        reads_{standbys, reads_of(options)} {}

  /// The pool on the primary.
  [[nodiscard]] Pool& writes() noexcept { return writes_; }
  /// The pool on the standbys, for statistics, listeners and administration; `reads()` is what to read from.
  [[nodiscard]] Pool& standbys() noexcept { return reads_; }

  /// Where to read from: acquires as a pool does, for `BasicSession` and `transact`, too.
  class Reads {
   public:
    using Lease = Pool::Lease;
    explicit Reads(ReadWritePools& pools) noexcept : pools_{pools} {}

    /// A connection to a standby that lags no more than it may, else one to the primary. Blocks and throws as
    /// `Pool::acquire` of the primary's pool.
    Lease acquire(std::source_location where = std::source_location::current()) {
      return acquire(options().acquire_timeout, {}, where);
    }
    /// The same within `timeout`, of which the standbys have no more than half; zero as `Pool::acquire`. Given up as
    /// soon as `stop` is requested.
    Lease acquire(Duration timeout, std::source_location where = std::source_location::current()) {
      return acquire(timeout, {}, where);
    }
    Lease acquire(Duration timeout, const std::stop_token& stop,
                  std::source_location where = std::source_location::current()) {
      lido::detail::require_not_negative(timeout, "acquire(timeout)");
      // A standby's connection that is idle would be given all the same.
      if (stop.stop_requested()) return pools_.writes_.acquire(timeout, stop, where);
      const TimePoint begun = Clock::now();
      const auto left = [&](Duration of) { return of == Duration::max() ? of : of - (Clock::now() - begun); };
      // A standby that hangs leaves the primary its time.
      const Duration half = timeout == Duration::max() ? timeout : timeout / 2;
      // Also where there is none: it asks for one, so that standbys that come back are found.
      if (std::optional<Lease> idle = pools_.reads_.try_acquire(half, where)) return std::move(*idle);
      const Duration patience = std::min(left(half), pools_.patience_);
      if (patience > Duration::zero() && pools_.has_standbys()) {
        try {
          return pools_.reads_.acquire(patience, stop, where);
        } catch (const PoolClosed&) {
          throw;
        } catch (const AcquireCancelled&) {
          throw;
        } catch (const PoolError&) {  // used up, or gone just now
        } catch (const ConnectError&) {
        }
      }
      // Zero would leave a check its whole time.
      if (timeout > Duration::zero()) timeout = std::max(left(timeout), Duration{1});
      return pools_.writes_.acquire(timeout, stop, where);
    }
    /// Those of the primary's pool.
    [[nodiscard]] const PoolOptions& options() const noexcept { return pools_.writes_.options(); }

   private:
    ReadWritePools& pools_;
  };
  [[nodiscard]] Reads reads() noexcept { return Reads{*this}; }

 private:
  [[nodiscard]] static Duration checked(Duration patience) {
    lido::detail::require_not_negative(patience, "ReadWriteOptions::patience");
    return patience;
  }
  [[nodiscard]] static Options named(Options options, const char* name) {
    if (options.name == Options{}.name) options.name = name;
    return options;
  }
  // What is left out of `ReadWriteOptions::reads` cannot be told from `Options`'s own defaults.
  [[nodiscard]] static Options reads_of(const ReadWriteOptions& all) {
    Options options = named(all.reads, "reads");
    if (options.max_lag == Duration::max()) options.max_lag = std::chrono::seconds{1};
    options.load_balance_hosts = all.load_balance_hosts;
    return options;
  }

  // Whether it makes sense to wait for a standby: one is there, or nobody knows yet that none is.
  [[nodiscard]] bool has_standbys() const {
    const Statistics figures = reads_.statistics();
    return figures.now.idle + figures.now.leased + figures.now.checking > 0 || figures.open_failures == 0;
  }

  Duration patience_;
  Pool writes_;
  Pool reads_;
};

}  // namespace lido::postgres
