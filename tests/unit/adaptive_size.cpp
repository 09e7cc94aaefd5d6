// A size that finds itself: on a server of some cores, with and without a lock, and on one that only waits.
#include <lido/adaptive_size.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/detail/size_search.hpp>
#include <support/simulated_pool.hpp>
#include <support/slow.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(adaptive_size)

namespace {

using Search = detail::SizeSearch;

// A server on which `size` go on at once, each for `hold` seconds alone: on more than `cores` they share them, and each
// makes the others wait for a lock by `lock` of its time. Callers are always more than that.
struct Server {
  double hold = 0.005, cores = 2, lock = 0;
  [[nodiscard]] double held(std::size_t size) const {
    const auto busy = static_cast<double>(size);
    return hold * std::max(1.0, busy / cores) * (1 + lock * (busy - 1));
  }
  [[nodiscard]] double rate(std::size_t size) const { return static_cast<double>(size) / held(size); }
};

struct Play {
  Search search;
  std::mt19937_64 random;
  std::vector<std::size_t> sizes{};

  void on(const Server& server, double seconds, double demand = 1e9) {
    constexpr double look = 0.25;
    std::normal_distribution<double> noise{1, 0.03};
    for (double at = 0; at < seconds; at += look) {
      const std::size_t size = search.size();
      const double full = server.rate(size);
      const bool crowded = demand > full;
      const double rate = std::min(demand, full) * std::max(noise(random), 0.5);
      const double hold = server.held(crowded ? size : static_cast<std::size_t>(std::ceil(demand * server.hold)));
      const auto served = static_cast<std::uint64_t>(rate * look);
      search.look({.seconds = look,
                   .served = served,
                   .held = static_cast<double>(served) * hold * std::max(noise(random), 0.5),
                   .waited = crowded ? served : 0,
                   .waiting = crowded ? 10U : 0U});
      sizes.push_back(search.size());
    }
  }

  // Where it was most of the last five seconds: a try that is given up again is not where it rests.
  [[nodiscard]] std::size_t rest() const {
    std::vector<std::size_t> last(sizes.end() - std::min<std::ptrdiff_t>(20, std::ssize(sizes)), sizes.end());
    std::nth_element(last.begin(), last.begin() + std::ssize(last) / 2, last.end());
    return last[last.size() / 2];
  }
};

constexpr std::uint64_t seeds = slow ? 200 : 1000;

void look_sixty_times_at_32_callers(auto& pool, auto& adaptive) {
  bool over = false;
  Threads threads;
  for (int i = 0; i < 32; ++i)
    threads.start([&] {
      while (!over) pool.acquire()->use(20ms);
    });
  for (int i = 0; i < 60; ++i) {
    sim::sleep_for(250ms);
    adaptive.step(250ms);
  }
  over = true;
  threads.join();
}

}  // namespace

BOOST_AUTO_TEST_CASE(on_a_server_that_computes_it_settles_at_its_cores) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed)
    for (const double cores : {2.0, 8.0}) {
      Play play{Search{{.least = 1, .most = 60}, 20}, std::mt19937_64{seed}};
      const Server server{.hold = 0.005, .cores = cores};
      play.on(server, 60);
      const auto size = static_cast<double>(play.rest());
      BOOST_TEST_REQUIRE(size >= cores * 0.8, "seed " << seed << ": " << size);
      BOOST_TEST_REQUIRE(size <= cores * 1.5 + 1, "seed " << seed << ": " << size);
    }
}

BOOST_AUTO_TEST_CASE(where_a_lock_makes_more_of_them_slower_it_finds_the_greatest_power) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Play play{Search{{.least = 1, .most = 60}, 20}, std::mt19937_64{seed}};
    const Server server{.hold = 0.005, .cores = 16, .lock = 0.1};
    play.on(server, 60);
    double best = 0;
    for (std::size_t size = 1; size <= 60; ++size) best = std::max(best, server.rate(size) / server.held(size));
    const std::size_t rest = play.rest();
    BOOST_TEST_REQUIRE(server.rate(rest) / server.held(rest) >= 0.85 * best, "seed " << seed << ": " << rest);
  }
}

BOOST_AUTO_TEST_CASE(on_a_server_that_only_waits_it_grows_to_what_it_may) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Play play{Search{{.least = 1, .most = 60}, 3}, std::mt19937_64{seed}};
    play.on({.hold = 0.02, .cores = 1000}, 10);
    BOOST_TEST_REQUIRE(play.search.size() == 60U, "seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(it_follows_a_load_that_changes_within_ten_seconds) {
  std::size_t late = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Play play{Search{{.least = 1, .most = 60}, 20}, std::mt19937_64{seed}};
    const Server computes{.hold = 0.005, .cores = 2}, waits{.hold = 0.02, .cores = 1000};
    play.on(computes, 60);
    play.sizes.clear();
    play.on(waits, 10);
    if (*std::ranges::max_element(play.sizes) < 57) ++late;
    play.on(waits, 30);
    play.sizes.clear();
    play.on(computes, 10);
    if (*std::ranges::min_element(play.sizes) > 4) ++late;
  }
  BOOST_TEST(late <= seeds / 50, late << " of " << 2 * seeds);
}

