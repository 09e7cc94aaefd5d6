// Every allocation made to fail in turn, once and from then on, in programs that take every path of a pool: what fails
// says so, and nothing is lost. Behaviour 57. LIDO_ALLOCATION=NAME:N:MODE replays one.
#include <allocation/stage.hpp>
#include <lido/check_health.hpp>
#include <lido/log.hpp>

using namespace lido;
using namespace lido::test;

namespace {

// What one thread can do.
template <class Platform>
void use_alone(Stage<Platform>& stage) {
  auto& pool = *stage.pool;
  try_to([&] { log_events(pool, stage.log, {.level = LogLevel::debug}); });
  try_to([&] { pool.events().on_timeout([text = std::string(64, 'x')](const AcquireTimeout&) { (void)text; }); });
  try_to([&] { pool.wait_until_ready(1ms); });
  stage.lease_one();
  stage.lease_one();
  stage.lease_one();  // times out
  try_to([&] { (void)pool.statistics(); });
  try_to([&] { (void)pool.holders(); });
  try_to([&] { (void)pool.try_acquire(); });
  if (!stage.leases.empty()) try_to([&] { stage.leases.back().discard(); });
  if (stage.leases.size() > 1) try_to([&] { (void)stage.leases.front().detach(); });
  stage.leases.clear();
  try_to([&] { (void)to_json(check_health(pool, 1ms)); });
  stage.lease_one();
  stage.ledger.on_ping = [](TimePoint) -> bool { throw std::runtime_error{"ping"}; };
  stage.ledger.on_reset = [](TimePoint) -> bool { throw std::runtime_error{"reset"}; };
  try_to([&] { stage.leases.clear(); });
  stage.lease_one();
  stage.accept();
  stage.lease_one();
  try_to([&] { pool.resize({.min_idle = 1, .max_size = most}); });
  stage.lease_one();
  try_to([&] { pool.invalidate(); });
  stage.leases.clear();
  try_to([&] { pool.maintain(); });
  try_to([&] { pool.suspend(); });
  stage.lease_one();
  try_to([&] { pool.resume(); });
  stage.refuse(false);
  try_to([&] { pool.invalidate(); });
  stage.lease_one();
  try_to([&] { pool.wait_until_ready(1ms); });
  stage.leases.clear();
  stage.refuse(true);
  try_to([&] { pool.invalidate(); });
  stage.lease_one(2ms);
  try_to([&] { (void)to_json(check_health(pool, 2ms)); });
  stage.accept();
}

// What needs others: waiting, a grant, a cancellation. Simulated, so that who comes first is known.
void use_together(Stage<FaultyPlatform>& stage) {
  auto& pool = *stage.pool;
  Threads threads;
  sim::StopSource stop;
  const bool leased = stage.lease_one(1s) && stage.lease_one(2ms);
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
  if (leased) try_to([&] { stage.leases.back().release(); });
  stage.leases.clear();
  threads.join();
}

// A lease that is taken for a leak, in virtual time, and comes back after all.
void use_for_too_long(Stage<FaultyPlatform>& stage) {
  auto& pool = *stage.pool;
  try_to([&] { log_events(pool, stage.log, {.level = LogLevel::debug}); });
  try_to([&] { pool.events().on_leak([text = std::string(64, 'x')](const LeakReport&) { (void)std::string{text}; }); });
  stage.lease_one();
  stage.lease_one();
  sim::sleep_for(5ms);
  try_to([&] { pool.maintain(); });
  if (!stage.leases.empty()) try_to([&] { stage.leases.back().release(); });
  if (stage.leases.size() > 1) try_to([&] { (void)stage.leases.front().detach(); });
  stage.leases.clear();
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

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_when_a_lease_lasts_too_long) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("leak-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      sim::Simulation{}.run([&] { play<FaultyPlatform>(workers, use_for_too_long, nth, mode, failed); });
    });
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_nothing_on_the_real_machine) {
  for (const std::size_t workers : {0U, 2U})
    fail_each("real-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      play<StandardPlatform>(workers, use_alone, nth, mode, failed);
    });
}

BOOST_AUTO_TEST_SUITE_END()
