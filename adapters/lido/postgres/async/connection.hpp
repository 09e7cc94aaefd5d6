// The statements of a connection as things to be awaited.
#pragma once

#include <memory>
#include <optional>
#include <ranges>
#include <source_location>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/async/copy.hpp>
#include <lido/postgres/async/reactor.hpp>
#include <lido/postgres/async/rows.hpp>
#include <lido/postgres/bulk/copy.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/async/awaited.hpp>
#include <lido/postgres/detail/async/copying.hpp>
#include <lido/postgres/detail/async/drive.hpp>
#include <lido/postgres/detail/async/operations.hpp>
#include <lido/postgres/detail/connect/asking.hpp>
#include <lido/postgres/detail/connect/connecting_in_turn.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/hosts.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>
#include <lido/postgres/detail/operations/housekeeping.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/detail/operations/scripting.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/kept_statement.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/notification.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/sql.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

/// Awaits in a coroutine of any type, in the loop of a `Reactor`; the coroutine is resumed by that loop. Cheap to copy.
template <Reactor R>
class OnReactor {
 public:
  explicit OnReactor(R& reactor) noexcept : reactor_{&reactor} {}

  /// For this library: awaits the operation that `make` makes.
  template <class Make>
  detail::Awaited<Make, R> run(Until until, Make make) const {
    return {*reactor_, std::move(until), std::move(make)};
  }
  /// For this library: awaits a lease.
  template <class AnyPool>
  detail::AwaitedLease<AnyPool, R> acquire(AnyPool& pool, Duration timeout, std::stop_token stop,
                                           std::source_location where) const {
    return {pool, timeout, std::move(stop), *reactor_, where};
  }

 private:
  R* reactor_;
};

/// A connection as a coroutine sees it: each member returns what is to be awaited once, at once, and blocks no thread.
/// They throw what those of `Connection` throw, which are described there. Whoever gives up, at the deadline, by the
/// stop token, by Asio's cancellation, or because the coroutine is destroyed while it waits, has the server asked to
/// cancel, and the connection is unusable; its pool discards it. Statements and parameters are copied. A cheap view:
/// the connection has to outlive it, and does one thing at a time.
template <class Runner>
class AsyncConnection {
 public:
  AsyncConnection(Connection& connection, Runner runner) : connection_{&connection}, runner_{std::move(runner)} {}
  /// For this library: as a session with that limit sees it.
  AsyncConnection(Connection& connection, Runner runner, Until session)
      : connection_{&connection}, runner_{std::move(runner)}, session_{std::move(session)} {}

  /// As `Connection::exec`. A parameter that cannot be sent throws within this call.
  template <detail::Parameter... T>
  auto exec(const Sql& sql, const T&... parameters) const {
    return exec_until(connection_->usual(), sql, parameters...);
  }
  /// As `Connection::exec_until`.
  template <detail::Parameter... T>
  auto exec_until(const Until& until, const Sql& sql, const T&... parameters) const {
    const detail::Parameters<sizeof...(T)> values{parameters...};
    return runner_.run(until, [call = call(until, sql.where),
                               statement = detail::KeptStatement{sql.text, detail::bound_of(values)}]() mutable {
      return detail::Executing{call.begin(), std::move(statement)};
    });
  }
  /// As `Connection::exec_script`.
  auto exec_script(const Sql& sql, const std::optional<Until>& until = {}) const {
    const Until limit = until.value_or(connection_->usual());
    return runner_.run(limit, [call = call(limit, sql.where), text = std::string{sql.text}]() mutable {
      return detail::Scripting{call.begin(), std::move(text)};
    });
  }
  /// As `Connection::run`.
  auto run(Pipeline pipeline, const std::optional<Until>& until = {},
           std::source_location where = std::source_location::current()) const {
    const Until limit = until.value_or(connection_->usual());
    return runner_.run(limit, [call = call(limit, where), statements = std::move(pipeline)]() mutable {
      return detail::Running<Pipeline>{call.begin(), std::move(statements)};
    });
  }
  /// As `Connection::stream`, once its first row has come; to be awaited, for an `AsyncStream`:
  /// `auto rows = co_await async(*lease).stream<int, std::string>("select ...")`.
  template <class... Columns, detail::Parameter... T>
  auto stream(const Sql& sql, const T&... parameters) const {
    return stream_until<Columns...>(connection_->usual(), sql, parameters...);
  }
  /// As `Connection::stream_until`: the limit is that of the whole.
  template <class... Columns, detail::Parameter... T>
  auto stream_until(const Until& until, const Sql& sql, const T&... parameters) const {
    const detail::Parameters<sizeof...(T)> values{parameters...};
    return runner_.run(until, [call = call(until, sql.where), runner = runner_,
                               statement = detail::KeptStatement{sql.text, detail::bound_of(values)}]() mutable {
      return detail::fetching_first<Runner, detail::IncomingRows<Columns...>>(runner, call, statement.sql(),
                                                                              statement.bound());
    });
  }
  /// As `Connection::copy_out`, once its first row has come; to be awaited, for an `AsyncCopyOut`.
  template <class... Columns>
  auto copy_out(const Sql& sql, const std::optional<Until>& limit = {}) const {
    const Until until = limit.value_or(connection_->usual());
    return runner_.run(until, [call = call(until, sql.where), runner = runner_, text = std::string{sql.text}] {
      return detail::fetching_first<Runner, detail::IncomingLines<Columns...>>(runner, call, text);
    });
  }
  /// Begins a `COPY ... FROM STDIN`; to be awaited, for an `AsyncCopyIn`, to which the rows are written. The limit is
  /// that of the whole.
  auto copy_in(const Sql& sql, const std::optional<Until>& limit = {}) const {
    using Shared = detail::SharedCopy<Runner>;
    const Until until = limit.value_or(connection_->usual());
    return runner_.run(until, [call = call(until, sql.where), runner = runner_, text = std::string{sql.text}] {
      return detail::CopyBeginning<Shared, AsyncCopyIn<Runner>>{std::make_shared<Shared>(runner, call, text)};
    });
  }
  /// As `Connection::copy_in`, whose rows are made in the loop's thread, a batch at a time. A range that is no
  /// temporary has to outlive it.
  template <CopySource Rows>
    requires std::ranges::viewable_range<Rows>
  auto copy_in(const Sql& sql, Rows&& rows, const std::optional<Until>& until = {}) const {
    const Until limit = until.value_or(connection_->usual());
    return runner_.run(limit, [call = call(limit, sql.where), text = std::string{sql.text},
                               view = std::views::all(std::forward<Rows>(rows))]() mutable {
      return detail::CopyingRows{call.begin(), text, std::move(view)};
    });
  }
  /// As `Connection::listen`.
  auto listen(std::string_view name, const std::optional<Until>& until = {},
              std::source_location where = std::source_location::current()) const {
    return exec_script({"LISTEN " + detail::channel_name(name), where}, until);
  }
  /// As `Connection::unlisten`.
  auto unlisten(std::string_view name, const std::optional<Until>& until = {},
                std::source_location where = std::source_location::current()) const {
    return exec_script({"UNLISTEN " + detail::channel_name(name), where}, until);
  }
  /// As `Connection::wait_for_notification`: whoever gives this up keeps the connection.
  auto wait_for_notification(Until until = {}) const {
    return runner_.run(std::move(until), [channel = channel()] { return detail::Listening{*channel}; });
  }
  /// As `Connection::ping`: whether the server answers.
  auto ping(const Until& until) const {
    return runner_.run(until, [channel = channel(), until] { return detail::pinging(*channel, until); });
  }
  /// As `Connection::reset`: whether the session is in order for the next holder.
  auto reset(Until until) const {
    return runner_.run(std::move(until), [channel = channel()] { return detail::resetting(*channel); });
  }