BOOST_AUTO_TEST_CASE(it_keeps_to_its_bounds_and_rests_within_a_quarter) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed)
    for (const Server& server :
         {Server{.hold = 0.005, .cores = 2}, Server{.hold = 0.005, .cores = 12},
          Server{.hold = 0.005, .cores = 16, .lock = 0.1}, Server{.hold = 0.02, .cores = 1000}}) {
      Play play{Search{{.least = 2, .most = 40}, 20}, std::mt19937_64{seed}};
      play.on(server, 180);
      const std::size_t settled = play.sizes.size();
      play.on(server, 120);
      for (const std::size_t size : play.sizes) BOOST_TEST_REQUIRE((size >= 2 && size <= 40));
      // Where it stays for four seconds it rests; what is shorter was a try.
      double low = 1e9, high = 0;
      for (std::size_t from = settled, to = from; from < play.sizes.size(); from = to) {
        while (to < play.sizes.size() && play.sizes[to] == play.sizes[from]) ++to;
        if (to - from < 16) continue;
        low = std::min(low, static_cast<double>(play.sizes[from]));
        high = std::max(high, static_cast<double>(play.sizes[from]));
      }
      BOOST_TEST_REQUIRE(high - low <= std::max(1.0, high / 4), "seed " << seed << ": " << low << " to " << high);
    }
}

BOOST_AUTO_TEST_CASE(it_gives_back_what_nobody_needs_and_takes_it_again) {
  Play play{Search{{.least = 1, .most = 60}, 40}, std::mt19937_64{7}};
  const Server waits{.hold = 0.02, .cores = 1000};
  play.on(waits, 120, 200);  // four are busy
  BOOST_TEST(play.search.size() <= 8U);
  BOOST_TEST(play.search.size() >= 4U);
  BOOST_TEST(play.search.reason().find("nobody waited") != std::string::npos, play.search.reason());
  play.on(waits, 10);
  BOOST_TEST(play.search.size() == 60U);
  BOOST_TEST(play.search.reason().find("grown from") == 0U, play.search.reason());
}

BOOST_AUTO_TEST_CASE(an_outage_is_no_reason_to_grow) {
  const Server server{.hold = 0.005, .cores = 8};
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Play play{Search{{.least = 1, .most = 60}, 20}, std::mt19937_64{seed}};
    play.on(server, 60);
    const std::size_t before = play.rest();
    play.sizes.clear();
    for (int i = 0; i < 120; ++i) {
      play.search.look({.seconds = 0.25, .served = 0, .held = 0, .waited = 40, .waiting = 40});
      // One try may be on its way when it begins.
      if (i >= 24) play.sizes.push_back(play.search.size());
    }
    BOOST_TEST_REQUIRE(*std::ranges::max_element(play.sizes) <= before + before / 4 + 1, "seed " << seed);
    BOOST_TEST_REQUIRE(*std::ranges::min_element(play.sizes) + before / 4 + 1 >= before, "seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(where_nobody_comes_it_keeps_the_least) {
  Search search{{.least = 3, .most = 60}, 40};
  for (int i = 0; i < 2000; ++i) search.look({.seconds = 0.25});
  BOOST_TEST(search.size() == 3U);
}

// So many that none waits for a connection, and all for the server.
BOOST_AUTO_TEST_CASE(where_nobody_waits_and_the_server_is_slow_it_shrinks_too) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Search search{{.least = 1, .most = 60}, 40};
    std::mt19937_64 random{seed};
    std::normal_distribution<double> noise{1, 0.03};
    const Server server{.hold = 0.005, .cores = 2};
    constexpr std::size_t callers = 40;
    for (int i = 0; i < 240; ++i) {
      const std::size_t busy = std::min(callers, search.size());
      const double rate = server.rate(busy) * noise(random);
      search.look({.seconds = 0.25,
                   .served = static_cast<std::uint64_t>(rate / 4),
                   .held = rate / 4 * server.held(busy) * noise(random),
                   .waited = busy < callers ? static_cast<std::uint64_t>(rate / 4) : 0,
                   .waiting = callers - busy});
    }
    BOOST_TEST_REQUIRE(search.size() <= 4U, "seed " << seed << ": " << search.size());
  }
}

