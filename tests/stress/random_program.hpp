// A random program on the simulated machine, decided by a seed: its threads, what they do, what goes wrong and in which
// order things happen.
#pragma once

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <stdexcept>
#include <support/forms.hpp>
#include <support/invariants.hpp>
#include <support/simulated_pool.hpp>
#include <support/sums.hpp>
#include <vector>

namespace lido::test::random_program {

struct Dice {
  std::mt19937_64 random;
  std::uint64_t operator()(std::uint64_t sides) { return random() % sides; }
};

struct Fatal : std::runtime_error, PermanentFailure {
  Fatal() : std::runtime_error{"for good"} {}
};

inline constexpr std::size_t most = 3;   // connections of the pool at once
inline constexpr std::size_t kinds = 4;  // of programs

// The policies of a kind of program.
struct ElasticProgram {
  using Pool = SimulatedPool<Elastic, PingOnAcquire, ResetOnReturn>;
  static constexpr bool reads_clock = true;
  static Elastic growth(std::size_t size) {
    return {.min_idle = size > 1 ? 1U : 0U, .max_size = size, .idle_timeout = Duration{3ms}};
  }
  static PingOnAcquire health() { return {}; }
  static ResetOnReturn recycle() { return {}; }
};
struct OverflowProgram {
  using Pool = SimulatedPool<Overflow, PingIfIdle, AllOf<RetireAfter, ResetOnReturn>>;
  static constexpr bool reads_clock = true;
  static Overflow growth(std::size_t size) {
    return {.pool_size = 1, .max_overflow = size - 1, .idle_timeout = Duration{2ms}};
  }
  static PingIfIdle health() { return {.after = Duration{2ms}}; }
  static AllOf<RetireAfter, ResetOnReturn> recycle() {
    return {RetireAfter{.age = Duration{20ms}, .idle = Duration{9ms}, .uses = 5}, ResetOnReturn{}};
  }
};
struct FixedProgram {
  using Pool = SimulatedPool<FixedSize>;
  static constexpr bool reads_clock = false;
  static FixedSize growth(std::size_t size) { return {size}; }
  static AssumeHealthy health() { return {}; }
  static KeepAlways recycle() { return {}; }
};
struct NullProgram {
  using Pool = SimulatedPool<NullPool>;
  static constexpr bool reads_clock = false;
  static NullPool growth(std::size_t size) { return {.max_size = size}; }
  static AssumeHealthy health() { return {}; }
  static KeepAlways recycle() { return {}; }
};

// An event loop: resumes later, in the thread that turns it.
struct Loop {
  std::deque<std::coroutine_handle<>> ready;
  auto executor() {
    return [this](std::coroutine_handle<> handle) { ready.push_back(handle); };
  }
  void turn() {
    while (!ready.empty()) {
      const auto handle = ready.front();
      ready.pop_front();
      handle.resume();
    }
  }
};

// What the threads of a program share.
template <class Kind>
struct Stage {
  typename Kind::Pool& pool;
  Dice& dice;
  Invariants<typename Kind::Pool>* invariants = nullptr;
  std::vector<Share<typename Kind::Pool>> shares{};
  std::size_t guaranteed = 0;
  Loop loop{};
  std::size_t running = 0;  // coroutines that nobody waits for
  std::vector<Resource> detached{};
  std::size_t detaching = 0;  // those, and those that are about to be
};

// Acquires from the pool, or one of its shares if there are any.
template <class Kind, class Action>
auto from_one(Stage<Kind>& stage, Action action) {
  if (stage.shares.empty() || stage.dice(4) == 0) return action(stage.pool);
  return action(stage.shares[stage.dice(stage.shares.size())]);
}

template <class P, class Executor>
Detached wander(P& pool, Duration patience, sim::StopToken stop, Executor executor, Dice& dice, std::size_t& running) {
  try {
    auto lease = co_await pool.async_acquire(patience, stop, executor);
    lease->use();
    if (dice(8) == 0) lease.discard();
    if (dice(4) == 0) auto second = co_await pool.async_acquire(1ms * static_cast<int>(dice(5)), stop, executor);
  } catch (const std::runtime_error&) {
  }
  --running;
}

template <class P>
Task wait_in_vain(P& pool, Duration patience, Loop& loop) {
  try {
    auto lease = co_await pool.async_acquire(patience, {}, loop.executor());
    lease->use();
  } catch (const std::runtime_error&) {
  }
}

// An acquire whose result this thread does not wait for.
template <class Kind, class P>
void act_aside(Stage<Kind>& stage, P& pool, Duration patience, const sim::StopToken& stop) {
  Dice& dice = stage.dice;
  switch (dice(4)) {
    case 0:
      ++stage.running;
      wander(pool, patience, stop, InLine{}, dice, stage.running);
      break;
    case 1:
      ++stage.running;
      wander(pool, patience, stop, stage.loop.executor(), dice, stage.running);
      break;
    case 2: {  // a coroutine that is destroyed while it waits, or whose loop has stopped
      Loop loop;
      const Task task = wait_in_vain(pool, patience, loop);
      sim::sleep_for(1ms * static_cast<int>(dice(4)));
      if (dice(2) == 0) loop.turn();
      break;
    }
    default: {  // an operation that is cancelled, or destroyed
      Outcome<typename P::Lease> outcome;
      auto operation = pool.async_acquire(patience, stop).connect([&](auto error, auto lease) {
        outcome.complete(std::move(error), std::move(lease));
      });
      operation.start();
      sim::sleep_for(1ms * static_cast<int>(dice(4)));
      operation.cancel();
      (void)outcome.get(pool, saturating_add(sim::Platform::now(), patience));
    }
  }
}

template <class Lease, class Kind>
void end_lease(Lease& lease, Stage<Kind>& stage) {
  switch (stage.dice(16)) {
    case 0:
      lease.discard();
      break;
    case 1:
      ++stage.detaching;
      stage.detached.push_back(lease.detach());
      break;
    case 2:
      stage.pool.invalidate();
      break;
    case 3:
      stage.pool.maintain();
      break;
    case 4:
      (void)stage.invariants->in_order([&] { return from_one(stage, [](auto& from) { return from.try_acquire(); }); });
      break;
    case 5:
      (void)stage.pool.holders();
      break;
    default:
      break;
  }
}

template <class Kind>
void administer(Stage<Kind>& stage) {
  switch (stage.dice(24)) {
    case 0:
      stage.pool.suspend();
      sim::sleep_for(2ms);
      stage.pool.resume();
      break;
    case 1:
      // Where all that there is is guaranteed to shares others would wait for ever.
      if (const std::size_t size = 1 + stage.dice(most); size > stage.guaranteed) stage.pool.resize(Kind::growth(size));
      break;
    case 2:
      if (stage.dice(8) == 0) stage.pool.close(1ms * static_cast<int>(stage.dice(5)));
      break;
    case 3:
    case 4:
    case 5:
    case 6:
      (void)stage.pool.statistics();  // whoever looks changes nothing
      break;
    default:
      break;
  }
}

// One thread's part of a program.
template <class Kind>
void act(Stage<Kind>& stage) {
  Dice& dice = stage.dice;
  for (int i = 0; i < 6; ++i) {
    sim::StopSource stop;
    Threads canceller;
    try {
      const Duration patience = dice(3) == 0 ? Duration::max() : Duration{1ms} * static_cast<int>(dice(30));
      if (dice(8) == 0) canceller.start([stop]() mutable { stop.request_stop(); });
      if (dice(3) == 0) from_one(stage, [&](auto& from) { act_aside(stage, from, patience, stop.get_token()); });
      const auto form = static_cast<Form>(dice(3));
      auto lease = stage.invariants->in_order(
          [&] { return from_one(stage, [&](auto& from) { return acquire(form, from, patience, stop.get_token()); }); });
      dice(2) == 0 ? lease->use() : lease->use(1ms * static_cast<int>(1 + dice(5)));
      end_lease(lease, stage);
    } catch (const PoolError&) {
    } catch (const std::runtime_error&) {  // a permanent failure to open
    }
    administer(stage);
  }
}

// Opens, checks and resets that succeed, fail, throw, are slow or hang until their deadline.
inline void misbehave(Ledger& ledger, Dice& dice) {
  ledger.on_open = [&dice](const OpenInfo& info) {
    switch (dice(10)) {
      case 0:
        throw std::runtime_error{"refused"};
      case 1:
        sim::self->world->block(info.deadline);
        throw std::runtime_error{"timed out"};
      case 2:
        dice(4) == 0 ? throw Fatal{} : sim::sleep_for(1ms);
        break;
      case 3:
        break;
      default:
        sim::sleep_for(1ms * static_cast<int>(dice(8)));
    }
  };
  ledger.on_ping = ledger.on_reset = [&dice](TimePoint deadline) {
    switch (dice(20)) {
      case 0:
        throw std::runtime_error{"broken"};
      case 1:
        sim::self->world->block(std::min(deadline, sim::Platform::now() + 20ms));
        return false;
      case 2:
        sim::sleep_for(1ms * static_cast<int>(dice(8)));
        return true;
      default:
        return dice(14) != 0;
    }
  };
}

template <class Kind>
std::size_t run(std::uint64_t seed) {
  sim::Simulation world{seed};
  world.step_limit = 2'000'000;
  std::size_t checks = 0;
  world.run([&] {
    Dice dice{std::mt19937_64{seed * 7919}};
    Ledger ledger;
    misbehave(ledger, dice);
    std::vector<Resource> detached;
    std::size_t leaks_begun = 0, leaks_ended = 0;
    {
      const std::size_t size = 1 + dice(most);
      typename Kind::Pool pool{connector(ledger),
                               Kind::growth(size),
                               Kind::health(),
                               Kind::recycle(),
                               {.open_timeout = 10ms,
                                .barging_limit = std::array{0ms, 1ms, 20ms}[dice(3)],
                                .workers = dice(4),
                                .sweep_interval = 5ms,
                                .keep_alive = 7ms,
                                .leak_after = 4ms,
                                .fail_fast_after = seed / kinds % 3 == 0 ? Duration{5ms} : Duration::max(),
                                .max_standing_wait = seed / kinds % 2 == 0 ? Duration{500us} : Duration::max()}};
      pool.events().on_leak([&](const LeakReport& leak) { ++(leak.returned ? leaks_ended : leaks_begun); });
      Stage<Kind> stage{pool, dice};
      Invariants<typename Kind::Pool> invariants{world, pool, ledger, stage.detaching};
      stage.invariants = &invariants;
      if (seed / kinds % 5 == 1) {
        stage.guaranteed = size / 2 + size / 3;
        stage.shares.push_back(pool.share("web", {.guaranteed = size / 2}));
        stage.shares.push_back(pool.share("jobs", {.guaranteed = size / 3, .at_most = 1 + dice(size)}));
        stage.shares.push_back(pool.share("tenant", {.at_most = 1}));
      }
      Threads threads;
      for (std::size_t t = 0; t < 2 + dice(3); ++t) threads.start([&] { act(stage); });
      bool joined = false;
      sim::Thread loop{[&] {
        Statistics before;
        while (!joined || stage.running > 0) {
          const Statistics now = pool.statistics();
          BOOST_TEST(broken_sum(now, false, Kind::reads_clock) == "");
          BOOST_TEST(fallen(before, now) == "");
          before = now;
          stage.loop.turn();
          if (pool.options().workers == 0U) pool.maintain();
          sim::sleep_for(1ms);
        }
      }};
      threads.join();
      joined = true;
      loop.join();
      pool.resume();
      while (pool.statistics().now.leased > 0) sim::sleep_for(1ms);  // a worker resets it
      {
        const auto held = pool.try_acquire();  // what was miscounted before may show now only
        BOOST_TEST(broken_sum(pool.statistics(), true, Kind::reads_clock) == "");
      }
      while (pool.statistics().now.leased > 0) sim::sleep_for(1ms);
      const Statistics figures = pool.statistics();
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(broken_sum(figures, true, Kind::reads_clock) == "");
      BOOST_TEST(figures.now.leased == 0U);
      BOOST_TEST(figures.now.waiting == 0U);
      for (const ShareStatistics& share : figures.shares) BOOST_TEST(share.leased + share.waiting == 0U);
      BOOST_TEST(figures.now.total() <= most);
      BOOST_TEST(ledger.peak <= most + stage.detached.size());
      BOOST_TEST(pool.close(1h).complete);
      BOOST_TEST(pool.statistics().opened == pool.statistics().closed);
      checks = invariants.checks();
      detached = std::move(stage.detached);
    }
    BOOST_TEST(leaks_begun == leaks_ended);
    BOOST_TEST(ledger.live == detached.size());
  });
  return checks;
}

// Plays the program of a seed, of whichever kind. How often the invariants were checked.
inline std::size_t play(std::uint64_t seed) {
  constexpr std::array<std::size_t (*)(std::uint64_t), kinds> run_kind{run<ElasticProgram>, run<OverflowProgram>,
                                                                       run<FixedProgram>, run<NullProgram>};
  return run_kind[seed % kinds](seed);
}

}  // namespace lido::test::random_program
