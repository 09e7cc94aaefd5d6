// The members of an aggregate, counted and named without a word from its author: as many as braces take, and what a
// structured binding of that many finds.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/members.hpp>

namespace lido::postgres::detail {

template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

// Converts into whatever a member may be; never called.
struct Anything {
  template <class T>
  operator T() const {  // NOLINT(google-explicit-constructor)
    std::abort();       // there is a body, as Clang wants one for types of unnamed namespaces
  }
};

template <class T, std::size_t... I>
[[nodiscard]] consteval bool takes(std::index_sequence<I...>) {
  return requires { T{((void)I, Anything{})...}; };
}

/// At most `most_members`, else one more; 0 where there is none, or braces do not make a `T`. Counts up: fewer values
/// than members do where what is left has a default, and once they are too many, more are too.
template <class T, std::size_t N = 0, bool Any = false>
[[nodiscard]] consteval std::size_t count_members() {
  constexpr bool more = takes<T>(std::make_index_sequence<N + 1>{});
  if constexpr (N == most_members) {
    return more ? N + 1 : Any ? N : 0;
  } else if constexpr (Any && !more) {
    return N;
  } else {
    return count_members<T, N + 1, more>();
  }
}

/// Their types, as a `TypeList`; none where they are too many.
template <class T>
[[nodiscard]] constexpr auto members_of(T& object) {
  constexpr std::size_t count = count_members<T>();
  if constexpr (count == 0 || count > most_members) {
    return TypeList<>{};
  } else {
    return with_members<count>(object, []<class... M>(M&...) { return TypeList<std::remove_const_t<M>...>{}; });
  }
}

}  // namespace lido::postgres::detail
