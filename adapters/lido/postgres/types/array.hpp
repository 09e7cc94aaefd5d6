// Arrays: `std::vector` of what a column can be read as or a parameter can be.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/values/array_text.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/types/bytea.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

// Bytes are one value.
template <class T>
inline constexpr bool is_array = false;
template <class T>
inline constexpr bool is_array<std::vector<T>> = !std::same_as<T, std::byte>;

template <class T>
struct Unwrapped {
  using Type = T;
};
template <class T>
  requires(!is_array<T>)  // the server knows no array that is NULL in an array
struct Unwrapped<std::optional<T>> {
  using Type = T;
};
template <class T>
using unwrapped = typename Unwrapped<T>::Type;

template <class T>
[[nodiscard]] constexpr Oid element_type() noexcept {
  if constexpr (requires { Converter<T>::element; }) {
    return Converter<T>::element;
  } else if constexpr (requires { Converter<T>::type; }) {
    return Converter<T>::type;
  } else {
    return 0;
  }
}

// Whether all of them, in any number of dimensions, fit an int8.
template <class T>
[[nodiscard]] bool all_fit_int8(const std::vector<T>& values) noexcept {
  for (const auto& value : values) {
    if constexpr (is_array<T>) {
      if (!all_fit_int8(value)) return false;
    } else if constexpr (is_optional<T>) {
      if (value && !std::in_range<std::int64_t>(*value)) return false;
    } else {
      if (!std::in_range<std::int64_t>(value)) return false;
    }
  }
  return true;
}

// The element of vectors of vectors.
template <class T>
struct Innermost {
  using Type = unwrapped<T>;
};
template <class T>
  requires is_array<T>
struct Innermost<T> : Innermost<typename T::value_type> {};

template <class T>
[[nodiscard]] bool read_array(ArrayText& text, Oid element, std::vector<T>& values) {
  if (!text.take('{')) return false;
  if (text.take('}')) return true;
  do {
    if constexpr (is_array<T>) {
      if (!read_array(text, element, values.emplace_back())) return false;
    } else {
      const std::optional<ArrayText::Item> item = text.item();
      if (!item || (item->null && !is_optional<T>)) return false;
      if (item->null) {
        values.emplace_back();
        continue;
      }
      auto value = read_text<unwrapped<T>>(item->text, [element] { return element; });
      if (!value) return false;
      if constexpr (is_optional<T>) {
        values.push_back(std::move(value));
      } else {
        values.push_back(*std::move(value));
      }
    }
  } while (text.take_delimiter());
  return text.take('}');
}

// What stands between elements where no type says it.
template <class T>
[[nodiscard]] constexpr char array_delimiter() noexcept {
  if constexpr (requires { Converter<T>::delimiter; }) {
    return Converter<T>::delimiter;
  } else {
    return ',';
  }
}

// Both: false when a value cannot be passed.
template <class T>
[[nodiscard]] bool append_item(std::string& text, const T& value, bool quote) {
  if constexpr (Puts<Converter<T>, T>) {
    char room[Converter<T>::longest];
    const char* const end = Converter<T>::put(room, value);
    if (end == nullptr) return false;
    append_short_item(text, {room, end}, quote);
  } else {
    const std::optional<std::string> item = Converter<T>::write(value);
    if (!item) return false;
    append_array_item(text, *item, quote);
  }
  return true;
}
template <class T>
[[nodiscard]] bool write_array(std::string& text, const std::vector<T>& values) {
  constexpr char delimiter = array_delimiter<typename Innermost<T>::Type>();
  // The server may take it for an array of a type with another delimiter. Behind quotes that is an error, not a value.
  constexpr bool quote = element_type<typename Innermost<T>::Type>() == 0;
  char before = '{';
  for (const auto& value : values) {
    text += std::exchange(before, delimiter);
    if constexpr (is_array<T>) {
      if (!write_array(text, value)) return false;
    } else if constexpr (is_optional<T>) {
      if (!value) {
        text += "NULL";
        continue;
      }
      if (!append_item(text, *value, quote)) return false;
    } else {
      if (!append_item<T>(text, value, quote)) return false;
    }
  }
  if (before == '{') text += '{';
  text += '}';
  return true;
}

