// Composite types: structs of yours that stand for one, and tuples.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/detail/values/catalog.hpp>
#include <lido/postgres/detail/values/joined.hpp>
#include <lido/postgres/detail/values/member_names.hpp>
#include <lido/postgres/detail/values/name_of.hpp>
#include <lido/postgres/detail/values/quoted_text.hpp>
#include <lido/postgres/detail/values/without_optional.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres {

/// Specialise this for a struct that is one value of a composite type, whose fields its members are, in the order of
/// that type:
///
///     struct Address { std::string street; std::optional<std::string> city; };
///     template <>
///     inline constexpr bool lido::postgres::is_composite<Address> = true;
template <class T>
inline constexpr bool is_composite = false;

namespace detail {

// The fields of a composite value, one after the other.
class CompositeFields {
 public:
  enum class Problem { none, text, count, null, value };

  explicit CompositeFields(std::string_view text) : text_{text} {
    if (!text_.take('(')) problem_ = Problem::text;
  }

  /// The next; nothing once there is a problem.
  template <class M>
  [[nodiscard]] std::optional<M> next() {
    using Value = without_optional<M>;
    if (problem_ != Problem::none) return std::nullopt;
    if (count_++ > 0 && !text_.take(','))
      return fail<M>(text_.take(')') && text_.done() ? Problem::count : Problem::text);
    const std::optional<QuotedText::Item> item = text_.item(",()\"\\");
    if (!item) return fail<M>(Problem::text);
    if (item->missing) {
      if constexpr (is_optional<M>) {
        return M{};
      } else {
        return fail<M>(Problem::null);
      }
    }
    std::optional<Value> value = read_text<Value>(item->text, [] { return Oid{0}; });
    if (!value) return fail<M>(Problem::value);
    return std::optional<M>{std::in_place, *std::move(value)};
  }
  /// That was all of them.
  void end() {
    if (problem_ == Problem::none && !(text_.take(')') && text_.done()))
      problem_ = text_.take(',') ? Problem::count : Problem::text;
  }

  [[nodiscard]] Problem problem() const noexcept { return problem_; }
  /// Of the last field that was taken, from 1.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  template <class M>
  [[nodiscard]] std::optional<M> fail(Problem problem) noexcept {
    problem_ = problem;
    return std::nullopt;
  }

  QuotedText text_;
  std::size_t count_ = 0;
  Problem problem_ = Problem::none;
};

template <class Value, class... M>
[[nodiscard]] std::optional<Value> read_composite(CompositeFields& fields, TypeList<M...>) {
  std::tuple<std::optional<M>...> read{fields.next<M>()...};  // braces: from the left to the right
  fields.end();
  if (fields.problem() != CompositeFields::Problem::none) return std::nullopt;
  return std::apply(
      [](auto&... each) {
        return std::optional<Value>{Value{*std::move(each)...}};  // NOLINT(bugprone-unchecked-optional-access)
      },
      read);
}

/// Why a text is no composite value with these members; `name(i)` is that of one.
template <class Value, class Name, class... M>
[[nodiscard]] std::string why_not_composite(std::string_view text, Name name, TypeList<M...> members) {
  CompositeFields fields{text};
  static_cast<void>(read_composite<Value>(fields, members));
  const std::size_t wanted = sizeof...(M);
  const auto field = [&] { return name(fields.count() - 1); };
  switch (fields.problem()) {
    case CompositeFields::Problem::count:
      return "another number of fields than " + std::to_string(wanted);
    case CompositeFields::Problem::null:
      return "NULL in its field " + field();
    case CompositeFields::Problem::value: {
      std::string_view types[] = {Converter<without_optional<M>>::name...};
      return "a field " + field() + " that is no " + std::string{types[fields.count() - 1]};
    }
    case CompositeFields::Problem::text:
    case CompositeFields::Problem::none:
    default:
      return "a text that is no composite value";
  }
}

// False when a value cannot be passed.
template <class M>
[[nodiscard]] bool write_field(std::string& text, const M& value) {
  if (text.empty()) {
    text += '(';
  } else {
    text += ',';
  }
  if constexpr (is_optional<M>) {
    if (!value) return true;
    const std::optional<std::string> field = Converter<typename M::value_type>::write(*value);
    if (field) append_quoted(text, *field);
    return field.has_value();
  } else {
    const std::optional<std::string> field = Converter<M>::write(value);
    if (field) append_quoted(text, *field);
    return field.has_value();
  }
}

template <class... M>
[[nodiscard]] std::optional<std::string> write_composite(const M&... values) {
  std::string text;
  if (!(write_field(text, values) && ...)) return std::nullopt;
  return text += ')';
}

// A row of a table of the server's own, a record, or whatever a user has made.
[[nodiscard]] inline bool may_be_composite(Oid type) noexcept {
  return !is_built_in(type) || type == 2249 || type == 71 || type == 75 || type == 81 || type == 83;
}

template <class T>
concept CompositeField = Readable<without_optional<T>> || Writable<without_optional<T>>;
template <class... T>
inline constexpr bool all_readable = (Readable<without_optional<T>> && ...);
template <class... T>
inline constexpr bool all_readable<TypeList<T...>> = all_readable<T...>;
template <class... T>
inline constexpr bool all_writable = (Writable<without_optional<T>> && ...);
template <class... T>
inline constexpr bool all_writable<TypeList<T...>> = all_writable<T...>;

inline constexpr std::string_view tuple_start = "std::tuple<";

}  // namespace detail

