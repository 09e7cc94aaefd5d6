// A managed listener in coroutines of Boost.Asio.
#pragma once

#include <lido/asio/postgres.hpp>
#include <lido/postgres/async/listener.hpp>

namespace lido::asio {

/// `Listener listener{OnAsio<>{}, url, {"news"}}`, then `co_await listener.wait()`; see `postgres::AsyncListener`.
using Listener = postgres::AsyncListener<OnAsio<>>;

}  // namespace lido::asio
