// OpenSSL, as libpq uses it.
#pragma once

#include <dlfcn.h>

#include <cstdint>

namespace lido::postgres::detail {

/// A function of the very library that libpq uses: a program may hold several, and what is of the one means nothing to
/// the other. Null where it cannot be found, as in a program that is linked statically. Looked for while the program
/// runs, so that nobody has to link OpenSSL.
[[nodiscard]] inline void* openssl_function(const char* name) noexcept {
  const void* const known = ::dlsym(RTLD_DEFAULT, "PQsslStruct");
  Dl_info libpq{};
  if (known == nullptr || ::dladdr(known, &libpq) == 0) return nullptr;
  void* const library = ::dlopen(libpq.dli_fname, RTLD_LAZY | RTLD_NOLOAD);  // never closed: the function is its
  return library == nullptr ? nullptr : ::dlsym(library, name);
}

/// Has OpenSSL begin before libpq does at its first connection, by TLS or with a password, and stay until the process
/// is gone. Else it takes itself down at exit under the threads and connections of a pool that is still there, as one
/// in static storage is. Nothing where it has begun already: that was before a pool. Costs about a millisecond, once.
inline void begin_openssl() noexcept {
  [[maybe_unused]] static const bool begun = [] {
    using Begin = int (*)(std::uint64_t, const void*);
    constexpr std::uint64_t load_config = 0x40, no_atexit = 0x80000;  // OPENSSL_INIT_LOAD_CONFIG, ..._NO_ATEXIT
    const auto begin = reinterpret_cast<Begin>(openssl_function("OPENSSL_init_ssl"));
    return begin != nullptr && begin(load_config | no_atexit, nullptr) != 0;
  }();
}

}  // namespace lido::postgres::detail
