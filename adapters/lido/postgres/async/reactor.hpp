// What an event loop has to offer so that operations on connections wait in it.
#pragma once

#include <lido/facts.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/socket.hpp>

namespace lido::postgres {

/// What a socket is waited for: `readable`, `writable` or `either`.
using Need = detail::Need;
/// How a wait ended: `ready`, `timed_out`, or `stopped` by `post`.
using Wake = detail::Wake;

/// Whoever waits at a reactor; made by this library.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  /// For the reactor, in the thread of its loop. May wait again at once, and may be gone afterwards.
  virtual void wake(Wake how) noexcept = 0;

 protected:
  ~Waiter() = default;
};

/// An event loop, as far as an operation needs one. Each waiter waits for one thing at a time.
///
/// - `wait(waiter, socket, need, deadline)` has `waiter.wake` called once, and never within this call: with `ready` as
///   soon as the socket has what is needed, an error or an end, else with `timed_out` at the deadline
///   (`TimePoint::max()`: never). A socket of -1: the deadline alone. May throw, and then does not wake.
/// - `cancel(waiter)`: no wake any more, neither of `wait` nor of `post`; harmless where none is to come. `noexcept`.
/// - `post(waiter)` has `waiter.wake(stopped)` called once, soon, whether it waits or not. From any thread. `noexcept`.
///
/// Between two waits the socket belongs to libpq, which may close it: a loop that keeps sockets registered does so by
/// `Socket::registration`, or not at all. Its smallest model is the `PollReactor` of tests/asio, on poll(2), which
/// takes the socket as an `int`.
template <class R>
concept Reactor = requires(R& reactor, Waiter& waiter, Socket socket, Need need, TimePoint deadline) {
  reactor.wait(waiter, socket, need, deadline);
  { reactor.cancel(waiter) } noexcept;
  { reactor.post(waiter) } noexcept;
};

}  // namespace lido::postgres
