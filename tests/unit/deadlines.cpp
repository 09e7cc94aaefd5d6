// Which of many deadlines comes first, and that no call takes long to say so.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <lido/detail/deadlines.hpp>
#include <random>
#include <vector>

BOOST_AUTO_TEST_SUITE(deadlines)

using namespace lido;
using lido::detail::Deadline;
using lido::detail::Deadlines;

namespace {

TimePoint after_ns(std::int64_t count) { return TimePoint{Duration{count}}; }

// What all calls take that go through the heap is bounded by its right side, and that by the ranks.
std::size_t verified_heap(const Deadline* entry) {
  std::size_t count = 0;
  std::vector<const Deadline*> rest{entry};
  const auto rank = [](const Deadline* each) { return each == nullptr ? 0 : each->rank; };
  while (!rest.empty()) {
    const Deadline* const each = rest.back();
    rest.pop_back();
    if (each == nullptr) continue;
    ++count;
    BOOST_REQUIRE(each->kept == Deadline::in_heap);
    BOOST_REQUIRE(each->rank == rank(each->right) + 1);
    BOOST_REQUIRE(rank(each->left) >= rank(each->right));
    for (const Deadline* const below : {each->left, each->right}) {
      if (below == nullptr) continue;
      BOOST_REQUIRE(below->above == each);
      BOOST_REQUIRE(below->at >= each->at);
      rest.push_back(below);
    }
  }
  return count;
}

enum class Order : std::uint8_t { up, down, any };

}  // namespace

BOOST_AUTO_TEST_CASE(the_first_of_many_deadlines_is_known) {
  std::minstd_rand random{7};
  for (const unsigned most : {1U, 4U, 100U, 100'000U}) {
    std::vector<Deadline> entries(500);
    std::vector<Deadline*> kept;
    Deadlines deadlines;
    for (int step = 0; step < 5'000; ++step) {
      if (Deadline& entry = entries[random() % entries.size()]; entry.kept != Deadline::nowhere) {
        deadlines.remove(entry);
        deadlines.remove(entry);  // harmless
        std::erase(kept, &entry);
      } else {
        entry.at = after_ns(static_cast<int>(random() % most));
        deadlines.add(entry);
        kept.push_back(&entry);
      }
      TimePoint least = TimePoint::max();
      for (const Deadline* each : kept) least = std::min(least, each->at);
      BOOST_REQUIRE(deadlines.next() == least);
      BOOST_REQUIRE((deadlines.first() == nullptr) == kept.empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(who_waits_for_one_of_a_few_usual_times_comes_in_order_and_needs_no_heap) {
  struct {
    const char* what;
    std::vector<std::int64_t> times;  // how long one after the other waits
    bool in_rows;
  } const rows[] = {
      {"one time for all", {30'000}, true},
      {"two, in turns", {30'000, 5'000}, true},
      {"four, the longest first", {30'000, 5'000, 500, 10}, true},
      {"four, the shortest first", {10, 500, 5'000, 30'000}, true},
      {"four, some more often", {30'000, 500, 500, 5'000, 10, 500, 30'000, 30'000}, true},
      {"three whose threads overtake each other on their way", {30'000, 29'998, 5'000, 4'998, 500}, false},
      {"one that waits for very long, and three more", {1'000'000, 30'000, 5'000, 500}, true},
      {"nine", {900, 800, 700, 600, 500, 400, 300, 200, 100}, false},
  };
  for (const auto& row : rows) {
    std::vector<Deadline> entries(1'000);
    Deadlines deadlines;
    std::int64_t now = 0;
    bool in_rows = true;
    for (Deadline& each : entries) {
      each.at = after_ns(now + row.times[static_cast<std::size_t>(now) % row.times.size()]);
      ++now;
      deadlines.add(each);
      in_rows = in_rows && each.kept != Deadline::in_heap;
    }
    BOOST_TEST(in_rows == row.in_rows, row.what);
    TimePoint last{};
    for (std::size_t left = entries.size(); left > 0; --left) {
      Deadline* const first = deadlines.first();
      BOOST_REQUIRE(first != nullptr);
      BOOST_REQUIRE(first->at >= last);
      last = first->at;
      deadlines.remove(*first);
    }
    BOOST_TEST(deadlines.first() == nullptr, row.what);
  }
}

BOOST_AUTO_TEST_CASE(no_call_of_many_deadlines_in_any_order_walks_further_than_their_logarithm) {
  constexpr int many = 10'000;
  for (const Order added : {Order::up, Order::down, Order::any})
    for (const Order removed : {Order::up, Order::down, Order::any}) {
      std::vector<Deadline> entries(many);
      detail::DeadlineHeap heap;
      std::minstd_rand random{1};
      for (int i = 0; i < many; ++i) {
        Deadline& entry = entries[static_cast<std::size_t>(i)];
        entry.at = after_ns(added == Order::up ? i : added == Order::down ? -i : static_cast<int>(random() % many));
        entry.kept = Deadline::in_heap;
        heap.add(entry);
      }
      std::vector<Deadline*> order;
      for (Deadline& each : entries) order.push_back(&each);
      if (removed == Order::down) std::ranges::reverse(order);
      if (removed == Order::any) std::ranges::shuffle(order, random);
      BOOST_TEST(verified_heap(heap.first()) == order.size());
      std::size_t left = order.size();
      for (Deadline* const each : order) {
        heap.remove(*each);
        if (--left % 1000 == 0) BOOST_TEST(verified_heap(heap.first()) == left);
      }
      BOOST_TEST(heap.first() == nullptr);
    }
}

BOOST_AUTO_TEST_SUITE_END()
