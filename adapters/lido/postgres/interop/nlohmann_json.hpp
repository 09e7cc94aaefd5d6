// JSON as values of nlohmann-json, which you have to have.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

namespace detail {

template <class Document>
struct NlohmannConverter {
  static bool accepts(Oid type) noexcept { return type == oid::json || type == oid::jsonb; }
  static std::optional<Document> read(std::string_view text) {
    Document value = Document::parse(text, nullptr, false);
    if (value.is_discarded()) return std::nullopt;
    return std::optional<Document>{std::in_place, std::move(value)};
  }
  static std::optional<std::string> write(const Document& value) {
    try {
      return value.dump();
    } catch (const typename Document::exception&) {
      return std::nullopt;
    }
  }
};

}  // namespace detail

/// `json` and `jsonb`. A parameter has no type of its own, so that it fits either. Numbers are what the library makes
/// of them: one that neither 64 bits nor a `double` hold exactly is rounded; a `Json` keeps its text. The JSON `null`
/// is a value, NULL needs a `std::optional`. A text that is no UTF-8 cannot be passed.
template <>
struct Converter<nlohmann::json> : detail::NlohmannConverter<nlohmann::json> {
  static constexpr std::string_view name = "nlohmann::json";
};

/// The same, with members in the order in which they stand.
template <>
struct Converter<nlohmann::ordered_json> : detail::NlohmannConverter<nlohmann::ordered_json> {
  static constexpr std::string_view name = "nlohmann::ordered_json";
};

}  // namespace lido::postgres
