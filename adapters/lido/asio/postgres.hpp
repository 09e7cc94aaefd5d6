// Asynchronous PostgreSQL with any completion token of Boost.Asio.
#pragma once

#include <concepts>
#include <source_location>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

#include <boost/asio/use_awaitable.hpp>
#include <lido/asio/async_acquire.hpp>
#include <lido/asio/detail/initiate.hpp>
#include <lido/asio/detail/operating.hpp>
#include <lido/postgres/async/connection.hpp>
#include <lido/postgres/async/session.hpp>
#include <lido/postgres/async/transact.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/transact.hpp>
#include <lido/postgres/until.hpp>

namespace lido::asio {

/// Runs operations as Asio's asynchronous operations, whose handler is made of `Token`: `boost::asio::use_awaitable`,
/// `use_future`, a callback and so on. Sockets and timers belong to the context of the handler's associated executor.
template <class Token = boost::asio::use_awaitable_t<>>
class OnAsio {
 public:
  explicit OnAsio(Token token = Token{}) : token_{std::move(token)} {}

  /// For this library: begins the operation that `make` makes.
  template <class Make>
  auto run(postgres::Until until, Make make) const {
    using Result = decltype(std::declval<std::invoke_result_t<Make&>&>().outcome());
    return detail::initiate<Result>(detail::InitiateOperation<Make>{std::move(until), std::move(make)}, Token{token_});
  }
  /// For this library: acquires a lease.
  template <class AnyPool>
  auto acquire(AnyPool& pool, Duration timeout, std::stop_token stop, std::source_location where) const {
    return async_acquire(pool, timeout, std::move(stop), Token{token_}, where);
  }

 private:
  Token token_;
};

/// `co_await async(*lease).exec("select $1::int + 1", 41)`: the statements of a connection in an `awaitable`.
[[nodiscard]] inline postgres::AsyncConnection<OnAsio<>> async(postgres::Connection& connection) {
  return {connection, OnAsio<>{}};
}
/// The same with another completion token: `async(*lease, use_future).exec("select 1").get()`. The completion signature
/// is `void(std::exception_ptr, T)`, or `void(std::exception_ptr)` where there is no result.
template <class Token>
[[nodiscard]] postgres::AsyncConnection<OnAsio<std::decay_t<Token>>> async(postgres::Connection& connection,
                                                                           Token&& token) {
  return {connection, OnAsio<std::decay_t<Token>>{std::forward<Token>(token)}};
}

/// A session in coroutines of Asio.
using Session = postgres::AsyncSession<postgres::Pool::Lease, OnAsio<>>;

/// A transaction: `co_await async_transact(pool, [&](auto& session) -> awaitable<int> { ... })`, see
/// `postgres::async_transact`. For another completion token than `use_awaitable`, give it to `co_spawn`.
template <class AnyPool, class Body>
auto async_transact(AnyPool& pool, Body body, postgres::TransactOptions options,
                    std::source_location where = std::source_location::current()) {
  return postgres::async_transact(pool, OnAsio<>{}, std::move(body), std::move(options), where);
}
// No default argument: GCC 12 mistreats one that is an aggregate where the call is awaited.
template <class AnyPool, class Body>
auto async_transact(AnyPool& pool, Body body, std::source_location where = std::source_location::current()) {
  return async_transact(pool, std::move(body), postgres::TransactOptions{}, where);
}

/// As `postgres::async_connect`: `auto connection = co_await async_connect("postgresql:///app", Clock::now() + 5s);`.
/// The completion signature is `void(std::exception_ptr, std::unique_ptr<postgres::Connection>)`.
template <class Token = boost::asio::use_awaitable_t<>>
auto async_connect(const std::string& connection_string, postgres::Until until, postgres::ConnectionSettings settings,
                   Token token = Token{}) {
  return postgres::async_connect(connection_string, std::move(until), OnAsio<Token>{std::move(token)},
                                 std::move(settings));
}
template <class Token = boost::asio::use_awaitable_t<>>
auto async_connect(const std::string& connection_string, postgres::Until until, Token token = Token{})
  requires(!std::same_as<Token, postgres::ConnectionSettings>)
{
  return async_connect(connection_string, std::move(until), postgres::ConnectionSettings{}, std::move(token));
}

}  // namespace lido::asio
