// What a row is read as: which columns it takes, how these are called, and how a value is made of them.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/detail/values/member_names.hpp>
#include <lido/postgres/detail/values/without_optional.hpp>
#include <lido/postgres/types/columns.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// What a column may be read as, NULL as an empty optional.
template <class T>
concept ReadableColumn = Readable<without_optional<T>> || std::same_as<without_optional<T>, std::string_view>;

/// A struct of the user's, each of whose members is a column, or is such a part again.
template <class T>
concept Part = std::is_aggregate_v<T> && std::is_class_v<T> && !ReadableColumn<T> && !requires {
  std::tuple_size<T>::value;  // an array
};

template <class... A, class... B>
TypeList<A..., B...> operator+(TypeList<A...>, TypeList<B...>);  // never called

template <class T>
struct Columns {  // of a member
  using Types = TypeList<T>;
};
template <class T>
using columns_of_type = typename Columns<T>::Types;

template <class... M>
auto columns_of_members(TypeList<M...>) -> decltype((TypeList<>{} + ... + columns_of_type<M>{}));

template <class T>
  requires Part<without_optional<T>>
struct Columns<T> {
  using Members = decltype(members_of(std::declval<without_optional<T>&>()));
  static_assert(Members::size > 0,
                "lido: a row is read as an aggregate that has at least one member and at most 64, or else a "
                "lido::postgres::Converter has to be specialised for the type");
  using Types = decltype(columns_of_members(Members{}));
};

// Where each of these begins, if each takes the columns that it needs.
template <class... M>
[[nodiscard]] consteval auto beginnings(TypeList<M...>) {
  std::array<std::size_t, sizeof...(M)> begins{};
  std::size_t next = 0;
  std::size_t member = 0;
  ((begins[member++] = std::exchange(next, next + columns_of_type<M>::size)), ...);
  return begins;
}

/// The names of the columns that a `T` is made of.
template <class T>
class ColumnNames {
  struct Prefix {
    const Prefix* outer;
    std::string_view name;
  };

  struct Writer {  // only counts without a place to write to
    constexpr void put(std::string_view name) {
      for (const char c : name) {
        if (at != nullptr) at[length] = c;
        ++length;
      }
    }
    constexpr void put(const Prefix* prefix) {
      if (prefix == nullptr) return;
      put(prefix->outer);
      put(prefix->name);
      if (!prefix->name.empty()) put("_");
    }
    char* at;
    std::size_t* ends;
    std::size_t length = 0;
    std::size_t columns = 0;
  };

  template <class P>
  static constexpr void write(Writer& writer, const Prefix* outer) {
    const auto& members = names_of_members<P>;
    [&]<class... M>(TypeList<M...>) {
      std::size_t member = 0;
      (write_member<M>(writer, outer, members[member++]), ...);
    }(typename Columns<P>::Members{});
  }
  template <class M>
  static constexpr void write_member(Writer& writer, const Prefix* outer, std::string_view name) {
    if constexpr (Part<without_optional<M>>) {
      const Prefix prefix{outer, name};
      write<without_optional<M>>(writer, &prefix);
    } else {
      writer.put(outer);
      writer.put(name);
      if (writer.ends != nullptr) writer.ends[writer.columns] = writer.length;
      ++writer.columns;
    }
  }
  [[nodiscard]] static consteval std::size_t count() {
    Writer writer{nullptr, nullptr};
    write<T>(writer, nullptr);
    return writer.length;
  }

  static constexpr std::size_t columns = columns_of_type<T>::size;
  struct Text {
    std::array<char, count() + 1> text{};
    std::array<std::size_t, columns> ends{};
  };
  static constexpr Text all = [] {
    Text written;
    Writer writer{written.text.data(), written.ends.data()};
    write<T>(writer, nullptr);
    return written;
  }();

 public:
  static constexpr auto names = [] {
    std::array<std::string_view, columns> views{};
    std::size_t begin = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      views[i] = std::string_view{all.text.data() + begin, all.ends[i] - begin};
      begin = all.ends[i];
    }
    return views;
  }();

  [[nodiscard]] static consteval bool distinct() {
    for (std::size_t i = 0; i < columns; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (names[i] == names[j]) return false;
    return true;
  }
};

/// What a row is read as: `Value`, made of values of the types `Columns`.
template <class... T>
struct RowShape {  // several columns
  using Value = std::tuple<T...>;
  using Columns = TypeList<T...>;
  static constexpr bool by_name = false;
};
template <ReadableColumn T>
struct RowShape<T> {  // one column
  using Value = T;
  using Columns = TypeList<T>;
  static constexpr bool by_name = false;
};
template <Part T>
struct RowShape<ByPosition<T>> {
  using Value = T;
  using Columns = columns_of_type<T>;
  static constexpr bool by_name = false;
};
template <Part T>
struct RowShape<T> : RowShape<ByPosition<T>> {
  static constexpr bool by_name = RowShape::Columns::size > 1;  // a single one cannot be another
  [[nodiscard]] static constexpr const auto& names() noexcept {
    static_assert(ColumnNames<T>::distinct(), "lido: two members are read from columns of the same name");
    return ColumnNames<T>::names;
  }
};

template <class... T>
using RowValue = typename RowShape<T...>::Value;
template <class... T>
using RowColumns = typename RowShape<T...>::Columns;

template <class T>
[[nodiscard]] consteval bool check_readable() {
  static_assert(ReadableColumn<T>,
                "lido: no column can be read as this type: specialise lido::postgres::Converter for it, with name and "
                "read (see lido/postgres/types/converter.hpp)");
  return ReadableColumn<T>;
}

/// Whether something of it points into the result.
template <class... C>
[[nodiscard]] consteval bool holds_view(TypeList<C...>) {
  return (std::same_as<without_optional<C>, std::string_view> || ...);
}

template <class M, class Fields>
[[nodiscard]] M make_member(const Fields& fields, std::size_t first);

// Makes a `Value` of the `members`, from the field with the number `first` on.
template <class Value, class Fields, class... M>
[[nodiscard]] Value make(const Fields& fields, [[maybe_unused]] std::size_t first, TypeList<M...> members) {
  constexpr auto begins = beginnings(TypeList<M...>{});
  static_cast<void>(members);
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return Value{make_member<M>(fields, first + begins[I])...};  // braces: from the left to the right
  }(std::index_sequence_for<M...>{});
}

template <class M, class Fields>
[[nodiscard, gnu::always_inline]] inline M make_member(const Fields& fields, std::size_t first) {
  using Value = without_optional<M>;
  if constexpr (!Part<Value>) {
    return fields.template read<M>(first);
  } else {
    if constexpr (is_optional<M>) {
      bool any = false;
      for (std::size_t i = 0; i < columns_of_type<M>::size && !any; ++i) any = !fields.is_null(first + i);
      if (!any) return std::nullopt;
    }
    return M{make<Value>(fields, first, typename Columns<Value>::Members{})};
  }
}

/// Makes a row of `fields`, which has `read<T>(number)` and `is_null(number)`.
template <class Shape, class Fields>
[[nodiscard]] typename Shape::Value make_row(const Fields& fields) {
  using Value = typename Shape::Value;
  if constexpr (Part<Value>) {
    return make<Value>(fields, 0, typename Columns<Value>::Members{});
  } else if constexpr (std::same_as<TypeList<Value>, typename Shape::Columns>) {
    return fields.template read<Value>(0);
  } else {
    return make<Value>(fields, 0, typename Shape::Columns{});
  }
}

}  // namespace lido::postgres::detail
