// Whether a test may fork and let the child start threads.
#pragma once

namespace lido::test {

#ifdef __SANITIZE_THREAD__
// The thread sanitizer of GCC 12 keeps the parent's threads on its books in a child, and ends the child when one of its
// own has an id that is taken there. Clang's does not, and tests the same.
inline constexpr bool can_fork = false;
#else
inline constexpr bool can_fork = true;
#endif

}  // namespace lido::test
