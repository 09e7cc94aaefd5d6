// A pool whose allocations fail in turn, what may come of a call of it, and what must hold when none fails any more.
#pragma once

#include <allocation/platform.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <lido/testing/detail/one_processor.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <support/patience.hpp>
#include <support/replay_note.hpp>
#include <support/simulated_pool.hpp>
#include <thread>
#include <vector>

namespace lido::test {

struct Fatal : std::runtime_error, PermanentFailure {
  Fatal() : std::runtime_error{"for good"} {}
};

// One call of the pool. True when it succeeded; anything that it may not throw escapes.
template <class Call>
bool try_to(Call call) {
  try {
    const Exempt pools_own{false};
    call();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const PoolError&) {
  } catch (const Fatal&) {
  }
  return false;
}

inline constexpr std::size_t most = 3;

template <class Platform>
struct Stage {
  using P = Pool<Resource, Elastic, PingOnAcquire, ResetOnReturn, Platform>;
  using Lease = typename P::Lease;

  Stage() { leases.reserve(8); }
  bool open(std::size_t workers) {
    return try_to([&] {
      pool.emplace(connector(ledger), Elastic{.min_idle = 1, .max_size = 2}, PingOnAcquire{}, ResetOnReturn{},
                   PoolOptions{.name = "a name that is too long for a small string",
                               .workers = workers,
                               .leak_after = 4ms,
                               // Short, since the real machine waits for them.
                               .backoff_min = 100us,
                               .backoff_max = 100us});
    });
  }
  bool lease_one(Duration patience = 1ms) {
    return try_to([&] { leases.push_back(pool->acquire(patience)); });
  }
  void refuse(bool for_good) {
    ledger.on_open = [for_good](const OpenInfo&) {
      if (for_good) throw Fatal{};
      throw std::runtime_error{"refused, in more words than a small string has room for"};
    };
  }
  void accept() {
    ledger.on_open = [](const OpenInfo&) {};
    ledger.on_ping = [](TimePoint) { return true; };
    ledger.on_reset = [](TimePoint) { return true; };
  }

  Ledger ledger;
  std::ostringstream log;
  std::vector<Lease> leases;
  std::optional<P> pool;
};

// Nothing fails any more: is all of it there?
template <class Platform>
void check_slots(Stage<Platform>& stage) {
  BOOST_TEST_REQUIRE(stage.leases.empty());
  // A failure for good is told to newcomers until the next attempt is due, also by one that a worker began before it
  // could be accepted; a suspended pool lets that time pass.
  stage.pool->suspend();
  while (stage.pool->statistics().now.opening > 0) stage.lease_one(1ms);
  stage.lease_one(1ms);
  stage.pool->resume();
  stage.pool->resize({.min_idle = 1, .max_size = most});
  for (std::size_t i = 0; i < most; ++i) stage.leases.push_back(stage.pool->acquire(1min));
  const Statistics figures = stage.pool->statistics();
  BOOST_TEST(figures.now.leased == most);
  BOOST_TEST(figures.now.total() == most);
  BOOST_TEST(figures.now.waiting == 0U);
  BOOST_TEST(stage.ledger.live == most);
  BOOST_TEST(stage.ledger.peak <= most + 1U);  // one was detached
}

template <class Platform>
void play(std::size_t workers, void (*use)(Stage<Platform>&), std::uint64_t nth, Faults::Mode mode, bool& failed) {
  const Exempt tests_own;
  Stage<Platform> stage;
  Faults::arm(nth, mode);
  const bool there = stage.open(workers);
  if (there) use(stage);
  stage.leases.clear();
  failed = Faults::disarm();
  if (there) {
    check_slots(stage);
    typename Stage<Platform>::Lease last = std::move(stage.leases.back());
    stage.leases.clear();
    Faults::arm(mode == Faults::Mode::once ? 1 : nth, mode);  // an end that gets no memory at all
    try_to([&] { stage.pool->close(1ms); });
    stage.pool.reset();
    try_to([&] { last.release(); });
    Faults::disarm();
  }
  BOOST_TEST(stage.ledger.live == 0U);
  BOOST_TEST(stage.ledger.opened == stage.ledger.closed);
}

inline std::string wanted() {
  const char* const text = std::getenv("LIDO_ALLOCATION");  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
  return text != nullptr ? text : "";
}

// Has the first allocation fail, then the second, until a run needs fewer.
template <class Play>
void fail_each(const std::string& name, Play play_one) {
  const lido::detail::OneProcessor pinned;
  for (const auto mode : {Faults::Mode::once, Faults::Mode::from_then_on}) {
    std::uint64_t nth = 1;
    for (bool failed = true; failed; ++nth) {
      const std::string one =
          name + ':' + std::to_string(nth) + (mode == Faults::Mode::once ? ":once" : ":from_then_on");
      if (!wanted().empty() && one != wanted()) continue;
      const std::string replay = "replay with LIDO_ALLOCATION=" + one;
      const ReplayNote note{replay};
      const std::int64_t before = Faults::live;
      BOOST_TEST_CONTEXT(replay) {
        play_one(nth, mode, failed);
        // What a thread that cancels has on its heap goes as it ends, which nobody waits for.
        for (const Patience patience{"all memory is given back"}; Faults::live != before; patience.check())
          std::this_thread::sleep_for(std::chrono::milliseconds{1});
      }
      if (!wanted().empty()) return;
      BOOST_TEST_REQUIRE(nth < 100'000U);
    }
    std::printf("allocation: %s: %llu allocations failed %s\n", name.c_str(), static_cast<unsigned long long>(nth - 2),
                mode == Faults::Mode::once ? "once" : "and all after them");
  }
}

}  // namespace lido::test
