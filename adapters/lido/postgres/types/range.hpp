// Ranges and multiranges.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/values/joined.hpp>
#include <lido/postgres/detail/values/quoted_text.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// What lies between two bounds: `Range<int>{.lower = 1, .upper = 5}` are 1 to 4. A bound that is not there is one that
/// nothing lies beyond, as in `Range<int>{.upper = 5}`. The server writes those of whole numbers and dates anew, so
/// that a lower bound belongs to them, and an upper one does not.
template <class T>
struct Range {
  std::optional<T> lower{};
  std::optional<T> upper{};
  bool lower_inclusive = true;   ///< of no meaning without a bound
  bool upper_inclusive = false;  ///< the same
  bool empty = false;            ///< nothing lies in it, whatever the bounds are

  /// The one that nothing lies in.
  [[nodiscard]] static Range nothing() { return {.empty = true}; }
  [[nodiscard]] bool contains(const T& value) const {
    if (empty) return false;
    if (lower && (value < *lower || (!lower_inclusive && !(*lower < value)))) return false;
    return !upper || value < *upper || (upper_inclusive && !(*upper < value));
  }

  /// As they are written; the server knows more that are the same, such as `[1,4]` and `[1,5)`.
  friend bool operator==(const Range& a, const Range& b) {
    if (a.empty || b.empty) return a.empty == b.empty;
    return a.lower == b.lower && a.upper == b.upper && (!a.lower || a.lower_inclusive == b.lower_inclusive) &&
           (!a.upper || a.upper_inclusive == b.upper_inclusive);
  }
};

/// Ranges one behind the other, with room between them, as PostgreSQL 14 and newer have them.
template <class T>
struct Multirange {
  std::vector<Range<T>> ranges{};

  [[nodiscard]] bool contains(const T& value) const {
    for (const Range<T>& range : ranges)
      if (range.contains(value)) return true;
    return false;
  }
  friend bool operator==(const Multirange&, const Multirange&) = default;
};

namespace detail {

// Those of the server's own, by the type of their bounds.
struct RangeEntry {
  Oid bound;
  Oid range;
  Oid multirange;
};
inline constexpr RangeEntry range_entries[] = {{oid::int4, 3904, 4451},      {oid::int8, 3926, 4536},
                                               {oid::numeric, 3906, 4532},   {oid::date, 3912, 4535},
                                               {oid::timestamp, 3908, 4533}, {oid::timestamptz, 3910, 4534}};

template <class T>
[[nodiscard]] constexpr RangeEntry find_range() noexcept {
  if constexpr (requires { Converter<T>::type; }) {
    for (const RangeEntry& entry : range_entries)
      if (entry.bound == Converter<T>::type) return entry;
  }
  return {};
}

// Of a type that a user has made nobody knows the bounds.
template <class T>
[[nodiscard]] bool accepts_bounds(Oid type, Oid RangeEntry::* which) {
  for (const RangeEntry& entry : range_entries) {
    if (entry.*which != type) continue;
    if constexpr (requires { Converter<T>::accepts(type); }) {
      return Converter<T>::accepts(entry.bound);
    } else {
      return true;
    }
  }
  return !is_built_in(type);
}

// Reads one range after the other; says what is wrong with one.
template <class T>
class Ranges {
 public:
  explicit Ranges(std::string_view text) : text_{text} {}

  [[nodiscard]] QuotedText& text() noexcept { return text_; }
  [[nodiscard]] std::optional<Range<T>> next() {
    Range<T> range;
    range.lower_inclusive = text_.take('[');
    if (!range.lower_inclusive && !text_.take('(')) return std::nullopt;
    if (!bound(range.lower, "a lower") || !text_.take(',') || !bound(range.upper, "an upper")) return std::nullopt;
    range.upper_inclusive = text_.take(']');
    if (!range.upper_inclusive && !text_.take(')')) return std::nullopt;
    return range;
  }
  // Empty where the text is that of no range.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  [[nodiscard]] bool bound(std::optional<T>& bound, const char* which) {
    const std::optional<QuotedText::Item> item = text_.item(",()[]\"\\");
    if (!item) return false;
    if (item->missing) return true;
    bound = read_text<T>(item->text, [] { return Oid{0}; });
    if (bound) return true;
    problem_.append(which).append(" bound that is no ").append(Converter<T>::name);
    if constexpr (requires { Converter<T>::reason(item->text); })
      problem_.append(": ").append(Converter<T>::reason(item->text));
    return false;
  }

