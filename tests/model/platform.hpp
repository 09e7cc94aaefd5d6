// Relacy's machine as the `Platform` of a pool: its atomics have the memory orders that the headers ask for, a relaxed
// load may return an old value, and what a thread may read of a plain variable follows from happens-before alone.
//
// All threads of a model are fibres of one real thread, which change at each operation of this platform. What is
// thread-local to the standard library and to lido is kept for each of them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>

#include <cxxabi.h>

#include <model/relacy.hpp>

#include <lido/detail/platform.hpp>
#include <lido/detail/resumption.hpp>
#include <lido/facts.hpp>

namespace lido::model {

inline constexpr int most_threads = 4;

// Of the iteration that runs.
struct World {
  TimePoint now{};
  std::array<const void*, most_threads> sleeps_on{};  // words of a futex, by thread
  std::array<bool, most_threads> slept{};             // whether it ever did
  std::array<detail::Resumption::Line, most_threads> lines{};
  void* to_be_played = nullptr;  // a thread of the pool
};
inline World world;

// What the C++ runtime knows of this thread's exceptions, which is that of all fibres: asked once, since each switch
// needs it twice.
inline void* const exception_globals = abi::__cxa_get_globals();

// Begins an iteration, or a thread of it.
inline void enter_thread() {
  std::memset(exception_globals, 0, sizeof(void*) + sizeof(unsigned));
  detail::Resumption::current() = &world.lines[static_cast<std::size_t>(rl::thread_index())];
}

// Around what may let another thread run: keeps what the C++ runtime knows of this one's exceptions, and lido of the
// coroutines that stand in its line.
class Switch {
 public:
  Switch() noexcept { std::memcpy(&exceptions_, exception_globals, sizeof(exceptions_)); }
  ~Switch() {
    std::memcpy(exception_globals, &exceptions_, sizeof(exceptions_));
    detail::Resumption::current() = line_;
  }
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

 private:
  struct Exceptions {
    void* caught;
    unsigned uncaught;
  };
  Exceptions exceptions_{};
  detail::Resumption::Line* line_ = detail::Resumption::current();
};

constexpr rl::memory_order order_of(std::memory_order order) noexcept {
  switch (order) {
    case std::memory_order_relaxed:
      return rl::mo_relaxed;
    case std::memory_order_consume:
    case std::memory_order_acquire:
      return rl::mo_acquire;
    case std::memory_order_release:
      return rl::mo_release;
    case std::memory_order_acq_rel:
      return rl::mo_acq_rel;
    case std::memory_order_seq_cst:
    default:
      return rl::mo_seq_cst;
  }
}

// Relacy's atomics are numbers: anything else goes through one of its size.
template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  static constexpr auto strongest = std::memory_order_seq_cst;

 public:
  // NOLINTNEXTLINE(google-explicit-constructor): as std::atomic
  Atomic(T value = {}) noexcept {
    const Switch here;  // as any access
    word_.store(pack(value), rl::mo_relaxed, $);
  }

  T load(std::memory_order order = strongest) const noexcept {
    const Switch here;
    return unpack(word_.load(order_of(order), $));
  }
  void store(T value, std::memory_order order = strongest) noexcept {
    const Switch here;
    word_.store(pack(value), order_of(order), $);
  }
  T exchange(T value, std::memory_order order = strongest) noexcept {
    const Switch here;
    return unpack(word_.exchange(pack(value), order_of(order), $));
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order, std::memory_order failure) noexcept {
    return compare_exchange<false>(expected, desired, order, failure);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order = strongest) noexcept {
    const auto failure = order == std::memory_order_acq_rel   ? std::memory_order_acquire
                         : order == std::memory_order_release ? std::memory_order_relaxed
                                                              : order;
    return compare_exchange_strong(expected, desired, order, failure);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order, std::memory_order failure) noexcept {
    return compare_exchange<true>(expected, desired, order, failure);
  }
  T fetch_add(T value, std::memory_order order = strongest) noexcept {
    return change([value](T before) { return static_cast<T>(before + value); }, order);
  }
  T fetch_sub(T value, std::memory_order order = strongest) noexcept {
    return change([value](T before) { return static_cast<T>(before - value); }, order);
  }
  T fetch_and(T value, std::memory_order order = strongest) noexcept {
    return change([value](T before) { return static_cast<T>(before & value); }, order);
  }
  T fetch_or(T value, std::memory_order order = strongest) noexcept {
    return change([value](T before) { return static_cast<T>(before | value); }, order);
  }
  // As the kernel reads it: the newest value.
  [[nodiscard]] T newest() const noexcept { return unpack(word_.debug_value()); }

 private:
  template <bool weak>
  bool compare_exchange(T& expected, T desired, std::memory_order order, std::memory_order failure) noexcept {
    const Switch here;
    std::uint64_t seen = pack(expected);
    const bool done =
        word_.compare_exchange(rl::bool_t<weak>{}, seen, pack(desired), order_of(order), order_of(failure), $);
    expected = unpack(seen);
    return done;
  }
  template <class Function>
  T change(Function function, std::memory_order order) noexcept {
    T before = load(std::memory_order_relaxed);
    while (!compare_exchange_strong(before, function(before), order, std::memory_order_relaxed)) {
    }
    return before;
  }
  static std::uint64_t pack(T value) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof(value));
    return word;
  }
  static T unpack(std::uint64_t word) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), &word, sizeof(value));
    return value;
  }

  rl::atomic<std::uint64_t> word_;
};

