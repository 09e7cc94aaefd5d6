// The server's own types by number.
#pragma once

#include <string>
#include <string_view>

#include <libpq-fe.h>

namespace lido::postgres::detail {

// Fixed for ever by src/include/catalog/pg_type.dat.
namespace oid {
inline constexpr Oid boolean = 16, bytea = 17, one_char = 18, name = 19, int8 = 20, int2 = 21, int4 = 23, text = 25,
                     object = 26, json = 114, float4 = 700, float8 = 701, bpchar = 1042, varchar = 1043, date = 1082,
                     time = 1083, timestamp = 1114, timestamptz = 1184, interval = 1186, numeric = 1700, uuid = 2950,
                     jsonb = 3802;
inline constexpr Oid first_of_users = 16384;  // whatever a user creates comes from there on
}  // namespace oid

struct CatalogEntry {
  Oid type;
  Oid array;  // of such elements
  std::string_view name;
};

inline constexpr CatalogEntry catalog[] = {
    {16, 1000, "bool"},        {17, 1001, "bytea"},         {18, 1002, "char"},       {19, 1003, "name"},
    {20, 1016, "int8"},        {21, 1005, "int2"},          {23, 1007, "int4"},       {25, 1009, "text"},
    {26, 1028, "oid"},         {114, 199, "json"},          {650, 651, "cidr"},       {700, 1021, "float4"},
    {701, 1022, "float8"},     {790, 791, "money"},         {829, 1040, "macaddr"},   {869, 1041, "inet"},
    {1042, 1014, "bpchar"},    {1043, 1015, "varchar"},     {1082, 1182, "date"},     {1083, 1183, "time"},
    {1114, 1115, "timestamp"}, {1184, 1185, "timestamptz"}, {1186, 1187, "interval"}, {1266, 1270, "timetz"},
    {1700, 1231, "numeric"},   {2249, 2287, "record"},      {2278, 0, "void"},        {2950, 2951, "uuid"},
    {3802, 3807, "jsonb"},
};

/// The server's name of a usual type, or its number.
[[nodiscard]] inline std::string type_name(Oid type) {
  for (const CatalogEntry& entry : catalog) {
    if (entry.type == type) return std::string{entry.name};
    if (entry.array == type && type != 0) return std::string{entry.name} + "[]";
  }
  return "the type with OID " + std::to_string(type);
}

/// The type of the arrays of `element`; 0 when it is not one of the server's own.
[[nodiscard]] constexpr Oid array_of(Oid element) noexcept {
  for (const CatalogEntry& entry : catalog)
    if (entry.type == element) return entry.array;
  return 0;
}

/// The type of the elements of `array`, 0 when it is no array. That of a user's type is not known: it stands for
/// itself.
[[nodiscard]] constexpr Oid element_of(Oid array) noexcept {
  if (array >= oid::first_of_users) return array;
  for (const CatalogEntry& entry : catalog)
    if (entry.array == array && array != 0) return entry.type;
  return 0;
}

}  // namespace lido::postgres::detail
