// The figures of pools as Prometheus metrics.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <lido/error.hpp>
#include <lido/prometheus/detail/families.hpp>
#include <lido/prometheus/detail/label.hpp>
#include <lido/statistics.hpp>

namespace lido::prometheus {

/// Whatever has the figures of a pool; any `lido::Pool` does.
template <class Pool>
concept HasStatistics = requires(const Pool& pool) {
  { pool.statistics() } -> std::same_as<Statistics>;
};

/// Which names the metrics have.
enum class Names : std::uint8_t {
  database,        ///< `db_pool_size`, `db_pool_checkedout` and so on: all that a pool knows of itself
  open_telemetry,  ///< `db_client_connection_count` and so on, as OpenTelemetry's exporters write its conventions
  both,
};

namespace detail {

struct Source {
  std::uint64_t id = 0;
  std::string pool;  // the label
  std::function<Statistics()> figures;
};

// Shared by a collector and its registrations, either of which may go first.
struct Sources {
  std::mutex mutex;
  std::vector<Source> list;  // owned by the mutex
  std::uint64_t last_id = 0;
};

}  // namespace detail

/// Keeps a pool in its collector for as long as it lives. Declare it after the pool, so that it ends first. Its end
/// waits for a scrape that reads the pool just now. May outlive the collector. Owned by one thread at a time.
class [[nodiscard]] Registration {
 public:
  Registration() = default;
  /// For the collector.
  Registration(std::shared_ptr<detail::Sources> sources, std::uint64_t id) noexcept
      : sources_{std::move(sources)}, id_{id} {}
  Registration(Registration&& other) noexcept : sources_{std::move(other.sources_)}, id_{other.id_} {}
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      end();
      sources_ = std::move(other.sources_);
      id_ = other.id_;
    }
    return *this;
  }
  ~Registration() { end(); }

  /// Takes the pool out of its collector now. Harmless twice.
  void end() noexcept {
    if (sources_ == nullptr) return;
    {
      const std::lock_guard lock{sources_->mutex};
      std::erase_if(sources_->list, [this](const detail::Source& source) { return source.id == id_; });
    }
    sources_.reset();
  }

 private:
  std::shared_ptr<detail::Sources> sources_;
  std::uint64_t id_ = 0;
};

/// Shows pools to Prometheus: `exposer.RegisterCollectable(collector)` with a `std::shared_ptr<Collector>`. One
/// collector takes all pools of an endpoint, so that each metric is there once, with a sample a pool, labelled
/// `pool="name"`. Costs the pools nothing between scrapes. Thread-safe.
class Collector final : public ::prometheus::Collectable {
 public:
  explicit Collector(Names names = Names::database) noexcept : names_{names} {}

  /// Adds `pool`, which must outlive the registration, under its `PoolOptions::name`; a byte of it that is no UTF-8 is
  /// shown by its hexadecimal digits. Throws `InvalidOption` when the collector has a pool of that name: Prometheus
  /// would refuse the two samples.
  template <HasStatistics Pool>
  Registration add(const Pool& pool) {
    return add([&pool] { return pool.statistics(); });
  }
  /// Would dangle.
  template <HasStatistics Pool>
  Registration add(const Pool&& pool) = delete;
  /// Adds whatever `figures` returns, under the name that it returns first, also where it returns another one later. It
  /// is called by each scrape, one at a time, and must not add to or end a registration of this collector; while it
  /// throws, its pool is left out.
  Registration add(std::function<Statistics()> figures) {
    const std::string name = detail::label_of(figures().name);
    const std::lock_guard lock{sources_->mutex};
    if (std::ranges::any_of(sources_->list, [&](const detail::Source& source) { return source.pool == name; }))
      throw InvalidOption{"PoolOptions::name", "one that no other pool of the collector has, not \"" + name + '"'};
    sources_->list.push_back({.id = ++sources_->last_id, .pool = name, .figures = std::move(figures)});
    return {sources_, sources_->last_id};
  }

  /// For prometheus-cpp: the metrics of all pools, as they are now.
  [[nodiscard]] std::vector<::prometheus::MetricFamily> Collect() const override {
    const auto pools = snapshot();
    if (pools.empty()) return {};
    detail::Families families{pools};
    if (names_ != Names::open_telemetry) add_database(families);
    if (names_ != Names::database) families.open_telemetry();
    return families.take();
  }

