// How many connections to open, and whether one of them is a probe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace lido::detail {

// The attempts to open that are under way.
struct AttemptCounts {
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  std::size_t openers = 0;    // how many may be at it at a time
  std::size_t spare = 0;      // and how many more where all those are stalled
  std::size_t under_way = 0;  // those that are stalled among them
  std::size_t stalled = 0;
};

// How many may begin now, the back-off aside. Those that are stalled keep nobody from beginning: one of the workers is
// there for other things than to open, and opens probes where all others are stalled.
[[nodiscard]] constexpr std::size_t free_places(const AttemptCounts& now) noexcept {
  const std::size_t mine = now.openers > now.stalled ? now.openers - now.stalled : now.spare;
  return mine - std::min(mine, now.under_way - now.stalled);
}

struct OpenDemand {
  std::size_t wanted = 0;   // by the growth policy
  std::size_t owed = 0;     // in the place of what is about to be worn
  std::size_t room = 0;     // below the maximum
  std::size_t places = 0;   // `free_places`
  bool one_by_one = false;  // behind one prober: the server is away, or may be
  bool too_soon = false;    // for the next one of these
};
struct OpenPlan {
  std::size_t begin = 0;
  bool later = false;  // one is put off for the time alone

  friend bool operator==(const OpenPlan&, const OpenPlan&) = default;
};

[[nodiscard]] constexpr OpenPlan plan_opens(const OpenDemand& demand) noexcept {
  const std::size_t more = std::min({std::max(demand.wanted, demand.owed), demand.room, demand.places});
  if (!demand.one_by_one) return {.begin = more};
  if (demand.too_soon) return {.later = more > 0};
  return {.begin = std::min<std::size_t>(more, 1)};
}

struct AttemptFacts {
  AttemptCounts now;        // before it begins
  bool in_trouble = false;  // opening fails, or connections were found dead
  bool rested = false;      // the last one that had the whole time is long ago
  bool room = false;        // for another connection beside its own
};

// Whether an attempt that begins has little time: most of those beside others that are stalled, and one that would keep
// the pool's last place. Who opens for itself holds up nobody else.
[[nodiscard]] constexpr bool is_probe(const AttemptFacts& facts) noexcept {
  const AttemptCounts& now = facts.now;
  if (now.openers == AttemptCounts::unlimited || now.under_way == 0) return false;
  const bool too_soon = facts.in_trouble && now.stalled > 0 && !facts.rested;
  const bool in_the_way = facts.in_trouble && !facts.room;
  return too_soon || in_the_way || now.stalled >= now.openers;
}

}  // namespace lido::detail