template <class T>
inline constexpr auto array_name = [] {
  constexpr std::string_view start = is_optional<T> ? "std::vector<std::optional<" : "std::vector<";
  constexpr std::string_view element = Converter<unwrapped<T>>::name;
  constexpr std::string_view end = is_optional<T> ? ">>" : ">";
  std::array<char, start.size() + element.size() + end.size()> name{};
  auto* to = std::copy(start.begin(), start.end(), name.begin());
  to = std::copy(element.begin(), element.end(), to);
  std::copy(end.begin(), end.end(), to);
  return name;
}();

}  // namespace detail

/// Arrays: of one dimension, or of more as vectors of vectors; with elements that may be NULL as `std::optional`. Lower
/// bounds are not kept: the first element is at 0. A parameter of numbers, bools, times, UUIDs or bytes has the type of
/// its elements; the server infers that of other ones.
///
/// Of an array of a type that is not the server's own a result knows the elements (a domain is what it is made of) and
/// the delimiter: the catalog was asked, once a connection and type. A `Stream` knows it if a result before had the
/// type; else elements are taken to have commas between, and what could be another delimiter is refused. In a COPY and
/// in a parameter it is a comma, or the `delimiter` of the elements' `Converter`; a parameter that has the wrong one is
/// refused by the server.
template <class T>
  requires Readable<detail::unwrapped<T>> || Writable<detail::unwrapped<T>>
struct Converter<std::vector<T>> {
  static constexpr std::string_view name{detail::array_name<T>.data(), detail::array_name<T>.size()};
  static constexpr Oid element = detail::element_type<detail::unwrapped<T>>();
  static constexpr Oid type = detail::array_of(element);
  static Oid type_of(const std::vector<T>& values) noexcept
    requires std::unsigned_integral<typename detail::Innermost<T>::Type> && (element == detail::oid::int8)
  {
    return detail::all_fit_int8(values) ? type : detail::array_of(detail::oid::numeric);
  }
  static bool accepts(const detail::ColumnType& column) {
    using Element = Converter<detail::unwrapped<T>>;
    const Oid wanted = column.array.element;
    if constexpr (detail::is_array<T>) {
      return Element::accepts(column);  // one type for any number of dimensions
    } else if constexpr (requires { Element::accepts(wanted); }) {
      return wanted != 0 && Element::accepts(wanted);
    } else {
      return wanted != 0;
    }
  }
  static std::optional<std::vector<T>> read(std::string_view text, const detail::ColumnType& column)
    requires Readable<detail::unwrapped<T>>
  {
    using Element = typename detail::Innermost<T>::Type;
    constexpr bool says = requires { Converter<Element>::delimiter; };
    const char delimiter = column.known ? column.array.delimiter : detail::array_delimiter<Element>();
    // Of a type that nobody has been told of: what is no comma may be the delimiter.
    if (!column.known && column.array.type != 0 && !says && !detail::has_commas_alone(text)) return std::nullopt;
    std::optional<std::vector<T>> values{std::in_place};
    detail::ArrayText array{text, delimiter};
    if (!detail::read_array(array, column.known ? column.array.element : 0, *values) || !array.done())
      return std::nullopt;
    return values;
  }
  /// In a COPY, of whatever it is.
  static std::optional<std::vector<T>> read(std::string_view text)
    requires Readable<detail::unwrapped<T>>
  {
    return read(text, detail::column_type(nullptr, 0));
  }
  static std::string_view reason(std::string_view) noexcept {
    return "other dimensions, a NULL, or an element that does not fit";
  }
  static std::optional<std::string> write(const std::vector<T>& values)
    requires Writable<detail::unwrapped<T>>
  {
    std::string text;
    if (!detail::write_array(text, values)) return std::nullopt;
    return text;
  }
};

}  // namespace lido::postgres
