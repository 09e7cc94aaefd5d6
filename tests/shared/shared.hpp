// What two shared libraries and the program that links both have in common. Compiled with hidden visibility, so that
// each has its own copy of all that the pool's headers define, but for what these export.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>

#include <lido/pool.hpp>

namespace shared {

using Pool = lido::Pool<int, lido::FixedSize>;
using Callback = std::function<void(std::exception_ptr, Pool::Lease)>;
using Operation = decltype(std::declval<Pool&>().async_acquire().connect(std::declval<Callback>()));

// Of the library's own, and known by its bases alone.
struct Refused : std::runtime_error, lido::PermanentFailure {
  Refused() : std::runtime_error{"refused"} {}
};

// In the one: everything waits and throws here.
[[gnu::visibility("default")]] void run_out_of_time(Pool& pool);
[[gnu::visibility("default")]] void ask_a_closed_pool(Pool& pool);
[[gnu::visibility("default")]] void set_an_impossible_option();
[[gnu::visibility("default")]] int refuse();
struct [[gnu::visibility("default")]] TwoWaiters {
  explicit TwoWaiters(Pool& pool);
  ~TwoWaiters();
  struct State;
  std::unique_ptr<State> state;
  int told = 0;
};

// In the other: what ends their wait, and what catches.
[[gnu::visibility("default")]] void close(Pool& pool);
[[gnu::visibility("default")]] bool catches_time_out(const std::function<void()>& body);

}  // namespace shared
