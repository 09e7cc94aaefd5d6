// The one header that a user of a pool includes.
#pragma once

#include <lido/detail/language.hpp>  // first: the rest needs what it looks for

#include <atomic>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <lido/async.hpp>
#include <lido/connector.hpp>
#include <lido/detail/connector.hpp>
#include <lido/detail/core_apart.hpp>
#include <lido/detail/platform.hpp>
#include <lido/growth.hpp>
#include <lido/health.hpp>
#include <lido/lease.hpp>
#include <lido/options.hpp>
#include <lido/recycle.hpp>
#include <lido/share.hpp>
#include <lido/statistics.hpp>

namespace lido {

namespace detail {
struct Inspection;  // the tests', which look at what must hold inside
struct Tracing;     // tracing.hpp
}  // namespace detail

/// What was still leased when `close` ran out of grace.
struct CloseReport {
  bool complete = true;            ///< every connection is closed
  std::vector<Holder> stragglers;  ///< who still had one
};

/// A pool of `Connection`, of which `Growth` says how many, `Health` which are fit and `Recycle` which are kept.
/// Thread-safe but for construction, destruction and moving. In the child of a fork it starts empty (see fork.hpp), and
/// every member may throw there what the constructor throws. The destructor closes without grace: waiters get
/// `PoolClosed`, leases stay valid and close their connection when they end; it blocks until the workers have finished
/// what they do, at most for the longest of `open_timeout`, `check_timeout` and `reset_timeout`; what is to be closed
/// after that they close behind it. Without workers, and with those of `PoolOptions::start_worker`, it closes what is
/// idle itself, and blocks for as long as that takes.
template <class Connection, class Growth = Elastic, class Health = AssumeHealthy, class Recycle = KeepAlways,
          class Platform = StandardPlatform>
class Pool {
  static_assert(
      !std::is_same_v<Connection, detail::NoConnector>,
      "lido: the connector must be copyable, and callable as `connector(const lido::OpenInfo&)` or `connector()`");
  static_assert(!std::is_void_v<Connection>, "lido: the connector returns nothing: it must return the connection");
  static_assert(!std::is_pointer_v<Connection>,
                "lido: the connector returns a raw pointer, which nobody would close: return a std::unique_ptr with a "
                "deleter, or a class of your own");
  static_assert(GrowthPolicy<Growth>,
                "lido: the growth policy needs `GrowthPlan plan(const PoolCounts&) const noexcept`");
  static_assert(
      !detail::lacks_ping<Health, Connection>,
      "lido: PingOnAcquire and PingIfIdle ask the connection, which needs `bool ping(lido::TimePoint deadline)`");
  static_assert(detail::lacks_ping<Health, Connection> || HealthPolicyFor<Health, Connection>,
                "lido: the health policy needs `Verdict check(Connection&, const ConnectionInfo&) const`");
  static_assert(!detail::lacks_reset<Recycle, Connection>,
                "lido: ResetOnReturn asks the connection, which needs `bool reset(lido::TimePoint deadline)`");
  static_assert(detail::lacks_reset<Recycle, Connection> || RecyclePolicyFor<Recycle, Connection>,
                "lido: the recycle policy needs `Verdict recycle(Connection&, const ConnectionInfo&) const`");
  using Core = detail::Core<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Lease = lido::Lease<Core, Connection>;

  /// A pool on `connector`. Opens what the growth policy wants in the background and waits for none of it. Throws
  /// `InvalidOption`, naming the field, `std::bad_alloc`, or `std::system_error` where a thread cannot be started.
  template <ConnectorType Connector>
  explicit Pool(Connector connector, Growth growth = {}, Health health = {}, Recycle recycle = {},
                PoolOptions options = {}) {
    validate(options);
    detail::validate_policy(health);
    detail::validate_policy(recycle);
    detail::validate_growth(growth);
    if (options.max_waiting == 0 && (!growth.plan({}).reuse || detail::worker_count(options, growth) == 0))
      throw InvalidOption{"PoolOptions::max_waiting", "at least 1 where callers open for themselves"};
    std::unique_ptr<Core, Abandon> core{new Core{detail::in_place<typename Core::Slot>(std::move(connector)),
                                                 std::move(growth), std::move(health), std::move(recycle),
                                                 std::move(options)}};
    core->start();
    core->begin();
    core_.store(core.release(), std::memory_order_relaxed);
  }
  /// Takes over; the other may only be destroyed or assigned to. Leases stay valid.
  Pool(Pool&& other) noexcept : core_{other.core_.exchange(nullptr)} {}
  Pool& operator=(Pool&& other) noexcept {
    Pool taken{std::move(other)};
    taken.core_.store(core_.exchange(taken.core_.load()));
    return *this;
  }
  ~Pool() {
    // Listeners may ask the pool while it closes: the pointer stands until all is done, as a unique_ptr's need not.
    if (Core* const core = core_.load()) core->abandon();
  }

