// How long the machine kept a thread waiting for a processor, so that its lateness is not taken for the pool's.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include <lido/facts.hpp>

namespace lido::test {

/// How long the calling thread has been ready to run while others ran, since it began, as the kernel counts it. Zero
/// where the kernel does not.
[[nodiscard]] inline Duration starved() {
  struct File {
    int number = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    File() = default;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
      if (number >= 0) ::close(number);
    }
  };
  thread_local const File file;
  char text[80] = {};
  long long ran = 0, waited = 0;
  if (::pread(file.number, text, sizeof text - 1, 0) <= 0) return {};
  if (std::sscanf(text, "%lld %lld", &ran, &waited) != 2) return {};  // NOLINT(cert-err34-c): the kernel's own numbers
  return std::chrono::nanoseconds{waited};
}

/// What a call took beyond its deadline, and what of that is not explained by a processor that was not there.
struct Overshoot {
  Duration raw{};
  Duration net{};
};

/// Measures one call, from its construction.
class Stopwatch {
 public:
  /// How late it is, for a call that was given `limit`.
  [[nodiscard]] Overshoot beyond(Duration limit) const {
    const Duration late = std::max(Clock::now() - start_ - limit, Duration::zero());
    // Only what it waited behind the deadline explains it; before, it was asleep nearly all the time.
    const Duration waited = late > Duration::zero() ? starved() - starved_ : Duration::zero();
    return {.raw = late, .net = std::max(late - waited, Duration::zero())};
  }
  [[nodiscard]] Duration took() const { return Clock::now() - start_; }

 private:
  Duration starved_ = starved();
  TimePoint start_ = Clock::now();
};

/// A thread that does nothing but sleep until the next deadline: how late it is, any thread here may be.
class Control {
 public:
  /// So far. The nap counts that should be over and is not: after a stall whoever asks may run before the sleeper.
  [[nodiscard]] Duration worst() const { return std::max(worst_.load(), Duration{Clock::now() - deadline_.load()}); }

 private:
  static constexpr std::chrono::milliseconds nap{20};

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const TimePoint deadline = Clock::now() + nap;
      deadline_ = deadline;
      std::this_thread::sleep_until(deadline);
      worst_ = std::max(worst_.load(), Duration{Clock::now() - deadline});
    }
  }

  std::atomic<TimePoint> deadline_{Clock::now() + nap};
  std::atomic<Duration> worst_{Duration{}};
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

}  // namespace lido::test
