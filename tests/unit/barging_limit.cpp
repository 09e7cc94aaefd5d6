// Until when newcomers may overtake: by the clock, though it is seldom looked at.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <functional>
#include <lido/detail/barging_limit.hpp>
#include <lido/detail/ticks.hpp>
#include <random>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(barging_limit)

namespace {

// A clock that a test sets, and ticks that go with it.
struct Watch {
  template <class T>
  using Atomic = std::atomic<T>;

  static bool has_ticks() noexcept { return ticking; }
  static std::uint64_t ticks() noexcept { return first_tick + ticks_at(time); }
  static TimePoint now() noexcept {
    ++looks;
    if (const auto once = std::exchange(meanwhile, nullptr)) once();
    return TimePoint{time};
  }
  static std::uint64_t ticks_at(std::chrono::nanoseconds at) noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(at.count()) * ticks_a_ns);
  }
  static void reset(double rate) {
    ticking = true;
    ticks_a_ns = rate;
    first_tick = 1'000'000'000'000;
    time = 1h;
    looks = 0;
  }

  static inline bool ticking = true;
  static inline double ticks_a_ns = 1;
  static inline std::uint64_t first_tick = 0;
  static inline std::chrono::nanoseconds time{};
  static inline int looks = 0;
  static inline std::function<void()> meanwhile;  // what others do after the next look
};
using Limit = detail::BargingLimit<Watch>;

constexpr TimePoint unknown{};

}  // namespace

BOOST_AUTO_TEST_CASE(it_has_passed_when_the_clock_says_so_and_not_before_at_every_rate_of_ticks) {
  std::minstd_rand random{7};
  for (const double rate : {0.25, 0.3, 1.0, 2.3, 6.0})
    for (const Duration span : {Duration{1}, Duration{200}, Duration{50us}, Duration{1ms}, Duration{3s}}) {
      Watch::reset(rate);
      Limit limit;
      for (int again = 0; again < 20; ++again) {
        const TimePoint until{Watch::time + span};
        limit.set(until);
        bool wrong = false;
        for (int i = 0; i < 2000 && TimePoint{Watch::time} < until + 1us; ++i) {
          wrong = wrong || limit.passed(unknown) != (TimePoint{Watch::time} >= until);
          Watch::time += Duration{static_cast<Duration::rep>(random() % static_cast<unsigned>(span.count() / 500 + 5))};
        }
        BOOST_TEST(!wrong, "at " << rate << " ticks a ns, limit " << span.count() << " ns");
      }
    }
}

BOOST_AUTO_TEST_CASE(of_twenty_thousand_in_a_millisecond_few_look_at_the_clock) {
  Watch::reset(2.3);
  Limit limit;
  limit.set(TimePoint{Watch::time + 1ms});
  for (int i = 0; i < 20'000; ++i, Watch::time += 50ns) BOOST_REQUIRE(!limit.passed(unknown));
  BOOST_TEST(Watch::looks < 100);
  BOOST_TEST(limit.passed(unknown));
}

BOOST_AUTO_TEST_CASE(who_has_looked_at_the_clock_already_is_believed) {
  Watch::reset(1);
  Limit limit;
  const TimePoint until{Watch::time + 1ms};
  limit.set(until);
  BOOST_TEST(!limit.passed(until - 1ns));
  BOOST_TEST(limit.passed(until));
  BOOST_TEST(Watch::looks == 0);
}

BOOST_AUTO_TEST_CASE(without_ticks_everybody_looks) {
  Watch::reset(1);
  Watch::ticking = false;
  Limit limit;
  limit.set(TimePoint{Watch::time + 1ms});
  for (int i = 0; i < 10; ++i) BOOST_TEST(!limit.passed(unknown));
  BOOST_TEST(Watch::looks == 10);
  Watch::time += 1ms;
  BOOST_TEST(limit.passed(unknown));
}

BOOST_AUTO_TEST_CASE(ticks_that_were_set_back_tell_nothing) {
  Watch::reset(1);
  Limit limit;
  limit.set(TimePoint{Watch::time + 1ms});
  BOOST_TEST(!limit.passed(unknown));
  Watch::time += 1ms;
  Watch::first_tick = 0;
  BOOST_TEST(limit.passed(unknown));
}

BOOST_AUTO_TEST_CASE(who_looked_for_the_limit_before_does_not_speak_for_the_one_that_is_set_meanwhile) {
  for (const bool had_looked : {false, true}) {
    Watch::reset(1);
    Limit limit;
    limit.set(TimePoint{Watch::time + 1h});
    if (had_looked) {
      BOOST_TEST(!limit.passed(unknown));
      Watch::time += 1s;
    }
    Watch::meanwhile = [&limit] { limit.set(TimePoint{Watch::time + 1ms}); };
    BOOST_TEST(!limit.passed(unknown));
    Watch::time += 1ms;
    BOOST_TEST(limit.passed(unknown));
  }
}

BOOST_AUTO_TEST_CASE(the_machines_ticks_go_on_and_not_too_slowly) {
  if (!detail::has_ticks()) return;
  // A look at the clock on either side: a thread may lose the processor between two of them.
  const auto before = std::chrono::steady_clock::now();
  const std::uint64_t first = detail::ticks();
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < 1ms) {
  }
  const std::uint64_t last = detail::ticks();
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - before;
  BOOST_TEST(last > first);
  BOOST_TEST((last - first) * 4 >= 1'000'000U);
  BOOST_TEST(static_cast<double>(last - first) < 20.0 * static_cast<double>(took.count()));
}

BOOST_AUTO_TEST_SUITE_END()
