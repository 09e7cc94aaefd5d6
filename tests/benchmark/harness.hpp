// What all contenders of the benchmark have in common: the scenarios, the stop-watch, the table of contenders.
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

// What a holder does with what it has.
enum class Hold : std::uint8_t { nothing, computes, sleeps };

struct Scenario {
  std::string name;
  std::size_t threads = 1;
  std::size_t slots = 8;
  Hold hold = Hold::nothing;
  std::chrono::milliseconds span{100};  // how long a round of it lasts
};

struct Outcome {
  double cycle_ns = 0;      // of all threads together: the time that passed by the cycles that were done in it
  double processor_ns = 0;  // a cycle's processor time
  double p50_us = 0, p99_us = 0, p999_us = 0;  // waits, where the scenario holds
};

// The processor time that this process has had: unlike the time that passes, it does not depend on what else runs.
inline double processor_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// What a holder holds a connection for: 50 microseconds. `steps` of arithmetic take as long on an idle core; they do
// not look at a clock, so that a holder that loses its core has its work still before it.
inline std::uint64_t compute(std::uint64_t steps) {
  std::uint64_t value = steps | 1;
  for (std::uint64_t i = 0; i < steps; ++i) {
    value = value * 6364136223846793005U + 1442695040888963407U;
    asm volatile("" : "+r"(value));
  }
  return value;
}
inline std::uint64_t steps_of_50us() {
  static const std::uint64_t steps = [] {
    constexpr std::uint64_t sample = 1'000'000;
    double best = 1e18;  // the least disturbed of some
    for (int i = 0; i < 20; ++i) {
      const auto begun = Clock::now();
      compute(sample);
      best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - begun).count());
    }
    return static_cast<std::uint64_t>(50.0 * static_cast<double>(sample) / best);
  }();
  return steps;
}
inline void hold(Hold kind) {
  if (kind == Hold::computes) compute(steps_of_50us());
  if (kind == Hold::sleeps) {
    const timespec span{.tv_sec = 0, .tv_nsec = 50'000};
    nanosleep(&span, nullptr);
  }
}

inline double quantile_us(std::vector<std::uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1));
  return sorted[index] / 1000.0;
}

// One round of one contender.
template <class Contender>
Outcome measure(const Scenario& scenario) {
  Contender pool{scenario.slots};
  std::atomic<bool> stop{false};
  std::latch ready{static_cast<std::ptrdiff_t>(scenario.threads + 1)};
  struct alignas(128) Tally {
    std::uint64_t cycles = 0;
    Clock::time_point ended;
    std::vector<std::uint32_t> waits;
  };
  std::vector<Tally> tallies(scenario.threads);
  std::vector<std::thread> threads;
  for (Tally& tally : tallies)
    threads.emplace_back([&scenario, &pool, &stop, &ready, &tally] {
      std::uint64_t cycles = 0;
      if (scenario.hold != Hold::nothing) tally.waits.reserve(1 << 16);
      ready.arrive_and_wait();
      if (scenario.hold == Hold::nothing) {
        // In batches, so that asking whether to stop is not part of what is measured.
        while (!stop.load(std::memory_order_relaxed)) {
          for (int i = 0; i < 64; ++i) pool.use([] { asm volatile("" ::: "memory"); });
          cycles += 64;
        }
      } else {
        while (!stop.load(std::memory_order_relaxed)) {
          const auto asked = Clock::now();
          pool.use([&] {
            const std::chrono::nanoseconds waited = Clock::now() - asked;
            tally.waits.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(waited.count(), UINT32_MAX)));
            hold(scenario.hold);
          });
          ++cycles;
        }
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
  const double spent = processor_ns() - used;

  std::uint64_t cycles = 0;
  Clock::time_point ended = begun;
  std::vector<std::uint32_t> waits;
  for (const Tally& tally : tallies) {
    cycles += tally.cycles;
    ended = std::max(ended, tally.ended);
    waits.insert(waits.end(), tally.waits.begin(), tally.waits.end());
  }
  std::ranges::sort(waits);
  return {.cycle_ns = std::chrono::duration<double, std::nano>(ended - begun).count() / static_cast<double>(cycles),
          .processor_ns = spent / static_cast<double>(cycles),
          .p50_us = quantile_us(waits, 0.5),
          .p99_us = quantile_us(waits, 0.99),
          .p999_us = quantile_us(waits, 0.999)};
}

// Who waited beyond its limit, and was served after somebody who came then.
struct Overtakings {
  std::uint64_t waiters = 0;
  std::uint64_t newcomers = 0;  // before one of them, at most
};

struct Contender {
  std::string name;
  bool waits = true;  // can be asked for more than it has, and lets the caller sleep until there is some
  Outcome (*run)(const Scenario&) = nullptr;
  Overtakings (*watch)(const Scenario&) = nullptr;  // of those that promise an order: in a round that is not timed
};

// All that are linked. A peer that is not installed is not among the files, and so not among these.
inline std::vector<Contender>& contenders() {
  static std::vector<Contender> all;
  return all;
}

struct Registration {
  Registration(std::string name, bool waits, Outcome (*run)(const Scenario&),
               Overtakings (*watch)(const Scenario&) = nullptr) {
    contenders().push_back({std::move(name), waits, run, watch});
  }
};

// Several ways to do the same, by the processor time that each takes. The first is what the others are compared with.
struct Comparison {
  struct Way {
    std::string name;
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
