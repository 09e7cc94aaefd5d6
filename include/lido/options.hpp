// What a pool can be told beside its policies.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/worker.hpp>

namespace lido {

/// Settings of a pool that are no policy. Use designated initialisers; whatever is left out has the default given here.
struct PoolOptions {
  /// Shown in messages, events and metrics, so that several pools can be told apart.
  std::string name = "pool";

  /// How long `acquire()` waits, from its call to the connection in hand, whatever lies between. Zero tries once;
  /// `Duration::max()` waits without limit. Range: 0 and more.
  Duration acquire_timeout = std::chrono::seconds{30};

  /// How long one attempt to open may take; handed to the connector as `OpenInfo::deadline`. While others hang most
  /// have `backoff_max` instead, to see whether the server is back. Range: more than 0.
  Duration open_timeout = std::chrono::seconds{10};

  /// How long one health check may take; handed to the policy as `ConnectionInfo::deadline`, cut to the caller's own
  /// deadline. Range: more than 0.
  Duration check_timeout = std::chrono::seconds{5};

  /// How long a recycle policy may take on release. Range: more than 0.
  Duration reset_timeout = std::chrono::seconds{5};

  /// How long the oldest waiter may be overtaken by newcomers. While it has waited less, a released connection goes to
  /// whoever is quickest, which keeps connections busy; past it the connection is that waiter's, also if its thread was
  /// woken before and has yet to run: an acquire that begins later is not served first. Among those who wait nobody
  /// overtakes another. Zero: strictly first come, first served. Range: 0 and more.
  Duration barging_limit = std::chrono::milliseconds{1};

  /// How many callers may wait at once, of each `Share` as many; one more gets `QueueFull` at once. Range: 0 (never
  /// wait) and more; 1 and more where callers open for themselves (`workers = 0`, `NullPool`), which they do while they
  /// wait.
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();

  /// Threads that open, close and sweep off the callers' threads. At most `workers - 1` of them open at a time (one
  /// of one), so that a server that hangs leaves one for the rest, which now and then sees whether it is back. Zero:
  /// the same work is done by the threads that acquire, release and call `maintain()`, and each closes what it gave up
  /// itself: an acquire outlasts its time by one destructor at most, of a connection that it found unfit. Unset: 5, or
  /// 0 where the growth policy keeps no connection (`NullPool`).
  std::optional<std::size_t> workers{};

  /// How workers begin that are no threads of the pool; with it the pool starts none. They may run as fibres of one
  /// thread (`lido::asio::workers_in`), which nothing holds up then that waits as a fibre does: the connector, the
  /// policies and the listeners are called there. The pool's destructor does not wait for them: what those refer to has
  /// to live until each worker has ended. Unset: as threads.
  StartWorker start_worker{};

  /// How often the background looks at idle connections. Range: more than 0.
  Duration sweep_interval = std::chrono::seconds{1};

  /// How long a connection lies idle, unused and unchecked, before the background asks the health policy about it, so
  /// that neither the server nor a firewall ends it for idleness. Does not make it look used. `Duration::max()`: never.
  /// Range: more than 0.
  Duration keep_alive = std::chrono::minutes{2};

  /// A lease held for longer is reported to `Events::on_leak` and counted in `Statistics::leaks`, once, by the sweep.
  /// `Duration::max()`: never. Range: more than 0.
  Duration leak_after = std::chrono::minutes{5};

  /// The first pause after an attempt to open has failed, doubled with each failure in a row. Range: more than 0.
  Duration backoff_min = std::chrono::milliseconds{10};

  /// The longest pause between attempts while opening fails, and how long a brief one takes beside others that hang.
  /// Range: `backoff_min` and more.
  Duration backoff_max = std::chrono::milliseconds{250};

  /// Refuse at once (`SelfDeadlock`) to wait in a thread that holds a connection of the same pool. It holds what it has
  /// acquired until that comes back, also where the lease was moved to another thread.
  bool refuse_nested_wait = false;

  /// While no connection is open, and opening has failed for so long, callers get what the last attempt threw at once,
  /// instead of waiting for their time-out; who waits already gets it when the next attempt fails. Attempts go on, and
  /// the first that succeeds ends it. It counts from the first failure, which a server that swallows packets lets come
  /// after `open_timeout` only; where callers open for themselves also from the first attempt that ends with its
  /// caller's time, if that took half of `acquire_timeout`, or `backoff_max`. `Duration::max()`: never. Range: 0 and
  /// more.
  Duration fail_fast_after = Duration::max();

  /// When even the shortest wait has stayed above it for a while (five times it, and ten waits), and the queue has not
  /// become shorter, those who have waited beyond it get `Overloaded`, and the others are served in time; until a wait
  /// is half of it. A burst that drains by itself refuses nobody. For a service whose callers give up after a second
  /// 100 ms are right. `Duration::max()`: never. Range: more than 0.
  Duration max_standing_wait = Duration::max();

  /// A caller whose time will be over before its turn gets `Overloaded` at once, which says how long its turn would
  /// have taken at least. Only where that is known: from how fast those who waited were served at the most of late, and
  /// from when the time of those before it is over. So one who is refused would not have been served, unless many
  /// before it give up early or the pool is suddenly faster.
  bool refuse_hopeless = true;
};

/// What the callers of a `Share` may have of their pool.
struct ShareOptions {
  /// So many connections are theirs whenever they want them: nobody else is leased what they would lack then. Range: 0
  /// and more; those of all shares together at most the pool's maximum, and less where somebody acquires from the pool
  /// itself.
  std::size_t guaranteed = 0;

  /// Never more than so many at once, whatever lies idle. Range: 1 and more, not below `guaranteed`.
  std::size_t at_most = std::numeric_limits<std::size_t>::max();

  /// How many of them may wait at once, if that is fewer than `PoolOptions::max_waiting`, which counts for each share
  /// by itself; one more gets `QueueFull` at once. Range: 0 (never wait) and more; 1 and more where callers open for
  /// themselves.
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();

  friend bool operator==(const ShareOptions&, const ShareOptions&) = default;
};

/// Throws `InvalidOption`, naming the field, unless every field is in its range.
inline void validate(const PoolOptions& options) {
  detail::require_not_negative(options.acquire_timeout, "PoolOptions::acquire_timeout");
  detail::require_not_negative(options.barging_limit, "PoolOptions::barging_limit");
  detail::require_not_negative(options.fail_fast_after, "PoolOptions::fail_fast_after");
  detail::require_positive(options.open_timeout, "PoolOptions::open_timeout");
  detail::require_positive(options.check_timeout, "PoolOptions::check_timeout");
  detail::require_positive(options.reset_timeout, "PoolOptions::reset_timeout");
  detail::require_positive(options.sweep_interval, "PoolOptions::sweep_interval");
  detail::require_positive(options.keep_alive, "PoolOptions::keep_alive");
  detail::require_positive(options.leak_after, "PoolOptions::leak_after");
  detail::require_positive(options.backoff_min, "PoolOptions::backoff_min");
  detail::require_positive(options.max_standing_wait, "PoolOptions::max_standing_wait");
  if (options.backoff_max < options.backoff_min)
    throw InvalidOption{"PoolOptions::backoff_max", "a duration not below backoff_min"};
  if (options.workers && *options.workers > 256) throw InvalidOption{"PoolOptions::workers", "a number from 0 to 256"};
}

}  // namespace lido
