// The slots, the queue and the end of a pool, with the memory orders that the headers have: the whole pool without
// workers on Relacy's machine. A holder changes a plain variable of its connection, so that a claim which does not see
// the release before it is a data race, and two holders of one are, too. A waiter that nobody wakes is a deadlock.
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/pool.hpp>
#include <model/check.hpp>
#include <model/platform.hpp>

using namespace lido;
using namespace lido::model;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(pool_)

namespace {

struct Connection {
  explicit Connection(int which) : number{which} {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { use(); }
  void use() {
    const Switch here;
    uses($) = uses($) + 1;
  }
  int number;
  rl::var<int> uses{0};
};

// `worker`: with one thread of the pool's own, which the last of the model plays. Without, slots are always handed
// over.
template <class Derived, int threads, std::size_t size = 1, bool worker = false>
struct PoolModel : Model<PoolModel<Derived, threads, size, worker>, threads + (worker ? 1 : 0)> {
  using P = Pool<Connection, Elastic, AssumeHealthy, KeepAlways, Platform>;
  using Lease = typename P::Lease;

  // All connections are open and idle, and the hint of this thread is the same in each iteration.
  void prepare() {
    PoolOptions options = Derived::options();
    options.workers = worker ? 1 : 0;
    options.sweep_interval = options.leak_after = options.keep_alive = Duration::max();
    Elastic growth = Derived::growth();
    growth.min_idle = size;
    pool.emplace([this] { return Connection{++opened}; }, growth, AssumeHealthy{}, KeepAlways{}, std::move(options));
    pool->maintain();
    std::array<std::optional<Lease>, size> all;
    for (auto& each : all) each = pool->try_acquire();
    for (auto& each : all) each.reset();
    self().begin();
  }
  void run(unsigned index) {
    if (index == threads) return Thread::play();
    self().act(index);
    if (--running == 0 && worker) pool.reset();
  }
  void finish() { pool.reset(); }

  static Elastic growth() { return {.max_size = size}; }
  static PoolOptions options() { return {.barging_limit = 1h}; }
  void begin() {}

  void lease_one() { pool->acquire(Duration::max())->use(); }

  int opened = 0;
  int running = threads;
  std::optional<P> pool;

