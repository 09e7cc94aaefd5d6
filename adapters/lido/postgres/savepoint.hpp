// A part of a transaction that can be undone alone.
#pragma once

#include <chrono>
#include <string>

#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/transaction/ending.hpp>
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
  explicit Savepoint(Session& session) : session_{session}, id_{session.savepoints_.next()} {
    run(limit(), detail::open_savepoint(id_));
    session_.savepoints_.opened(id_);
  }
  Savepoint(const Savepoint&) = delete;
  Savepoint& operator=(const Savepoint&) = delete;
  /// Undoes what happened since, unless it has ended. Blocks for at most five seconds; when that fails, the session
  /// cannot be committed.
  ~Savepoint() {
    if (!is_open()) return;
    try {
      undo(saturating_add(Clock::now(), std::chrono::seconds{5}));
    } catch (...) {  // it stays open
    }
  }

  /// Neither released nor rolled back, nor one around it or the session.
  [[nodiscard]] bool is_open() const noexcept { return session_.is_open() && session_.savepoints_.is_open(id_); }

  /// Keeps what happened since, as a part of what is around it. Blocks for one round trip. Throws what `exec` throws
  /// (25P02 when a statement has failed; then it is still open), and `Error` when it has ended or one within it has
  /// not.
  void release() {
    const Until until = limit();
    session_.savepoints_.check_innermost(id_);
    run(until, detail::release_savepoint(id_));
    session_.savepoints_.closed(id_);
  }

  /// Undoes what happened since, and ends it; the transaction goes on. Blocks and throws as `release`, save that one
  /// which has failed is what it is for.
  void rollback() {
    const Until until = limit();
    session_.savepoints_.check_innermost(id_);
    undo(until);
  }

 private:
  [[nodiscard]] Until limit() const {
    static_cast<void>(session_.connection());  // throws when it has ended
    return session_.limit();
  }
  void run(const Until& until, const std::string& script) { session_.connection().exec_script(script, until); }
  void undo(const Until& until) {
    run(until, detail::undo_savepoint(id_));
    session_.savepoints_.closed(id_);  // not when that failed: an open one keeps the session from being committed
  }

  Session& session_;
  detail::Savepoints::Id id_;
};

}  // namespace lido::postgres
