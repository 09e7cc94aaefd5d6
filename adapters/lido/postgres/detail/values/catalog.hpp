// The server's own types by number.
#pragma once

#include <array>
#include <cstdint>
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
  char delimiter = ',';  // between the elements of an array
};

// All that have arrays in PostgreSQL 15, which a test compares; what comes later is asked for.
inline constexpr CatalogEntry catalog[] = {{16, 1000, "bool"},
                                           {17, 1001, "bytea"},
                                           {18, 1002, "char"},
                                           {19, 1003, "name"},
                                           {20, 1016, "int8"},
                                           {21, 1005, "int2"},
                                           {22, 1006, "int2vector"},
                                           {23, 1007, "int4"},
                                           {24, 1008, "regproc"},
                                           {25, 1009, "text"},
                                           {26, 1028, "oid"},
                                           {27, 1010, "tid"},
                                           {28, 1011, "xid"},
                                           {29, 1012, "cid"},
                                           {30, 1013, "oidvector"},
                                           {71, 210, "pg_type"},
                                           {75, 270, "pg_attribute"},
                                           {81, 272, "pg_proc"},
                                           {83, 273, "pg_class"},
                                           {114, 199, "json"},
                                           {142, 143, "xml"},
                                           {600, 1017, "point"},
                                           {601, 1018, "lseg"},
                                           {602, 1019, "path"},
                                           {603, 1020, "box", ';'},
                                           {604, 1027, "polygon"},
                                           {628, 629, "line"},
                                           {650, 651, "cidr"},
                                           {700, 1021, "float4"},
                                           {701, 1022, "float8"},
                                           {718, 719, "circle"},
                                           {774, 775, "macaddr8"},
                                           {790, 791, "money"},
                                           {829, 1040, "macaddr"},
                                           {869, 1041, "inet"},
                                           {1033, 1034, "aclitem"},
                                           {1042, 1014, "bpchar"},
                                           {1043, 1015, "varchar"},
                                           {1082, 1182, "date"},
                                           {1083, 1183, "time"},
                                           {1114, 1115, "timestamp"},
                                           {1184, 1185, "timestamptz"},
                                           {1186, 1187, "interval"},
                                           {1266, 1270, "timetz"},
                                           {1560, 1561, "bit"},
                                           {1562, 1563, "varbit"},
                                           {1700, 1231, "numeric"},
                                           {1790, 2201, "refcursor"},
                                           {2202, 2207, "regprocedure"},
                                           {2203, 2208, "regoper"},
                                           {2204, 2209, "regoperator"},
                                           {2205, 2210, "regclass"},
                                           {2206, 2211, "regtype"},
                                           {2249, 2287, "record"},
                                           {2275, 1263, "cstring"},
                                           {2278, 0, "void"},
                                           {2950, 2951, "uuid"},
                                           {2970, 2949, "txid_snapshot"},
                                           {3220, 3221, "pg_lsn"},
                                           {3614, 3643, "tsvector"},
                                           {3615, 3645, "tsquery"},
                                           {3642, 3644, "gtsvector"},
                                           {3734, 3735, "regconfig"},
                                           {3769, 3770, "regdictionary"},
                                           {3802, 3807, "jsonb"},
                                           {3904, 3905, "int4range"},
                                           {3906, 3907, "numrange"},
                                           {3908, 3909, "tsrange"},
                                           {3910, 3911, "tstzrange"},
                                           {3912, 3913, "daterange"},
                                           {3926, 3927, "int8range"},
                                           {4072, 4073, "jsonpath"},
                                           {4089, 4090, "regnamespace"},
                                           {4096, 4097, "regrole"},
                                           {4191, 4192, "regcollation"},
                                           {4451, 6150, "int4multirange"},
                                           {4532, 6151, "nummultirange"},
                                           {4533, 6152, "tsmultirange"},
                                           {4534, 6153, "tstzmultirange"},
                                           {4535, 6155, "datemultirange"},
                                           {4536, 6157, "int8multirange"},
                                           {5038, 5039, "pg_snapshot"},
                                           {5069, 271, "xid8"}};

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

// Of each type below that number, the place of what it is or is an array of, counted from 1. Arrays are below 0. Small:
// each program has it.
inline constexpr auto catalog_places = [] {
  std::array<std::int8_t, 6158> places{};
  std::int8_t place = 0;
  for (const CatalogEntry& entry : catalog) {
    ++place;
    places.at(entry.type) = place;
    if (entry.array != 0) places.at(entry.array) = static_cast<std::int8_t>(-place);
  }
  return places;
}();

/// What the server's own arrays of that type are; null where it is none of these.
[[nodiscard]] constexpr const CatalogEntry* find_array(Oid array) noexcept {
  const std::int8_t place = array < catalog_places.size() ? catalog_places[array] : std::int8_t{0};
  return place < 0 ? &catalog[-place - 1] : nullptr;
}

/// Whether it is one of the server's own types, array or not.
[[nodiscard]] constexpr bool is_built_in(Oid type) noexcept {
  return type < catalog_places.size() && catalog_places[type] != 0;
}

}  // namespace lido::postgres::detail
