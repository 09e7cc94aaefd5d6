// A size that finds itself: the smallest at which neither callers wait nor the server slows down.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <lido/detail/size_search.hpp>
#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/policy.hpp>
#include <lido/pool.hpp>
#include <lido/statistics.hpp>

namespace lido {

/// What an `AdaptiveSize` may do.
struct AdaptiveSizeOptions {
  std::size_t min_size = 1;   ///< Range: 1 to `max_size`.
  std::size_t max_size = 60;  ///< never more connections than this
  /// How often it looks at the pool's figures. It decides after two looks at least, and a hundred leases or twelve
  /// looks. Zero: never by itself, you call `step`. Range: 0 and more.
  Duration every = std::chrono::milliseconds{250};
};

/// What an `AdaptiveSize` has found.
struct AdaptiveSizeState {
  std::size_t size = 0;     ///< of the pool now
  std::uint64_t steps = 0;  ///< how often it has looked
  /// Why the size is what it is: "shrunk from 20 to 15: as many were served, each 1.3 times as fast".
  std::string reason;
};

/// Finds the size of a pool while it runs. It tries sizes, and keeps the smallest that serves as many callers as any: a
/// larger one makes the server work on more at once, each for longer. That is where Kleinrock's power, throughput
/// divided by response time, is greatest for a server of some cores ("Power and deterministic rules of thumb for
/// probabilistic problems in computer communications", 1979); it is looked for by trying, since the holds of another
/// query say nothing about this one's (which is what the delay of Vegas and Gradient needs).
///
/// The pool needs a policy that reads the clock, as PostgreSQL's does, so that it knows how long holds are. `make`
/// turns a size into the growth policy of the pool: `[](std::size_t size) { return FixedSize{.size = size}; }`. The
/// pool is resized to `max_size` at most, from the size that it has. It is called by one thread at a time, and may not
/// call this. Lives as long as its pool or shorter. `step` and `state` may be called from any thread. The child of a
/// fork has not its thread: there it may neither be used nor destroyed.
template <class Pool, class MakeGrowth>
class AdaptiveSize {
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  static constexpr void check(const lido::Pool<Connection, Growth, Health, Recycle, Platform>&) {
    detail::require_clock<Health, Recycle>();
  }

 public:
  /// Begins with the size of the pool, within the options, and starts a thread unless `every` is zero. Throws
  /// `InvalidOption`, or `std::system_error` where the thread cannot be started.
  AdaptiveSize(Pool& pool, MakeGrowth make, AdaptiveSizeOptions options = {})
      : pool_{pool},
        make_{std::move(make)},
        min_size_{options.min_size},
        before_{pool.statistics()},
        search_{checked(options), before_.max_size} {
    check(pool);
    search_.keep_at_least(least(before_));
    pool_.resize(make_(search_.size()));
    applied_ = search_.size();
    if (options.every > Duration::zero())
      thread_ = std::jthread{[this, every = options.every](const std::stop_token& stop) { run(stop, every); }};
  }
  AdaptiveSize(const AdaptiveSize&) = delete;
  AdaptiveSize& operator=(const AdaptiveSize&) = delete;

  /// Looks at what the pool has done in the last `span`, and resizes it if that is better; during a resize by another
  /// `step` it leaves that to that one. Takes the pool's lock twice. Whoever is served or told by the resize may call
  /// this and `state`. Throws what `Pool::resize` throws, and resizes then with the next one; `InvalidOption` for a
  /// `span` that is not above 0.
  void step(Duration span) {
    detail::require_positive(span, "AdaptiveSize::step(span)");
    std::unique_lock lock{mutex_};
    const Statistics now = pool_.statistics();  // within: two at once would see each other's in the wrong order
    ++steps_;
    search_.keep_at_least(least(now));
    search_.look({.seconds = std::chrono::duration<double>{span}.count(),
                  .served = now.released - before_.released,
                  .held = std::chrono::duration<double>{now.use.sum - before_.use.sum}.count(),
                  .waited = waited_for_more(now) - waited_for_more(before_),
                  .waiting = now.waiting_for_more()});
    before_ = now;
    while (!resizing_ && search_.size() != applied_) apply(search_.size(), lock);
  }

  /// What it has found, and why. Throws `std::bad_alloc`.
  [[nodiscard]] AdaptiveSizeState state() const {
    const std::scoped_lock lock{mutex_};
    return {.size = applied_, .steps = steps_, .reason = search_.reason()};
  }

 private:
  // The pool refuses a size below what the shares are guaranteed together. At that size callers without a guarantee
  // would get nothing, and nobody would be served by whom to see it.
  [[nodiscard]] std::size_t least(const Statistics& figures) const noexcept {
    std::size_t guaranteed = 0;
    for (const ShareStatistics& share : figures.shares) guaranteed += share.guaranteed;
    return std::max(min_size_, guaranteed > 0 ? guaranteed + 1 : 0);
  }
  // Who waits for the limit of its share would not be served sooner by a larger pool.
  [[nodiscard]] static std::uint64_t waited_for_more(const Statistics& figures) noexcept {
    std::uint64_t waited = figures.waited;
    for (const ShareStatistics& share : figures.shares) waited -= share.full;
    return waited;
  }

  static detail::SizeSearch::Limits checked(const AdaptiveSizeOptions& options) {
    if (options.min_size == 0) throw InvalidOption{"AdaptiveSizeOptions::min_size", "at least 1"};
    if (options.max_size < options.min_size) throw InvalidOption{"AdaptiveSizeOptions::max_size", "at least min_size"};
    detail::require_not_negative(options.every, "AdaptiveSizeOptions::every");
    return {.least = options.min_size, .most = options.max_size};
  }

  // One at a time, so that the last size stands; and without the lock, as a resize calls callbacks and listeners.
  void apply(std::size_t size, std::unique_lock<std::mutex>& lock) {
    auto growth = make_(size);
    resizing_ = true;
    lock.unlock();
    try {
      pool_.resize(std::move(growth));
    } catch (...) {
      lock.lock();
      resizing_ = false;
      throw;
    }
    lock.lock();
    resizing_ = false;
    applied_ = size;
  }

  void run(const std::stop_token& stop, Duration every) {
    std::mutex mutex;
    std::condition_variable_any timer;
    for (TimePoint before = Clock::now();;) {
      std::unique_lock lock{mutex};
      timer.wait_until(lock, stop, saturating_add(before, every), [] { return false; });
      if (stop.stop_requested()) return;
      const TimePoint now = Clock::now();
      try {
        step(now - before);
      } catch (...) {  // the pool is closed, or there is no memory: it stays as it is
      }
      before = now;
    }
  }

  Pool& pool_;
  MakeGrowth make_;
  const std::size_t min_size_;
  mutable std::mutex mutex_;  // of what follows but the thread
  Statistics before_;
  detail::SizeSearch search_;
  std::size_t applied_ = 0;  // which size the pool has been given
  std::uint64_t steps_ = 0;
  bool resizing_ = false;  // a step is at it
  std::jthread thread_;    // last: it uses the others
};

}  // namespace lido
