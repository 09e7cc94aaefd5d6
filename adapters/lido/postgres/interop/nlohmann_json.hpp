// JSON as values of nlohmann-json, which you have to have.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
    if (!is_finite(value)) return std::nullopt;
    try {
      return value.dump();
    } catch (const typename Document::exception&) {
      return std::nullopt;
    }
  }

 private:
  // The library would write another number as `null`.
  static bool is_finite(const Document& value) {
    std::vector<const Document*> left{&value};
    while (!left.empty()) {
      const Document& each = *left.back();
      left.pop_back();
      if (each.is_number_float() && !std::isfinite(each.template get<typename Document::number_float_t>()))
        return false;
      if (!each.is_structured()) continue;
      for (const Document& child : each) left.push_back(&child);
    }
    return true;
  }
};

}  // namespace detail

/// `json` and `jsonb`. A parameter has no type of its own, so that it fits either. Numbers are what the library makes
/// of them: one that neither 64 bits nor a `double` hold exactly is rounded; a `Json` keeps its text. The JSON `null`
/// is a value, NULL needs a `std::optional`. A text that is no UTF-8, an infinity and a NaN cannot be passed.
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
