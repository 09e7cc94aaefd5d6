// DISCARD ALL that the server was sent and that nobody has waited for.
#pragma once

#include <libpq-fe.h>

#include <lido/postgres/detail/wire/handle.hpp>

namespace lido::postgres::detail {

/// It begins a pipeline, so that the next statement can follow it before it is answered. What it lets go (locks,
/// LISTEN, temporary tables) the server lets go at once.
class PostedDiscard {
 public:
  /// The answer is still to come: the next results are its.
  [[nodiscard]] bool outstanding() const noexcept { return outstanding_; }

  /// Sends it, without blocking, on a connection where nothing is under way. Not where one is outstanding: whatever is
  /// sent takes its answer, so that nothing has been since. False: the connection is of no use any more.
  [[nodiscard]] bool post(PGconn* connection) noexcept {
    if (outstanding_) return true;
    outstanding_ = PQenterPipelineMode(connection) != 0 &&
                   PQsendQueryParams(connection, "DISCARD ALL", 0, nullptr, nullptr, nullptr, nullptr, 0) != 0 &&
                   PQpipelineSync(connection) != 0 && PQflush(connection) >= 0;
    return outstanding_;
  }

  /// Takes a part of the answer. False: it is an error, and what the last holder left is still there.
  [[nodiscard]] bool take(PGconn* connection, const PGresult* part) noexcept {
    const ExecStatusType status = PQresultStatus(part);
    if (status == PGRES_PIPELINE_SYNC) {
      outstanding_ = false;
      return true;
    }
    if (status != PGRES_COMMAND_OK) return false;
    // The last holder's, of which no more come. Not later: to ask would have libpq begin with the next answer.
    while (const LibpqMemory<PGnotify> old{PQnotifies(connection)}) {
    }
    return true;
  }

  /// Takes what has come of it, without blocking. False: as for `take`.
  [[nodiscard]] bool collect(PGconn* connection) noexcept {
    if (!outstanding_) return true;
    for (int empty = 0; outstanding_;) {
      if (PQisBusy(connection) != 0) return true;
      const ResultHandle part{PQgetResult(connection)};
      if (part ? !take(connection, part.get()) : ++empty > 2) return false;
    }
    return PQexitPipelineMode(connection) != 0;
  }

 private:
  bool outstanding_ = false;
};

}  // namespace lido::postgres::detail