  /// A connection, within `PoolOptions::acquire_timeout`. Blocks until one is idle, given back or opened, and while the
  /// policies look at it. Throws `AcquireTimeout`, `PoolClosed`, `PoolSuspended`, `QueueFull`, `SelfDeadlock`, or what
  /// the connector threw if that is permanent.
  Lease acquire(std::source_location where = std::source_location::current()) {
    Core& core = this->core();  // once: it looks for a fork
    return {core, core.acquire(core.acquire_timeout(), {}, where)};
  }
  /// The same within `timeout`. Zero takes what is idle, after a check that is due, or throws; `Duration::max()` waits
  /// without limit.
  Lease acquire(Duration timeout, std::source_location where = std::source_location::current()) {
    return acquire(timeout, {}, where);
  }
  /// The same, given up with `AcquireCancelled` as soon as `stop` is requested.
  Lease acquire(Duration timeout, const typename Platform::StopToken& stop,
                std::source_location where = std::source_location::current()) {
    Core& core = this->core();
    return {core, core.acquire(timeout, stop, where)};
  }
  /// The same within `PoolOptions::acquire_timeout`.
  Lease acquire(const typename Platform::StopToken& stop,
                std::source_location where = std::source_location::current()) {
    Core& core = this->core();
    return {core, core.acquire(core.acquire_timeout(), stop, where)};
  }
  /// An idle connection, or none; waits for nobody, though a health check that is due takes its time. Where none is
  /// idle and there is room, a worker opens one for the next try, if the pool has workers; a `NullPool` never has an
  /// idle one.
  std::optional<Lease> try_acquire(std::source_location where = std::source_location::current()) {
    return try_acquire(Duration::zero(), where);
  }
  /// The same, where the checks take no longer than `limit` together. Zero leaves them their time.
  std::optional<Lease> try_acquire(Duration limit, std::source_location where = std::source_location::current()) {
    Core& core = this->core();
    if (auto* const slot = core.try_acquire(limit, where)) return Lease{core, *slot};
    return std::nullopt;
  }

  /// The same as `acquire` for a coroutine, `auto lease = co_await pool.async_acquire(2s);`, or for a callback (see
  /// `AsyncAcquire::connect`). Neither this nor the end of the lease blocks where the pool has workers: they open and
  /// close, and ask the policies that may block. Without workers this thread does, and somebody has to call
  /// `maintain()` for time-outs and for what is to be opened later. The first wait with a time-out starts one more
  /// thread, which keeps time.
  auto async_acquire(std::source_location where = std::source_location::current()) {
    return async_acquire(core().acquire_timeout(), {}, InLine{}, where);
  }
  auto async_acquire(Duration timeout, std::source_location where = std::source_location::current()) {
    return async_acquire(timeout, {}, InLine{}, where);
  }
  auto async_acquire(Duration timeout, typename Platform::StopToken stop,
                     std::source_location where = std::source_location::current()) {
    return async_acquire(timeout, std::move(stop), InLine{}, where);
  }
  auto async_acquire(typename Platform::StopToken stop, std::source_location where = std::source_location::current()) {
    return async_acquire(core().acquire_timeout(), std::move(stop), InLine{}, where);
  }
  /// The same, resumed on `executor`: a callable that takes a `std::coroutine_handle<>` and sees that it is resumed.
  template <ExecutorType Executor>
  AsyncAcquire<Core, Lease, Executor> async_acquire(Duration timeout, typename Platform::StopToken stop,
                                                    Executor executor,
                                                    std::source_location where = std::source_location::current()) {
    return {core(), timeout, std::move(stop), std::move(executor), where};
  }

  /// The share `name` of this pool, made if there is none: for one of several kinds of callers, who acquire from it
  /// instead. From the first one on the pool leases in the order of shares.md, under its lock, and whoever acquires
  /// from the pool itself gets what is guaranteed to nobody. A share stays for as long as its pool. Takes the lock for
  /// a pass over the slots. Throws `InvalidOption`, naming the share: where it was made with other options, the
  /// name is empty, an option is out of its range, or more would be guaranteed than the pool may have; and
  /// `std::bad_alloc`.
  [[nodiscard]] Share<Pool> share(std::string_view name, ShareOptions options = {}) {
    Core& core = this->core();
    return Share<Pool>{*this, core, core.administration().share(name, options)};
  }

  /// A snapshot of the figures. Takes the queue's lock for a pass over the slots.
  [[nodiscard]] Statistics statistics() const { return core().statistics(); }
  /// Who has a connection now, since when and from where.
  [[nodiscard]] std::vector<Holder> holders() const { return core().holders(); }
  /// Each connection: what it is doing, how old it is, and who has it. Takes no lock.
  [[nodiscard]] std::vector<ConnectionDescription> connections() const { return core().connections(); }
  /// Where listeners are added.
  [[nodiscard]] Events<Connection> events() const { return Events<Connection>{core().signals()}; }
  /// The options that the pool was made with.
  [[nodiscard]] const PoolOptions& options() const noexcept { return core_.load()->options(); }

