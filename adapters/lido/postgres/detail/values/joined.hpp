// Names of types that are made of those of others, joined by the compiler.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

// `optional<int>` is called "std::optional<int32_t>".
template <class T>
struct NameParts {
  static constexpr std::array parts{std::string_view{Converter<T>::name}};
};
template <class T>
struct NameParts<std::optional<T>> {
  static constexpr std::array parts{std::string_view{"std::optional<"}, std::string_view{Converter<T>::name},
                                    std::string_view{">"}};
};

template <const std::string_view& start, class... T>
inline constexpr auto joined_text = [] {
  constexpr auto each = [](auto write) {
    write(start);
    bool first = true;
    const auto one = [&]<class P>(P) {
      if (!std::exchange(first, false)) write(std::string_view{", "});
      for (const std::string_view part : P::parts) write(part);
    };
    (one(NameParts<T>{}), ...);
    write(std::string_view{">"});
  };
  constexpr std::size_t size = [each] {
    std::size_t sum = 0;
    each([&](std::string_view part) { sum += part.size(); });
    return sum;
  }();
  std::array<char, size> text{};
  std::size_t at = 0;
  each([&](std::string_view part) {
    for (const char c : part) text[at++] = c;
  });
  return text;
}();

/// `start`, the names of the types with commas between, and a `>`.
template <const std::string_view& start, class... T>
inline constexpr std::string_view joined_name{joined_text<start, T...>.data(), joined_text<start, T...>.size()};

}  // namespace lido::postgres::detail
