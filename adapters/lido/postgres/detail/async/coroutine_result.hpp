// What awaiting a coroutine of any type gives.
#pragma once

#include <type_traits>
#include <utility>

namespace lido::postgres::detail {

template <class Coroutine>
struct Awaiting {
  static auto result(Coroutine& coroutine) -> decltype(coroutine.await_resume());
};
template <class Coroutine>
  requires requires(Coroutine& coroutine) { std::move(coroutine).operator co_await(); }
struct Awaiting<Coroutine> {
  static auto result(Coroutine& coroutine) -> decltype(std::move(coroutine).operator co_await().await_resume());
};

template <class Coroutine>
inline constexpr bool gives_nothing = std::is_void_v<decltype(Awaiting<Coroutine>::result(std::declval<Coroutine&>()))>;

// False also of what only some kinds of coroutines can await, which cannot be told.
template <class Awaited>
inline constexpr bool gives_something = false;
template <class Awaited>
  requires requires(Awaited& awaited) { Awaiting<Awaited>::result(awaited); }
inline constexpr bool gives_something<Awaited> = !gives_nothing<Awaited>;

}  // namespace lido::postgres::detail
