// Bytes that have come and that nobody hears of: encryption has taken them from the socket, and libpq has not taken
// them from it.
#pragma once

#include <cstdint>

#include <libpq-fe.h>

#include <lido/postgres/detail/wire/openssl.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

using SslPending = int (*)(const void*);
[[nodiscard]] inline SslPending find_ssl_pending() noexcept {
  return reinterpret_cast<SslPending>(openssl_function("SSL_pending"));
}
/// Null where it cannot be found. A test sets it to null, and nobody else to anything.
[[nodiscard]] inline SslPending& ssl_pending() noexcept {
  static SslPending found = find_ssl_pending();
  return found;
}

/// Whether a session holds such bytes.
class HeldBack {
 public:
  /// To be asked before each wait for something to read. True: take in what has come, and ask again. Costs nothing
  /// without encryption.
  [[nodiscard]] bool by(PGconn* connection) noexcept {
    if (PQsslInUse(connection) != 0) {
      const void* const session = PQsslStruct(connection, "OpenSSL");
      if (const SslPending pending = ssl_pending(); pending != nullptr && session != nullptr)
        return pending(session) > 0;
    } else if (PQgssEncInUse(connection) == 0) {
      return false;
    }
    return by_looking(PQsocket(connection));
  }

 private:
  // Where nothing tells: libpq takes 8 KB at once or more, and of one record no more than twice as much is held back.
  // So what is left of it has been taken at the second look at a socket that has nothing to say; a third is for what
  // came in between.
  [[nodiscard]] bool by_looking(int socket) noexcept {
    constexpr std::uint8_t enough = 3;
    looks_ = !has_input(socket) && looks_ < enough ? static_cast<std::uint8_t>(looks_ + 1) : std::uint8_t{0};
    return looks_ != 0;
  }

  std::uint8_t looks_ = 0;
};

}  // namespace lido::postgres::detail
