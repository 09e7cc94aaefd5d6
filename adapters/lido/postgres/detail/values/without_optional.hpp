// The type of a value that may be NULL.
#pragma once

#include <optional>

namespace lido::postgres::detail {

template <class T>
struct WithoutOptional {
  using Type = T;
};
template <class T>
struct WithoutOptional<std::optional<T>> {
  using Type = T;
};
/// What is in it where `T` is an optional, or else `T`.
template <class T>
using without_optional = typename WithoutOptional<T>::Type;

}  // namespace lido::postgres::detail
