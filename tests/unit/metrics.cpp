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

BOOST_AUTO_TEST_SUITE_END()