  /// The connection itself, whose members block.
  [[nodiscard]] Connection& connection() const noexcept { return *connection_; }

 private:
  [[nodiscard]] detail::Channel* channel() const noexcept { return &connection_->channel(); }
  [[nodiscard]] detail::Call call(const Until& until, const std::source_location& where) const {
    return {channel(), until, where, session_};
  }

  Connection* connection_;
  Runner runner_;
  std::optional<Until> session_{};
};

namespace detail {

/// A connection that is being opened.
class Opening {
 public:
  Opening(const ConnectionString& target, std::shared_ptr<const ConnectionSettings> shared, TimePoint deadline)
      : settings_{std::move(shared)},
        connecting_{one_by_one(target, settings_->load_balance_hosts), deadline, settings_->on_notice} {}

  [[nodiscard]] Socket socket() const noexcept { return connecting_.socket(); }
  [[nodiscard]] TimePoint due() const noexcept { return connecting_.due(); }
  [[nodiscard]] Need step() { return connecting_.step(); }
  [[noreturn]] void give_up(Wake why) { connecting_.give_up(why); }
  [[nodiscard]] std::unique_ptr<Connection> outcome() {
    return std::make_unique<Connection>(Connection::adopt(connecting_.take(), settings_));
  }

 private:
  std::shared_ptr<const ConnectionSettings> settings_;
  ConnectingInTurn connecting_;
};

}  // namespace detail

/// `co_await async(*lease, reactor).exec("select 1")`, for the loop of your own.
template <Reactor R>
[[nodiscard]] AsyncConnection<OnReactor<R>> async(Connection& connection, R& reactor) {
  return {connection, OnReactor<R>{reactor}};
}

/// Connects as `Connection::connect` does, which says what it throws; a malformed string throws within this call, in
/// which a password is asked for, too. The hosts of a list are tried one after the other, each with its share of the
/// time. `ConnectionSettings::max_lag` does not count here: `Connection::keeps_up` blocks. No thread is blocked, except
/// that libpq resolves host names by itself. To be awaited, for a `std::unique_ptr`.
template <class Runner>
auto async_connect(const std::string& connection_string, Until until, const Runner& runner,
                   ConnectionSettings settings) {
  auto target =
      detail::asked_for(detail::session_target(connection_string, settings.application_name), settings, until);
  const TimePoint deadline = until.deadline;
  return runner.run(std::move(until), [target = std::move(target), deadline,
                                       shared = std::make_shared<const ConnectionSettings>(std::move(settings))] {
    return detail::Opening{target, shared, deadline};
  });
}

}  // namespace lido::postgres
