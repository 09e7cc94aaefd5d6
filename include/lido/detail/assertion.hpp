// What must hold inside the core is looked at where the platform says so.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace lido::detail {

[[noreturn, gnu::cold]] inline void end_broken(const char* what) noexcept {
  std::fputs("lido: broken inside: ", stderr);
  std::fputs(what, stderr);
  std::fputs("\n", stderr);
  std::abort();
}

// The real platform does in builds without NDEBUG, the simulated one always: there a look takes no step.
template <class Platform>
concept Checked = requires { requires Platform::checks; };
template <class Platform>
concept Stepping = requires { typename Platform::Aside; };

// `find` returns what does not hold, or null. Ends the program where it finds something.
template <class Platform, class Find>
void verify(Find find) noexcept {
  if constexpr (Checked<Platform>) {
    const char* found = nullptr;
    if constexpr (Stepping<Platform>) {
      const typename Platform::Aside aside;
      found = find();
    } else {
      found = find();
    }
    if (found != nullptr) end_broken(found);
  }
}

}  // namespace lido::detail
