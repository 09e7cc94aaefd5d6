// How tests look at what is inside a pool.
#pragma once

#include <lido/pool.hpp>

// The friend of the pool.
struct lido::detail::Inspection {
  template <class AnyPool>
  static auto& monitor(const AnyPool& pool) {
    return pool.core_.load()->monitor();
  }
};
