// A pool without its handle: owns the parts, and wires them.
//
// The floors, the ground first. A header includes those of lower floors, and of its own those that stand before it.
//
// | floor     | headers                                                                                               |
// |-----------|-------------------------------------------------------------------------------------------------------|
// | ground    | language ticks tick_clock json describe lifetime parker platform resumption repeat_filter assertion   |
// |           | size_search concat spare_blocks                                                                       |
// | cells     | probes deadlines waiter job_queue backoff barging_limit thread_mark use_counts slot slot_map slot_set |
// |           | metrics                                                                                               |
// | tables    | guard slot_tally slot_segment slot_census slot_search slot_passes slot_table shares wait_list         |
// | decisions | open_plan work_queue connect_limiter replacements capacity openers standing_queue shedding            |
// |           | service_rate turn_bound share_claims foresight destination dispatcher                                 |
// | sides     | fail_fast attempts transitions invariants flight_recorder monitor listening connection_ops pool_types |
// | work      | completion jobs workforce leaks leases maintenance worker_group                                       |
// | calls     | complaint admission tracing blocking_wait acquire acquire_request administration connector            |
// | core      | acquire_request_apart core core_apart                                                                 |
//
// The parts of the two sides and above. `Monitor` decides under the lock and calls nobody's code; `Ops` calls the
// user's code and never holds the lock. All others may take it to ask the first, and give it back before they ask the
// second.
//
// | part            | owns                     | calls                                                               |
// |-----------------|--------------------------|---------------------------------------------------------------------|
// | Monitor         | the lock, what needs it  | nobody but its parts                                                |
// | Ops             | the user's code          | that, without the lock                                              |
// | Jobs            |                          | Monitor Ops                                                         |
// | Workforce       | the number of workers    | Monitor Jobs                                                        |
// | Leaks           |                          | Monitor Ops                                                         |
// | Leases          | whether the pool is gone | Monitor Ops Jobs Workforce Leaks Lifetime                           |
// | Maintenance     |                          | Monitor Ops Jobs Workforce Leaks Leases                             |
// | WorkerGroup     | threads                  | Monitor Workforce Maintenance Lifetime                              |
// | Admission       | what time-outs tell      | Monitor Ops Workforce Leaks                                         |
// | BlockingWait    |                          | Monitor Jobs Leases Admission Lifetime                              |
// | Acquire         | whether it is suspended  | Monitor Ops Workforce Leases Admission BlockingWait Lifetime        |
// | AcquireRequests |                          | Monitor Ops Workforce Leases WorkerGroup Admission Acquire Lifetime |
// | Administration  |                          | Monitor Ops Jobs Workforce Maintenance Admission Acquire Lifetime   |
//
// tests/documentation/arrows holds both tables against the headers.
#pragma once

#include <cstddef>
#include <source_location>
#include <vector>

#include <lido/detail/acquire_request.hpp>
#include <lido/detail/administration.hpp>
#include <lido/fork.hpp>

namespace lido::detail {

// Freed by whoever comes last: the pool, its workers, calls in progress, and, once the pool is gone, each lease that is
// still out. While the pool lives a lease needs no reference of its own: its release touches the core for the last
// time in the exchange that gives the slot back. A pool that is destroyed meanwhile either finds the slot idle, or has
// recalled it, and then it comes back by the lock and drops the reference that the pool took for it.
//
// What is defined apart, in core_apart.hpp and behind the class of administration.hpp, is not inline: a unit that has
// been told of an instantiation elsewhere (`extern template`) compiles nothing of it, nor what it calls.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Core {
 public:
  using Types = PoolTypes<Connection, Growth, Health, Recycle, Platform>;
  using Slot = typename Types::Slot;
  using StopToken = typename Types::StopToken;
  using Share = typename Types::Share;
  using Request = typename AcquireRequests<Types>::Request;

  Core(typename Types::Ops::Connector connector, Growth growth, Health health, Recycle recycle, PoolOptions options);

