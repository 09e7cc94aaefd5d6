// A part of a transaction that can be undone alone.
#pragma once

#include <source_location>

#include <lido/postgres/detail/compiled/session_bodies.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// A savepoint of `session`: `Savepoint savepoint{session};`. What happens after it is undone unless it is released,
/// and the transaction goes on, also one that had failed. Savepoints nest; one is released when those within it have
/// ended. For the thread of its session, and must not outlive it.
template <class Session>
class Savepoint {
 public:
  /// Blocks for one round trip; throws what `exec` throws, and `Error` when the session has ended.
  explicit Savepoint(Session& session, std::source_location where = std::source_location::current())
      : session_{session}, id_{session.savepoints().next()} {
    session_.open_savepoint(id_, where);
  }
  Savepoint(const Savepoint&) = delete;
  Savepoint& operator=(const Savepoint&) = delete;
  /// Undoes what happened since, unless it has ended. Blocks for at most five seconds; when that fails, the session
  /// cannot be committed.
  ~Savepoint() {
    if (!is_open()) return;
    try {
      session_.undo_savepoint(id_, session_.soon(), {});
    } catch (...) {  // it stays open
    }
  }

  /// Neither released nor rolled back, nor one around it or the session.
  [[nodiscard]] bool is_open() const noexcept { return session_.is_open() && session_.savepoints().is_open(id_); }

  /// Keeps what happened since, as a part of what is around it. Blocks for one round trip. Throws what `exec` throws
  /// (25P02 when a statement has failed; then it is still open), and `Error` when it has ended or one within it has
  /// not.
  void release(std::source_location where = std::source_location::current()) { session_.release_savepoint(id_, where); }

  /// Undoes what happened since, and ends it; the transaction goes on. Blocks and throws as `release`, save that one
  /// which has failed is what it is for.
  void rollback(std::source_location where = std::source_location::current()) {
    const Until until = session_.limit();
    session_.savepoints().check_innermost(id_);
    session_.undo_savepoint(id_, until, where);
  }

 private:
  Session& session_;
  detail::SavepointId id_;
};

}  // namespace lido::postgres
