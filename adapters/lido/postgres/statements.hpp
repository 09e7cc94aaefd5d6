// What a connection does within one call.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/copy.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/execution.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/operations/pipelining.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>
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
    channel_->called_from(sql.where);
    detail::check_time(until);
    const detail::Parameters<sizeof...(T)> values{parameters...};
    detail::Learned<detail::Execution> execution{*channel_, sql.text, detail::bound_of(values)};
    detail::complete(execution, until);
    return execution.outcome();
  }

  /// Runs several statements separated by semicolons, without parameters, as one transaction unless they say
  /// otherwise; the result is the last one's. Blocks and throws as above.
  Result exec_script(const Sql& script, const std::optional<Until>& until = {}) {
    channel_->called_from(script.where);
    std::string_view sql = script.text;
    channel_->runs(sql);
    if (channel_->ends_failed(sql)) sql = detail::first_statement(sql);
    return learned(perform(until ? *until : usual(), sql, std::string{sql}), sql, until);
  }

  /// Runs a `COPY ... FROM STDIN` with what `rows` has, and returns how many rows the server has stored: tuples of
  /// parameters, for the text format as it is by default (any other format, delimiter, null, header or encoding is a
  /// `QueryError` before anything is sent), or texts that are sent as they are. When `rows` throws, nothing is stored,
  /// the connection stays usable, and the exception goes on to the caller. What the server refuses is known when `rows`
  /// has come to its end. Blocks and throws as above.
  template <CopySource Rows>
  std::size_t copy_in(const Sql& sql, Rows&& rows, const std::optional<Until>& until = {}) {
    channel_->called_from(sql.where);
    const Until limit = in_time(until);
    return detail::copy_in(*channel_, limit, sql.text, rows);
  }
  /// Runs the statements of `pipeline` in one go and returns a result each. Without `BEGIN` they are one transaction.
  /// Throws `PipelineError`, which names the statement that the server refused. Blocks and throws as above.
  std::vector<Result> run(Pipeline& pipeline, const std::optional<Until>& until = {},
                          std::source_location where = std::source_location::current()) {
    if (pipeline.empty()) return {};
    channel_->called_from(where);
    const Until limit = in_time(until);
    detail::Pipelining pipelining{*channel_, pipeline.statements()};
    detail::complete(pipelining, limit);
    detail::Learning learning{*channel_};
    for (const detail::ResultHandle& result : pipelining.results()) learning.look_at(result.get());
    detail::complete(learning, limit);
    return detail::results_of(pipelining, pipeline, channel_->array_types());
  }

  /// Whether the session lives as far as the socket tells; free. False for one that the server ended, but a hung
  /// server or a cut cable looks alive.
  [[nodiscard]] bool is_alive() { return channel_->peek(); }

  /// Whether the server answers: the cheapest round trip there is. Blocks until then; one that did not answer is
  /// unusable.
  [[nodiscard]] bool ping(const Until& until) {
    if (!channel_->peek() || !channel_->quiet()) return false;
    return succeeds([&] { perform(until, "", ""); });
  }

  /// A transaction is open, failed ones included.
  [[nodiscard]] bool in_transaction() const noexcept {
    const PGTransactionStatusType status = channel_->transaction();
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
  }
  /// The open transaction has failed: all that the server accepts is its end.
  [[nodiscard]] bool in_failed_transaction() const noexcept { return channel_->transaction() == PQTRANS_INERROR; }
  /// Not broken, and no answer on its way.
  [[nodiscard]] bool is_usable() const noexcept { return channel_->quiet(); }
  /// The server process of this session.
  [[nodiscard]] int backend_pid() const noexcept { return PQbackendPID(channel_->raw()); }
  /// For instance 150004.
  [[nodiscard]] int server_version() const noexcept { return PQserverVersion(channel_->raw()); }

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
    const Duration limit = channel_->settings().statement_timeout;
    return limit == Duration::max() ? Until{} : Until{saturating_add(Clock::now(), limit)};
  }

 protected:
  explicit Statements(std::unique_ptr<detail::Channel> channel) noexcept : channel_{std::move(channel)} {}
  // By a `Connection` alone.
  Statements(Statements&&) noexcept = default;
  Statements& operator=(Statements&&) noexcept = default;
  ~Statements() = default;

  // When to give up; throws when that is now.
  [[nodiscard]] Until in_time(const std::optional<Until>& until) const {
    Until limit = until ? *until : usual();
    detail::check_time(limit);
    return limit;
  }

  // `sql` is what may be shown of `text`, which is sent.
  detail::ResultHandle perform(const Until& until, std::string_view sql, const std::string& text) {
    detail::check_time(until);
    detail::StatementCache::check_text(text);
    detail::Exchange exchange{*channel_, sql, [&](PGconn* raw) { return PQsendQuery(raw, text.c_str()); }};
    detail::complete(exchange, until);
    return exchange.result();
  }

  // With what its arrays are.
  [[nodiscard]] Result learned(detail::ResultHandle result, std::string_view sql, const std::optional<Until>& until) {
    const detail::Origin origin = detail::origin_of(result.get(), sql, channel_->where());
    detail::Learning learning{*channel_};
    learning.look_at(result.get());
    detail::complete(learning, until ? *until : usual());
    return Result{std::move(result), channel_->array_types(), origin};
  }

  // For the pool's own housekeeping: false where a statement would throw.
  template <class Action>
  [[nodiscard]] static bool succeeds(Action action) {
    try {
      action();
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  [[nodiscard]] std::optional<Result> ask(TimePoint deadline, const char* sql) {
    std::optional<Result> answer;
    static_cast<void>(succeeds([&] { answer.emplace(perform(deadline, sql, sql)); }));
    return answer;
  }

  std::unique_ptr<detail::Channel> channel_;

 private:
  template <class...>
  static constexpr bool refuse = false;
};

}  // namespace lido::postgres
