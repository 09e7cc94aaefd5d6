// What is counted, and under which name.
#include <cstdint>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/detail/metrics.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(metrics)

using detail::Metrics;

struct NoGuard {};

BOOST_AUTO_TEST_CASE(a_removal_is_counted_by_who_decided_it) {
  struct Row {
    CloseReason why;
    Metrics::Counter counter;
  };
  const std::vector<Row> rows{
      {CloseReason::none, nullptr},
      {CloseReason::dead, &Statistics::found_dead},
      {CloseReason::recycled, &Statistics::recycled},
      {CloseReason::surplus, &Statistics::recycled},
      {CloseReason::discarded, &Statistics::discarded},
      {CloseReason::invalidated, &Statistics::invalidated},
      {CloseReason::not_pooled, nullptr},
      {CloseReason::shut_down, nullptr},
  };
  for (const Row& row : rows) {
    Metrics counted;
    counted.count_removal(row.why, NoGuard{});
    const Statistics figures = counted.totals(NoGuard{});
    std::uint64_t sum = 0;
    for (const Metrics::Counter each :
         {&Statistics::found_dead, &Statistics::recycled, &Statistics::discarded, &Statistics::invalidated})
      sum += figures.*each;
    BOOST_TEST(sum == (row.counter != nullptr ? 1U : 0U));
    if (row.counter == nullptr) continue;
    const std::uint64_t named = figures.*row.counter;
    BOOST_TEST(named == 1U);
  }
}

BOOST_AUTO_TEST_CASE(what_happens_many_times_at_once_counts_as_many) {
  Metrics counted;
  counted.count(&Statistics::invalidated, NoGuard{}, 3);
  counted.count(&Statistics::invalidated, NoGuard{}, 0);
  counted.count(&Statistics::invalidated, NoGuard{});
  counted.record(&Statistics::wait, 1ms, NoGuard{});
  BOOST_TEST(counted.totals(NoGuard{}).invalidated == 4U);
  BOOST_TEST(counted.totals(NoGuard{}).wait.count() == 1U);
  BOOST_TEST(counted.totals(NoGuard{}).open.count() == 0U);
}

BOOST_AUTO_TEST_CASE(who_did_not_queue_is_counted_once_and_for_all) {
  Metrics counted;
  const auto told = [&](std::uint64_t acquired) {
    Statistics figures;
    figures.acquired = acquired;
    counted.tell_at_once(figures, NoGuard{});
    return figures.at_once;
  };
  BOOST_TEST(told(0) == 0U);
  BOOST_TEST(told(3) == 3U);  // one of them has queued, which is recorded a moment later
  counted.record(&Statistics::wait, 1ms, NoGuard{});
  BOOST_TEST(told(3) == 3U);
  BOOST_TEST(told(4) == 3U);
  BOOST_TEST(told(5) == 4U);
  for (int times = 0; times < 9; ++times) counted.record(&Statistics::wait, 1ms, NoGuard{});
  BOOST_TEST(told(9) == 4U);  // which were looked at before the last wait
  BOOST_TEST(told(2) == 2U);  // another reader, who counted before the last ones had begun
  BOOST_TEST(told(9) == 4U);
}

BOOST_AUTO_TEST_CASE(a_lease_that_goes_on_has_begun_and_not_ended) {
  using TestSlot = detail::Slot<int, sim::Platform>;
  for (const std::uint64_t changes : {0U, 1U, 2U, 3U}) {
    TestSlot slot;
    slot.holder_changes.store(changes);
    Statistics figures;
    Metrics::add_leases(slot, figures);
    BOOST_TEST(figures.acquired == (changes + 1) / 2);
    BOOST_TEST(figures.released == changes / 2);
  }
}

BOOST_AUTO_TEST_CASE(a_slot_has_no_more_than_three_lines_and_two_without_a_clock) {
  using Small = detail::Slot<int, StandardPlatform, false>;
  using Timed = detail::Slot<int, StandardPlatform, true>;
  BOOST_TEST(sizeof(Small) == 2 * detail::cache_line);
  BOOST_TEST(sizeof(Timed) == 3 * detail::cache_line);
  BOOST_TEST(alignof(Small) == detail::cache_line);
  Timed slot;
  const auto offset = [&](const auto& member) {
    return reinterpret_cast<const char*>(&member) - reinterpret_cast<const char*>(&slot);
  };
  // What each lease writes is on one line.
  BOOST_TEST(offset(slot.state) == 0);
  BOOST_TEST(offset(slot.last_use) + std::ptrdiff_t{sizeof(slot.last_use)} <= 64);
  if (sizeof(void*) == 8) BOOST_TEST(offset(slot.expected_long) >= 64);  // with 32 bits there is room for more
  BOOST_TEST(offset(slot.connection) <= 192);
}

BOOST_AUTO_TEST_CASE(thousands_of_uses_are_counted_in_small_counters) {
  using TestSlot = detail::Slot<int, sim::Platform>;
  detail::UseTotals<sim::Platform> totals;
  TestSlot slots[2];
  for (TestSlot& slot : slots) slot.use.belong_to(totals);
  const auto told = [&] {
    Histogram use;
    totals.read(use, [&] {
      for (const TestSlot& slot : slots) slot.use.add_to(use);
    });
    return use;
  };
  calmly([&] {
    std::uint64_t before = 0;
    for (int i = 1; i <= 1000; ++i) {
      slots[0].use.record(1us);
      slots[1].use.record(1s);
      const std::uint64_t now = told().count();
      BOOST_TEST(now == before + 2);
      before = now;
    }
    const Histogram use = told();
    BOOST_TEST(use.counts[Histogram::bucket(1us)] == 1000U);
    BOOST_TEST(use.counts[Histogram::bucket(1s)] == 1000U);
    BOOST_TEST((use.mean() == Duration{1s + 1us} / 2));
  });
}

BOOST_AUTO_TEST_CASE(a_count_that_is_on_its_way_from_a_slot_does_not_make_a_figure_fall) {
  using TestSlot = detail::Slot<int, sim::Platform>;
  calmly([] {
    detail::UseTotals<sim::Platform> totals;
    TestSlot slot;
    slot.use.belong_to(totals);
    for (int i = 0; i < 255; ++i) slot.use.record(1us);
    const auto told = [&](auto meanwhile) {
      Histogram use;
      totals.read(use, [&] {
        meanwhile();
        slot.use.add_to(use);
      });
      return use.count();
    };
    BOOST_TEST(told([] {}) == 255U);
    BOOST_TEST(told([&] { slot.use.record(1us); }) == 255U);  // moved to where it was not seen any more
    BOOST_TEST(told([] {}) == 256U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
