// A transaction that cannot be forgotten: it leases, begins, and rolls back unless it was committed.
#pragma once

#include <algorithm>
#include <source_location>

#include <lido/facts.hpp>
#include <lido/postgres/detail/wire/blocking.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session_statements.hpp>
#include <lido/postgres/transaction.hpp>

namespace lido::postgres {

/// A transaction on a leased connection; for one thread at a time. Whatever happens, the connection goes back to its
/// pool, or is discarded when it is not known to be clean.
///
/// Nothing is committed unless `commit` is called. Where a statement ends the transaction by itself (`commit`,
/// `rollback`, `prepare transaction`), every later one on this connection throws `QueryError` (25P01) and is not sent:
/// it would commit by itself. Only what stands behind such a statement in one script or one pipeline is not seen.
template <class Lease>
class BasicSession : public SessionStatements<Lease, detail::Blocking> {
  using Statements = SessionStatements<Lease, detail::Blocking>;

 public:
  /// Leases and begins. Blocks as `pool.acquire()` does and for one round trip. Throws what `acquire` throws, what
  /// `exec` throws, and `InvalidOption` for a malformed setting; a connection that turns out to be lost is replaced
  /// once.
  template <class AnyPool>
  explicit BasicSession(AnyPool& pool, const TransactionOptions& options = {},
                        std::source_location where = std::source_location::current());
  /// Rolls back unless it has ended, as `rollback` does.
  ~BasicSession() { rollback(); }

  /// Blocks for at most the `statement_timeout`, and, where the time was over, for five seconds to roll back.
  void commit(std::source_location where = std::source_location::current());
  /// Blocks for at most five seconds.
  void rollback() noexcept;

 private:
  void begin_now(const TransactionOptions& options, const std::source_location& where);

  template <class>
  friend class Savepoint;
};

template <class Lease>
template <class AnyPool>
BasicSession<Lease>::BasicSession(AnyPool& pool, const TransactionOptions& options, std::source_location where)
    : Statements{Lease{}, {}, options.until} {
  const Duration patience = options.acquire_timeout.value_or(pool.options().acquire_timeout);
  Lease& lease = this->transaction().lease;
  for (bool again = true;; again = false) {
    // An `until` that is over is no patience of zero, which would leave a check its whole time.
    lease = pool.acquire(std::min(patience, std::max(this->until().left(), Duration{1})), this->until().stop, where);
    try {
      begin_now(options, where);
      return;
    } catch (const ConnectionLost&) {
      lease.discard();
      if (!again) throw;
    }
  }
}

template <class Lease>
void BasicSession<Lease>::begin_now(const TransactionOptions& options, const std::source_location& where) {
  this->begin(options, where);
}

template <class Lease>
void BasicSession<Lease>::commit(std::source_location where) {
  try {
    Statements::commit(where);
  } catch (const QueryTimeout&) {  // before it was sent
    rollback();
    throw;
  } catch (const QueryCancelled&) {
    rollback();
    throw;
  }
}

template <class Lease>
void BasicSession<Lease>::rollback() noexcept {
  try {
    Statements::rollback();
  } catch (...) {  // out of memory
    if (this->is_open()) this->transaction().discard();
  }
}

/// A session of a `Pool` or `TestPool`; `BasicSession` deduces those of other pools of `Connection`.
using Session = BasicSession<Pool::Lease>;

template <class AnyPool>
explicit BasicSession(AnyPool&) -> BasicSession<typename AnyPool::Lease>;
template <class AnyPool>
explicit BasicSession(AnyPool&, const TransactionOptions&) -> BasicSession<typename AnyPool::Lease>;

}  // namespace lido::postgres

// What these do, unless this program has it compiled.
#if __has_include(<lido_postgres_compiled.hpp>)
namespace lido::postgres {
extern template struct detail::Transaction<Pool::Lease>;
extern template class BasicSession<Pool::Lease>;
extern template BasicSession<Pool::Lease>::BasicSession(Pool&, const TransactionOptions&, std::source_location);
}  // namespace lido::postgres
#else
#  include <lido/postgres/detail/compiled/session_bodies.hpp>
#endif
