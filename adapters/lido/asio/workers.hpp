// The workers of a pool as fibres of an event loop: a pool without a thread of its own, which holds up nobody. Needs
// the library Boost.Context to be linked.
#pragma once

#include <cstddef>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <lido/asio/detail/entrance.hpp>
#include <lido/worker.hpp>

namespace lido::asio {

/// How much room for its calls each worker has, in bytes, where nothing else is said: enough for a TLS handshake and a
/// look-up of a name. It is taken as it is used.
inline constexpr std::size_t worker_stack = std::size_t{512} * 1024;

/// For `PoolOptions::start_worker`: the workers of the pool run on `executor`, one at a time where the loop has one
/// thread. What they wait for at PostgreSQL does not hold it up: opening, checks, resets. Whatever else blocks does,
/// look-ups of host names among it.
///
/// They are there for as long as their pool: `run()` does not return before that, unless the loop is stopped. The pool
/// may end before the loop and after it. Its destructor does not wait for them. If the loop has been destroyed they go
/// on as blocking code in the threads of those who use the pool, and of one that wakes them at their deadlines; a
/// worker that begins after that has a thread of its own. In the child of a fork the pool has new ones, in the same
/// loop, which has to be told of the fork (`notify_fork`) before the pool is used there.
[[nodiscard]] inline StartWorker workers_in(const boost::asio::any_io_executor& executor,
                                            std::size_t stack = worker_stack) {
  return
      [entrance = detail::Entrance::of(executor), stack](Worker worker) { entrance->start(stack, std::move(worker)); };
}
/// The same in a loop, such as an `io_context`.
template <class Context>
  requires requires(Context& context) { context.get_executor(); }
[[nodiscard]] StartWorker workers_in(Context& context, std::size_t stack = worker_stack) {
  return workers_in(boost::asio::any_io_executor{context.get_executor()}, stack);
}

}  // namespace lido::asio
