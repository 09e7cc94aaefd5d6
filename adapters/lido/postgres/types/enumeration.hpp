// Enumerations, by the names that the server has for them.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <lido/postgres/detail/values/name_of.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// Specialise this for an enumeration whose values count up from 0, with the name of each:
///
///     enum class Mood { sad, content };
///     template <>
///     inline constexpr auto lido::postgres::enum_names<Mood> = std::to_array<std::string_view>({"sad", "content"});
template <class E>
inline constexpr std::nullptr_t enum_names = nullptr;

namespace detail {

template <class E>
concept NamedEnumeration = std::is_enum_v<E> && requires {
  { *std::begin(enum_names<E>) } -> std::convertible_to<std::string_view>;
};

}  // namespace detail

/// Enumerations of the server, and text: `text`, `varchar`, `char(n)`, whose padding does not count, `name` and
/// `"char"`, which both cut a name that is too long for them when it is stored. A parameter has no type of its own, as
/// each database numbers its own types.
template <detail::NamedEnumeration E>
struct Converter<E> {
  static constexpr std::string_view name = detail::name_of<E>();
  static bool accepts(Oid type) noexcept {
    using namespace detail;
    return type >= oid::first_of_users || type == oid::text || type == oid::varchar || type == oid::bpchar ||
           type == oid::name || type == oid::one_char;
  }
  static std::optional<E> read(std::string_view text, Oid type) noexcept {
    if (type == 0) return read(text);
    if (type != detail::oid::bpchar) return find(text, [](std::string_view name) { return name; });
    return find(detail::without_padding(text), detail::without_padding);
  }
  /// Where the type is not known, the text may be that of a `char(n)`.
  static std::optional<E> read(std::string_view text) noexcept {
    const std::optional<E> found = read(text, detail::oid::text);
    return found ? found : read(text, detail::oid::bpchar);
  }
  static std::string_view reason(std::string_view) noexcept { return "a name that is not among its enum_names"; }
  /// Nothing for a value that has no name.
  static std::optional<std::string> write(E value) {
    const auto index = static_cast<std::size_t>(static_cast<std::underlying_type_t<E>>(value));
    if (index >= std::size(enum_names<E>)) return std::nullopt;
    return std::string{enum_names<E>[index]};
  }

 private:
  // `seen` is how a name looks in the column.
  template <class Seen>
  [[nodiscard]] static std::optional<E> find(std::string_view text, Seen seen) noexcept {
    std::size_t value = 0;
    for (const std::string_view written : enum_names<E>) {
      if (seen(written) == text) return static_cast<E>(value);
      ++value;
    }
    return std::nullopt;
  }
};

}  // namespace lido::postgres