/// A struct for which `is_composite` says so: a value of a composite type or of a row of a table. Fields are taken in
/// their order, and have to be as many. A field that is NULL needs a `std::optional`. A parameter has no type of its
/// own; where nothing tells write `$1::address`.
template <class T>
  requires(is_composite<T> && std::is_aggregate_v<T> && std::is_class_v<T>)
struct Converter<T> {
  using Members = decltype(detail::members_of(std::declval<T&>()));
  static_assert(Members::size > 0,
                "lido: a composite type is an aggregate that has at least one member and at most 64");
  static constexpr std::string_view name = detail::name_of<T>();

  static bool accepts(Oid type) noexcept { return detail::may_be_composite(type); }
  static std::optional<T> read(std::string_view text)
    requires detail::all_readable<Members>
  {
    detail::CompositeFields fields{text};
    return detail::read_composite<T>(fields, Members{});
  }
  static std::string reason(std::string_view text) {
    const auto name_of_field = [](std::size_t field) { return std::string{detail::names_of_members<T>[field]}; };
    return detail::why_not_composite<T>(text, name_of_field, Members{});
  }
  static std::optional<std::string> write(const T& value)
    requires detail::all_writable<Members>
  {
    return detail::with_members<Members::size>(value,
                                               [](const auto&... each) { return detail::write_composite(each...); });
  }
};

/// The same, and a record (`row(1, 'a')`), as a tuple.
template <detail::CompositeField... T>
  requires(sizeof...(T) > 0)
struct Converter<std::tuple<T...>> {
  static constexpr std::string_view name = detail::joined_name<detail::tuple_start, T...>;

  static bool accepts(Oid type) noexcept { return detail::may_be_composite(type); }
  static std::optional<std::tuple<T...>> read(std::string_view text)
    requires detail::all_readable<T...>
  {
    detail::CompositeFields fields{text};
    return detail::read_composite<std::tuple<T...>>(fields, detail::TypeList<T...>{});
  }
  static std::string reason(std::string_view text) {
    const auto name_of_field = [](std::size_t field) { return std::to_string(field + 1); };
    return detail::why_not_composite<std::tuple<T...>>(text, name_of_field, detail::TypeList<T...>{});
  }
  static std::optional<std::string> write(const std::tuple<T...>& value)
    requires detail::all_writable<T...>
  {
    return std::apply([](const auto&... each) { return detail::write_composite(each...); }, value);
  }
};

}  // namespace lido::postgres
