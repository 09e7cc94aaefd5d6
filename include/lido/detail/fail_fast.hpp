// Whether callers are told at once that nothing can be opened, instead of when their time is over.
#pragma once

#include <algorithm>

#include <lido/facts.hpp>

namespace lido::detail {

// How long opening has failed in a row. Owned by the pool's lock.
class FailFast {
 public:
  // `after`: `PoolOptions::fail_fast_after`.
  explicit FailFast(Duration after) noexcept : after_{after} {}

  // The first of several in a row counts.
  void failed(TimePoint now) noexcept { since_ = std::min(since_, now); }
  void succeeded() noexcept { since_ = TimePoint::max(); }
  // Whether it has failed for so long. Never where nothing has, or where it may for ever.
  [[nodiscard]] bool due(TimePoint now) const noexcept {
    const TimePoint at = saturating_add(since_, after_);
    return at != TimePoint::max() && now >= at;
  }

 private:
  Duration after_;
  TimePoint since_ = TimePoint::max();  // of the first failure, until an open succeeds
};

// What a newcomer finds.
struct OutageFacts {
  bool due = false;          // opening has failed for long enough
  bool any_live = false;     // there is a connection, which may come back
  bool suspended = false;    // the operator knows, and resumes when the server is back
  bool by_callers = false;   // nobody opens but who waits
  bool under_way = false;    // an attempt goes on
  bool backing_off = false;  // it is too soon for the next one
};

// Whether it is told so. Where nobody but those who wait opens, one of them has to find out that the server is back.
[[nodiscard]] constexpr bool fails_fast(const OutageFacts& facts) noexcept {
  const bool away = facts.due && !facts.any_live && !facts.suspended;
  return away && (!facts.by_callers || facts.under_way || facts.backing_off);
}

}  // namespace lido::detail
