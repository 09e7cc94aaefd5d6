// The fields of a row that is written: the elements of a tuple, or the members of a struct.
#pragma once

#include <ranges>
#include <tuple>
#include <type_traits>

#include <lido/postgres/detail/values/aggregate.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// A tuple, a pair, an array.
template <class Row>
concept TupleRow = requires { std::tuple_size<Row>::value; };

/// A struct of the user's, each of whose members is a field, in their order.
template <class Row>
concept StructRow = !TupleRow<Row> && std::is_class_v<Row> && std::is_aggregate_v<Row> && !Text<Row> &&
                    !Writable<Row> && !std::ranges::range<Row> && (count_members<Row>() > 0);

template <class Row>
concept RowOfFields = TupleRow<std::remove_cvref_t<Row>> || StructRow<std::remove_cvref_t<Row>>;

/// What `use` returns for the fields of `row`.
template <RowOfFields Row, class Use>
decltype(auto) with_fields(const Row& row, Use use) {
  if constexpr (TupleRow<Row>) {
    return std::apply(use, row);
  } else {
    constexpr auto count = count_members<Row>();
    static_assert(count <= most_members, "lido: a row is written from a struct of at most 64 members");
    return with_members<count>(row, use);
  }
}

}  // namespace lido::postgres::detail
