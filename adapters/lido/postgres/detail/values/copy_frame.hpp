// What the rows of a COPY in the binary format stand between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/values/binary.hpp>

namespace lido::postgres::detail {

/// No flags, and no extension.
inline constexpr std::string_view copy_header{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
/// In the place of a row's number of fields: there are no more.
inline constexpr std::string_view copy_trailer{"\377\377", 2};

/// What is behind the header; nothing where there is none.
[[nodiscard]] constexpr std::string_view behind_header(std::string_view bytes) noexcept {
  if (bytes.size() < copy_header.size()) return {};
  const std::optional<std::int32_t> extension = received<std::int32_t>(bytes.substr(copy_header.size() - 4, 4));
  bytes.remove_prefix(copy_header.size());
  return !extension || std::cmp_greater(*extension, bytes.size()) || *extension < 0
             ? std::string_view{}
             : bytes.substr(static_cast<std::size_t>(*extension));
}

}  // namespace lido::postgres::detail
