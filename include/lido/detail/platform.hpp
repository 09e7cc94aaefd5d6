// What the pool needs of the machine, as one template parameter: atomics, a mutex, parking, a clock and threads. Tests
// replace it to own time and the order of events.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>
#include <stop_token>
#include <thread>

#include <lido/detail/ticks.hpp>
#include <lido/facts.hpp>

#ifdef __linux__
#  include <linux/futex.h>
#  include <linux/types.h>
#  include <sys/mman.h>
#  include <sys/syscall.h>
#  include <unistd.h>

#  include <cerrno>
#  include <new>
#else
#  include <condition_variable>
#endif

namespace lido::detail {

#ifdef __linux__

// One token that one thread waits for. `unpark` touches the object for the last time when it stores the token: the wake
// that follows names an address and reads nothing, so the parked thread may destroy the parker as soon as it has the
// token. A wake that reaches a later user of that address is a spurious one, which `park_until` looks through.
class Parker {
 public:
  Parker() = default;
  Parker(const Parker&) = delete;
  Parker& operator=(const Parker&) = delete;

  // Waits for the token and takes it; false when the deadline came first.
  bool park_until(TimePoint deadline) noexcept {
    // Acquire: what the unparking thread wrote before is visible to the one that takes the token.
    while (token_.exchange(0, std::memory_order_acquire) == 0) {
      if (sleep(deadline)) continue;
      return token_.exchange(0, std::memory_order_acquire) != 0;
    }
    return true;
  }
  void park() noexcept { park_until(TimePoint::max()); }

  void unpark() noexcept {
    auto* const address = reinterpret_cast<std::uint32_t*>(&token_);
    token_.store(1, std::memory_order_release);
    ::syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  // What this system call takes, which is not the `timespec` of a 32-bit program whose `time_t` has 64 bits.
  struct KernelTime {
    __kernel_long_t seconds;
    __kernel_long_t nanoseconds;
  };

  // False when the deadline has passed. FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what
  // `steady_clock` counts on Linux, so that an early wake does not stretch the wait.
  bool sleep(TimePoint deadline) noexcept {
    static_assert(sizeof(token_) == sizeof(std::uint32_t) && std::atomic<std::uint32_t>::is_always_lock_free);
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
    const auto result = ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&token_), FUTEX_WAIT_BITSET_PRIVATE, 0,
                                  limit, nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 || errno != ETIMEDOUT;
  }

  std::atomic<std::uint32_t> token_{0};
};

// Tells whether this is still the process that made it: a page that the kernel hands to a child emptied
// (MADV_WIPEONFORK), so that asking is one load and nobody has to be told of a fork. A kernel before 4.14 does not know
// that advice; then the answer is always yes.
class ProcessMark {
 public:
  ProcessMark() : page_{::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)} {
    if (page_ == MAP_FAILED) throw std::bad_alloc{};
    ::madvise(page_, sizeof(int), MADV_WIPEONFORK);
    *word() = 1;
  }
  ~ProcessMark() { ::munmap(page_, sizeof(int)); }
  ProcessMark(const ProcessMark&) = delete;
  ProcessMark& operator=(const ProcessMark&) = delete;

  [[nodiscard]] bool is_ours() const noexcept { return *word() != 0; }

 private:
  // Volatile: the kernel changes it.
  [[nodiscard]] volatile int* word() const noexcept { return static_cast<volatile int*>(page_); }
  void* page_;
};

#else

// A fork is not noticed.
struct ProcessMark {
  [[nodiscard]] static bool is_ours() noexcept { return true; }
};

// One token that one thread waits for. The waker holds the mutex while it notifies, so that the parked thread cannot
// see the token, return and destroy the condition variable under it. Waits are bounded and repeated: glibc's condition
// variable before 2.41 can lose a wake-up (BZ 25847).
class Parker {
 public:
  bool park_until(TimePoint deadline) noexcept {
    std::unique_lock lock{mutex_};
    while (!token_) {
      const TimePoint look = saturating_add(Clock::now(), std::chrono::milliseconds{100});
      if (Clock::now() >= deadline) return false;
      condition_.wait_until(lock, look < deadline ? look : deadline);
    }
    token_ = false;
    return true;
  }
  void park() noexcept { park_until(TimePoint::max()); }

  void unpark() noexcept {
    const std::lock_guard lock{mutex_};
    token_ = true;
    condition_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool token_ = false;
};

#endif

}  // namespace lido::detail

namespace lido {

/// The real machine. A platform for tests has the same members.
struct StandardPlatform {
  template <class T>
  using Atomic = std::atomic<T>;
  using Mutex = std::mutex;
  using Parker = detail::Parker;
  using ProcessMark = detail::ProcessMark;
  using Thread = std::thread;
  using StopToken = std::stop_token;
  template <class Function>
  using StopCallback = std::stop_callback<Function>;

  static TimePoint now() noexcept { return Clock::now(); }
  /// Counts on at one rate, alike in all threads, at least once in 4 ns; cheaper to read than the clock. Without
  /// `has_ticks`, which never changes, it tells nothing.
  static std::uint64_t ticks() noexcept { return detail::ticks(); }
  static bool has_ticks() noexcept { return detail::has_ticks(); }
  static std::thread::id this_thread() noexcept { return std::this_thread::get_id(); }
  /// A number that differs from pool to pool: what jitter grows from.
  static std::uint64_t entropy() noexcept {
    return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
  }
};

}  // namespace lido
