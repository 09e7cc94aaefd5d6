// `std::formatter` for the types of values, which shows what is passed to the server: `std::format("{:>40}", uuid)`.
// Empty where the standard library has no `<format>`, as that of GCC 12.
#pragma once

#include <version>

#ifdef __cpp_lib_format

#  include <format>
#  include <optional>
#  include <string>
#  include <string_view>

#  include <lido/postgres/types/infinity.hpp>
#  include <lido/postgres/types/interval.hpp>
#  include <lido/postgres/types/json.hpp>
#  include <lido/postgres/types/numeric.hpp>
#  include <lido/postgres/types/range.hpp>
#  include <lido/postgres/types/uuid.hpp>

namespace lido::postgres {

namespace detail {

/// Takes the options of a text. Throws `std::format_error` for a value that could not be passed.
template <class T>
struct ValueFormatter : std::formatter<std::string_view> {
  template <class Context>
  auto format(const T& value, Context& context) const {
    const std::optional<std::string> text = Converter<T>::write(value);
    if (!text) throw std::format_error{"out of the server's range"};
    return std::formatter<std::string_view>::format(*text, context);
  }
};

}  // namespace detail

}  // namespace lido::postgres

template <>
struct std::formatter<lido::postgres::Uuid> : lido::postgres::detail::ValueFormatter<lido::postgres::Uuid> {};
template <>
struct std::formatter<lido::postgres::Numeric> : lido::postgres::detail::ValueFormatter<lido::postgres::Numeric> {};
template <>
struct std::formatter<lido::postgres::Json> : lido::postgres::detail::ValueFormatter<lido::postgres::Json> {};
template <>
struct std::formatter<lido::postgres::Interval> : lido::postgres::detail::ValueFormatter<lido::postgres::Interval> {};
template <class T>
struct std::formatter<lido::postgres::OrInfinity<T>>
    : lido::postgres::detail::ValueFormatter<lido::postgres::OrInfinity<T>> {};
template <class T>
struct std::formatter<lido::postgres::Range<T>> : lido::postgres::detail::ValueFormatter<lido::postgres::Range<T>> {};
template <class T>
struct std::formatter<lido::postgres::Multirange<T>>
    : lido::postgres::detail::ValueFormatter<lido::postgres::Multirange<T>> {};

#endif
