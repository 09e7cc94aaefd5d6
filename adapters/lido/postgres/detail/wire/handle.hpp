// Owners of what libpq hands out.
#pragma once

#include <memory>

#include <libpq-fe.h>

namespace lido::postgres::detail {

struct FreeResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
struct FreeCancel {
  void operator()(PGcancel* cancel) const noexcept { PQfreeCancel(cancel); }
};
struct FreeMemory {
  void operator()(void* memory) const noexcept { PQfreemem(memory); }
};
struct FreeConninfo {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};
struct Finish {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};

using ConnectionHandle = std::unique_ptr<PGconn, Finish>;
using ResultHandle = std::unique_ptr<PGresult, FreeResult>;
using CancelHandle = std::unique_ptr<PGcancel, FreeCancel>;
using ConninfoHandle = std::unique_ptr<PQconninfoOption, FreeConninfo>;
template <class T>
using LibpqMemory = std::unique_ptr<T, FreeMemory>;

}  // namespace lido::postgres::detail
