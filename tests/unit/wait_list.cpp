// Who waits, alone: no slot is anywhere near.
#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/detail/wait_list.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(wait_list)

namespace {

using detail::WaitState;
using List = detail::WaitList<int, sim::Platform>;

struct Counting : List::Waiter {
  explicit Counting(bool is_thread) : List::Waiter{&count, is_thread} { since = sim::Platform::now(); }
  static void count(List::Waiter& waiter) noexcept { ++static_cast<Counting&>(waiter).told; }
  int told = 0;
};

void simulated(const std::function<void()>& body) { sim::Simulation{0}.run(body); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_waiter_is_told_once_whatever_it_is_told) {
  struct Row {
    WaitState before;
    WaitState after;
    int told;
    bool in_flight;
  };
  const std::vector<Row> rows{
      {WaitState::waiting, WaitState::granted, 1, false},   {WaitState::waiting, WaitState::woken, 1, true},
      {WaitState::waiting, WaitState::called, 1, false},    {WaitState::woken, WaitState::granted, 0, false},
      {WaitState::called, WaitState::granted, 0, false},    {WaitState::woken, WaitState::closed, 0, false},
      {WaitState::waiting, WaitState::abandoned, 1, false}, {WaitState::called, WaitState::cancelled, 0, false},
  };
  simulated([&] {
    for (const Row& row : rows) {
      sim::Platform::Mutex mutex;
      List list{1ms};
      Counting waiter{true};
      {
        List::Guard guard{mutex};
        list.add(waiter, false, guard);
        if (row.before == WaitState::woken) list.wake(waiter, guard);
        if (row.before == WaitState::called) list.call_openers(1, guard);
      }
      waiter.told = 0;
      {
        List::Guard guard{mutex};
        row.after == WaitState::woken ? list.wake(waiter, guard) : list.complete(waiter, row.after, guard);
        BOOST_TEST(waiter.told == 0);  // not under the lock
      }
      BOOST_TEST(waiter.told == row.told);
      BOOST_TEST(list.wake_in_flight() == row.in_flight);
      BOOST_TEST((waiter.state.load() == row.after));
      list.remove(waiter);
    }
  });
}

BOOST_AUTO_TEST_CASE(who_is_at_work_is_not_next_and_callbacks_are_not_called_to_open) {
  simulated([] {
    sim::Platform::Mutex mutex;
    List list{0ms};
    Counting busy{true};
    Counting callback{false};
    Counting first{true};
    Counting second{true};
    {
      List::Guard guard{mutex};
      for (Counting* each : {&busy, &callback, &first, &second}) list.add(*each, false, guard);
      BOOST_TEST(list.begin_work(busy));
      BOOST_TEST(list.next_in_line() == &callback);
      list.call_openers(1, guard);
      list.call_openers(1, guard);  // it is called already
    }
    BOOST_TEST(callback.told == 0);
    BOOST_TEST(first.told == 1);
    BOOST_TEST(second.told == 0);
    BOOST_TEST(!list.begin_work(first));  // it does so when it is there
    {
      List::Guard guard{mutex};
      list.call_openers(2, guard);
    }
    BOOST_TEST(second.told == 1);
    for (Counting* each : {&busy, &callback, &first, &second}) list.remove(*each);
    BOOST_TEST(list.hands() == 0U);
    list.begin_help();
    BOOST_TEST(list.hands() == 1U);
    list.end_help();
  });
}

BOOST_AUTO_TEST_CASE(the_one_who_keeps_time_is_one_and_is_forgotten_when_it_leaves) {
  simulated([] {
    sim::Platform::Mutex mutex;
    List list{0ms};
    Counting one{true};
    Counting other{true};
    List::Guard guard{mutex};
    list.add(one, false, guard);
    list.add(other, false, guard);
    list.call_timekeeper(guard);
    list.call_timekeeper(guard);
    BOOST_TEST(list.keeps_time(one));
    BOOST_TEST((other.state.load() == WaitState::waiting));
    list.remove(one);
    list.call_timekeeper(guard);
    BOOST_TEST(list.keeps_time(other));
    list.dismiss_timekeeper();
    BOOST_TEST(!list.keeps_time(other));
    list.remove(other);
  });
}

BOOST_AUTO_TEST_CASE(the_first_whose_time_is_over_is_found_and_who_has_no_deadline_never) {
  simulated([] {
    sim::Platform::Mutex mutex;
    List list{0ms};
    const TimePoint now = sim::Platform::now();
    Counting patient{false};
    Counting early{false};
    Counting late{false};
    early.at = now + 1ms;
    late.at = now + 2ms;
    List::Guard guard{mutex};
    for (Counting* each : {&patient, &late, &early}) list.add(*each, false, guard);
    BOOST_TEST(list.late(now) == nullptr);
    BOOST_TEST(list.late(now + 5ms) == &early);
    list.remove(early);
    BOOST_TEST(list.late(now + 1ms) == nullptr);
    BOOST_TEST(list.late(now + 2ms) == &late);
    list.unwatch(late);
    BOOST_TEST(list.late(TimePoint::max() - 1ns) == nullptr);
    for (Counting* each : {&patient, &late}) list.remove(*each);
  });
}

BOOST_AUTO_TEST_SUITE_END()
