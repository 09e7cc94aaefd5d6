// When to try to open, how many at a time, and for how long. Knows attempts, not slots.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>

#include <lido/detail/backoff.hpp>
#include <lido/detail/open_plan.hpp>

namespace lido::detail {

// How a pool opens; from `PoolOptions`.
struct ConnectRules {
  std::size_t workers = 0;  // 0: callers open for themselves
  Duration backoff_min{};
  Duration backoff_max{};
  Duration open_timeout{};
};

// An attempt that hangs looks like one that takes its time. So none is cut off because others are waiting: after a
// while it is stalled, which means that it counts no longer, neither as a connection to come nor as one of those who
// may open at a time, and another begins beside it. Most of these are probes, which have little time. They come one
// after the other, and find a server that is back as soon as one that refuses would be found. Every now and then one
// has the whole time, for a server that is slow; so that no more of them are stalled than there are openers. Without
// workers none is stalled: each holds up its own caller. Owned by the pool's lock.
class ConnectLimiter {
 public:
  static constexpr std::size_t unlimited = AttemptCounts::unlimited;

  ConnectLimiter(const ConnectRules& rules, std::uint64_t seed) noexcept
      : rules_{rules},
        attempts_{.openers = rules.workers == 0 ? unlimited : std::max<std::size_t>(rules.workers - 1, 1),
                  .spare = rules.workers > 1 ? 1U : 0U},
        backoff_{rules.backoff_min, rules.backoff_max, seed} {}

  [[nodiscard]] const Backoff& backoff() const noexcept { return backoff_; }
  [[nodiscard]] Backoff& backoff() noexcept { return backoff_; }
  [[nodiscard]] std::size_t under_way() const noexcept { return attempts_.under_way; }
  // Those that are not stalled.
  [[nodiscard]] std::size_t in_time() const noexcept { return attempts_.under_way - attempts_.stalled; }
  [[nodiscard]] bool any_may_stall() const noexcept { return may_stall() && in_time() > 0; }
  // Behind one prober while the server is away, or may be.
  [[nodiscard]] bool one_by_one() const noexcept { return backoff_.failing() || (attempts_.stalled > 0 && !answers_); }

  // A connection was not as it should be. Until an attempt that begins from now on succeeds, the server may be away
  // without saying so.
  void suspect_outage(TimePoint now) noexcept {
    outage_suspected_ = true;
    suspected_at_ = now;
  }
  // Whether what a stalled attempt came to is old news.
  [[nodiscard]] bool outdated(bool stalled) const noexcept { return stalled && answers_; }

  // How many may begin now, the back-off aside.
  [[nodiscard]] std::size_t places() const noexcept { return free_places(attempts_); }
  // When the next one may begin where they do so one by one, and otherwise when the youngest will be stalled.
  [[nodiscard, gnu::noinline]] TimePoint next() const noexcept {
    if (attempts_.under_way == 0) return backoff_.until();
    return std::max(backoff_.until(), saturating_add(youngest_, stall_after()));
  }
  // Whether all that are under way are stalled from now on. None of them may be waiting for a worker.
  [[nodiscard]] bool stall_from(TimePoint now) noexcept {
    if (!any_may_stall() || now < saturating_add(youngest_, stall_after())) return false;
    attempts_.stalled = attempts_.under_way;
    answers_ = false;
    return true;
  }

  // One begins, and `room` says whether there is room for another; true when it is to be a probe.
  [[nodiscard]] bool begin(TimePoint now, bool room) noexcept {
    const bool probe = is_probe({.now = attempts_,
                                 .in_trouble = in_trouble(),
                                 .rested = now >= saturating_add(last_whole_, share()),
                                 .room = room});
    ++attempts_.under_way;
    youngest_ = now;
    if (!probe) last_whole_ = now;
    return probe;
  }
  [[nodiscard]] Duration time_for(bool probe) const noexcept {
    return probe ? std::min(rules_.open_timeout, rules_.backoff_max) : rules_.open_timeout;
  }
  // One has no connection. The back-off is told by whoever knows why.
  void end(bool stalled) noexcept {
    --attempts_.under_way;
    if (stalled) --attempts_.stalled;
  }
  // One has a connection. Returns what was the cause of failures before: to be dropped without the lock.
  [[nodiscard]] std::exception_ptr succeeded(bool stalled, TimePoint begun) noexcept {
    end(stalled);
    answers_ = true;
    if (begun >= suspected_at_) outage_suspected_ = false;
    return backoff_.succeeded();
  }

 private:
  // Whoever opens for itself holds up nobody else.
  [[nodiscard]] bool may_stall() const noexcept { return attempts_.openers != unlimited; }
  [[nodiscard]] bool in_trouble() const noexcept { return outage_suspected_ || backoff_.failing(); }
  [[nodiscard]] Duration share() const noexcept {
    return may_stall() ? rules_.open_timeout / static_cast<Duration::rep>(attempts_.openers) : rules_.open_timeout;
  }
  // How long the youngest may take until it is stalled.
  [[nodiscard]] Duration stall_after() const noexcept {
    return in_trouble() && may_stall() ? rules_.backoff_max : share();
  }

  const ConnectRules rules_;
  AttemptCounts attempts_;
  Backoff backoff_;
  TimePoint youngest_{};    // when the last one began
  TimePoint last_whole_{};  // and the last one that is not a probe
  TimePoint suspected_at_{};
  bool answers_ = false;           // one has succeeded since the others stalled
  bool outage_suspected_ = false;  // see `suspect_outage`
};

}  // namespace lido::detail
