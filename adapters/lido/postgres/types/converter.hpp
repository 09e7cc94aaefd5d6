// How C++ values become parameters and columns become C++ values: one specialisation of `Converter` a type. Here are
// numbers, bool and text; the other types of values.hpp have headers of their own.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/binary.hpp>
#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/detail/values/number_text.hpp>

namespace lido::postgres {

/// Specialise this for a type of your own; smallest model:
///
///     template <>
///     struct lido::postgres::Converter<Colour> {
///       static constexpr std::string_view name = "Colour";                 // for messages
///       static std::optional<Colour> read(std::string_view text);          // nothing: not a Colour
///       static std::string write(const Colour& colour);                    // only for parameters
///     };
///
/// What else it may have:
///
/// - `static std::optional<T> read(std::string_view text, Oid type)`: called instead where it is known of which type
/// the
///   column is, which it is not in a COPY.
/// - `static bool accepts(Oid type)`: which types of columns are read; without it any is.
/// - `static std::string_view reason(std::string_view text)`: why `read` returned nothing, for the message.
/// - `static constexpr Oid type`: the type of a parameter; without it the server infers one from where it stands.
/// - `static Oid type_of(const T& value)`: the same where it depends on the value; `type` then is that of a NULL.
/// - `static constexpr Oid element`: the type of the elements when many are passed as an array; without it `type`.
/// - `static constexpr char delimiter`: what stands between many in an array that is passed, or read in a COPY; without
/// it
///   a comma, as in nearly every type.
/// - `static std::span<const std::byte> bytes(const T&)`: the value in the server's binary format, a view into it,
/// which
///   then is sent instead of what `write` returns.
///
/// What fills a `char(n)` up with blanks is not part of the value: `read` without a type does not get to see it, but in
/// a COPY. A `std::string` has it, as the server has.
///
/// `write` may return a `std::optional<std::string>`; nothing means that the value cannot be passed.
///
/// It may derive from another `Converter` for what is the same. Its own `read` and `write` are those that are called,
/// also where `T` converts to `std::string_view`.
template <class T>
struct Converter;

/// A type that a column can be read as.
template <class T>
concept Readable = requires(std::string_view text) {
  { Converter<T>::name } -> std::convertible_to<std::string_view>;
  { Converter<T>::read(text) } -> std::same_as<std::optional<T>>;
};

/// A type that can be passed as a parameter.
template <class T>
concept Writable = requires(const T& value) {
  { Converter<T>::write(value) } -> std::convertible_to<std::optional<std::string>>;
};

namespace detail {

/// A `Converter` of this library that writes what is short, and has nothing in it that is escaped anywhere: `put`
/// writes behind `to`, where there is room for the `longest`, and returns the end; null: it cannot be passed. It takes
/// a `T` itself: one of a user's that derives from it has a `write` of its own.
template <class As, class T>
concept Puts = requires {
  { As::longest } -> std::convertible_to<std::size_t>;
} && (requires { static_cast<char* (*)(char*, T)>(&As::put); } || requires {
  static_cast<char* (*)(char*, const T&)>(&As::put);
});

/// As `Converter::write`, by `put`.
template <class As, class T>
[[nodiscard]] std::optional<std::string> written(const T& value) {
  char room[As::longest];
  char* const end = As::put(room, value);
  if (end == nullptr) return std::nullopt;
  return std::string{room, end};
}

/// What is a text, or converts to one.
template <class T>
concept Text = std::is_convertible_v<const T&, std::string_view>;

/// Passed as it is: a text, unless it is of a type that has a `Converter` to write it.
template <class T>
concept PassedAsText = Text<T> && (!Writable<T> || std::same_as<T, std::string> || std::same_as<T, std::string_view>);

// Of a function that takes one.
template <class R, class T>
std::type_identity<std::remove_cvref_t<T>> argument_of(R (*)(T));
// One of several.
template <class T>
void picked_of(std::span<const std::byte> (*)(const T&));
/// A `Converter` that gives the bytes of a `T` in the server's own format. As with `Puts` it takes a `T` itself.
template <class As, class T>
concept GivesBytes = requires {
  { argument_of(&As::bytes) } -> std::same_as<std::type_identity<T>>;
} || requires { picked_of<T>(&As::bytes); };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

[[nodiscard]] constexpr bool is_integer(Oid type) noexcept {
  return type == oid::int4 || type == oid::int8 || type == oid::int2 || type == oid::numeric || type == oid::object;
}
[[nodiscard]] constexpr bool is_number(Oid type) noexcept {
  return type == oid::float8 || type == oid::float4 || is_integer(type);
}

/// Without the blanks that fill a `char(n)` up.
[[nodiscard]] constexpr std::string_view without_padding(std::string_view text) noexcept {
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

}  // namespace detail

/// Integers: `int2`, `int4`, `int8`, `oid` and `numeric`, the value checked against the range of `T`. A parameter is
/// what the server infers; many of them are an array of the smallest type that holds every `T`, but for 64 bits without
/// a sign: these are `int8`, which indexes are made of, unless one of them is too large for it, and then `numeric`. The
/// server itself takes what is beyond 32 bits for another number where an `oid` is wanted.
template <detail::Integer T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == 1   ? (std::signed_integral<T> ? "int8_t" : "uint8_t")
                                           : sizeof(T) == 2 ? (std::signed_integral<T> ? "int16_t" : "uint16_t")
                                           : sizeof(T) == 4 ? (std::signed_integral<T> ? "int32_t" : "uint32_t")
                                                            : (std::signed_integral<T> ? "int64_t" : "uint64_t");
  static constexpr Oid element = sizeof(T) + std::unsigned_integral<T> <= 2   ? detail::oid::int2
                                 : sizeof(T) + std::unsigned_integral<T> <= 4 ? detail::oid::int4
                                                                              : detail::oid::int8;
  static bool accepts(Oid type) noexcept { return detail::is_integer(type); }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static bool receives(Oid type) noexcept
    requires(sizeof(T) <= sizeof(std::int64_t))
  {
    return accepts(type) && type != detail::oid::numeric;
  }
  template <class Type>
  static std::optional<T> receive(std::string_view bytes, Type type) noexcept {
    return detail::received_integer<T>(bytes, type);
  }
  static constexpr std::size_t longest = detail::longest_number<T>();
  static char* put(char* to, T value) noexcept { return detail::put_number(to, value); }
  static std::string write(T value) { return detail::print_number(value); }
};

/// `float4`, `float8`, and what integers are read from. A fraction is rounded to the nearest, as one in a program is. A
/// whole number that `T` does not hold exactly is refused (beyond 2^53 for double, 2^24 for float), and so is what is
/// out of its range. A parameter is what the server infers, and is written in full, without an exponent: where that is
/// an integer the server takes a whole number and refuses a fraction. Many of them are an array of `float4` or
/// `float8`, which the server itself rounds where an array of another type is wanted.
template <detail::Floating T>
struct Converter<T> {
  static constexpr std::string_view name = sizeof(T) == sizeof(float) ? "float" : "double";
  static constexpr Oid element = sizeof(T) == sizeof(float) ? detail::oid::float4 : detail::oid::float8;
  static bool accepts(Oid type) noexcept { return detail::is_number(type); }
  static std::optional<T> read(std::string_view text) { return detail::parse_number<T>(text); }
  static std::optional<T> read(std::string_view text, Oid type)
    requires(sizeof(T) == sizeof(float))
  {
    return type == detail::oid::float8 ? detail::narrowed(text) : detail::parse_number<T>(text);
  }
  // Of the other one the text is read: the digits of a `float4` are not those of the `double` that it is, and what is
  // nearest to the digits of a `float8` need not be what is nearest to it.
  static bool receives(Oid type) noexcept { return type == element; }
  static std::optional<T> receive(std::string_view bytes) noexcept { return detail::received_floating<T>(bytes); }
  static std::string_view reason(std::string_view) noexcept {
    return "a value out of its range, or a whole number that it cannot hold exactly";
  }
  static constexpr std::size_t longest = detail::longest_number<T>();
  static char* put(char* to, T value) noexcept { return detail::put_number(to, value); }
  static std::string write(T value) { return detail::print_number(value); }
};

template <>
struct Converter<bool> {
  static constexpr std::string_view name = "bool";
  static constexpr Oid element = detail::oid::boolean;
  static bool accepts(Oid type) noexcept { return type == detail::oid::boolean; }
  static std::optional<bool> read(std::string_view text) {
    if (text == "t") return true;
    if (text == "f") return false;
    return std::nullopt;
  }
  static bool receives(Oid type) noexcept { return accepts(type); }
  static std::optional<bool> receive(std::string_view bytes) noexcept {
    return bytes.size() == 1 ? std::optional{bytes[0] != 0} : std::nullopt;
  }
  static constexpr std::size_t longest = 1;
  static char* put(char* to, bool value) noexcept { return *to = value ? 't' : 'f', to + 1; }
  static std::string write(bool value) { return value ? "t" : "f"; }
};

/// Any column can be read as its text.
template <>
struct Converter<std::string> {
  static constexpr std::string_view name = "std::string";
  static std::optional<std::string> read(std::string_view text) { return std::string{text}; }
  static bool receives(Oid type) noexcept { return detail::is_text(type); }
  static std::string write(const std::string& value) { return value; }
};

/// A column is read as a view of its text too, see `Field::as`; nothing else is, as it would dangle.
template <>
struct Converter<std::string_view> {
  static constexpr std::string_view name = "std::string_view";
  static bool receives(Oid type) noexcept { return detail::is_text(type); }
  static std::string write(std::string_view value) { return std::string{value}; }
};

namespace detail {

/// Reads the text of a column, or an element, of the type that `type` returns; it is asked where that matters.
template <class T, class Type>
[[nodiscard, gnu::always_inline]] inline std::optional<T> read_text(std::string_view text, Type type) {
  if constexpr (requires { Converter<T>::read(text, type()); }) {
    return Converter<T>::read(text, type());
  } else if constexpr (std::same_as<T, std::string>) {
    return Converter<T>::read(text);
  } else {
    if (text.ends_with(' ') && type() == oid::bpchar) text = without_padding(text);
    return Converter<T>::read(text);
  }
}

}  // namespace detail

}  // namespace lido::postgres
