// Waiting for a socket until a deadline.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <initializer_list>
#include <limits>
#include <optional>
#include <system_error>

#include <lido/facts.hpp>
#include <lido/postgres/detail/wire/stop_signal.hpp>
#include <lido/postgres/socket.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// What an operation waits for before it can take its next step. Operations are written as steps that never block, so
/// that a thread can wait between them as well as an event loop.
enum class Need : unsigned char {
  nothing,   ///< it is done
  readable,  ///< the socket has something to read
  writable,  ///< the socket takes something
  either,    ///< one of the two
  at_once,   ///< nothing, and it is not done: others have their turn first. No event loop hears of it.
};

enum class Wake : unsigned char { ready, timed_out, stopped };

/// How long a wait goes on before it asks to be told of a requested stop: until then it looks by itself when this is
/// over, which costs short waits nothing.
inline constexpr std::chrono::milliseconds stop_slice{20};

/// Whether a call on a socket or pipe that failed with `error` may be made again later. No `||`: on most systems two of
/// these are one.
[[nodiscard]] constexpr bool is_for_now(int error) noexcept {
  for (const int kind : {EAGAIN, EWOULDBLOCK, EINTR})
    if (error == kind) return true;
  return false;
}

/// The socket of an operation that is there as long as there is something to wait for; -1, as if closed, without it.
template <class Operation>
[[nodiscard]] Socket socket_of(const std::optional<Operation>& operation) noexcept {
  return operation ? operation->socket() : Socket{-1};
}

/// Waits in the place of poll(2), for fibres, which may not hold up the thread that runs them.
class Poller {
 public:
  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  /// As `wait_for`. A closed socket (-1) is never ready.
  virtual Wake wait(Socket socket, Need need, const Until& until) = 0;

 protected:
  ~Poller() = default;
};

/// That of the fibre which runs in this thread; null while none does. Owned by whoever switches fibres.
[[gnu::visibility("default")]] inline thread_local constinit Poller* poller = nullptr;

/// Milliseconds until `deadline` for poll(2), rounded up so that a wait never ends early; -1 for no deadline.
[[nodiscard]] inline int milliseconds_until(TimePoint deadline, TimePoint now) noexcept {
  if (deadline == TimePoint::max()) return -1;
  if (deadline <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::min<long long>(left, std::numeric_limits<int>::max()));
}

/// Blocks until `socket` has what is needed, an error or an end, or until `until`. A closed socket (-1) is ready:
/// whoever looks at it finds out.
[[nodiscard]] inline Wake wait_for(Socket socket, Need need, const Until& until) {
  constexpr int slice = stop_slice.count();
  if (socket < 0) return Wake::ready;
  if (poller != nullptr) return poller->wait(socket, need, until);
  if (socket.registration() != nullptr) socket.registration()->reset();  // else a loop would wake, too, for nothing
  const int events = (need == Need::writable ? 0 : POLLIN) | (need == Need::readable ? 0 : POLLOUT);
  std::optional<StopSignal> signal;
  for (;;) {
    if (until.stop.stop_requested()) return Wake::stopped;
    const bool limited = until.deadline != TimePoint::max();
    const int left = limited ? milliseconds_until(until.deadline, Clock::now()) : -1;
    const bool told = signal && signal->socket() >= 0;
    const bool sliced = until.stop.stop_possible() && !told && (left < 0 || left > slice);
    std::array<pollfd, 2> entries{pollfd{.fd = socket, .events = static_cast<short>(events), .revents = 0},
                                  pollfd{.fd = told ? signal->socket() : -1, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(entries.data(), told ? 2 : 1, sliced ? slice : left);
    if (ready > 0 && entries[0].revents != 0) return Wake::ready;
    if (ready < 0 && errno != EINTR) throw std::system_error{errno, std::generic_category(), "poll"};
    if (ready == 0 && !sliced && limited && Clock::now() >= until.deadline) return Wake::timed_out;
    if (ready == 0 && sliced && !signal) signal.emplace(until.stop);
  }
}

/// Whether a socket has something to read, or an error or an end. A closed one (-1) has nothing.
[[nodiscard]] inline bool has_input(int socket) noexcept {
  pollfd entry{.fd = socket, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) > 0;
}

/// What a look at a socket shows, which takes nothing from it. An error is an end.
enum class Look : unsigned char { nothing, something, end };
[[nodiscard]] inline Look look_at(int socket) noexcept {
  char byte = 0;
  const ssize_t count = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count < 0 && is_for_now(errno)) return Look::nothing;
  return count > 0 ? Look::something : Look::end;
}

/// Lets others have their turn where there are any.
[[nodiscard]] inline Wake give_way(const Until& until) {
  if (until.stop.stop_requested()) return Wake::stopped;
  if (poller == nullptr) return Wake::ready;
  return poller->wait(Socket{-1}, Need::readable, Clock::now()) == Wake::stopped ? Wake::stopped : Wake::ready;
}

/// Waits for what `operation` needs for its next step. One that has a `due()` takes it then at the latest: `ready` does
/// not mean that its socket is.
template <class Operation>
[[nodiscard]] Wake wait_between_steps(const Operation& operation, Need need, const Until& until) {
  if (need == Need::at_once) return give_way(until);
  if constexpr (requires { operation.due(); }) {
    const Until sooner{std::min(until.deadline, operation.due()), until.stop};
    const Wake wake = wait_for(operation.socket(), need, sooner);
    return wake == Wake::timed_out && sooner.deadline < until.deadline ? Wake::ready : wake;
  } else {
    return wait_for(operation.socket(), need, until);
  }
}

/// Takes the steps of `operation` and waits between them. Blocks until it is done; throws what its steps and its
/// `give_up` throw. After a `give_up` that does not throw, the operation is done at its next step.
template <class Operation>
void complete(Operation& operation, const Until& until) {
  bool late = false;  // else a peer that always has something more to say would outlast every deadline
  for (Need need = operation.step(); need != Need::nothing; need = operation.step()) {
    // The socket of a connection that is being opened changes from one address to the next: it is asked for each time.
    const Wake wake = late ? Wake::timed_out : wait_between_steps(operation, need, until);
    if (wake != Wake::ready) operation.give_up(wake);
    late = until.deadline != TimePoint::max() && Clock::now() >= until.deadline;
  }
}

/// Lets `operation` give up when it is too late already: for one that finds so much at hand that it never waits.
template <class Operation>
void check_in_time(Operation& operation, const Until& until) {
  if (until.stop.stop_requested()) operation.give_up(Wake::stopped);
  if (until.deadline != TimePoint::max() && Clock::now() >= until.deadline) operation.give_up(Wake::timed_out);
}

/// Blocks until `until`.
inline void pause_until(const Until& until) {
  if (poller != nullptr) return static_cast<void>(poller->wait(Socket{-1}, Need::readable, until));
  constexpr int slice = stop_slice.count();
  for (TimePoint now = Clock::now(); now < until.deadline && !until.stop.stop_requested(); now = Clock::now()) {
    const int left = milliseconds_until(until.deadline, now);
    ::poll(nullptr, 0, until.stop.stop_possible() && (left < 0 || left > slice) ? slice : left);
  }
}

}  // namespace lido::postgres::detail
