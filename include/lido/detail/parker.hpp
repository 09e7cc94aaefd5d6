// Parking: one token that one thread waits for. Twice, for what the machine has: a futex, or a mutex and a condition
// variable. What the machine has is a parameter, so that the model checker has one of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>

#include <lido/facts.hpp>

#ifdef __linux__
#  include <linux/futex.h>
#  include <linux/types.h>
#  include <sys/syscall.h>
#  include <unistd.h>

#  include <cerrno>
#else
#  include <condition_variable>
#endif

namespace lido::detail {

// `unpark` touches the object for the last time when it stores the token: the wake that follows names an address and
// reads nothing, so the parked thread may destroy the parker as soon as it has the token. A wake that reaches a later
// user of that address is a spurious one, which `park_until` looks through.
//
// The thread says that it is about to sleep before it does, so that nobody makes a system call to wake one who is
// awake. It says so in the place of "nothing" alone, and whoever brings the token learns it in the same exchange: one
// of the two comes first. Behind the token nobody falls asleep, as the word is not what it was; and a token that comes
// behind is followed by a wake.
template <class Futex>
class FutexParker {
 public:
  FutexParker() = default;
  FutexParker(const FutexParker&) = delete;
  FutexParker& operator=(const FutexParker&) = delete;

  // Waits for the token and takes it; false when the deadline came first.
  bool park_until(TimePoint deadline) noexcept {
    // Acquire: what the unparking thread wrote before is visible to the one that takes the token.
    while (word_.exchange(nothing, std::memory_order_acquire) != token) {
      std::uint32_t seen = nothing;
      // Relaxed: whoever sees it has nothing to see but that.
      if (!word_.compare_exchange_strong(seen, asleep, std::memory_order_relaxed, std::memory_order_relaxed)) continue;
      if (Futex::wait(word_, asleep, deadline)) continue;
      return word_.exchange(nothing, std::memory_order_acquire) == token;
    }
    return true;
  }
  void park() noexcept { park_until(TimePoint::max()); }

  void unpark() noexcept {
    auto* const address = &word_;
    if (word_.exchange(token, std::memory_order_release) == asleep) Futex::wake(address);
  }

 private:
  static constexpr std::uint32_t nothing = 0;
  static constexpr std::uint32_t token = 1;
  static constexpr std::uint32_t asleep = 2;

  typename Futex::template Atomic<std::uint32_t> word_{nothing};
};

// The waker holds the mutex while it notifies, so that the parked thread cannot see the token, return and destroy the
// condition variable under it. Waits are bounded and repeated: glibc's condition variable before 2.41 can lose a
// wake-up (BZ 25847).
template <class System>
class PortableParker {
 public:
  PortableParker() = default;
  PortableParker(const PortableParker&) = delete;
  PortableParker& operator=(const PortableParker&) = delete;

  bool park_until(TimePoint deadline) noexcept {
    std::unique_lock<typename System::Mutex> lock{mutex_};
    while (!token_) {
      const TimePoint look = saturating_add(System::now(), std::chrono::milliseconds{100});
      if (System::now() >= deadline) return false;
      condition_.wait_until(lock, look < deadline ? look : deadline);
    }
    token_ = false;
    return true;
  }
  void park() noexcept { park_until(TimePoint::max()); }

  void unpark() noexcept {
    const std::lock_guard<typename System::Mutex> lock{mutex_};
    token_ = true;
    condition_.notify_one();
  }

 private:
  typename System::Mutex mutex_;
  typename System::ConditionVariable condition_;
  bool token_ = false;
};

#ifdef __linux__

struct LinuxFutex {
  template <class T>
  using Atomic = std::atomic<T>;

  // Sleeps while the word is `asleep`. False when the deadline has passed. FUTEX_WAIT_BITSET takes an absolute
  // CLOCK_MONOTONIC time, which is what `steady_clock` counts on Linux, so that an early wake does not stretch the
  // wait.
  static bool wait(Atomic<std::uint32_t>& word, std::uint32_t asleep, TimePoint deadline) noexcept {
    static_assert(sizeof(word) == sizeof(std::uint32_t) && Atomic<std::uint32_t>::is_always_lock_free);
    KernelTime until{};
    const KernelTime* limit = nullptr;
    if (deadline != TimePoint::max()) {
      const std::chrono::nanoseconds since = deadline.time_since_epoch();
      if (since.count() <= 0) return false;
      // Since the machine was started: no deadline that comes is too far for 32 bits.
      constexpr std::chrono::seconds furthest{std::numeric_limits<__kernel_long_t>::max()};
      const auto seconds = std::min(std::chrono::duration_cast<std::chrono::seconds>(since), furthest);
      until.seconds = std::chrono::duration_cast<std::chrono::duration<__kernel_long_t>>(seconds).count();
      until.nanoseconds = static_cast<std::int32_t>(since.count() % 1'000'000'000);
      limit = &until;
    }
    const auto result =
        ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, asleep, limit, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
  }
  static void wake(Atomic<std::uint32_t>* word) noexcept {
    ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  // What this system call takes, which is not the `timespec` of a 32-bit program whose `time_t` has 64 bits.
  struct KernelTime {
    __kernel_long_t seconds;
    __kernel_long_t nanoseconds;
  };
};
using Parker = FutexParker<LinuxFutex>;

#else

struct StandardMonitor {
  using Mutex = std::mutex;
  using ConditionVariable = std::condition_variable;
  static TimePoint now() noexcept { return Clock::now(); }
};
using Parker = PortableParker<StandardMonitor>;

#endif

}  // namespace lido::detail
