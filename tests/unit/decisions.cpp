// What the core decides, as functions of plain values: whom a free connection goes to, and how many to open.
#include <cstddef>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/detail/destination.hpp>
#include <lido/detail/open_plan.hpp>
#include <lido/detail/replacements.hpp>

BOOST_AUTO_TEST_SUITE(decisions)

using lido::detail::AttemptCounts;
using lido::detail::AttemptFacts;
using lido::detail::Destination;
using lido::detail::FreedSlot;
using lido::detail::OpenDemand;
using lido::detail::OpenPlan;
using lido::detail::Replacements;
using lido::detail::Wear;

BOOST_AUTO_TEST_CASE(a_free_connection_goes_to_the_oldest_waiter_or_is_offered_or_lies_idle_or_is_closed) {
  struct Row {
    FreedSlot freed;
    Destination to;
  };
  const std::vector<Row> rows{
      {{.unwanted = true, .reuse = true}, Destination::close},
      {{.unwanted = true, .reuse = true, .awaited = true}, Destination::close},
      {{.unwanted = true, .reuse = true, .awaited = true, .competes = true}, Destination::close},
      {{.reuse = true}, Destination::idle},
      {{.reuse = true, .wake_in_flight = true}, Destination::idle},
      {{}, Destination::close},
      {{.awaited = true}, Destination::head},
      {{.awaited = true, .competes = true}, Destination::head},  // not to be kept: nobody may overtake
      {{.reuse = true, .awaited = true}, Destination::head},     // a callback, or one who opens for itself
      {{.reuse = true, .awaited = true, .wake_in_flight = true}, Destination::head},
      {{.reuse = true, .awaited = true, .competes = true, .overdue = true}, Destination::head},
      {{.reuse = true, .awaited = true, .competes = true, .overdue = true, .wake_in_flight = true}, Destination::head},
      {{.reuse = true, .awaited = true, .competes = true}, Destination::offered_to_head},
      {{.reuse = true, .awaited = true, .competes = true, .wake_in_flight = true}, Destination::offered},
      {{.reuse = true, .awaited = true, .competes = true, .plenty = true}, Destination::head},
      {{.reuse = true, .awaited = true, .competes = true, .wake_in_flight = true, .plenty = true}, Destination::head},
      {{.reuse = true, .plenty = true}, Destination::idle},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) BOOST_TEST((destination_of(rows[i].freed) == rows[i].to), "row " << i);
}

BOOST_AUTO_TEST_CASE(nobody_who_waits_is_passed_over_for_an_idle_connection) {
  for (unsigned bits = 0; bits < 128; ++bits) {
    const FreedSlot freed{.unwanted = (bits & 1) != 0,
                          .reuse = (bits & 2) != 0,
                          .awaited = (bits & 4) != 0,
                          .competes = (bits & 8) != 0,
                          .overdue = (bits & 16) != 0,
                          .wake_in_flight = (bits & 32) != 0,
                          .plenty = (bits & 64) != 0};
    const Destination to = destination_of(freed);
    BOOST_TEST((to == Destination::close) == (freed.unwanted || (!freed.reuse && !freed.awaited)));
    if (to == Destination::idle) BOOST_TEST((freed.reuse && !freed.awaited));
    if (to == Destination::offered || to == Destination::offered_to_head)
      BOOST_TEST((freed.reuse && freed.competes && !freed.overdue && !freed.plenty));
    if (to == Destination::offered_to_head) BOOST_TEST(!freed.wake_in_flight);
  }
}

BOOST_AUTO_TEST_CASE(as_many_are_opened_as_are_wanted_as_there_is_room_for_and_as_may_begin) {
  struct Row {
    OpenDemand demand;
    OpenPlan plan;
  };
  const std::size_t any = AttemptCounts::unlimited;
  const std::vector<Row> rows{
      {{}, {}},
      {{.wanted = 3, .room = 5, .places = 4}, {.begin = 3}},
      {{.wanted = 3, .room = 2, .places = 4}, {.begin = 2}},
      {{.wanted = 3, .room = 5, .places = 1}, {.begin = 1}},
      {{.wanted = 3, .room = 5, .places = any}, {.begin = 3}},
      {{.wanted = 0, .owed = 2, .room = 5, .places = 4}, {.begin = 2}},
      {{.wanted = 1, .owed = 2, .room = 5, .places = 4}, {.begin = 2}},
      {{.wanted = 3, .owed = 2, .room = 5, .places = 4}, {.begin = 3}},
      {{.wanted = 3, .room = 5, .places = 4, .too_soon = true}, {.begin = 3}},  // the server answers
      {{.wanted = 3, .room = 5, .places = 4, .one_by_one = true}, {.begin = 1}},
      {{.wanted = 3, .room = 5, .places = 4, .one_by_one = true, .too_soon = true}, {.later = true}},
      {{.wanted = 0, .room = 5, .places = 4, .one_by_one = true}, {}},
      {{.wanted = 0, .room = 5, .places = 4, .one_by_one = true, .too_soon = true}, {}},
      {{.wanted = 3, .room = 0, .places = 4, .one_by_one = true, .too_soon = true}, {}},
      {{.wanted = 3, .room = 5, .places = 0, .one_by_one = true, .too_soon = true}, {}},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) BOOST_TEST((plan_opens(rows[i].demand) == rows[i].plan), "row " << i);
}