 private:
  Derived& self() { return static_cast<Derived&>(*this); }
};

// Waiters are woken and compete: slots are offered and barging.
struct Contention : PoolModel<Contention, 3, 1, true> {
  void act(unsigned) {
    lease_one();
    lease_one();
  }
};

// Slots are handed over.
struct Strict : PoolModel<Strict, 3> {
  static PoolOptions options() { return {.barging_limit = 0ms}; }
  void act(unsigned) {
    lease_one();
    lease_one();
  }
};

struct TwoSlots : PoolModel<TwoSlots, 3, 2> {
  void act(unsigned thread) {
    if (thread == 0) {
      const Lease first = pool->acquire(Duration::max());
      if (const auto second = pool->try_acquire()) (*second)->use();
      first->use();
    } else {
      lease_one();
    }
  }
};

struct TimeOut : PoolModel<TimeOut, 3> {
  void act(unsigned thread) {
    if (thread == 0) return lease_one();
    try {
      pool->acquire(thread * 1ms)->use();
    } catch (const AcquireTimeout&) {
    }
    if (thread == 1) lease_one();
  }
};

struct Callback : PoolModel<Callback, 3> {
  void act(unsigned thread) {
    if (thread == 0) {
      lease_one();
      return lease_one();
    }
    Platform::Parker done;
    Lease lease;
    auto operation = pool->async_acquire(Duration::max()).connect([&](const std::exception_ptr& error, Lease granted) {
      RL_ASSERT(!error);
      lease = std::move(granted);
      done.unpark();
    });
    operation.start();
    done.park();
    lease->use();
  }
};

// Who began to wait before its limit is not overtaken after it, though it has yet to wake up.
struct Limit : PoolModel<Limit, 3, 1, true> {
  static PoolOptions options() { return {.barging_limit = 1ms}; }
  void begin() { held = pool->acquire(); }
  void act(unsigned thread) {
    if (thread == 1) {
      pool->acquire(Duration::max())->use();
      served = true;
      return;
    }
    // Until the first stands in the queue, and longer.
    bool& comes = thread == 0 ? world.slept[1] : released;
    for (int i = 0; i < 100 && !comes; ++i) pass();
    if (thread == 0) {
      released = true;
      held.release();
    } else if (world.slept[1]) {
      world.now += 1h;
      const bool overtook = pool->try_acquire().has_value() && !served;
      RL_ASSERT(!overtook);
    }
  }
  Lease held;
  // Plain: what fibres of one thread write orders nothing in the model.
  bool released = false;
  bool served = false;
};

// What the sweep takes is idle for nobody, and back after it; what it lets rest is leased all the same.
struct Sweep : PoolModel<Sweep, 3, 2> {
  void act(unsigned thread) {
    if (thread == 0) {
      pool->maintain();
      pool->maintain();
    } else {
      lease_one();
      lease_one();
    }
  }
};

// The sweep closes each that is idle, and whoever acquires opens one.
struct Retire : PoolModel<Retire, 3> {
  static Elastic growth() { return {.max_size = 1, .idle_timeout = 0ms}; }
  void act(unsigned thread) {
    if (thread == 0) return pool->maintain();
    lease_one();
    if (thread == 1) lease_one();
  }
};

struct Invalidate : PoolModel<Invalidate, 3> {
  void act(unsigned thread) {
    if (thread == 0) return pool->invalidate();
    lease_one();
    lease_one();
  }
};

// A table that grows, and one that has to shrink.
struct Resize : PoolModel<Resize, 3> {
  void act(unsigned thread) {
    if (thread == 0) {
      pool->resize({.max_size = 2});
      return pool->resize({.max_size = 1});
    }
    lease_one();
    lease_one();
  }
};

struct Close : PoolModel<Close, 3> {
  void act(unsigned thread) {
    if (thread == 0) {
      const CloseReport report = pool->close(1h);
      RL_ASSERT(report.complete || world.now > TimePoint{} + 1h);
      return;
    }
    try {
      lease_one();
      lease_one();
    } catch (const PoolClosed&) {
    }
  }
};

// A lease outlives its pool, and whoever comes last closes the connection and frees the core.
struct End : PoolModel<End, 3, 2> {
  void begin() {
    for (Lease& each : held) each = pool->acquire();
  }
  void act(unsigned thread) {
    if (thread == 2) return pool.reset();
    held.at(thread)->use();
    held.at(thread).release();
  }
  std::array<Lease, 2> held;
};

}  // namespace

BOOST_AUTO_TEST_CASE(three_threads_compete_for_a_connection) { check<Contention>(); }
BOOST_AUTO_TEST_CASE(three_threads_hand_a_connection_over) { check<Strict>(); }
BOOST_AUTO_TEST_CASE(three_threads_share_two_connections) { check<TwoSlots>(); }
BOOST_AUTO_TEST_CASE(a_time_out_races_with_a_release) { check<TimeOut>(); }
BOOST_AUTO_TEST_CASE(callbacks_wait_beside_a_thread) { check<Callback>(); }
BOOST_AUTO_TEST_CASE(nobody_overtakes_past_the_limit) { check<Limit>(); }
BOOST_AUTO_TEST_CASE(a_sweep_passes_beside_acquires) { check<Sweep>(); }
BOOST_AUTO_TEST_CASE(a_sweep_closes_what_is_idle_beside_acquires) { check<Retire>(); }
BOOST_AUTO_TEST_CASE(an_invalidation_passes_beside_acquires) { check<Invalidate>(); }
BOOST_AUTO_TEST_CASE(a_resize_passes_beside_acquires) { check<Resize>(); }
BOOST_AUTO_TEST_CASE(a_close_passes_beside_acquires) { check<Close>(); }
BOOST_AUTO_TEST_CASE(a_pool_ends_beside_releases) { check<End>(); }

BOOST_AUTO_TEST_SUITE_END()
