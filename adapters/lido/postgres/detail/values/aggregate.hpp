// The members of an aggregate, counted and named without a word from its author: as many as braces take, and what a
// structured binding of that many finds.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace lido::postgres::detail {

template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

// Converts into whatever a member may be; never called.
struct Anything {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};

template <class T, std::size_t... I>
[[nodiscard]] consteval bool takes(std::index_sequence<I...>) {
  return requires { T{((void)I, Anything{})...}; };
}

inline constexpr std::size_t most_members = 16;

/// At most 16, else 17.
template <class T, std::size_t N = most_members + 1>
[[nodiscard]] consteval std::size_t count_members() {
  if constexpr (N == 0) {
    return 0;
  } else if constexpr (takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return count_members<T, N - 1>();
  }
}

/// Their types, as a `TypeList`; none where they are more than 16.
template <class T>
[[nodiscard]] constexpr auto members_of(T& object) {
  constexpr std::size_t count = count_members<T>();
  const auto list = []<class... M>(M&...) { return TypeList<M...>{}; };
  if constexpr (count == 1) {
    auto& [a] = object;
    return list(a);
  } else if constexpr (count == 2) {
    auto& [a, b] = object;
    return list(a, b);
  } else if constexpr (count == 3) {
    auto& [a, b, c] = object;
    return list(a, b, c);
  } else if constexpr (count == 4) {
    auto& [a, b, c, d] = object;
    return list(a, b, c, d);
  } else if constexpr (count == 5) {
    auto& [a, b, c, d, e] = object;
    return list(a, b, c, d, e);
  } else if constexpr (count == 6) {
    auto& [a, b, c, d, e, f] = object;
    return list(a, b, c, d, e, f);
  } else if constexpr (count == 7) {
    auto& [a, b, c, d, e, f, g] = object;
    return list(a, b, c, d, e, f, g);
  } else if constexpr (count == 8) {
    auto& [a, b, c, d, e, f, g, h] = object;
    return list(a, b, c, d, e, f, g, h);
  } else if constexpr (count == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = object;
    return list(a, b, c, d, e, f, g, h, i);
  } else if constexpr (count == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = object;
    return list(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (count == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k);
  } else if constexpr (count == 12) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k, l);
  } else if constexpr (count == 13) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k, l, m);
  } else if constexpr (count == 14) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k, l, m, n);
  } else if constexpr (count == 15) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
  } else if constexpr (count == 16) {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = object;
    return list(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
  } else {
    return TypeList<>{};
  }
}

}  // namespace lido::postgres::detail