BOOST_AUTO_TEST_CASE(each_that_will_be_worn_is_owed_one_replacement_once) {
  Replacements two;
  BOOST_TEST(two.owed() == 0U);
  two.wears();
  two.wears();
  BOOST_TEST(two.owed() == 2U);
  two.begun();
  two.begun();
  BOOST_TEST(two.owed() == 0U);
  BOOST_TEST(!two.any_open());
  two.ended(Wear::replacement);  // it could not be opened
  BOOST_TEST(two.owed() == 1U);
  two.opened();
  BOOST_TEST(two.owed() == 1U);  // as before: of the two one is replaced
  BOOST_TEST(two.any_open());
  two.ended(Wear::worn);
  BOOST_TEST(!two.any_open());
  BOOST_TEST(two.owed() == 1U);
  two.begun();
  two.ended(Wear::worn);  // it was not waited for
  two.opened();
  BOOST_TEST(!two.any_open());  // one as others
  two.ended(Wear::none);
  two.wears();
  BOOST_TEST(two.owed() == 1U);
}

BOOST_AUTO_TEST_CASE(what_was_opened_for_one_that_wears_no_more_is_the_next_ones) {
  Replacements one;
  one.wears();
  one.begun();
  one.opened();
  one.wears_no_more();
  BOOST_TEST(one.owed() == 0U);
  one.wears();
  BOOST_TEST(one.owed() == 0U);
  BOOST_TEST(one.any_open());
}

BOOST_AUTO_TEST_CASE(attempts_that_are_stalled_keep_no_other_from_beginning) {
  struct Row {
    AttemptCounts now;
    std::size_t places;
  };
  const std::vector<Row> rows{
      {{.openers = 4, .spare = 1}, 4},
      {{.openers = 4, .spare = 1, .under_way = 3}, 1},
      {{.openers = 4, .spare = 1, .under_way = 4}, 0},
      {{.openers = 4, .spare = 1, .under_way = 2, .stalled = 2}, 2},
      {{.openers = 4, .spare = 1, .under_way = 4, .stalled = 4}, 1},  // the last worker looks whether it is back
      {{.openers = 4, .spare = 1, .under_way = 5, .stalled = 4}, 0},
      {{.openers = 1, .spare = 0, .under_way = 1, .stalled = 1}, 0},  // there is no other
      {{.openers = AttemptCounts::unlimited}, AttemptCounts::unlimited},
      {{.openers = AttemptCounts::unlimited, .under_way = 7}, AttemptCounts::unlimited - 7},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) BOOST_TEST(free_places(rows[i].now) == rows[i].places, "row " << i);
}

BOOST_AUTO_TEST_CASE(an_attempt_beside_stalled_ones_is_a_probe_but_for_one_in_a_while) {
  constexpr AttemptCounts one{.openers = 4, .spare = 1, .under_way = 1};
  constexpr AttemptCounts one_stalled{.openers = 4, .spare = 1, .under_way = 1, .stalled = 1};
  constexpr AttemptCounts all_stalled{.openers = 4, .spare = 1, .under_way = 4, .stalled = 4};
  constexpr AttemptCounts by_callers{.openers = AttemptCounts::unlimited, .under_way = 3};
  struct Row {
    AttemptFacts facts;
    bool probe;
  };
  const std::vector<Row> rows{
      {{.now = {.openers = 4, .spare = 1}, .in_trouble = true}, false},  // it is alone
      {{.now = one, .room = true}, false},
      {{.now = one}, false},
      {{.now = one, .in_trouble = true, .room = true}, false},
      {{.now = one, .in_trouble = true, .rested = true}, true},  // it would keep the last place
      {{.now = one_stalled, .in_trouble = true, .room = true}, true},
      {{.now = one_stalled, .in_trouble = true, .rested = true, .room = true}, false},
      {{.now = one_stalled, .room = true}, false},
      {{.now = all_stalled, .rested = true, .room = true}, true},
      {{.now = by_callers, .in_trouble = true}, false},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) BOOST_TEST(is_probe(rows[i].facts) == rows[i].probe, "row " << i);
}

BOOST_AUTO_TEST_SUITE_END()
