// What must hold inside is looked at, and who broke it is told what.
#include <functional>
#include <string>

#include <boost/test/unit_test.hpp>
#include <lido/detail/monitor.hpp>
#include <lido/growth.hpp>
#include <lido/testing/platform.hpp>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(invariants)

namespace {

using detail::SlotState;
using detail::WaitState;
using BrokenSlot = detail::Slot<int, sim::Platform>;
using BrokenMonitor = detail::Monitor<BrokenSlot, FixedSize, sim::Platform>;

struct Silent : detail::Waiter<BrokenSlot> {
  Silent() : Waiter{&hear, true} { since = sim::Platform::now(); }
  static void hear(detail::Waiter<BrokenSlot>&) noexcept {}
};

// A pool of two open connections, of which `break_it` gets both slots and a waiter behind them: what is found.
std::string found_after(const std::function<void(BrokenMonitor&, BrokenSlot&, BrokenSlot&, Silent&)>& break_it) {
  std::string found = "nothing";
  sim::Simulation{0}.run([&] {
    BrokenMonitor pool{FixedSize{2}, {0ms, {5, 10ms, 250ms}}};
    Silent waiter;
    BrokenMonitor::Guard guard = pool.enter();
    pool.dispatcher.grow(guard);
    while (BrokenSlot* const slot = pool.work.next_to_open()) pool.attempts.opened(*slot, sim::Platform::now(), guard);
    BrokenSlot& one = *pool.capacity.slots().claim_idle();
    BrokenSlot& other = *pool.capacity.slots().claim_idle();
    pool.dispatcher.line_up(waiter, false, guard);
    break_it(pool, one, other, waiter);
    detail::Invariants<BrokenSlot, FixedSize, sim::Platform> looked_at{pool.capacity, pool.waiters};
    if (const char* const broken = looked_at.broken()) found = broken;
    pool.waiters.remove(waiter);
  });
  return found;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_rule_that_is_broken_is_found_and_named) {
  BOOST_TEST(found_after([](auto&, auto&, auto&, auto&) {}) == "nothing");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::vacant); }) ==
             "the slots in use are miscounted");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::opening); }) ==
             "the attempts to open are miscounted");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::checking); }) ==
             "the checks are miscounted");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::closing); }) ==
             "the closes are miscounted");
  BOOST_TEST(found_after([](auto&, auto&, auto&, auto& waiter) { waiter.state.store(WaitState::granted); }) ==
             "one whose wait is complete stands in the queue");
  BOOST_TEST(found_after([](auto&, auto&, auto&, auto& waiter) { waiter.state.store(WaitState::woken); }) ==
             "the wake in flight is not that of one waiter");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::leased); }) ==
             "somebody sleeps beside a lease that will not come by");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::offered); }) ==
             "somebody sleeps beside an idle connection");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::idle); }) ==
             "somebody may be overtaken for ever");
  BOOST_TEST(found_after([](auto&, auto& one, auto&, auto&) { one.state.store(SlotState::barging); }) ==
             "a slot is offered to nobody");
  BOOST_TEST(found_after([](auto& pool, auto& one, auto&, auto& waiter) {
               one.begin_lease({}, {}, {});
               pool.waiters.remove(waiter);
               one.state.store(SlotState::idle);
             }) == "somebody holds a connection that is not leased");
}

BOOST_AUTO_TEST_CASE(large_pools_are_not_held_up_by_the_look) {
  sim::Simulation{0}.run([] {
    for (const std::size_t size : {std::size_t{256}, std::size_t{257}}) {
      BrokenMonitor pool{FixedSize{size}, {0ms, {5, 10ms, 250ms}}};
      const detail::Invariants<BrokenSlot, FixedSize, sim::Platform> looked_at{pool.capacity, pool.waiters};
      BOOST_TEST(looked_at.quickly_seen() == (size == 256U));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
