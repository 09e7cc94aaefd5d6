// Structs that rows are read as: by the names of their members, by other names, or by position.
#pragma once

#include <cstddef>

namespace lido::postgres {

/// Specialise this for a struct whose columns have other names than its members, with the name of each in their order:
///
///     struct User { int id; std::string name_; };
///     template <>
///     inline constexpr auto lido::postgres::column_names<User> = std::to_array<std::string_view>({"id", "name"});
///
/// A member that is a struct itself is a part, with a column for each of its members. Their names begin with that of
/// the part and `_`, unless that is empty here. Names are compared byte by byte.
template <class T>
inline constexpr std::nullptr_t column_names = nullptr;

/// Say `rows_as<ByPosition<User>>()` for `User`s whose first member is the first column, whatever they are called. A
/// COPY, which has no names, is read so.
template <class T>
struct ByPosition {
  ByPosition() = delete;  // only its name is of use
};

}  // namespace lido::postgres
