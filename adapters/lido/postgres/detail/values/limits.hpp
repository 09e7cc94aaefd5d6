// What one message to the server can carry, and how long a name can be.
#pragma once

#include <cstddef>
#include <string>

#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// The server ends the session of whoever sends a longer message (its PQ_LARGE_MESSAGE_LIMIT); less room for what a
/// message says besides.
inline constexpr std::size_t most_sent = 0x3fff'fffe - 65'536;

/// Of an identifier; the server cuts what is longer, with no more than a notice.
inline constexpr std::size_t most_name = 63;

/// Throws `QueryError`, which begins with what `name()` returns, for what no message can carry. To be asked before it
/// is copied or looked at.
template <class Name>
void check_length(std::size_t bytes, Name name) {
  if (bytes <= most_sent) return;
  throw QueryError{name() + (": " + std::to_string(bytes) + " bytes, where a message to the server can carry " +
                             std::to_string(most_sent))};
}

}  // namespace lido::postgres::detail
