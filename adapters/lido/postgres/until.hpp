// When a call gives up.
#pragma once

#include <algorithm>
#include <stop_token>
#include <utility>

#include <lido/facts.hpp>

namespace lido::postgres {

/// When a call on a connection gives up: at a deadline, or as soon as a stop is requested (noticed within 20 ms), or
/// whichever comes first. A deadline alone converts to it, `exec_until(Clock::now() + 2s, ...)`, and so does a stop
/// token, `exec_until(token, ...)`.
struct Until {
  /// Never.
  Until() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a deadline is the usual case
  Until(TimePoint latest, std::stop_token requested = {}) noexcept : deadline{latest}, stop{std::move(requested)} {}
  /// As soon as `requested` is, and not before.
  // NOLINTNEXTLINE(google-explicit-constructor): the same
  Until(std::stop_token requested) noexcept : stop{std::move(requested)} {}

  /// The same, but no later than so long from now. `Duration::max()` changes nothing.
  [[nodiscard]] Until within(Duration limit) const {
    if (limit == Duration::max()) return *this;
    return {std::min(deadline, saturating_add(Clock::now(), limit)), stop};
  }
  /// How long from now; zero once it has passed.
  [[nodiscard]] Duration left() const noexcept {
    if (deadline == TimePoint::max()) return Duration::max();
    const TimePoint now = Clock::now();
    return deadline > now ? deadline - now : Duration::zero();
  }

  TimePoint deadline = TimePoint::max();
  std::stop_token stop{};
};

}  // namespace lido::postgres
