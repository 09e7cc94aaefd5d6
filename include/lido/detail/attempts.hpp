// When to try to open, how many at a time, and for how long. Knows attempts, not slots.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>

#include <lido/detail/backoff.hpp>

namespace lido::detail {

// How a pool opens; from `PoolOptions`.
struct AttemptRules {
  std::size_t workers = 0;  // 0: callers open for themselves
  Duration backoff_min{};
  Duration backoff_max{};
  Duration open_timeout{};
};

// An attempt that hangs looks like one that takes its time. So none is cut off because others are waiting: after a
// while it hangs, which means that it counts no longer, neither as a connection to come nor as one of those who may
// open at a time, and another begins beside it. Most of these are brief, one after the other, and find a server that
// is back as soon as one that refuses would be found. Every now and then one has the whole time, for a server that is
// slow; so that no more of them hang than there are openers. Without workers none hangs: each holds up its own caller.
// Owned by the pool's lock.
class Attempts {
 public:
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  Attempts(const AttemptRules& rules, std::uint64_t seed) noexcept
      : rules_{rules}, backoff_{rules.backoff_min, rules.backoff_max, seed} {}

  [[nodiscard]] const Backoff& backoff() const noexcept { return backoff_; }
  [[nodiscard]] Backoff& backoff() noexcept { return backoff_; }
  [[nodiscard]] bool by_callers() const noexcept { return rules_.workers == 0; }
  [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }
  // Those that do not hang.
  [[nodiscard]] std::size_t in_time() const noexcept { return under_way_ - hung_; }
  // Behind one prober while the server is away, or may be.
  [[nodiscard]] bool one_by_one() const noexcept { return backoff_.failing() || (hung_ > 0 && !answers_); }

  // A connection was not as it should be. Until an attempt that begins from now on succeeds, the server may be away
  // without saying so.
  void doubt(TimePoint now) noexcept {
    doubtful_ = true;
    doubted_at_ = now;
  }
  // Whether what an attempt that hung came to is old news.
  [[nodiscard]] bool outdated(bool hung) const noexcept { return hung && answers_; }

  // How many may begin now, the back-off aside. One of the workers is there for other things than to open; it is lent
  // for brief attempts where all others hang.
  [[nodiscard]] std::size_t places() const noexcept {
    if (by_callers()) return unlimited;
    const std::size_t spare = rules_.workers - openers();
    const std::size_t mine = openers() > hung_ ? openers() - hung_ : spare;
    return mine - std::min(mine, in_time());
  }
  // When the next one may begin where they do so one by one, and otherwise when the youngest will be taken to hang.
  [[nodiscard]] TimePoint next() const noexcept {
    return under_way_ == 0 ? backoff_.until() : std::max(backoff_.until(), saturating_add(youngest_, patience()));
  }
  // Whether all that are under way hang from now on. None of them may be waiting for a worker.
  [[nodiscard]] bool hang_from(TimePoint now) noexcept {
    if (by_callers() || in_time() == 0 || now < saturating_add(youngest_, patience())) return false;
    hung_ = under_way_;
    answers_ = false;
    return true;
  }

  // One begins, and `room` says whether there is room for another; true when it is to be brief.
  [[nodiscard]] bool begin(TimePoint now, bool room) noexcept {
    const bool beside = under_way_++ > 0;
    youngest_ = now;
    const bool in_trouble = doubtful_ || backoff_.failing();
    const bool too_soon = in_trouble && hung_ > 0 && now < saturating_add(last_whole_, share());
    const bool in_the_way = in_trouble && !room;  // it would keep the pool's last place
    const bool brief = !by_callers() && beside && (too_soon || in_the_way || hung_ >= openers());
    if (!brief) last_whole_ = now;
    return brief;
  }
  [[nodiscard]] Duration time_for(bool brief) const noexcept {
    return brief ? std::min(rules_.open_timeout, rules_.backoff_max) : rules_.open_timeout;
  }
  // One has no connection. The back-off is told by whoever knows why.
  void end(bool hung) noexcept {
    --under_way_;
    if (hung) --hung_;
  }
  // One has a connection. Returns what was the cause of failures before: to be dropped without the lock.
  [[nodiscard]] std::exception_ptr succeeded(bool hung, TimePoint begun) noexcept {
    end(hung);
    answers_ = true;
    if (begun >= doubted_at_) doubtful_ = false;
    return backoff_.succeeded();
  }

 private:
  [[nodiscard]] std::size_t openers() const noexcept {
    return rules_.workers > 1 ? rules_.workers - 1 : rules_.workers;
  }
  [[nodiscard]] Duration share() const noexcept {
    return rules_.open_timeout / static_cast<Duration::rep>(std::max<std::size_t>(openers(), 1));
  }
  // How long the youngest may take until it hangs.
  [[nodiscard]] Duration patience() const noexcept {
    const bool in_trouble = doubtful_ || backoff_.failing();
    return in_trouble && !by_callers() ? rules_.backoff_max : share();
  }

  AttemptRules rules_;
  Backoff backoff_;
  std::size_t under_way_ = 0;
  std::size_t hung_ = 0;
  TimePoint youngest_{};    // when the last one began
  TimePoint last_whole_{};  // and the last one that is not brief
  TimePoint doubted_at_{};
  bool answers_ = false;   // one has succeeded since the others hung
  bool doubtful_ = false;  // see `doubt`
};

}  // namespace lido::detail
