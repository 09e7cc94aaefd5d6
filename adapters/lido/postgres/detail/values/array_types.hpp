// What is known of the types of columns that are arrays: of the server's own from a table, of others from its catalog.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/catalog.hpp>

namespace lido::postgres::detail {

/// A type, and what it is an array of: a domain counts as what it is made of. No element: it is no array.
struct ArrayType {
  Oid type = 0;
  Oid element = 0;
  char delimiter = ',';  // between elements
};

/// What a session was told by the catalog of its server. Does not change: more is another one.
using ArrayTypes = std::vector<ArrayType>;

[[nodiscard]] inline const ArrayType* find_type(const ArrayTypes* types, Oid type) noexcept {
  if (types == nullptr) return nullptr;
  for (const ArrayType& each : *types)
    if (each.type == type) return &each;
  return nullptr;
}

/// The type of a column, as an array. Without a type (0) nothing is known, which is so in a COPY.
struct ColumnType {
  ArrayType array;
  bool known = true;  // else an array of a user's type may have another delimiter, and elements of any type
};

[[nodiscard]] inline ColumnType column_type(const ArrayTypes* types, Oid type) noexcept {
  if (const CatalogEntry* const entry = find_array(type)) return {{type, entry->type, entry->delimiter}};
  if (const ArrayType* const told = find_type(types, type)) return {*told};
  if (type != 0 && is_built_in(type)) return {{type, 0}};
  return {{type, type}, false};  // the type stands for that of its elements
}

/// A result, and what its session knew of types.
struct Source {
  const PGresult* result = nullptr;
  const ArrayTypes* types = nullptr;

  [[nodiscard]] ColumnType column_type(int column) const noexcept {
    return detail::column_type(types, PQftype(result, column));
  }
};

/// The arrays in `result` that nobody knows: not those of columns of other types, whose values begin otherwise.
inline void add_unknown(const PGresult* result, const ArrayTypes* types, std::vector<Oid>& unknown) {
  if (PQbinaryTuples(result) != 0) return;
  for (int column = 0; column < PQnfields(result); ++column) {
    const Oid type = PQftype(result, column);
    if (is_built_in(type) || find_type(types, type) != nullptr || std::count(unknown.begin(), unknown.end(), type) > 0)
      continue;
    int row = 0;
    while (row < PQntuples(result) && PQgetisnull(result, row, column) != 0) ++row;
    if (row == PQntuples(result)) continue;
    const char first = *PQgetvalue(result, row, column);
    if (first == '{' || first == '[') unknown.push_back(type);
  }
}

}  // namespace lido::postgres::detail
