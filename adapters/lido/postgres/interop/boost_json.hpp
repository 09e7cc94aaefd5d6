// JSON as values of Boost.JSON, which you have to have: Boost 1.75 or newer.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// `json` and `jsonb`. A parameter has no type of its own, so that it fits either. Numbers are what the library makes
/// of them: one that neither 64 bits nor a `double` hold exactly is rounded; a `Json` keeps its text. The JSON `null`
/// is a value, NULL needs a `std::optional`. At most 256 arrays and objects are read one within the other, as the
/// library takes room on the stack for each. An infinity and a NaN cannot be passed.
template <>
struct Converter<boost::json::value> {
  static constexpr std::string_view name = "boost::json::value";

  static bool accepts(Oid type) noexcept { return type == detail::oid::json || type == detail::oid::jsonb; }
  static std::optional<boost::json::value> read(std::string_view text) {
    boost::json::parse_options options;
    options.max_depth = 256;
    boost::system::error_code error;
    boost::json::value value = boost::json::parse({text.data(), text.size()}, error, {}, options);
    if (error) return std::nullopt;
    return std::optional<boost::json::value>{std::in_place, std::move(value)};
  }
  static std::string_view reason(std::string_view) noexcept {
    return "a document that Boost.JSON does not read, or that goes deeper than 256";
  }
  static std::optional<std::string> write(const boost::json::value& value) {
    if (!is_finite(value)) return std::nullopt;
    return boost::json::serialize(value);
  }

 private:
  // Another number is no JSON, but the library would write one.
  static bool is_finite(const boost::json::value& value) {
    std::vector<const boost::json::value*> left{&value};
    while (!left.empty()) {
      const boost::json::value& each = *left.back();
      left.pop_back();
      if (each.is_double() && !std::isfinite(each.get_double())) return false;
      if (const boost::json::array* const array = each.if_array())
        for (const boost::json::value& child : *array) left.push_back(&child);
      if (const boost::json::object* const object = each.if_object())
        for (const auto& child : *object) left.push_back(&child.value());
    }
    return true;
  }
};

}  // namespace lido::postgres
