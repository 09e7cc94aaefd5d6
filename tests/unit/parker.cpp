// Who is woken by a system call: whoever sleeps, and nobody else.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <lido/detail/parker.hpp>

BOOST_AUTO_TEST_SUITE(parker)

using namespace lido;
using namespace std::chrono_literals;

namespace {

// Counts the system calls, and does what the test wants in the place of a sleep.
struct CountingFutex {
  template <class T>
  using Atomic = std::atomic<T>;
  static inline int waits = 0;
  static inline int wakes = 0;
  static inline std::function<bool(std::atomic<std::uint32_t>&, std::uint32_t)> sleep;

  static bool wait(std::atomic<std::uint32_t>& word, std::uint32_t asleep, TimePoint) {
    ++waits;
    return sleep(word, asleep);
  }
  static void wake(std::atomic<std::uint32_t>*) { ++wakes; }
};
using CountedParker = detail::FutexParker<CountingFutex>;

struct Uncounted {
  Uncounted() { CountingFutex::waits = CountingFutex::wakes = 0; }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_token_for_one_who_is_awake_takes_no_system_call, Uncounted) {
  CountedParker parker;
  parker.unpark();
  parker.unpark();
  BOOST_TEST(parker.park_until(TimePoint{}));
  BOOST_TEST(CountingFutex::waits + CountingFutex::wakes == 0);
}

BOOST_FIXTURE_TEST_CASE(one_who_sleeps_is_woken_once, Uncounted) {
  CountedParker parker;
  CountingFutex::sleep = [&](std::atomic<std::uint32_t>& word, std::uint32_t asleep) {
    BOOST_TEST(word.load() == asleep);
    parker.unpark();
    BOOST_TEST(word.load() != asleep);  // who has not fallen asleep yet does not
    parker.unpark();
    return true;
  };
  parker.park();
  BOOST_TEST(CountingFutex::waits == 1);
  BOOST_TEST(CountingFutex::wakes == 1);
}

BOOST_FIXTURE_TEST_CASE(one_whose_time_was_over_is_not_woken, Uncounted) {
  CountedParker parker;
  CountingFutex::sleep = [](auto&, auto) { return false; };
  BOOST_TEST(!parker.park_until(TimePoint{1h}));
  parker.unpark();
  BOOST_TEST(CountingFutex::wakes == 0);
  BOOST_TEST(parker.park_until(TimePoint{1h}));
}

BOOST_FIXTURE_TEST_CASE(a_wake_that_was_meant_for_another_is_looked_through, Uncounted) {
  CountedParker parker;
  int left = 3;
  CountingFutex::sleep = [&](auto&, auto) {
    if (--left == 0) parker.unpark();
    return true;
  };
  parker.park();
  BOOST_TEST(CountingFutex::waits == 3);
}

BOOST_AUTO_TEST_SUITE_END()
