// Every allocation made to fail in turn in programs whose coroutines wait for a pool.
#include <allocation/stage.hpp>
#include <support/task.hpp>

using namespace lido;
using namespace lido::test;

namespace {

using FaultyStage = Stage<FaultyPlatform>;

// Its frame may have no room; what it catches is looked at when it is done.
Task lease_one(FaultyStage::P& pool, Duration patience, sim::StopToken stop) {
  auto lease = co_await pool.async_acquire(patience, std::move(stop));
  lease->use();
}

// Coroutines that are served at once, served later, time out, are cancelled, and are destroyed while they wait.
void use_in_coroutines(FaultyStage& stage) {
  auto& pool = *stage.pool;
  std::vector<Task> tasks;
  tasks.reserve(8);
  sim::StopSource stop;
  const auto start = [&](Duration patience, const sim::StopToken& token) {
    try_to([&] { tasks.push_back(lease_one(pool, patience, token)); });
  };
  start(1s, {});  // opened for it
  stage.lease_one(1s);
  stage.lease_one(1s);  // all there is, if nothing failed
  start(1h, {});
  start(1ms, {});
  start(1h, stop.get_token());
  {
    std::vector<Task> dropped;
    dropped.reserve(1);
    try_to([&] { dropped.push_back(lease_one(pool, 1h, {})); });
  }
  sim::sleep_for(5ms);
  try_to([&] { pool.maintain(); });  // keeps time where there are no workers
  stop.request_stop();
  stage.leases.clear();
  // Whoever waited without end is served now.
  for (int i = 0; i < 200 && !std::ranges::all_of(tasks, &Task::done); ++i) {
    sim::sleep_for(1ms);
    try_to([&] { pool.maintain(); });
  }
  const Exempt tests_own;
  for (const Task& task : tasks) {
    BOOST_TEST(task.done());
    if (task.done()) try_to([&] { task.check(); });
  }
  tasks.clear();
}

// The pool is closed beside those that wait, or cannot open for good.
void close_beside_coroutines(FaultyStage& stage) {
  auto& pool = *stage.pool;
  std::vector<Task> tasks;
  tasks.reserve(4);
  stage.refuse(true);
  try_to([&] { tasks.push_back(lease_one(pool, 1s, {})); });
  sim::sleep_for(5ms);
  stage.accept();
  stage.lease_one(1s);
  stage.lease_one(1s);
  try_to([&] { tasks.push_back(lease_one(pool, 1s, {})); });
  try_to([&] { tasks.push_back(lease_one(pool, 1h, {})); });
  try_to([&] { pool.suspend(); });
  sim::sleep_for(1s);
  try_to([&] { pool.maintain(); });
  try_to([&] { pool.resume(); });
  stage.leases.clear();
  sim::sleep_for(5ms);
  const Exempt tests_own;
  tasks.clear();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(coroutines)

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_while_coroutines_wait) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("coroutines-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      sim::Simulation{}.run([&] { play<FaultyPlatform>(workers, use_in_coroutines, nth, mode, failed); });
    });
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_when_coroutines_get_errors) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("coroutine-errors-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      sim::Simulation{}.run([&] { play<FaultyPlatform>(workers, close_beside_coroutines, nth, mode, failed); });
    });
}

// The first wait with a time-out starts a thread; when that fails, the next one tries again.
BOOST_AUTO_TEST_CASE(the_thread_that_keeps_time_is_tried_again) {
  bool failed = true;
  for (std::uint64_t nth = 1; failed; ++nth)
    sim::Simulation{}.run([&] {
      const Exempt tests_own;
      FaultyStage stage;
      BOOST_TEST_REQUIRE(stage.open(2));
      stage.leases.push_back(stage.pool->acquire(1s));
      stage.leases.push_back(stage.pool->acquire(1s));
      Faults::arm(nth, Faults::Mode::once);
      std::vector<Task> tasks;
      tasks.reserve(2);
      try_to([&] { tasks.push_back(lease_one(*stage.pool, 1ms, {})); });
      sim::sleep_for(5ms);
      failed = Faults::disarm();
      tasks.clear();
      tasks.push_back(lease_one(*stage.pool, 1ms, {}));
      sim::sleep_for(5ms);
      BOOST_TEST(tasks.back().done());
      BOOST_CHECK_THROW(tasks.back().check(), AcquireTimeout);
      stage.leases.clear();
    });
}

BOOST_AUTO_TEST_SUITE_END()
