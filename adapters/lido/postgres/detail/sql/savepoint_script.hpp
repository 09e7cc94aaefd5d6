// The texts that open and end the library's own savepoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lido::postgres::detail {

/// Counted from 1 in each transaction.
using SavepointId = std::uint64_t;

[[nodiscard]] inline std::string savepoint_name(SavepointId id) { return "lido_" + std::to_string(id); }

[[nodiscard]] inline std::string open_savepoint(SavepointId id) { return "SAVEPOINT " + savepoint_name(id); }
[[nodiscard]] inline std::string release_savepoint(SavepointId id) { return "RELEASE SAVEPOINT " + savepoint_name(id); }
/// Both: what is rolled back stays open for the server.
[[nodiscard]] inline std::string undo_savepoint(SavepointId id) {
  return "ROLLBACK TO SAVEPOINT " + savepoint_name(id) + "; " + release_savepoint(id);
}

/// Whether `sql` is what `undo_savepoint` returns.
[[nodiscard]] constexpr bool undoes_savepoint(std::string_view sql) noexcept {
  return sql.starts_with("ROLLBACK TO SAVEPOINT lido_");
}

}  // namespace lido::postgres::detail