 private:
  static void add_database(detail::Families& families) {
    families.gauge("db_pool_size", "Connections kept open though idle.", [](const auto& s) { return s.pool_size; });
    families.gauge("db_pool_max_size", "Never more connections than this.", [](const auto& s) { return s.max_size; });
    families.gauge("db_pool_checkedout", "Connections with a holder.", [](const auto& s) { return s.now.leased; });
    families.gauge("db_pool_idle", "Connections ready to be leased.", [](const auto& s) { return s.now.idle; });
    families.gauge("db_pool_overflow", "Connections beyond db_pool_size.", [](const auto& s) { return s.overflow(); });
    families.gauge("db_pool_opening", "Connections being opened.", [](const auto& s) { return s.now.opening; });
    families.gauge("db_pool_checking", "Idle connections being looked at.",
                   [](const auto& s) { return s.now.checking; });
    families.gauge("db_pool_closing", "Connections being closed.", [](const auto& s) { return s.now.closing; });
    families.gauge("db_pool_waiting", "Callers in the queue.", [](const auto& s) { return s.now.waiting; });

    // No counter of releases: it is acquired less checked out, two figures of slightly different moments, and so may
    // step back, which a counter must not.
    families.counter("db_pool_acquired_total", "Connections leased.", &Statistics::acquired);
    families.counter("db_pool_waited_total", "Acquires that had to queue.", &Statistics::waited);
    families.counter("db_pool_timeouts_total", "Acquires that ran out of time.", &Statistics::timeouts);
    families.counter("db_pool_cancelled_total", "Acquires ended by their stop token.", &Statistics::cancelled);
    families.counter("db_pool_rejected_total", "Acquires refused: the queue was full, or would have waited for itself.",
                     &Statistics::rejected);
    families.counter("db_pool_shed_total", "Acquires refused because the queue stood.", &Statistics::shed);
    families.counter("db_pool_hopeless_total", "Acquires refused: their turn would have come too late.",
                     &Statistics::hopeless);
    families.counter("db_pool_failed_fast_total", "Acquires told why no connection can be opened.",
                     &Statistics::failed_fast);
    families.counter("db_pool_opened_total", "Connections opened.", &Statistics::opened);
    families.counter("db_connection_errors_total", "Attempts to open a connection that failed.",
                     &Statistics::open_failures);
    families.counter("db_pool_closed_total", "Connections closed or detached.", &Statistics::closed);
    families.counter("db_pool_found_dead_total", "Connections that failed a health check.", &Statistics::found_dead);
    families.counter("db_pool_recycled_total", "Connections that a recycle policy discarded, or more than are kept.",
                     &Statistics::recycled);
    families.counter("db_pool_discarded_total", "Connections that a holder discarded.", &Statistics::discarded);
    families.counter("db_pool_leaks_total", "Leases that were held longer than leak_after.", &Statistics::leaks);
    families.counter("db_pool_invalidated_total", "Connections closed as of an earlier generation.",
                     &Statistics::invalidated);
    families.counter("db_pool_listener_errors_total", "Listeners and destructors that threw.",
                     &Statistics::listener_errors);

    families.histogram("db_pool_wait_seconds", "Waits of acquires that had to queue and got a connection.",
                       &Statistics::wait);
    families.histogram("db_pool_use_seconds",
                       "Spans for which connections were held; none where no policy needs a clock.", &Statistics::use);
    families.histogram("db_pool_open_seconds", "Spans that opening a connection took.", &Statistics::open);
    add_shares(families);
  }

  static void add_shares(detail::Families& families) {
    families.gauge<ShareStatistics>("db_pool_share_checkedout", "Connections that callers of the share have.",
                                    &ShareStatistics::leased);
    families.gauge<ShareStatistics>("db_pool_share_waiting", "Callers of the share in the queue.",
                                    &ShareStatistics::waiting);
    families.gauge<ShareStatistics>("db_pool_share_guaranteed",
                                    "Connections that are the share's whenever it wants them.",
                                    &ShareStatistics::guaranteed);
    families.gauge<ShareStatistics>("db_pool_share_at_most", "Never more connections of the share than this.",
                                    &ShareStatistics::at_most);
    families.counter("db_pool_share_acquired_total", "Connections given to callers of the share.",
                     &ShareStatistics::acquired);
    families.counter("db_pool_share_waited_total", "Acquires from the share that had to queue.",
                     &ShareStatistics::waited);
    families.counter("db_pool_share_full_total", "Those of them that came when it had all it may have.",
                     &ShareStatistics::full);
    families.counter("db_pool_share_timeouts_total", "Acquires from the share that ran out of time.",
                     &ShareStatistics::timeouts);
    families.counter("db_pool_share_rejected_total",
                     "Acquires from the share refused: its queue was full, or would have waited for itself.",
                     &ShareStatistics::rejected);
    families.counter("db_pool_share_shed_total", "Acquires from the share refused because the queue stood.",
                     &ShareStatistics::shed);
    families.histogram("db_pool_share_wait_seconds",
                       "Waits of acquires from the share that had to queue and got a connection.",
                       &ShareStatistics::wait);
  }

  // Under the mutex, so that no pool goes away while it is read.
  [[nodiscard]] std::vector<std::pair<std::string, Statistics>> snapshot() const {
    std::vector<std::pair<std::string, Statistics>> pools;
    const std::lock_guard lock{sources_->mutex};
    for (const detail::Source& source : sources_->list) {
      try {
        pools.emplace_back(source.pool, source.figures()).second.name = source.pool;
      } catch (...) {
        continue;  // the others are to be seen all the same
      }
    }
    return pools;
  }

  Names names_;
  std::shared_ptr<detail::Sources> sources_ = std::make_shared<detail::Sources>();
};

}  // namespace lido::prometheus
