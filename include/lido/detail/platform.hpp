// What the pool needs of the machine, as one template parameter: atomics, a mutex, parking, a clock and threads. Tests
// replace it to own time and the order of events.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <thread>

#include <lido/detail/parker.hpp>
#include <lido/detail/tick_clock.hpp>
#include <lido/detail/ticks.hpp>
#include <lido/facts.hpp>

#ifdef __linux__
#  include <sys/mman.h>

#  include <new>
#endif

namespace lido::detail {

#ifdef __linux__

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

  /// Whether the core looks at what must hold inside, and ends the program where it does not.
#ifdef NDEBUG
  static constexpr bool checks = false;
#else
  static constexpr bool checks = true;
#endif

  static TimePoint now() noexcept { return Clock::now(); }
  /// Cheaper than `now`, for those who ask in each lease: never ahead of it, and less than `tick_clock_lag` behind.
  static TimePoint quick_now() noexcept {
    thread_local constinit detail::TickClock<StandardPlatform> clock;
    return clock.now();
  }
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
