// What all contenders of the benchmark in C++ have in common: a round, the stop-watch, the table of contenders.
//
// A contender is a class with a constructor from the number of slots, which opens them all, and a member
// `use(work)` that acquires, calls `work()`, and releases.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace benchmark {

using Clock = std::chrono::steady_clock;

// One round, as tests/benchmark/peers/README.md says it in a line.
struct Scenario {
  std::size_t threads = 1;
  std::size_t slots = 10;
  std::size_t held = 0;    // so many of the slots are somebody's for the whole round
  std::uint64_t work = 0;  // steps of arithmetic that a holder computes
  long sleep_us = 0;       // how long it sleeps
  std::chrono::duration<double> span{0.1};
};

struct Outcome {
  double seconds = 0, processor_ns = 0;
  std::vector<std::uint64_t> cycles;  // of each thread
  std::vector<std::uint64_t> ended;   // us after it began
  std::vector<std::uint32_t> waits;   // ns: of each acquire where a holder does something, else of one in 1,024
};

// The processor time that this process has had: unlike the time that passes, it does not depend on what else runs.
inline double processor_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// They do not look at a clock, so that a holder that loses its core has its work still before it.
inline std::uint64_t compute(std::uint64_t steps) {
  std::uint64_t value = steps | 1;
  for (std::uint64_t i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    asm volatile("" : "+r"(value));
  }
  return value;
}
inline void hold(const Scenario& scenario) {
  if (scenario.work > 0) compute(scenario.work);
  if (scenario.sleep_us > 0) {
    const timespec span{.tv_sec = 0, .tv_nsec = scenario.sleep_us * 1000};
    nanosleep(&span, nullptr);
  }
}

// Whether a holder does something by itself, so that each wait is looked at.
inline bool all_hold = false;

// One round of one contender.
template <class Contender>
Outcome measure(const Scenario& scenario) {
  Contender pool{scenario.slots};
  std::atomic<bool> stop{false};
  std::latch ready{static_cast<std::ptrdiff_t>(scenario.threads + 1)};
  struct alignas(128) Tally {
    std::uint64_t cycles = 0;
    Clock::time_point begun, ended;
    std::vector<std::uint32_t> waits;
  };
  std::vector<Tally> tallies(scenario.threads);
  std::vector<std::thread> threads;
  Outcome outcome;
  const auto all = [&] {
    for (Tally& tally : tallies)
      threads.emplace_back([&scenario, &pool, &stop, &ready, &tally] {
        const bool holds = all_hold || scenario.work > 0 || scenario.sleep_us > 0;
        std::uint64_t cycles = 0;
        tally.waits.reserve(1 << 14);
        ready.arrive_and_wait();
        tally.begun = Clock::now();
        while (!stop.load(std::memory_order_relaxed)) {
          // In batches, so that asking whether to stop is not part of what is measured.
          if (!holds) {
            for (int i = 1; i < 64; ++i) pool.use([] { asm volatile("" ::: "memory"); });
            cycles += 63;
          }
          if (!holds && cycles % 1024 >= 64) {
            pool.use([] { asm volatile("" ::: "memory"); });
          } else {
            const auto asked = Clock::now();
            pool.use([&] {
              const std::chrono::nanoseconds waited = Clock::now() - asked;
              tally.waits.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(waited.count(), UINT32_MAX)));
              hold(scenario);
            });
          }
          ++cycles;
        }
        tally.ended = Clock::now();
        tally.cycles = cycles;
      });
    ready.arrive_and_wait();
    const auto begun = Clock::now();
    const double used = processor_ns();
    std::this_thread::sleep_for(scenario.span);
    stop.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads) thread.join();
    outcome.processor_ns = processor_ns() - used;
    for (const Tally& tally : tallies) {
      outcome.seconds = std::max(outcome.seconds, std::chrono::duration<double>(tally.ended - begun).count());
      outcome.ended.push_back(
          static_cast<std::uint64_t>(std::chrono::duration<double, std::micro>(tally.ended - tally.begun).count()));
    }
  };
  const auto holding = [&](auto& self, std::size_t left) -> void {
    if (left == 0) return all();
    pool.use([&] { self(self, left - 1); });
  };
  holding(holding, scenario.held);
  for (const Tally& tally : tallies) {
    outcome.cycles.push_back(tally.cycles);
    outcome.waits.insert(outcome.waits.end(), tally.waits.begin(), tally.waits.end());
  }
  return outcome;
}

// Who waited beyond its limit, and was served after somebody who came then.
struct Overtakings {
  std::uint64_t waiters = 0;
  std::uint64_t newcomers = 0;  // before one of them, at most
};

struct Contender {
  const char* name;
  const char* kind;  // own, floor, barges or fair; the latter two wait where more is asked for than there is
  Outcome (*run)(const Scenario&) = nullptr;
  Overtakings (*watch)(const Scenario&) = nullptr;  // of those that promise an order: in a round that is not timed
};

// All that are linked. A peer that is not installed is not among the files, and so not among these.
inline std::vector<Contender>& contenders() {
  static std::vector<Contender> all;
  return all;
}

struct Registration {
  Registration(const char* name, const char* kind, Outcome (*run)(const Scenario&),
               Overtakings (*watch)(const Scenario&) = nullptr) {
    contenders().push_back({name, kind, run, watch});
  }
};

// Several ways to do the same, by the processor time that each takes. The first is what the others are compared with.
struct Comparison {
  struct Way {
    std::string name;
    const char* kind;              // floor, own or peer
    std::function<double()> once;  // does it some times; returns the processor time of one, in ns
  };
  std::string name;
  std::vector<Way> ways;
};

// Made when it is their turn: what they need (a server) is started then.
inline std::vector<std::function<Comparison()>>& comparisons() {
  static std::vector<std::function<Comparison()>> all;
  return all;
}

}  // namespace benchmark
