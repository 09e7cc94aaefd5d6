// What the processor counts by itself: a time without a unit, which costs a third of a look at the clock.
#pragma once

#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__)
#  include <cpuid.h>
#endif

namespace lido::detail {

#if defined(__x86_64__) && defined(__GNUC__)

// The time-stamp counter. `has_ticks`: whether it goes on at one rate, whatever the processor's speed and sleep
// ("Invariant TSC"). Asked once, since a virtual machine's host answers that. No such processor counts slower than once
// in 4 ns.
inline bool has_ticks() noexcept {
  static const bool invariant = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000007U, &a, &b, &c, &d) != 0 && (d & 1U << 8U) != 0;
  }();
  return invariant;
}
inline std::uint64_t ticks() noexcept { return __builtin_ia32_rdtsc(); }

#else

inline bool has_ticks() noexcept { return false; }
inline std::uint64_t ticks() noexcept { return 0; }

#endif

}  // namespace lido::detail
