// The clock of the fast path: how far behind it lies, and that no policy is asked later for it than it would be.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <lido/detail/tick_clock.hpp>
#include <lido/health.hpp>
#include <lido/recycle.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(quick_clock)

namespace {

// A clock that a test sets, and ticks that go with it.
struct Watch {
  static bool has_ticks() noexcept { return ticking; }
  static std::uint64_t ticks() noexcept { return base + static_cast<std::uint64_t>(since_base * rate); }
  static TimePoint now() noexcept {
    ++looks;
    pass(std::exchange(interruption, {}));
    return TimePoint{time};
  }
  static void pass(std::chrono::nanoseconds span) noexcept {
    time += span;
    since_base += static_cast<double>(span.count());
  }
  // From here on ticks are so many a nanosecond, and as many as `jump` have been counted meanwhile.
  static void change(double ticks_a_ns, std::int64_t jump = 0) noexcept {
    base = ticks() + static_cast<std::uint64_t>(jump);
    since_base = 0;
    rate = ticks_a_ns;
  }
  static void reset(double ticks_a_ns) noexcept {
    ticking = true;
    base = 1'000'000'000'000;
    since_base = 0;
    rate = ticks_a_ns;
    time = 1h;
    looks = 0;
    interruption = {};
  }

  static inline bool ticking = true;
  static inline std::uint64_t base = 0;
  static inline double since_base = 0, rate = 1;
  static inline std::chrono::nanoseconds time{}, interruption{};
  static inline int looks = 0;
};

// Asks for so long, every so often. The least and the most that it lay behind.
std::pair<Duration, Duration> lag(detail::TickClock<Watch>& clock, Duration span, Duration step) {
  std::pair<Duration, Duration> found{Duration::max(), Duration::min()};
  for (const auto end = Watch::time + span; Watch::time < end; Watch::pass(step)) {
    const Duration behind = Watch::time - clock.now().time_since_epoch();
    found = {std::min(found.first, behind), std::max(found.second, behind)};
  }
  return found;
}

struct Never {
  template <class Connection>
  Verdict check(Connection&, const ConnectionInfo&) const noexcept {
    return Verdict::discard;
  }
};
struct PingsLess : PingIfIdle {};
struct RetiresLess : RetireAfter {};

// How often the clock was looked at. The simulation runs one thread at a time.
struct Counting : sim::Platform {
  static TimePoint now() noexcept { return ++looks, sim::Platform::now(); }
  static inline int looks = 0;
};
template <class Health = PingIfIdle, class Recycle = RetireAfter>
using PoolOf = Pool<Resource, FixedSize, Health, Recycle, Counting>;
const PoolOptions by_hand{.workers = 0};

// A pool of one connection, which has been leased some times, so that it is not fresh.
template <class Test>
void with_pool(PingIfIdle health, RetireAfter recycle, Test test) {
  calmly([&] {
    Ledger ledger;
    PoolOf<> pool{connector(ledger), FixedSize{1}, health, recycle, by_hand};
    for (int i = 0; i < 3; ++i) static_cast<void>(pool.acquire());
    test(pool, ledger);
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_is_never_ahead_and_hardly_behind_at_every_rate_of_ticks) {
  for (const double rate : {0.25, 0.3, 1.0, 2.3, 6.0}) {
    Watch::reset(rate);
    detail::TickClock<Watch> clock;
    for (const Duration step : {Duration{97}, Duration{1us}, Duration{333us}, Duration{5ms}, Duration{70ms}}) {
      const auto [least, most] = lag(clock, 2000 * step, step);
      BOOST_TEST(
          (least >= Duration::zero() && most < detail::tick_clock_lag),
          rate << " ticks a ns, asked each " << step.count() << " ns: " << least.count() << " to " << most.count());
    }
  }
}

BOOST_AUTO_TEST_CASE(it_looks_at_the_clock_seldom) {
  Watch::reset(2.5);
  detail::TickClock<Watch> clock;
  lag(clock, 2ms, 100ns);
  Watch::looks = 0;
  lag(clock, 100ms, 100ns);
  BOOST_TEST(Watch::looks <= 60);
  BOOST_TEST(Watch::looks >= 50);
}

BOOST_AUTO_TEST_CASE(without_ticks_it_is_the_clock) {
  Watch::reset(2.5);
  Watch::ticking = false;
  detail::TickClock<Watch> clock;
  BOOST_TEST((lag(clock, 20ms, 10us) == std::pair{Duration{}, Duration{}}));
}

BOOST_AUTO_TEST_CASE(a_clock_that_is_set_right_is_followed) {
  for (const double drift : {0.9995, 1.0005}) {  // what a clock may be slewed by
    Watch::reset(2.5);
    detail::TickClock<Watch> clock;
    lag(clock, 20ms, 10us);
    Watch::change(2.5 * drift);
    const auto [least, most] = lag(clock, 50ms, 10us);
    BOOST_TEST((least >= Duration::zero() && most < detail::tick_clock_lag),
               drift << ": " << least.count() << " to " << most.count());
  }
}

BOOST_AUTO_TEST_CASE(ticks_that_are_set_back_or_ahead_or_slower_are_believed_for_a_moment_at_most) {
  for (const long jump : {-1'000'000'000L, -5'000'000L, 5'000'000L, 1'000'000'000L}) {
    Watch::reset(2.5);
    detail::TickClock<Watch> clock;
    lag(clock, 20ms, 10us);
    Watch::change(2.5, jump);
    lag(clock, 20ms, 10us);
    const auto [least, most] = lag(clock, 20ms, 10us);
    BOOST_TEST((least >= Duration::zero() && most < detail::tick_clock_lag), "jump of " << jump);
  }
  // A machine that goes on elsewhere.
  for (const double rate : {0.3, 6.0}) {
    Watch::reset(2.5);
    detail::TickClock<Watch> clock;
    lag(clock, 20ms, 10us);
    Watch::change(rate);
    lag(clock, 35ms, 10us);
    const auto [least, most] = lag(clock, 20ms, 10us);
    BOOST_TEST((least >= Duration::zero() && most < detail::tick_clock_lag), rate << " ticks a ns");
  }
}

BOOST_AUTO_TEST_CASE(a_look_that_was_interrupted_tells_no_rate) {
  Watch::reset(2.5);
  detail::TickClock<Watch> clock;
  Duration most{};
  for (int i = 0; i < 3000; ++i) {
    if (i % 7 == 0) Watch::interruption = 3ms;  // between the ticks and the time
    const Duration behind = -(clock.now().time_since_epoch() - Watch::time);
    BOOST_REQUIRE(behind.count() >= 0);
    most = std::max(most, behind);
    Watch::pass(100us);
  }
  BOOST_TEST(most.count() < detail::tick_clock_lag.count());
}

BOOST_AUTO_TEST_CASE(the_machines_is_behind_its_clock_by_little) {
  for (const TimePoint end = Clock::now() + 50ms; Clock::now() < end;) {
    const TimePoint quick = StandardPlatform::quick_now();
    BOOST_REQUIRE((quick <= Clock::now()));
  }
}

BOOST_AUTO_TEST_CASE(policies_say_for_how_long_they_keep) {
  const ConnectionInfo info{.age = 4s, .spread = 0.5};
  BOOST_TEST((keeps_for(PingIfIdle{.after = 3s}, info) == 3s));
  BOOST_TEST((keeps_for(RetireAfter{.age = 20s, .idle = 1h, .jitter = 0.5}, info) == 11s));
  BOOST_TEST((keeps_for(RetireAfter{.age = 20s, .idle = 2s}, info) == 2s));
  BOOST_TEST((keeps_for(RetireAfter{}, info) == Duration::max()));
  BOOST_TEST((keeps_for(AssumeHealthy{}, info) == Duration::max()));
  BOOST_TEST((keeps_for(AllOf{KeepAlways{}, RetireAfter{.idle = 2s}}, info) == 2s));
  // These are asked each time: what comes by uses, what does something, and what is not known.
  BOOST_TEST((keeps_for(RetireAfter{.uses = 9}, info) == 0s));
  BOOST_TEST((keeps_for(PingOnAcquire{}, info) == 0s));
  BOOST_TEST((keeps_for(AllOf{RetireAfter{}, ResetOnReturn{}}, info) == 0s));
  BOOST_TEST((keeps_for(Never{}, info) == 0s));
  BOOST_TEST((keeps_for(PingsLess{}, info) == 0s));
  BOOST_TEST((keeps_for(RetiresLess{}, info) == 0s));
}

BOOST_AUTO_TEST_CASE(a_connection_in_use_costs_no_look_at_the_clock_and_no_question) {
  with_pool({.after = 1s}, {}, [](auto& pool, Ledger& ledger) {
    Counting::looks = 0;
    for (int i = 0; i < 900; ++i) {
      static_cast<void>(pool.acquire());
      sim::sleep_for(1ms);
    }
    BOOST_TEST(Counting::looks == 0);
    BOOST_TEST(ledger.pings == 0U);
  });
}

BOOST_AUTO_TEST_CASE(what_lay_idle_for_the_span_is_pinged_whenever_it_was_given_back) {
  for (const Duration after : {Duration{10ms}, Duration{1s}})
    for (const Duration offset : {Duration{}, Duration{1}, Duration{49'999}, Duration{99'999}, Duration{3ms}})
      with_pool({.after = after}, {}, [&](auto& pool, Ledger& ledger) {
        sim::sleep_for(offset);
        for (int i = 0; i < 20; ++i) {
          static_cast<void>(pool.acquire());
          const std::size_t before = ledger.pings;
          sim::sleep_for(i % 2 == 0 ? after : after - detail::tick_clock_lag);
          const auto lease = pool.acquire();
          BOOST_TEST(ledger.pings - before == (i % 2 == 0 ? 1U : 0U), offset.count() << " ns, the " << i << "th");
        }
      });
}

// A clock that lies 0.1 ms behind would ping each of these too early.
BOOST_AUTO_TEST_CASE(where_the_span_is_short_its_time_is_exact) {
  with_pool({.after = 200us}, {}, [](auto& pool, Ledger& ledger) {
    for (int i = 0; i < 50; ++i) {
      sim::sleep_for(199'999ns);
      static_cast<void>(pool.acquire());
    }
    BOOST_TEST(ledger.pings == 0U);
    sim::sleep_for(200us);
    static_cast<void>(pool.acquire());
    BOOST_TEST(ledger.pings == 1U);
  });
}

BOOST_AUTO_TEST_CASE(the_age_is_exact_though_nobody_looks_before) {
  for (const Duration offset : {Duration{}, Duration{1}, Duration{99'999}})
    with_pool({.after = 1h}, {.age = 1s, .jitter = 0}, [&](auto& pool, Ledger& ledger) {
      const TimePoint born = sim::Platform::now();
      sim::sleep_for(offset);
      while (sim::Platform::now() + 1ms < born + 1s) {
        static_cast<void>(pool.acquire());
        sim::sleep_for(1ms);
      }
      sim::sleep_for(born + 1s - Duration{1} - sim::Platform::now());
      static_cast<void>(pool.acquire());
      BOOST_TEST(ledger.closed == 0U);
      auto lease = pool.acquire();
      sim::sleep_for(Duration{1});
      lease.release();
      pool.maintain();
      BOOST_TEST(ledger.closed == 1U);
    });
}

BOOST_AUTO_TEST_CASE(suspects_are_looked_at_though_they_were_in_use) {
  calmly([] {
    Ledger ledger;
    PoolOf<> pool{connector(ledger), FixedSize{2}, PingIfIdle{.after = 1s}, {}, by_hand};
    for (int i = 0; i < 2; ++i) {
      const auto one = pool.acquire(), other = pool.acquire();
    }
    sim::sleep_for(500ms);
    static_cast<void>(pool.acquire());
    sim::sleep_for(500ms);
    static_cast<void>(pool.acquire());  // looked at, and in use
    sim::sleep_for(500ms);
    auto lease = pool.acquire();
    ledger.on_ping = [&](TimePoint) {  // of the one that lay idle
      lease.release();
      return false;
    };
    const auto another = pool.acquire();
    BOOST_TEST(ledger.pings == 1U);
    BOOST_TEST(another->number > 2U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_that_takes_anothers_place_is_not_kept_by_its_promise) {
  with_pool({.after = 1h}, {.idle = 30min, .jitter = 0}, [](auto& pool, Ledger& ledger) {
    pool.acquire().discard();
    ledger.on_ping = [](TimePoint) { return false; };
    static_cast<void>(pool.acquire());
    BOOST_TEST(ledger.opened == 2U);
    sim::sleep_for(30min);
    static_cast<void>(pool.acquire());
    BOOST_TEST(ledger.opened == 3U);
  });
}

BOOST_AUTO_TEST_CASE(listeners_are_told_exact_times) {
  with_pool({.after = 1s}, {}, [](auto& pool, Ledger&) {
    Duration held{};
    pool.events().on_release([&](auto&, const ConnectionInfo& info) { held = info.held; });
    static_cast<void>(pool.acquire());
    sim::sleep_for(77'777ns);
    auto lease = pool.acquire();
    sim::sleep_for(12'345ns);
    lease.release();
    BOOST_TEST((held == 12'345ns));
  });
}

BOOST_AUTO_TEST_CASE(uses_are_counted_though_no_clock_is_looked_at) {
  with_pool({.after = 1s}, {}, [](auto& pool, Ledger&) {
    const Statistics before = pool.statistics();
    for (int i = 0; i < 5; ++i) {
      auto lease = pool.acquire();
      sim::sleep_for(2ms);
    }
    const Statistics after = pool.statistics();
    BOOST_TEST(after.use.count() - before.use.count() == 5U);
    BOOST_TEST(after.use.counts[Histogram::bucket(2ms)] - before.use.counts[Histogram::bucket(2ms)] == 5U);
    BOOST_TEST(after.use.sum.count() - before.use.sum.count() == 1e7, boost::test_tools::tolerance(0.01));
  });
}

BOOST_AUTO_TEST_SUITE_END()