  QuotedText text_;
  std::string problem_;
};

template <class T>
[[nodiscard]] bool write_range(std::string& text, const Range<T>& range) {
  if (range.empty) {
    text += "empty";
    return true;
  }
  const auto bound = [&text](const std::optional<T>& value) {
    if (!value) return true;
    const std::optional<std::string> written = Converter<T>::write(*value);
    if (written) append_quoted(text, *written);
    return written.has_value();
  };
  text += range.lower_inclusive && range.lower ? '[' : '(';
  if (!bound(range.lower)) return false;
  text += ',';
  if (!bound(range.upper)) return false;
  text += range.upper_inclusive && range.upper ? ']' : ')';
  return true;
}

inline constexpr std::string_view range_start = "lido::postgres::Range<";
inline constexpr std::string_view multirange_start = "lido::postgres::Multirange<";

}  // namespace detail

/// `int4range`, `int8range`, `numrange`, `daterange`, `tsrange`, `tstzrange` and the ranges of users, by what a `T` is
/// read from. A parameter of times has the type of its bounds; the server infers that of others.
template <class T>
  requires Readable<T> || Writable<T>
struct Converter<Range<T>> {
  static constexpr std::string_view name = detail::joined_name<detail::range_start, T>;
  static constexpr Oid type = detail::find_range<T>().range;

  static bool accepts(Oid column) { return detail::accepts_bounds<T>(column, &detail::RangeEntry::range); }
  static std::optional<Range<T>> read(std::string_view text)
    requires Readable<T>
  {
    if (text == "empty") return Range<T>::nothing();
    detail::Ranges<T> ranges{text};
    std::optional<Range<T>> range = ranges.next();
    if (!ranges.text().done()) range.reset();
    return range;
  }
  static std::string reason(std::string_view text)
    requires Readable<T>
  {
    detail::Ranges<T> ranges{text};
    static_cast<void>(ranges.next());
    return ranges.problem().empty() ? "a text that is no range" : ranges.problem();
  }
  static std::optional<std::string> write(const Range<T>& range)
    requires Writable<T>
  {
    std::string text;
    if (!detail::write_range(text, range)) return std::nullopt;
    return text;
  }
};

/// `int4multirange` and its like, and the multiranges of users.
template <class T>
  requires Readable<T> || Writable<T>
struct Converter<Multirange<T>> {
  static constexpr std::string_view name = detail::joined_name<detail::multirange_start, T>;
  static constexpr Oid type = detail::find_range<T>().multirange;

  static bool accepts(Oid column) { return detail::accepts_bounds<T>(column, &detail::RangeEntry::multirange); }
  static std::optional<Multirange<T>> read(std::string_view text)
    requires Readable<T>
  {
    detail::Ranges<T> ranges{text};
    return read(ranges);
  }
  static std::string reason(std::string_view text)
    requires Readable<T>
  {
    detail::Ranges<T> ranges{text};
    static_cast<void>(read(ranges));
    return ranges.problem().empty() ? "a text that is no multirange" : ranges.problem();
  }
  static std::optional<std::string> write(const Multirange<T>& value)
    requires Writable<T>
  {
    std::string text = "{";
    for (const Range<T>& range : value.ranges) {
      if (text.size() > 1) text += ',';
      if (!detail::write_range(text, range)) return std::nullopt;
    }
    return text += '}';
  }

 private:
  [[nodiscard]] static std::optional<Multirange<T>> read(detail::Ranges<T>& ranges) {
    std::optional<Multirange<T>> value{std::in_place};
    detail::QuotedText& text = ranges.text();
    if (!text.take('{')) return std::nullopt;
    if (!text.take('}')) {
      do {
        std::optional<Range<T>> range = ranges.next();
        if (!range) return std::nullopt;
        value->ranges.push_back(*std::move(range));
      } while (text.take(','));
      if (!text.take('}')) return std::nullopt;
    }
    if (!text.done()) value.reset();
    return value;
  }
};

}  // namespace lido::postgres