  // --- acquire and release ------------------------------------------------------------------------------------------

  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where) {
    if constexpr (is_long)
      return acquire_apart(timeout, stop, where);
    else
      return acquire_.acquire(timeout, stop, where);
  }
  Slot* try_acquire(Duration limit, std::source_location where) {
    if constexpr (is_long)
      return try_acquire_apart(limit, where);
    else
      return acquire_.try_acquire(limit, where);
  }
  // The same for a caller of a share.
  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where, Share& share);
  Slot* try_acquire(Duration limit, std::source_location where, Share& share);
  [[nodiscard]] Duration acquire_timeout() const noexcept { return options_.acquire_timeout; }
  [[nodiscard]] AcquireRequests<Types>& requests() noexcept { return requests_; }

  void release(Slot& slot) noexcept {
    if constexpr (is_long)
      release_apart(slot);
    else
      is_ours() ? leases_.release(slot) : disown(slot);
  }
  void discard(Slot& slot) noexcept;
  Connection detach(Slot& slot);

  // --- what it does and did -----------------------------------------------------------------------------------------

  [[nodiscard]] ConnectionInfo info_of(const Slot& slot) const noexcept {
    ConnectionInfo facts = slot.info(Moment::release, Platform::now(), TimePoint::max());
    facts.moment = Moment::acquire;
    return facts;
  }
  [[nodiscard]] Statistics statistics();
  [[nodiscard]] ShareStatistics statistics(const Share& share);
  [[nodiscard]] std::vector<Holder> holders();
  [[nodiscard]] std::vector<ConnectionDescription> connections();
  [[nodiscard]] std::vector<RecordedEvent> recent_events();
  [[nodiscard]] Signals<Connection>& signals() noexcept { return ops_.signals(); }
  // Tracers of acquires have been added.
  void trace_acquires() noexcept {
    const typename Types::Guard lock = monitor_.enter();
    acquire_.trace();
  }
  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }
  [[nodiscard]] Administration<Types>& administration() noexcept { return administration_; }
  [[nodiscard]] typename Types::Monitor& monitor() noexcept { return monitor_; }

  // --- its life -----------------------------------------------------------------------------------------------------

  // Starts the workers. Throws `std::system_error`.
  void start();
  // The first opens.
  void begin() noexcept;

  // The pool's last call: close, stop the workers, and leave what is still leased to its holders.
  void abandon() noexcept;

  // False in the child of a fork, where this core is the parent's: its threads do not exist, its locks may be held for
  // ever, and its connections are in use elsewhere. It is never freed there.
  [[nodiscard]] bool is_ours() const noexcept { return mark_.is_ours(); }
  // A core like this one, for the child. Takes no lock: only a change that the fork cut in two could be seen half done.
  [[nodiscard]] Core* in_child() const;
  // Lets go of what the child inherited and nobody has.
  void disown() noexcept;

 private:
  // Of a pool whose policies want to know the time: too long to be worth a copy in each function that acquires.
  static constexpr bool is_long = Types::Ops::reads_clock;
  Slot& acquire_apart(Duration timeout, const StopToken& stop, std::source_location where);
  Slot* try_acquire_apart(Duration limit, std::source_location where);
  void release_apart(Slot& slot) noexcept;

  // For the child of a fork: with the parent's settings, and nothing of what goes on.
  Core(const Core& parent);
  ~Core() = default;

  // The caller's connection is the parent's.
  static void disown(Slot& slot) noexcept {
    if constexpr (safe_to_destroy_after_fork<Connection>) Types::Ops::destroy(slot);
  }
  static void end(void* core) noexcept { delete static_cast<Core*>(core); }

  [[nodiscard]] CapacityRules rules() const noexcept {
    return {.barging_limit = options_.barging_limit,
            .connect = {.workers = worker_count_,
                        .backoff_min = options_.backoff_min,
                        .backoff_max = options_.backoff_max,
                        .open_timeout = options_.open_timeout},
            .fail_fast_after = options_.fail_fast_after,
            .max_standing_wait = options_.max_standing_wait,
            .refuse_hopeless = options_.refuse_hopeless};
  }

  const PoolOptions options_;
  typename Types::Ops ops_;
  const std::size_t worker_count_;
  typename Types::Monitor monitor_;
  Lifetime lifetime_{this, &Core::end};
  typename Platform::ProcessMark mark_;
  Jobs<Types> jobs_{monitor_, ops_, options_};
  Workforce<Types> workforce_{monitor_, jobs_, options_, worker_count_};
  Leaks<Types> leaks_{monitor_, ops_, options_.leak_after};
  Leases<Types> leases_{lifetime_, monitor_, ops_, jobs_, workforce_, leaks_, options_.reset_timeout};
  Maintenance<Types> maintenance_{monitor_, ops_, jobs_, workforce_, leaks_, leases_, options_};
  WorkerGroup<Types> workers_{lifetime_, monitor_, workforce_, maintenance_, options_};
  Admission<Types> admission_{monitor_, ops_, workforce_, leaks_, options_};
  BlockingWait<Types> blocking_wait_{lifetime_, monitor_, jobs_, leases_, admission_};
  Acquire<Types> acquire_{lifetime_, monitor_, ops_, workforce_, leases_, admission_, blocking_wait_, options_};
  AcquireRequests<Types> requests_{lifetime_, mark_,    monitor_,   ops_,     workforce_,
                                   leases_,   workers_, admission_, acquire_, options_};
  Administration<Types> administration_{lifetime_,  monitor_,     ops_,       jobs_,
                                        workforce_, maintenance_, admission_, acquire_};
};

}  // namespace lido::detail