BOOST_AUTO_TEST_CASE(it_resizes_a_pool_and_says_why) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 2}};
    AdaptiveSize adaptive{
        pool, [](std::size_t size) { return FixedSize{.size = size}; }, {.min_size = 2, .max_size = 16, .every = 0s}};
    look_sixty_times_at_32_callers(pool, adaptive);
    BOOST_TEST(adaptive.state().size == 16U);
    BOOST_TEST(adaptive.state().steps == 60U);
    BOOST_TEST(pool.statistics().max_size == 16U);
    BOOST_TEST(adaptive.state().reason.find("grown from") == 0U, adaptive.state().reason);
  });
}

BOOST_AUTO_TEST_CASE(one_more_than_shares_are_guaranteed_is_the_least) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 8}};
    const auto web = pool.share("web", {.guaranteed = 4});
    AdaptiveSize adaptive{
        pool, [](std::size_t size) { return FixedSize{.size = size}; }, {.min_size = 1, .max_size = 32, .every = 0s}};
    for (int i = 0; i < 1000; ++i) {  // nobody comes
      sim::sleep_for(250ms);
      BOOST_CHECK_NO_THROW(adaptive.step(250ms));
    }
    BOOST_TEST(web.statistics().guaranteed == 4U);
    BOOST_TEST(adaptive.state().size == 5U);
    BOOST_TEST(pool.statistics().max_size == 5U);
    look_sixty_times_at_32_callers(pool, adaptive);
    BOOST_TEST(pool.statistics().max_size == 32U);
  });
}

BOOST_AUTO_TEST_CASE(a_size_that_could_not_be_given_is_given_by_the_next_step) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 40}};
    bool fails = false;
    AdaptiveSize adaptive{pool,
                          [&](std::size_t size) {
                            if (fails) throw std::bad_alloc{};
                            return FixedSize{.size = size};
                          },
                          {.every = 0s}};
    fails = true;
    int refused = 0;
    for (int i = 0; i < 100 && refused == 0; ++i) {  // nobody comes: it wants to shrink
      sim::sleep_for(250ms);
      try {
        adaptive.step(250ms);
      } catch (const std::bad_alloc&) {
        ++refused;
      }
    }
    BOOST_TEST(refused == 1);
    BOOST_TEST(pool.statistics().max_size == 40U);
    fails = false;
    sim::sleep_for(250ms);
    adaptive.step(250ms);
    BOOST_TEST(pool.statistics().max_size == adaptive.state().size);
    BOOST_TEST(adaptive.state().size < 40U);
    BOOST_CHECK_THROW(adaptive.step(0s), InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(who_is_called_by_its_resize_may_ask_it_and_have_it_look) {
  calmly([] {
    Ledger ledger;
    std::size_t asked = 0;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{
        connector(ledger), FixedSize{.size = 40}, {}, {}, {.workers = 0}};
    AdaptiveSize adaptive{pool, [](std::size_t size) { return FixedSize{.size = size}; }, {.every = 0s}};
    pool.wait_until_ready(10s);
    pool.events().on_close([&](Resource&, const ConnectionInfo&) {
      if (++asked > 1) return;
      BOOST_TEST(adaptive.state().size == 40U);
      adaptive.step(250ms);
    });
    for (int i = 0; i < 100 && asked == 0; ++i) {  // nobody comes: it shrinks, and this thread closes
      sim::sleep_for(250ms);
      adaptive.step(250ms);
    }
    BOOST_TEST(asked > 0U);
    BOOST_TEST(pool.statistics().max_size == adaptive.state().size);
    BOOST_TEST(adaptive.state().size < 40U);
  });
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_named) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 2}};
    const auto make = [](std::size_t size) { return FixedSize{.size = size}; };
    using Adaptive = AdaptiveSize<decltype(pool), decltype(make)>;
    const auto refused = [&](AdaptiveSizeOptions options) {
      try {
        const Adaptive adaptive{pool, make, options};
        return std::string{"nothing"};
      } catch (const InvalidOption& error) {
        return std::string{error.what()};
      }
    };
    BOOST_TEST(refused({.min_size = 0, .every = 0s}).find("AdaptiveSizeOptions::min_size") != std::string::npos);
    BOOST_TEST(refused({.min_size = 5, .max_size = 4, .every = 0s}).find("AdaptiveSizeOptions::max_size") !=
               std::string::npos);
    BOOST_TEST(refused({.every = -1s}).find("AdaptiveSizeOptions::every") != std::string::npos);
    BOOST_TEST(refused({.every = 0s}) == "nothing");
  });
}

BOOST_AUTO_TEST_SUITE_END()
