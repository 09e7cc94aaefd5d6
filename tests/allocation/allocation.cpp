// Every allocation made to fail in turn, once and from then on, in programs that take every path of a pool: what fails
// says so, and nothing is lost. Behaviour 57. LIDO_ALLOCATION=NAME:N:MODE replays one.
#include <allocation/platform.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <lido/check_health.hpp>
#include <lido/log.hpp>
#include <sstream>
#include <string>
#include <support/one_processor.hpp>
#include <support/replay_note.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

namespace {

struct Fatal : std::runtime_error, PermanentFailure {
  Fatal() : std::runtime_error{"for good"} {}
};

// One call of the pool. True when it succeeded; anything that it may not throw escapes.
template <class Call>
bool try_to(Call call) {
  try {
    const Exempt pools_own{false};
    call();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const PoolError&) {
  } catch (const Fatal&) {
  }
  return false;
}

constexpr std::size_t size = 3;

template <class Platform>
struct Stage {
  using P = Pool<Resource, Elastic, PingOnAcquire, ResetOnReturn, Platform>;
  using Lease = typename P::Lease;

  Stage() { leases.reserve(8); }
  bool open(std::size_t workers) {
    return try_to([&] {
      pool.emplace(connector(ledger), Elastic{.min_idle = 1, .max_size = 2}, PingOnAcquire{}, ResetOnReturn{},
                   PoolOptions{.name = "a name that is too long for a small string",
                               .workers = workers,
                               // Short, since the real machine waits for them.
                               .backoff_min = 100us,
                               .backoff_max = 100us});
    });
  }
  bool borrow(Duration patience = 1ms) {
    return try_to([&] { leases.push_back(pool->acquire(patience)); });
  }
  void refuse(bool for_good) {
    ledger.on_open = [for_good](const OpenInfo&) {
      if (for_good) throw Fatal{};
      throw std::runtime_error{"refused, in more words than a small string has room for"};
    };
  }
  void accept() {
    ledger.on_open = [](const OpenInfo&) {};
    ledger.on_ping = [](TimePoint) { return true; };
    ledger.on_reset = [](TimePoint) { return true; };
  }

