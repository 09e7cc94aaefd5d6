// Whether a test may fork and let the child start threads, and whether it may do so while other threads run.
#pragma once

namespace lido::test {

#ifdef __SANITIZE_THREAD__
// The thread sanitizer of GCC 12 keeps the parent's threads on its books in a child, and ends the child when one of its
// own has an id that is taken there. Clang's does not, and tests the same.
inline constexpr bool can_fork = false;
#else
inline constexpr bool can_fork = true;
#endif

// The address sanitizer of GCC 12 does not take the locks of its allocator before a fork: a child whose parent
// allocated in another thread at that moment waits for one of them for ever. Clang's takes them, and tests the same.
#if defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
inline constexpr bool can_fork_amid_threads = false;
#else
inline constexpr bool can_fork_amid_threads = can_fork;
#endif

}  // namespace lido::test
