// Places in a running program at which the operating system's tracers (bpftrace, perf, SystemTap) can look: one
// instruction each, which does nothing until somebody looks. There are none where <sys/sdt.h> is missing. Where parts
// of a program were compiled with it and others without, the linker keeps one of two functions that do the same.
//
// GCC takes the text of a probe for many instructions, and may not inline a function that has one. So they stand in
// functions that are large anyway; a release then takes up to ten instructions more, in some programs.
#pragma once

#include <cstdint>

#if defined __linux__ && __has_include(<sys/sdt.h>)
#  include <sys/sdt.h>
#endif

namespace lido::detail {

// What is passed is at hand where it is told, so that it takes no instruction more.
struct Probes {
  [[gnu::always_inline]] static void acquire([[maybe_unused]] const void* slot) noexcept {
#ifdef DTRACE_PROBE1
    DTRACE_PROBE1(lido, acquire, slot);
#endif
  }
  [[gnu::always_inline]] static void release([[maybe_unused]] const void* slot) noexcept {
#ifdef DTRACE_PROBE1
    DTRACE_PROBE1(lido, release, slot);
#endif
  }
  // Nothing was idle.
  static void wait([[maybe_unused]] const char* pool) noexcept {
#ifdef DTRACE_PROBE1
    DTRACE_PROBE1(lido, wait, pool);
#endif
  }
  static void open([[maybe_unused]] const void* slot, [[maybe_unused]] std::uint64_t connection,
                   [[maybe_unused]] std::int64_t nanoseconds, [[maybe_unused]] int failed) noexcept {
#ifdef DTRACE_PROBE4
    DTRACE_PROBE4(lido, open, slot, connection, nanoseconds, failed);
#endif
  }
  static void close([[maybe_unused]] const void* slot, [[maybe_unused]] std::uint64_t connection,
                    [[maybe_unused]] int reason) noexcept {
#ifdef DTRACE_PROBE3
    DTRACE_PROBE3(lido, close, slot, connection, reason);
#endif
  }
};

}  // namespace lido::detail
