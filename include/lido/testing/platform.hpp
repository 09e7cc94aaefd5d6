// The platform of pools that live in a simulation: `Pool<Connection, Growth, Health, Recycle, sim::Platform>`.
#pragma once

#include <cstdint>
#include <thread>
#include <utility>

#include <lido/detail/tick_clock.hpp>
#include <lido/facts.hpp>
#include <lido/testing/primitives.hpp>
#include <lido/testing/simulation.hpp>
#include <lido/testing/stop_token.hpp>

namespace lido::sim {

struct Platform {
  template <class T>
  using Atomic = sim::Atomic<T>;
  using Mutex = sim::Mutex;
  using Parker = sim::Parker;
  struct ProcessMark {
    [[nodiscard]] static bool is_ours() noexcept { return true; }
  };
  using Thread = sim::Thread;
  using StopToken = sim::StopToken;
  template <class Function>
  using StopCallback = sim::StopCallback<Function>;

  static constexpr bool checks = true;
  /// While it lives nothing that this thread does is a step.
  class Aside {
   public:
    Aside() = default;
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
    ~Aside() { self = me_; }

   private:
    Task* const me_ = std::exchange(self, nullptr);
  };

  static TimePoint now() noexcept { return self != nullptr ? self->world->now() : TimePoint{}; }
  /// As far behind as it may be: it stands, and jumps.
  static TimePoint quick_now() noexcept { return now() - now().time_since_epoch() % detail::tick_clock_lag; }
  /// The slowest that there may be.
  static std::uint64_t ticks() noexcept { return static_cast<std::uint64_t>(now().time_since_epoch().count()) / 4; }
  static bool has_ticks() noexcept { return true; }
  static std::thread::id this_thread() noexcept { return std::this_thread::get_id(); }
  static std::uint64_t entropy() noexcept { return self != nullptr ? self->world->seed() : 1; }
};

/// Virtual time passes.
inline void sleep_for(Duration span) { self->world->block(saturating_add(Platform::now(), span)); }

}  // namespace lido::sim
