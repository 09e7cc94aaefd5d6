// Bytes that have come and that nobody hears of: encryption has taken them from the socket, and libpq has not taken
// them from it.
#pragma once

#include <dlfcn.h>

#include <cstdint>

#include <libpq-fe.h>

#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// OpenSSL's `SSL_pending`, of the very library that libpq uses: a program may hold several, and what is of the one
/// means nothing to the other. Null where it cannot be found, as in a program that is linked statically. Looked for
/// while the program runs, so that nobody has to link OpenSSL.
using SslPending = int (*)(const void*);
[[nodiscard]] inline SslPending find_ssl_pending() noexcept {
  const void* const known = ::dlsym(RTLD_DEFAULT, "PQsslStruct");
  Dl_info libpq{};
  if (known == nullptr || ::dladdr(known, &libpq) == 0) return nullptr;
  void* const library = ::dlopen(libpq.dli_fname, RTLD_LAZY | RTLD_NOLOAD);  // never closed: the function is its
  return library == nullptr ? nullptr : reinterpret_cast<SslPending>(::dlsym(library, "SSL_pending"));
}
/// The one that is used. A test sets it to null, and nobody else to anything.
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
