// What a connection does within one call.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/copy_source.hpp>
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// The part of a `Connection` that is over when its call returns, so that a lease may be a temporary:
/// `pool.acquire()->exec("select 1")`. Where rows are still to come, keep the lease in a variable.
///
/// What takes an `Until` blocks until then, and by default for at most the `statement_timeout` of the settings. It
/// throws `QueryTimeout` or `QueryCancelled` when it gave up, after having the server asked to cancel, or
/// `ConnectionLost`; after any of these the connection is unusable, unless the time was over before anything was sent.
/// The request to cancel is encrypted as the session is with libpq 17 and newer, and never with an older one. It throws
/// `QueryError` when the server refuses, and then stays usable. COMMIT of a failed transaction, which the server rolls
/// back and calls no error, is one too (25P02), and nothing behind it in a script or a pipeline is run.
class Statements {
 public:
  /// Runs one statement; `parameters` are bound to `$1` and so on, never pasted into `sql`. One that comes a second
  /// time is prepared (see `Options::statement_cache`). Blocks and throws as above.
  template <detail::Parameter... T>
  Result exec(const Sql& sql, const T&... parameters) {
    return exec_until(usual(), sql, parameters...);
  }
  template <detail::Parameter... T>
  Result exec_until(const Until& until, const Sql& sql, const T&... parameters) {
    const detail::Call call{channel_.get(), until, sql.where};
    const detail::Parameters<sizeof...(T)> values{parameters...};
    return detail::Calls<>::execute(call, sql.text, detail::bound_of(values));
  }

  /// Runs several statements separated by semicolons, without parameters, as one transaction unless they say
  /// otherwise; the result is the last one's. Blocks and throws as above.
  Result exec_script(const Sql& script, const std::optional<Until>& until = {}) {
    const detail::Call call = call_of(script.where, until);
    return detail::Calls<>::exec_script(call, script.text);
  }

  /// Runs a `COPY ... FROM STDIN` with what `rows` has, and returns how many rows the server has stored: tuples of
  /// parameters or structs, whose members are the columns in their order, for the text format as it is by default (any
  /// other format, delimiter, null, header or encoding is a `QueryError` before anything is sent), or texts that are
  /// sent as they are. When `rows` throws, nothing is stored, the connection stays usable, and the exception goes on to
  /// the caller. What the server refuses is known when `rows` has come to its end. Blocks and throws as above.
  template <CopySource Rows>
  std::size_t copy_in(const Sql& sql, Rows&& rows, const std::optional<Until>& until = {}) {
    const detail::Call call = call_of(sql.where, until);
    return detail::CopyIn<std::remove_reference_t<Rows>>::run(call, sql.text, rows);
  }
  /// Runs the statements of `pipeline` in one go and returns a result each. Without `BEGIN` they are one transaction.
  /// Throws `PipelineError`, which names the statement that the server refused. Blocks and throws as above.
  std::vector<Result> run(Pipeline& pipeline, const std::optional<Until>& until = {},
                          std::source_location where = std::source_location::current()) {
    const detail::Call call = call_of(where, until);
    return detail::Calls<>::run(call, pipeline);
  }

  /// Whether the session lives as far as the socket tells; free. False for one that the server ended, but a hung
  /// server or a cut cable looks alive.
  [[nodiscard]] bool is_alive() { return detail::Calls<>::is_alive(*channel_); }
  /// As `is_alive`, but the socket is not looked at within 50 microseconds of an answer: no end that anybody can know
  /// of came since.
  [[nodiscard]] bool seems_alive() { return detail::Calls<>::seems_alive(*channel_); }

  /// Whether the server answers: the cheapest round trip there is. Blocks until then; one that did not answer is
  /// unusable.
  [[nodiscard]] bool ping(const Until& until) { return detail::Calls<>::ping(*channel_, until); }

  /// A transaction is open, failed ones included.
  [[nodiscard]] bool in_transaction() const noexcept {
    const PGTransactionStatusType status = detail::Calls<>::transaction(*channel_);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
  }
  /// The open transaction has failed: all that the server accepts is its end.
  [[nodiscard]] bool in_failed_transaction() const noexcept {
    return detail::Calls<>::transaction(*channel_) == PQTRANS_INERROR;
  }
  /// Not broken, and no answer on its way.
  [[nodiscard]] bool is_usable() const noexcept { return detail::Calls<>::is_usable(*channel_); }
  /// The server process of this session.
  [[nodiscard]] int backend_pid() const noexcept { return detail::Calls<>::backend_pid(*channel_); }
  /// For instance 150004.
  [[nodiscard]] int server_version() const noexcept { return detail::Calls<>::server_version(*channel_); }

  /// Does not compile: the lease would be gone before the rows are there.
  template <class... Columns, class... T>
  void stream(const T&...) {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the lease, which is a temporary: keep the lease in a variable");
  }
  /// Nor does this, for the same reason.
  template <class... Columns, class... T>
  void stream_until(const T&...) {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the lease, which is a temporary: keep the lease in a variable");
  }
  template <class... Columns, class... T>
  void copy_out(const T&...) {
    static_assert(refuse<Columns..., T...>,
                  "lido: the rows would outlive the lease, which is a temporary: keep the lease in a variable");
  }

  /// Until when a call blocks that is told nothing else.
  [[nodiscard]] Until usual() const {
    const Duration limit = detail::Calls<>::settings(*channel_).statement_timeout;
    return limit == Duration::max() ? Until{} : Until{saturating_add(Clock::now(), limit)};
  }

 protected:
  explicit Statements(detail::ChannelOwner channel) noexcept : channel_{std::move(channel)} {}
  // By a `Connection` alone.
  Statements(Statements&&) noexcept = default;
  Statements& operator=(Statements&&) noexcept = default;
  ~Statements() = default;

  [[nodiscard]] detail::Call call_of(const std::source_location& where, const std::optional<Until>& until) const {
    return {channel_.get(), until ? *until : usual(), where};
  }

  detail::ChannelOwner channel_;

 private:
  template <class...>
  static constexpr bool refuse = false;
};

}  // namespace lido::postgres
