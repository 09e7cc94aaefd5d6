// Waiting for a socket until a deadline.
#pragma once

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <stop_token>
#include <system_error>

#include <lido/facts.hpp>

namespace lido::postgres::detail {

/// Milliseconds until `deadline` for poll(2), rounded up so that a wait never ends early; -1 for no deadline.
[[nodiscard]] inline int milliseconds_until(TimePoint deadline, TimePoint now) noexcept {
  if (deadline == TimePoint::max()) return -1;
  if (deadline <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::min<long long>(left, std::numeric_limits<int>::max()));
}

enum class Wake : unsigned char { ready, timed_out, stopped };

/// Blocks until `socket` has one of `events`, an error or an end, until `deadline`, or until `stop` is requested, which
/// is noticed within 20 ms. A closed socket (-1) is ready: whoever looks at it finds out.
[[nodiscard]] inline Wake wait_for(int socket, short events, TimePoint deadline, const std::stop_token& stop = {}) {
  constexpr int slice = 20;
  if (socket < 0) return Wake::ready;
  for (;;) {
    if (stop.stop_requested()) return Wake::stopped;
    const bool limited = deadline != TimePoint::max();
    const int left = limited ? milliseconds_until(deadline, Clock::now()) : -1;
    const bool sliced = stop.stop_possible() && (left < 0 || left > slice);
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, sliced ? slice : left);
    if (ready > 0) return Wake::ready;
    if (ready < 0 && errno != EINTR) throw std::system_error{errno, std::generic_category(), "poll"};
    if (ready == 0 && !sliced && limited && Clock::now() >= deadline) return Wake::timed_out;
  }
}

/// Blocks until `deadline`.
inline void pause_until(TimePoint deadline) noexcept {
  for (TimePoint now = Clock::now(); now < deadline; now = Clock::now())
    ::poll(nullptr, 0, milliseconds_until(deadline, now));
}

}  // namespace lido::postgres::detail