class Mutex {
 public:
  void lock() {
    const Switch here;
    mutex_.lock($);
  }
  bool try_lock() {
    const Switch here;
    return mutex_.try_lock($);
  }
  void unlock() {
    const Switch here;
    mutex_.unlock($);
  }

 private:
  rl::mutex mutex_;
};

// Lets others run.
inline void pass() {
  const Switch here;
  rl::ctx().sched();
}

// Sleeps until somebody wakes this thread, or for no reason; false when time has jumped to the deadline.
inline bool sleep_until(TimePoint deadline) {
  const Switch here;
  rl::context& machine = rl::ctx();
  const bool timed = deadline != TimePoint::max();
  const rl::unpark_reason reason = machine.park_current_thread(timed, false, false, $);
  if (reason != rl::unpark_reason_timeout) return true;
  world.now = std::max(world.now, deadline);
  return false;
}

// The operations of a kernel's futex: to look at the word and to fall asleep are one step.
struct Futex {
  template <class T>
  using Atomic = model::Atomic<T>;

  static bool wait(Atomic<std::uint32_t>& word, std::uint32_t asleep, TimePoint deadline) noexcept {
    pass();
    if (word.newest() != asleep) return true;
    if (deadline <= world.now) return false;
    const void*& sleeps_on = world.sleeps_on[static_cast<std::size_t>(rl::thread_index())];
    sleeps_on = &word;
    world.slept[static_cast<std::size_t>(rl::thread_index())] = true;
    const bool woken = sleep_until(deadline);
    sleeps_on = nullptr;
    return woken;
  }
  static void wake(const Atomic<std::uint32_t>* word) noexcept {
    pass();
    for (std::size_t thread = 0; thread < most_threads; ++thread) {
      if (world.sleeps_on[thread] != word) continue;
      world.sleeps_on[thread] = nullptr;
      rl::ctx().unpark_thread(static_cast<rl::thread_id_t>(thread), false, $);
      return;
    }
  }
};

// What the parker of other systems needs.
struct Monitor {
  using Mutex = model::Mutex;
  class ConditionVariable {
   public:
    template <class Lock>
    void wait_until(Lock& lock, TimePoint deadline) {
      const Switch here;
      Locked mutex{lock};
      const bool timed = deadline != TimePoint::max();
      if (condition_.wait(mutex, timed, $) == rl::sema_wakeup_reason_timeout) world.now = std::max(world.now, deadline);
    }
    void notify_one() noexcept {
      const Switch here;
      condition_.notify_one($);
    }
    ConditionVariable() { condition_.init(true, $); }
    ~ConditionVariable() { condition_.deinit($); }
    ConditionVariable(const ConditionVariable&) = delete;
    ConditionVariable& operator=(const ConditionVariable&) = delete;

   private:
    template <class Lock>
    struct LockedOf {
      void lock(rl::debug_info_param) { lock_.lock(); }
      void unlock(rl::debug_info_param) { lock_.unlock(); }
      Lock& lock_;
    };
    template <class Lock>
    using Locked = LockedOf<Lock>;

    struct Tag;
    rl::condvar<Tag> condition_;
  };
  static TimePoint now() noexcept { return world.now; }
};

// A thread of the pool's own: the last thread of a model plays it, as their number is fixed.
class Thread {
 public:
  Thread() = default;
  explicit Thread(std::function<void()> body) : played_{std::make_shared<Played>()} {
    played_->body = std::move(body);
    RL_ASSERT(world.to_be_played == nullptr);
    world.to_be_played = played_.get();
    played_->self = played_;
  }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;

  [[nodiscard]] bool joinable() const noexcept { return played_ != nullptr; }
  [[nodiscard]] static std::thread::id get_id() noexcept { return {}; }
  void join() {
    played_->done.park();
    played_.reset();
  }
  void detach() { played_.reset(); }

  static void play() {
    const std::shared_ptr<Played> played = std::move(static_cast<Played*>(world.to_be_played)->self);
    std::exchange(played->body, nullptr)();
    played->done.unpark();
  }

 private:
  struct Played {
    std::function<void()> body;
    detail::FutexParker<Futex> done;
    std::shared_ptr<Played> self;  // until it is played
  };
  std::shared_ptr<Played> played_;
};

template <class WhichParker>
struct PlatformWith {
  template <class T>
  using Atomic = model::Atomic<T>;
  using Mutex = model::Mutex;
  using Parker = WhichParker;
  struct ProcessMark {
    [[nodiscard]] static bool is_ours() noexcept { return true; }
  };
  using Thread = model::Thread;
  using StopToken = std::stop_token;
  template <class Function>
  using StopCallback = std::stop_callback<Function>;

  static TimePoint now() noexcept { return world.now; }
  static TimePoint quick_now() noexcept { return world.now; }
  static std::thread::id this_thread() noexcept {
    return std::bit_cast<std::thread::id>(std::uintptr_t{1} + static_cast<std::uintptr_t>(rl::thread_index()));
  }
  static std::uint64_t ticks() noexcept { return static_cast<std::uint64_t>(now().time_since_epoch().count()) / 4; }
  static bool has_ticks() noexcept { return true; }
  static std::uint64_t entropy() noexcept { return 1; }
};
using Platform = PlatformWith<detail::FutexParker<Futex>>;

}  // namespace lido::model
