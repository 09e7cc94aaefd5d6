// JSON, kept as its text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// A `json` or `jsonb` as its text, for a parser of your choice. Equal are two of the same text.
struct Json {
  std::string text;

  friend bool operator==(const Json&, const Json&) = default;
};

/// `json` and `jsonb`. A parameter has no type of its own, so that it fits either.
template <>
struct Converter<Json> {
  static constexpr std::string_view name = "lido::postgres::Json";
  static bool accepts(Oid type) noexcept { return type == detail::oid::json || type == detail::oid::jsonb; }
  static std::optional<Json> read(std::string_view text) { return Json{std::string{text}}; }
  static std::string write(const Json& value) { return value.text; }
};

}  // namespace lido::postgres