  /// Begins a new generation: what is open now is closed, idle connections at once, leased ones when they come back.
  void invalidate() { core().administration().invalidate(); }
  /// Replaces the growth policy. Fewer: attempts to open are given up first, then the excess is closed, idle at once
  /// and leased when it comes back. More: waiters are served. One that keeps nothing: all is closed so, and opened
  /// anew. Throws `InvalidOption`, also where shares are guaranteed more together, or `std::bad_alloc`, and changes
  /// nothing.
  void resize(Growth growth) {
    detail::validate_growth(growth);
    if (core().options().max_waiting == 0 && !growth.plan({}).reuse)
      throw InvalidOption{"resize(growth)", "a policy that keeps connections, as nobody may wait (max_waiting = 0)"};
    core().administration().resize(std::move(growth));
  }
  /// Leases nothing until `resume`: callers wait, each for its own time-out, which then throws `PoolSuspended`.
  void suspend() { core().administration().suspend(); }
  /// Serves those who wait, in their order, and leases again; not where `suspend` or `close` comes meanwhile.
  void resume() { core().administration().resume(); }
  /// One sweep in this thread: retires idle connections that are worn or too many, opens what the growth policy misses,
  /// closes what waits to be closed. Blocks while it does. For pools with `workers = 0`; harmless in others.
  void maintain() { core().administration().maintain(); }
  /// What happened last: opens, closes with their reason, failures with their words, time-outs; at most 256, oldest
  /// first, those alike as one (see `RecordedEvent`). Takes the pool's lock while it copies them. Throws
  /// `std::bad_alloc`.
  [[nodiscard]] std::vector<RecordedEvent> recent_events() const { return core().recent_events(); }
  /// How long callers have waited, the first of the queue first, at most 64. Takes the pool's lock while it copies
  /// them. Throws `std::bad_alloc`.
  [[nodiscard]] std::vector<Duration> waits() const { return core().monitor().waits(); }
  /// Blocks until at least one connection is open and the growth policy wants no more, or there is room for none;
  /// returns at once where nothing is kept (`NullPool`). What has failed for good is tried once more. Throws
  /// `AcquireTimeout` with the last failure nested, or `PoolSuspended`; the connector's own exception at once if it is
  /// permanent, `PoolClosed`, or `InvalidOption` for a negative `timeout`. It is no acquire: no figure counts it, and
  /// no listener is told.
  void wait_until_ready(Duration timeout) {
    detail::require_not_negative(timeout, "wait_until_ready(timeout)");
    core().administration().wait_until_ready(timeout);
  }
  /// Fails waiters, refuses newcomers with `PoolClosed`, closes idle connections, and blocks until the leased ones have
  /// come back and are closed, at most for `grace`; but where the pool has no threads of its own (`workers = 0`,
  /// `start_worker`) it closes what is idle itself, and blocks for as long as that takes. Reports who still has one.
  /// Harmless twice. Throws `InvalidOption` for a negative `grace`.
  CloseReport close(Duration grace = Duration::zero()) {
    detail::require_not_negative(grace, "close(grace)");
    CloseReport report{.complete = core().administration().close(grace), .stragglers = {}};
    if (!report.complete) report.stragglers = core().holders();
    return report;
  }

 private:
  friend struct detail::Inspection;
  friend struct detail::Tracing;
  template <class>
  friend class Share;

  struct Abandon {
    void operator()(Core* core) const noexcept { core->abandon(); }
  };

  // The core of this process. Acquire: whoever finds the core of a child sees it made.
  [[nodiscard]] Core& core() const {
    Core* const core = core_.load(std::memory_order_acquire);
    return core->is_ours() ? *core : replace(core);
  }
  // In the child of a fork. Cold: inlined into every call, it would keep what they do often from being inlined.
  [[nodiscard, gnu::cold, gnu::noinline]] Core& replace(Core* inherited) const {
    std::unique_ptr<Core, Abandon> own{inherited->in_child()};
    own->start();
    Core* current = inherited;
    if (!core_.compare_exchange_strong(current, own.get(), std::memory_order_acq_rel)) return *current;
    inherited->disown();
    own->begin();  // one core only: two could open more than the maximum
    return *own.release();
  }

  mutable std::atomic<Core*> core_{nullptr};
};

// For what is no connector: the pool that comes of it says why, where a deduction that fails would not.
template <class Connector, class... Others>
  requires(!detail::is_pool<Connector> && !ConnectorType<Connector>)
Pool(Connector, Others...) -> Pool<detail::NoConnector>;
template <ConnectorType Connector>
Pool(Connector) -> Pool<typename detail::Connects<Connector>::type>;
template <ConnectorType Connector, class Growth>
Pool(Connector, Growth) -> Pool<typename detail::Connects<Connector>::type, Growth>;
template <ConnectorType Connector, class Growth, class Health>
Pool(Connector, Growth, Health) -> Pool<typename detail::Connects<Connector>::type, Growth, Health>;
template <ConnectorType Connector, class Growth, class Health, class Recycle>
Pool(Connector, Growth, Health, Recycle) -> Pool<typename detail::Connects<Connector>::type, Growth, Health, Recycle>;
template <ConnectorType Connector, class Growth, class Health, class Recycle>
Pool(Connector, Growth, Health, Recycle, PoolOptions)
    -> Pool<typename detail::Connects<Connector>::type, Growth, Health, Recycle>;

}  // namespace lido
