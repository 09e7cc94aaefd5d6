// What policies, connectors and listeners are told: plain facts, no clocks and no handles.
#pragma once

#include <lido/detail/language.hpp>  // first: the rest needs what it looks for

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string_view>
#include <thread>

namespace lido {

/// The one clock of the pool: monotonic, so that a change of the wall clock moves no deadline.
using Clock = std::chrono::steady_clock;
/// A span of time, nanoseconds on the usual platforms. `Duration::max()` means "no limit" wherever a limit is taken.
using Duration = Clock::duration;
/// An absolute deadline or stamp of `Clock`. `TimePoint::max()` means "never".
using TimePoint = Clock::time_point;

/// `start + span`, saturating: a span of `Duration::max()` gives `TimePoint::max()` and does not overflow.
[[nodiscard]] constexpr TimePoint saturating_add(TimePoint start, Duration span) noexcept {
  if (start > TimePoint{} && span > TimePoint::max() - start) return TimePoint::max();
  return start + span;
}

/// When a policy is asked about a connection.
enum class Moment : std::uint8_t {
  acquire,  ///< it is about to be leased
  release,  ///< it has just been given back
  discard,  ///< its holder discards it: it is closed whatever is said; not asked where that would hold up a coroutine
  sweep,    ///< it is idle and the background looks at it
};

/// What a health or recycle policy says of a connection.
enum class Verdict : std::uint8_t {
  keep,        ///< lease it, or put it back
  discard,     ///< close it; the pool replaces it when it is needed
  invalidate,  ///< close it, and with it all others that are open now, as `Pool::invalidate` does
};

/// Why a connection is closed.
enum class CloseReason : std::uint8_t {
  none,         ///< it is not
  dead,         ///< a health check failed, or it is one of those that are taken for dead with it
  recycled,     ///< the recycle policy did not keep it: worn, or not to be put in order
  surplus,      ///< more than the growth policy keeps
  discarded,    ///< its holder discarded it
  invalidated,  ///< its generation ended: `invalidate`, or the first dead one after an outage
  not_pooled,   ///< the growth policy keeps none (`NullPool`)
  shut_down,    ///< the pool closes
};

[[nodiscard]] constexpr std::string_view to_string(CloseReason reason) noexcept {
  switch (reason) {
    case CloseReason::none:
      return "open";
    case CloseReason::dead:
      return "dead";
    case CloseReason::recycled:
      return "recycled";
    case CloseReason::surplus:
      return "surplus";
    case CloseReason::discarded:
      return "discarded";
    case CloseReason::invalidated:
      return "invalidated";
    case CloseReason::not_pooled:
      return "not pooled";
    case CloseReason::shut_down:
      return "shut down";
    default:
      return "unknown";
  }
}

/// What a policy or a listener is told of one connection.
struct ConnectionInfo {
  std::uint64_t id = 0;                   ///< unique within the pool, counted from 1 in the order of opening
  Duration age{};                         ///< since it was opened
  Duration idle{};                        ///< since it was last given back or opened; zero while it is leased
  Duration held{};                        ///< how long the holder had it, at `release` and `discard`; else zero
  std::uint64_t uses = 0;                 ///< leases so far; when it comes back and to listeners the present one counts
  Moment moment = Moment::sweep;          ///< why the question is asked
  double spread = 0;                      ///< drawn once a connection, uniform in [0, 1): what jitter is made of
  TimePoint deadline = TimePoint::max();  ///< a hook that blocks returns by then
  CloseReason close_reason = CloseReason::none;  ///< for listeners of `on_close`
};

/// How many connections a pool has, by what they are doing. Their sum is `total`.
struct PoolCounts {
  std::size_t idle = 0;      ///< open and ready to be leased
  std::size_t leased = 0;    ///< with a holder
  std::size_t opening = 0;   ///< being opened, or waiting for a worker to open them
  std::size_t checking = 0;  ///< idle ones that the background looks at
  std::size_t closing = 0;   ///< being closed; they count until they are gone
  std::size_t waiting = 0;   ///< callers in the queue; not part of `total`

  /// All connections, whatever they are doing.
  [[nodiscard]] constexpr std::size_t total() const noexcept { return idle + leased + opening + checking + closing; }
  friend bool operator==(const PoolCounts&, const PoolCounts&) = default;
};

/// What a growth policy answers.
struct GrowthPlan {
  std::size_t max_size = 1;   ///< never more connections than this
  std::size_t pool_size = 1;  ///< how many are kept open though idle; at most `max_size`
  std::size_t open = 0;       ///< how many more should begin to open now
  Duration idle_timeout{};    ///< how long an idle connection beyond `pool_size` is kept before it is closed
  bool reuse = true;          ///< false: every connection is leased once and then closed
};

/// What a connector is told of the connection that it opens.
struct OpenInfo {
  TimePoint deadline = TimePoint::max();  ///< give up by then
  std::uint64_t id = 0;                   ///< the `ConnectionInfo::id` that it will have
  std::stop_token stop;                   ///< requested when the pool closes: give up soon
};

/// Who has a connection, since when, and from where it was acquired.
struct Holder {
  std::source_location where;
  std::thread::id thread;
  Duration held{};  ///< at least this long; where a policy needs a clock as it is, within 0.1 ms
  std::uint64_t connection_id = 0;
};

/// A connection of a pool, as somebody saw it who does not have it.
struct ConnectionDescription {
  std::uint64_t id = 0;          ///< `ConnectionInfo::id`; 0: its open waits for a worker
  std::string_view state;        ///< `opening`, `idle`, `leased`, `checking` or `closing`
  Duration age{};                ///< since it was opened
  std::uint64_t uses = 0;        ///< leases so far
  std::optional<Holder> holder;  ///< who has it
};

/// A lease that was held longer than `PoolOptions::leak_after`.
struct LeakReport {
  Holder holder;
  bool returned = false;  ///< it has come back after all
};

}  // namespace lido
