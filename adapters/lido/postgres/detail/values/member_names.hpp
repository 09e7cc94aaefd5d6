// The names of an aggregate's members, out of what the compiler calls their addresses.
#pragma once

#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <source_location>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/types/columns.hpp>

namespace lido::postgres::detail {

// Room for a `T` that is never made: its members have addresses, whatever a `T` is made of and wherever it is declared.
template <class T>
union Room {
  constexpr Room() noexcept : nothing{} {}
  constexpr ~Room() {}  // NOLINT(modernize-use-equals-default): would be deleted
  char nothing;
  T value;
};
template <class T>
inline constinit Room<T> room{};

// As a class, since Clang before 18 takes no address of a member for a template argument.
template <class Member>
struct MemberAddress {
  Member* at;
};
template <class Member>
MemberAddress(Member*) -> MemberAddress<Member>;

template <MemberAddress A>
[[nodiscard]] consteval std::string_view address_signature() {
  return std::source_location::current().function_name();
}

template <class T, std::size_t I>
[[nodiscard]] consteval auto address_of() {
  return with_members<count_members<T>()>(room<T>.value, [](auto&... members) {
    return std::get<I>(std::tuple{MemberAddress{std::addressof(members)}...});
  });
}

struct KnownMember {
  int first;
  int lido_known_member;
};
inline constexpr std::string_view known_member = "lido_known_member";

// How much stands behind the name in the signature; npos: the compiler does not say the name. A template, so that it
// costs nothing where no struct is read.
template <std::size_t zero>
[[nodiscard]] consteval std::size_t behind_name() {
  const std::string_view known = address_signature<address_of<KnownMember, zero + 1>()>();
  const std::size_t at = known.rfind(known_member);
  return at == std::string_view::npos ? at : known.size() - at - known_member.size();
}

template <class T, std::size_t I>
[[nodiscard]] consteval std::string_view member_name() {
  static_assert(behind_name<0 * I>() != std::string_view::npos,
                "lido: this compiler does not say how members are called: specialise lido::postgres::column_names");
  std::string_view signature = address_signature<address_of<T, I>()>();
  signature.remove_suffix(behind_name<0 * I>());
  return signature.substr(signature.find_last_of(":.>&() ") + 1);  // npos + 1 is 0
}

template <class T>
concept NamesColumns = requires { std::size(column_names<T>); };

/// How the columns of `T`'s members are called.
template <class T>
inline constexpr auto names_of_members = [] {
  constexpr std::size_t count = count_members<T>();
  std::array<std::string_view, count> names{};
  if constexpr (NamesColumns<T>) {
    static_assert(std::size(column_names<T>) == count, "lido: column_names has to name each member of its struct");
    std::size_t index = 0;
    for (const std::string_view name : column_names<T>) names[index++] = name;
  } else {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((names[I] = member_name<T, I>()), ...);
    }(std::make_index_sequence<count>{});
  }
  return names;
}();

}  // namespace lido::postgres::detail
