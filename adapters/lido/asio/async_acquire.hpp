// Acquiring a connection with any completion token of Boost.Asio.
#pragma once

#include <source_location>
#include <stop_token>
#include <utility>

#include <lido/asio/detail/acquiring.hpp>
#include <lido/asio/detail/initiate.hpp>
#include <lido/facts.hpp>

namespace lido::asio {

/// Acquires without blocking, as `pool.async_acquire` does: `auto lease = co_await async_acquire(pool, 2s,
/// use_awaitable);`. The completion signature is `void(std::exception_ptr, Lease)`: the errors are those of
/// `Pool::acquire`. The handler is posted to its associated executor, and never runs within this call nor in the thread
/// of whoever gives a connection back; memory comes from its associated allocator. Gives up with `AcquireCancelled`
/// when `stop` is requested or the handler's cancellation slot is used, in whichever way. What is leased to a handler
/// that is destroyed instead of called, as that of a stopped context is when the context is destroyed, goes back to the
/// pool; a context that is destroyed first gives up for those who still wait. The pool may be destroyed while they
/// wait, but not within this call.
template <class AnyPool, class Token>
auto async_acquire(AnyPool& pool, Duration timeout, std::stop_token stop, Token&& token,
                   std::source_location where = std::source_location::current()) {
  return detail::initiate<typename AnyPool::Lease>(
      detail::InitiateAcquire<AnyPool>{&pool, timeout, std::move(stop), where}, std::forward<Token>(token));
}
/// The same without a stop token.
template <class AnyPool, class Token>
auto async_acquire(AnyPool& pool, Duration timeout, Token&& token,
                   std::source_location where = std::source_location::current()) {
  return async_acquire(pool, timeout, std::stop_token{}, std::forward<Token>(token), where);
}
/// The same within the `acquire_timeout` of the pool's options.
template <class AnyPool, class Token>
auto async_acquire(AnyPool& pool, Token&& token, std::source_location where = std::source_location::current()) {
  return async_acquire(pool, pool.options().acquire_timeout, std::stop_token{}, std::forward<Token>(token), where);
}

}  // namespace lido::asio
