// The text of a statement, and where it stands in your source.
#pragma once

#include <concepts>
#include <source_location>
#include <string_view>

namespace lido::postgres {

/// What `exec` and its like take for a statement. Text of any type converts to it, and brings along the place of the
/// call, which errors name. A view: the text has to live for as long as the call.
struct Sql {
  template <std::convertible_to<std::string_view> Text>
  // NOLINTNEXTLINE(google-explicit-constructor): nobody writes its name
  Sql(const Text& sql, std::source_location place = std::source_location::current()) : text{sql}, where{place} {}

  std::string_view text;
  std::source_location where;
};

}  // namespace lido::postgres