  Ledger ledger;
  std::ostringstream log;
  std::vector<Lease> leases;
  std::optional<P> pool;
};

// What one thread can do.
template <class Platform>
void use_alone(Stage<Platform>& stage) {
  auto& pool = *stage.pool;
  try_to([&] { log_events(pool, stage.log, {.loans = true}); });
  try_to([&] { pool.events().on_timeout([text = std::string(64, 'x')](const AcquireTimeout&) { (void)text; }); });
  try_to([&] { pool.wait_until_ready(1ms); });
  stage.borrow();
  stage.borrow();
  stage.borrow();  // times out
  try_to([&] { (void)pool.statistics(); });
  try_to([&] { (void)pool.holders(); });
  try_to([&] { (void)pool.try_acquire(); });
  if (!stage.leases.empty()) try_to([&] { stage.leases.back().discard(); });
  if (!stage.leases.empty()) try_to([&] { (void)stage.leases.front().detach(); });
  stage.leases.clear();
  try_to([&] { (void)to_json(check_health(pool, 1ms)); });
  stage.borrow();
  stage.ledger.on_ping = [](TimePoint) -> bool { throw std::runtime_error{"ping"}; };
  stage.ledger.on_reset = [](TimePoint) -> bool { throw std::runtime_error{"reset"}; };
  try_to([&] { stage.leases.clear(); });
  stage.borrow();
  stage.accept();
  stage.borrow();
  try_to([&] { pool.resize({.min_idle = 1, .max_size = size}); });
  stage.borrow();
  try_to([&] { pool.invalidate(); });
  stage.leases.clear();
  try_to([&] { pool.maintain(); });
  try_to([&] { pool.suspend(); });
  stage.borrow();
  try_to([&] { pool.resume(); });
  stage.refuse(false);
  try_to([&] { pool.invalidate(); });
  stage.borrow();
  try_to([&] { pool.wait_until_ready(1ms); });
  stage.leases.clear();
  stage.refuse(true);
  try_to([&] { pool.invalidate(); });
  stage.borrow(2ms);
  try_to([&] { (void)to_json(check_health(pool, 2ms)); });
  stage.accept();
}

// What needs others: waiting, a grant, a cancellation. Simulated, so that who comes first is known.
void use_together(Stage<FaultyPlatform>& stage) {
  auto& pool = *stage.pool;
  Threads threads;
  sim::StopSource stop;
  const bool lent = stage.borrow(1s) && stage.borrow(2ms);
  const auto waits = [&](Duration patience, const sim::StopToken& token) {
    threads.start([&pool, patience, token] {
      const Exempt tests_own;
      try_to([&] { (void)pool.acquire(patience, token); });
    });
  };
  waits(1h, {});
  waits(1h, stop.get_token());
  waits(1ms, {});
  sim::sleep_for(5ms);
  stop.request_stop();
  if (lent) try_to([&] { stage.leases.back().release(); });
  stage.leases.clear();
  threads.join();
}

// Nothing fails any more: is all of it there?
template <class Platform>
void check_slots(Stage<Platform>& stage) {
  BOOST_TEST_REQUIRE(stage.leases.empty());
  // A failure for good is told to newcomers until the next attempt is due; a suspended pool lets that time pass.
  stage.pool->suspend();
  stage.borrow(1ms);
  stage.pool->resume();
  stage.pool->resize({.min_idle = 1, .max_size = size});
  for (std::size_t i = 0; i < size; ++i) stage.leases.push_back(stage.pool->acquire(10s));
  const Statistics figures = stage.pool->statistics();
  BOOST_TEST(figures.now.leased == size);
  BOOST_TEST(figures.now.total() == size);
  BOOST_TEST(figures.now.waiting == 0U);
  BOOST_TEST(stage.ledger.live == size);
  BOOST_TEST(stage.ledger.peak <= size + 1U);  // one was detached
}

template <class Platform>
void play(std::size_t workers, void (*use)(Stage<Platform>&), std::uint64_t nth, Faults::Mode mode, bool& failed) {
  const Exempt tests_own;
  Stage<Platform> stage;
  Faults::arm(nth, mode);
  const bool there = stage.open(workers);
  if (there) use(stage);
  stage.leases.clear();
  failed = Faults::disarm();
  if (there) {
    check_slots(stage);
    typename Stage<Platform>::Lease last = std::move(stage.leases.back());
    stage.leases.clear();
    Faults::arm(mode == Faults::Mode::once ? 1 : nth, mode);  // an end that gets no memory at all
    try_to([&] { stage.pool->close(1ms); });
    stage.pool.reset();
    try_to([&] { last.release(); });
    Faults::disarm();
  }
  BOOST_TEST(stage.ledger.live == 0U);
  BOOST_TEST(stage.ledger.opened == stage.ledger.closed);
}

std::string wanted() {
  const char* const text = std::getenv("LIDO_ALLOCATION");  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
  return text != nullptr ? text : "";
}

// Has the first allocation fail, then the second, until a run needs fewer.
template <class Play>
void fail_each(const std::string& name, Play play_one) {
  const OneProcessor pinned;
  for (const auto mode : {Faults::Mode::once, Faults::Mode::from_then_on}) {
    std::uint64_t nth = 1;
    for (bool failed = true; failed; ++nth) {
      const std::string one =
          name + ':' + std::to_string(nth) + (mode == Faults::Mode::once ? ":once" : ":from_then_on");
      if (!wanted().empty() && one != wanted()) continue;
      const std::string replay = "replay with LIDO_ALLOCATION=" + one;
      const ReplayNote note{replay};
      const std::int64_t before = Faults::live;
      BOOST_TEST_CONTEXT(replay) {
        play_one(nth, mode, failed);
        BOOST_TEST_REQUIRE(Faults::live == before);
      }
      if (!wanted().empty()) return;
      BOOST_TEST_REQUIRE(nth < 100'000U);
    }
    std::printf("allocation: %s: %llu allocations failed %s\n", name.c_str(), static_cast<unsigned long long>(nth - 2),
                mode == Faults::Mode::once ? "once" : "and all after them");
  }
}

// What is made once in a program's life is no leak.
struct Warm {
  Warm() {
    Ledger ledger;
    std::ostringstream stream;
    Pool pool{connector(ledger), Elastic{}};
    log_events(pool, stream);
  }
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(Warm);

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_whatever_one_thread_does) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("alone-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      sim::Simulation{}.run([&] { play<FaultyPlatform>(workers, use_alone, nth, mode, failed); });
    });
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_while_others_wait) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("together-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      sim::Simulation{}.run([&] { play<FaultyPlatform>(workers, use_together, nth, mode, failed); });
    });
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_on_the_real_machine) {
  fail_each("real",
            [&](auto nth, auto mode, bool& failed) { play<StandardPlatform>(0, use_alone, nth, mode, failed); });
}

BOOST_AUTO_TEST_SUITE_END()
