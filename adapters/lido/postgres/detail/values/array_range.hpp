// Ranges that are passed as arrays without being a vector: spans, arrays, sets, views, and whatever else can be walked
// over more than once.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/types/array.hpp>
#include <lido/postgres/types/bytea.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

// Some views are not walked over while they are const; they are copied, which is cheap.
template <class T>
concept CopiedView = std::ranges::view<T> && std::copy_constructible<T> && std::ranges::forward_range<T> &&
                     !std::ranges::forward_range<const T>;
template <class T>
concept Walkable = std::ranges::forward_range<const T> || CopiedView<T>;

template <class T>
struct ElementOf;
template <class T>
  requires std::ranges::forward_range<const T>
struct ElementOf<T> {
  using Type = std::ranges::range_value_t<const T>;
};
template <CopiedView T>
struct ElementOf<T> {
  using Type = std::ranges::range_value_t<T>;
};
template <class T>
using element_of = typename ElementOf<T>::Type;

/// Bytes that lie one behind the other are one value.
template <class T>
concept ByteRange = !Writable<T> && std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T> &&
                    std::same_as<std::ranges::range_value_t<const T>, std::byte>;

template <class T>
[[nodiscard]] consteval bool is_its_own_element() {
  if constexpr (Walkable<T>)
    return std::same_as<element_of<T>, T>;
  else
    return false;
}
template <class T>
[[nodiscard]] consteval bool is_array_range() {
  // A path is a range of paths.
  if constexpr (!Writable<T> && !Text<T> && Walkable<T> && !is_its_own_element<T>()) {
    using Element = element_of<T>;
    using Value = unwrapped<Element>;
    return Text<Value> || Writable<Value> || ByteRange<Value> || (!is_optional<Element> && is_array_range<Value>());
  } else {
    return false;
  }
}
template <class T>
concept ArrayRange = is_array_range<T>();

/// The type of a range's elements when they are passed.
template <class T>
struct InnermostOf : Innermost<T> {};  // of what has vectors in it, or none
template <ArrayRange T>
struct InnermostOf<T> : InnermostOf<unwrapped<element_of<T>>> {};

template <class T, class Action>
decltype(auto) walk(const T& range, Action action) {
  if constexpr (CopiedView<T>) {
    T copy = range;
    return action(copy);
  } else {
    return action(range);
  }
}

template <class T>
[[nodiscard]] bool append_element(std::string& text, const T& value, bool quote);

template <class T>
[[nodiscard]] bool write_range(std::string& text, const T& values) {
  using Inner = typename InnermostOf<T>::Type;
  constexpr char delimiter = array_delimiter<Inner>();
  constexpr bool quote = element_type<Inner>() == 0 && !ByteRange<Inner>;
  return walk(values, [&](auto& range) {
    text += '{';
    bool first = true;
    for (const auto& value : range) {
      if (!std::exchange(first, false)) text += delimiter;
      if (!append_element<element_of<T>>(text, value, quote)) return false;
    }
    text += '}';
    return true;
  });
}

template <class T>
[[nodiscard]] bool append_element(std::string& text, const T& value, bool quote) {
  if constexpr (is_optional<T>) {
    if (value) return append_element<unwrapped<T>>(text, *value, quote);
    return text += "NULL", true;
  } else if constexpr (ArrayRange<T>) {
    return write_range(text, value);
  } else if constexpr (is_array<T>) {
    return write_array(text, value);
  } else if constexpr (ByteRange<T>) {
    const std::span<const std::byte> bytes{std::ranges::data(value), std::ranges::size(value)};
    append_array_item(text, Converter<std::span<const std::byte>>::write(bytes), quote);
    return true;
  } else if constexpr (Writable<T>) {
    return append_item(text, value, quote);
  } else {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return text += "NULL", true;
    }
    append_array_item(text, std::string_view{value}, quote);
    return true;
  }
}

// As a `Converter` for what has none.
template <ArrayRange T>
struct RangeParameter {
  using Inner = typename InnermostOf<T>::Type;
  static constexpr std::string_view name = "a range";
  static constexpr Oid type = array_of(ByteRange<Inner> ? oid::bytea : element_type<Inner>());
  static Oid type_of(const T& values)
    requires std::unsigned_integral<Inner> && (type == array_of(oid::int8))
  {
    return all_of_range_fit_int8(values) ? type : array_of(oid::numeric);
  }
  static std::optional<std::string> write(const T& values) {
    std::string text;
    if (!write_range(text, values)) return std::nullopt;
    return text;
  }

 private:
  template <class R>
  static bool all_of_range_fit_int8(const R& values) {
    return walk(values, [](auto& range) {
      for (const auto& value : range) {
        using Element = element_of<R>;
        if constexpr (ArrayRange<Element>) {
          if (!all_of_range_fit_int8(static_cast<const Element&>(value))) return false;
        } else if constexpr (is_array<Element>) {
          if (!all_fit_int8(value)) return false;
        } else if constexpr (is_optional<Element>) {
          if (value && !std::in_range<std::int64_t>(*value)) return false;
        } else {
          if (!std::in_range<std::int64_t>(value)) return false;
        }
      }
      return true;
    });
  }
};

template <ByteRange T>
struct BytesParameter {
  static constexpr std::string_view name = "bytes";
  using Bytes = Converter<std::span<const std::byte>>;
  static constexpr Oid type = Bytes::type;
  static std::span<const std::byte> bytes(const T& value) noexcept {
    return {std::ranges::data(value), std::ranges::size(value)};
  }
  static std::string write(const T& value) { return Bytes::write(bytes(value)); }
};

template <class T>
struct Written {
  using By = Converter<T>;
};
template <ArrayRange T>
struct Written<T> {
  using By = RangeParameter<T>;
};
template <ByteRange T>
struct Written<T> {
  using By = BytesParameter<T>;
};
/// What writes a parameter.
template <class T>
using AsParameter = typename Written<T>::By;

}  // namespace lido::postgres::detail
