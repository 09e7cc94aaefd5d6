// The name of a type, for messages.
#pragma once

#include <cstddef>
#include <source_location>
#include <string_view>

namespace lido::postgres::detail {

template <class T>
[[nodiscard]] consteval std::string_view signature() {
  return std::source_location::current().function_name();
}

/// The name of `T` as the compiler writes it: it stands in the signature where that of a known type does.
template <class T>
[[nodiscard]] consteval std::string_view name_of() {
  constexpr std::string_view known = signature<double>();
  constexpr std::size_t before = known.find("double");
  static_assert(before != std::string_view::npos, "this compiler does not name template arguments");
  constexpr std::size_t after = known.size() - before - std::string_view{"double"}.size();
  constexpr std::string_view all = signature<T>();
  return all.substr(before, all.size() - before - after);
}

}  // namespace lido::postgres::detail
