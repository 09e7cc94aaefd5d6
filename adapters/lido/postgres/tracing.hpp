// Follows statements and transactions from their begin to their end, with something of yours between.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/pool.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/tracing.hpp>
#include <lido/postgres/trace_facts.hpp>
#include <lido/tracing.hpp>

namespace lido::postgres {

namespace detail {

template <class Tracer>
inline constexpr bool traces_sessions =
    Traces<Tracer, StatementBegin, StatementEnd> || Traces<Tracer, TransactionBegin, TransactionEnd>;

template <class Tracer>
class SessionTracerOf : public SessionTracer {
 public:
  SessionTracerOf(std::string pool, std::shared_ptr<Tracer> tracer)
      : pool_{std::move(pool)}, tracer_{std::move(tracer)} {}
  StatementSpan begin(const StatementBegin& begun) override { return span<StatementSpan, StatementEnd>(begun); }
  TransactionSpan begin(const TransactionBegin& begun) override { return span<TransactionSpan, TransactionEnd>(begun); }
  [[nodiscard]] std::string_view pool() const noexcept override { return pool_; }

 private:
  template <class AnySpan, class End, class Begin>
  AnySpan span([[maybe_unused]] const Begin& begun) const {
    if constexpr (Traces<Tracer, Begin, End>)
      return std::make_unique<lido::detail::TracerSpan<Tracer, Begin, End>>(tracer_, begun);
    else
      return nullptr;
  }

  std::string pool_;
  std::shared_ptr<Tracer> tracer_;
};

template <class Tracer>
[[nodiscard]] std::shared_ptr<SessionTracer> session_tracer(std::string pool, std::shared_ptr<Tracer> tracer) {
  return std::make_shared<SessionTracerOf<Tracer>>(std::move(pool), std::move(tracer));
}

}  // namespace detail

/// As `lido::trace`, and tells `tracer` of these too, if it has the members for it, blocking and awaited:
///
/// | it has                                                                     | and is told of                  |
/// |----------------------------------------------------------------------------|---------------------------------|
/// | `T begin(const StatementBegin&)`, `void end(T, const StatementEnd&)`       | each statement that is sent     |
/// | `T begin(const TransactionBegin&)`, `void end(T, const TransactionEnd&)`   | the transactions of sessions    |
///
/// Statements are those of holders, from the acquire on: BEGIN, COMMIT and what puts a connection in order are among
/// them, pings are not. Each of a pipeline is told, from the answer of the one before it. What a hook throws is
/// ignored, and must not use the connection. A connection has one tracer of statements, the last one that was added. It
/// is kept for as long as a lease is, also beyond the pool: what it refers to must outlive these. Throws
/// `std::bad_alloc`. Thread-safe.
template <class Growth, class Health, class Recycle, class Platform, class Tracer>
void trace(lido::Pool<Connection, Growth, Health, Recycle, Platform>& pool, Tracer tracer) {
  static_assert(
      detail::traces_sessions<Tracer> || Traces<Tracer, AcquireBegin, AcquireEnd> || Traces<Tracer, OpenBegin, OpenEnd>,
      "lido: a tracer needs `T begin(const B&)` and `void end(T, const E&)`, where B and E are "
      "`lido::AcquireBegin` and `lido::AcquireEnd`, or those of `Open`, `postgres::Statement` or "
      "`postgres::Transaction`");
  const auto shared = std::make_shared<Tracer>(std::move(tracer));
  lido::detail::Tracing::add(pool, shared);
  if constexpr (detail::traces_sessions<Tracer>)
    pool.events().on_acquire(
        [told = detail::session_tracer(pool.options().name, shared)](
            Connection& connection, const ConnectionInfo& info) { connection.channel().trace(told, info.id); });
}

/// The same for a connection of no pool.
template <class Tracer>
  requires detail::traces_sessions<Tracer>
void trace(Connection& connection, Tracer tracer) {
  connection.channel().trace(detail::session_tracer(std::string{}, std::make_shared<Tracer>(std::move(tracer))), 0);
}

}  // namespace lido::postgres
