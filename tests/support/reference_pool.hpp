// The simplest pool that could be right: lists and rules, for one caller at a time. It does nothing; it is told what a
// real pool answered and did, and says whether it may have. Where the promise leaves a choice (which of several idle
// connections is leased), it follows the pool.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lido/policy.hpp>

namespace lido::test {

// The real pool did what the reference may not.
struct Mismatch : std::logic_error {
  using std::logic_error::logic_error;
};
inline void expect(bool holds, const char* what) {
  if (!holds) throw Mismatch{what};
}

// What the outside saw of one call.
struct Seen {
  TimePoint begun;
  TimePoint ended;
  std::vector<std::uint64_t> opened;  // ids
  std::vector<std::uint64_t> closed;
};

enum class Refusal : std::uint8_t { none, timeout, suspended, closed, permanent };

class ReferencePool {
 public:
  using Plan = std::function<GrowthPlan(const PoolCounts&)>;
  struct Rules {
    Plan plan;
    std::uint64_t uses = std::numeric_limits<std::uint64_t>::max();
    Duration age = Duration::max();
    std::function<bool(std::uint64_t)> dead = [](std::uint64_t) { return false; };
  };
  struct Member {
    std::uint64_t id;
    TimePoint opened_at;
    TimePoint since;  // when it became idle
    std::uint64_t uses = 0;
    bool doomed = false;  // closes when it comes back, and not only because a resize left too many
  };
  struct Counters {
    std::uint64_t acquired = 0;
    std::uint64_t timeouts = 0;
    std::uint64_t discarded = 0;
    std::uint64_t detached = 0;
    // Recycled, found dead or invalidated: which of these depends on the order in which the pool looks.
    std::uint64_t retired_least = 0;
    std::uint64_t retired_most = 0;
  };

  explicit ReferencePool(Rules rules) : rules_{std::move(rules)} {}

  // --- what the driver may ask ------------------------------------------------------------------------------------

  [[nodiscard]] const std::vector<Member>& idle() const noexcept { return idle_; }
  [[nodiscard]] const std::vector<Member>& leased() const noexcept { return leased_; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  [[nodiscard]] GrowthPlan plan() const { return rules_.plan({}); }
  [[nodiscard]] std::size_t total() const noexcept { return idle_.size() + leased_.size(); }
  // How many connections the growth policy wants ahead of any caller.
  [[nodiscard]] std::size_t missing() const {
    if (closed_ || suspended_ || total() >= plan().max_size) return 0;
    return std::min(rules_.plan(counts()).open, plan().max_size - total());
  }
  [[nodiscard]] Member lease(std::uint64_t id) const {
    for (const Member& member : leased_)
      if (member.id == id) return member;
    throw Mismatch{"a connection is leased that should not be"};
  }

  // --- leasing ----------------------------------------------------------------------------------------------------

  // `waits`: it may queue, and open; from `retry_at` on, if openings failed before. `fails`: opening does.
  void acquired(std::uint64_t id, bool waits, TimePoint retry_at, bool fails, const Seen& seen) {
    expect(!closed_ && !suspended_, "a pool that is closed or suspended leases");
    look_over(seen);
    Member member{};
    if (holds(idle_, id)) {
      member = take(idle_, id);
      expect(!unfit(member, seen.ended), "an unfit connection is leased");
      expect(seen.opened.empty(), "a connection was opened beside the one leased");
      expect(seen.ended == seen.begun, "an idle connection was leased late");
    } else {
      expect(waits && !fails, "a connection was opened without leave");
      expect(seen.opened == std::vector{id}, "another connection was opened than the one leased, or more");
      expect(idle_.empty(), "a connection was opened although one was idle");
      expect(total() < plan().max_size, "a connection was opened beyond the maximum");
      expect(seen.ended == std::max(seen.begun, retry_at), "a connection was opened early or late");
      member = {.id = id, .opened_at = seen.ended, .since = seen.ended};
      member.doomed = !plan().reuse;
    }
    ++member.uses;
    ++counters_.acquired;
    leased_.push_back(member);
    if (!member.doomed) ++stay_least_, ++stay_most_;
  }

  void refused(Refusal why, Duration timeout, TimePoint retry_at, bool fails, const Seen& seen) {
    const TimePoint deadline = seen.begun + timeout;
    if (closed_) return expect(why == Refusal::closed, "a closed pool says something else");
    if (suspended_) {
      ++counters_.timeouts;
      return expect(why == Refusal::suspended && seen.ended == deadline, "a suspended pool says something else");
    }
    look_over(seen);
    // It is told to newcomers too, until the next attempt is due.
    if (why == Refusal::permanent)
      return expect((fails || seen.begun < retry_at) && total() == 0, "a permanent failure although there is hope");
    expect(why == Refusal::timeout, "a refusal without a reason");
    expect(seen.ended == deadline, "a time-out early or late");
    ++counters_.timeouts;
    if (timeout == Duration::zero()) return found_nothing(seen);
    expect(idle_.empty(), "a time-out although one was idle");
    expect(total() >= plan().max_size || fails || retry_at >= deadline, "a time-out although there was room");
  }

  // `try_acquire` gave nothing.
  void missed(const Seen& seen) {
    if (closed_ || suspended_) return;
    look_over(seen);
    found_nothing(seen);
  }

  void released(std::uint64_t id, const Seen& seen) {
    Member member = take(leased_, id);
    const bool worn = member.uses >= rules_.uses || old(member, seen.ended);
    const bool closes = !seen.closed.empty();
    if (worn) count_retired(1, 1);
    if (closes) expect(seen.closed == std::vector{id}, "a release closed another connection");
    leaves(member, worn ? std::nullopt : std::optional{!closes});
    if (worn || member.doomed) return expect(closes, "a connection is kept that should have been closed");
    if (closes) return;
    member.since = seen.ended;
    idle_.push_back(member);
  }
  void discarded(std::uint64_t id, const Seen& seen) {
    expect(seen.closed == std::vector{id}, "a discard did not close its connection");
    leaves(take(leased_, id), std::nullopt);
    ++counters_.discarded;
  }
  void detached(std::uint64_t id, const Seen& seen) {
    expect(seen.closed.empty(), "a detach closed a connection");
    leaves(take(leased_, id), std::nullopt);
    ++counters_.detached;
  }

  // --- administration ---------------------------------------------------------------------------------------------

  void invalidated(const Seen& seen) {
    // Those that a resize has marked are not counted again.
    count_retired(idle_.size() + stay_least_, idle_.size() + stay_most_);
    doom_all(seen);
  }

  void resized(Plan plan, const Seen& seen) {
    rules_.plan = std::move(plan);
    const std::size_t most = this->plan().max_size;
    const auto surplus = [&](std::size_t stay) {
      return std::min(idle_.size(), idle_.size() + stay > most ? idle_.size() + stay - most : 0);
    };
    expect(seen.closed.size() >= surplus(stay_least_) && seen.closed.size() <= surplus(stay_most_),
           "a resize closed too many or too few idle connections");
    for (const std::uint64_t id : seen.closed) take(idle_, id);
    stay_least_ = std::min(stay_least_, most);
    stay_most_ = std::min(stay_most_, most);
  }

  void suspended() { suspended_ = true; }
  void resumed() { suspended_ = false; }

  void closed(const Seen& seen) {
    doom_all(seen);
    closed_ = true;
  }

  void maintained(TimePoint retry_at, bool fails, const Seen& seen) {
    std::vector<Member> worn;
    std::vector<Member> left_idle;
    for (const Member& member : idle_) {
      if (old(member, seen.ended))
        worn.push_back(member);
      else if (seen.ended - member.since >= plan().idle_timeout)
        left_idle.push_back(member);
    }
    for (const Member& member : worn) {
      expect(std::ranges::count(seen.closed, member.id) == 1, "a sweep left a worn connection");
      take(idle_, member.id);
    }
    std::erase_if(left_idle, [&](const Member& member) { return !in(seen.closed, member.id); });
    for (const Member& member : left_idle) {
      expect(spares_one(), "a sweep closed a connection that is needed");
      take(idle_, member.id);
    }
    expect(seen.closed.size() == worn.size() + left_idle.size(), "a sweep closed a connection that is used");
    const bool more = std::ranges::any_of(
        idle_, [&](const Member& member) { return seen.ended - member.since >= plan().idle_timeout; });
    expect(!more || !spares_one(), "a sweep left a connection that is not needed");
    count_retired(seen.closed.size(), seen.closed.size());
    const std::size_t opens = fails || seen.ended < retry_at ? 0 : missing();
    expect(seen.opened.size() == opens, "a sweep opened too many or too few");
    for (const std::uint64_t id : seen.opened)
      idle_.push_back({.id = id, .opened_at = seen.ended, .since = seen.ended});
  }

 private:
  using Members = std::vector<Member>;
  static bool in(const std::vector<std::uint64_t>& ids, std::uint64_t id) { return std::ranges::count(ids, id) > 0; }
  static bool holds(const Members& members, std::uint64_t id) {
    return std::ranges::any_of(members, [&](const Member& member) { return member.id == id; });
  }
  static Member take(Members& members, std::uint64_t id) {
    const auto found = std::ranges::find_if(members, [&](const Member& member) { return member.id == id; });
    expect(found != members.end(), "a connection is elsewhere than it should be");
    const Member member = *found;
    members.erase(found);
    return member;
  }

  [[nodiscard]] PoolCounts counts() const {
    PoolCounts now;
    now.idle = idle_.size();
    now.leased = leased_.size();
    return now;
  }
  [[nodiscard]] bool old(const Member& member, TimePoint now) const { return now - member.opened_at >= rules_.age; }
  [[nodiscard]] bool unfit(const Member& member, TimePoint now) const {
    return old(member, now) || rules_.dead(member.id);
  }

  // Whether the pool could do with one idle connection less.
  [[nodiscard]] bool spares_one() const {
    PoolCounts rest = counts();
    --rest.idle;
    return total() > plan().pool_size && rules_.plan(rest).open == 0;
  }

  // Idle connections that a call closed while it looked for a fit one.
  void look_over(const Seen& seen) {
    bool any_dead = false;
    bool found_dead = false;
    for (const std::uint64_t id : seen.closed) any_dead = any_dead || rules_.dead(id);
    for (const std::uint64_t id : seen.closed) {
      const Member member = take(idle_, id);
      expect(unfit(member, seen.begun) || any_dead, "a fit connection was closed");
      found_dead = found_dead || !old(member, seen.begun);
    }
    expect(!found_dead || idle_.empty(), "a connection was found dead, and others of its generation are trusted");
    count_retired(seen.closed.size(), seen.closed.size());
  }
  // One that is found unfit uses up the time of a caller who has none, so that others may stay idle.
  void found_nothing(const Seen& seen) const {
    expect(idle_.empty() || !seen.closed.empty(), "nothing was leased although one was idle");
  }
  void doom_all(const Seen& seen) {
    expect(seen.closed.size() == idle_.size(), "idle connections were left, or others closed");
    for (const std::uint64_t id : seen.closed) take(idle_, id);
    for (Member& member : leased_) member.doomed = true;
    stay_least_ = stay_most_ = 0;
  }
  void count_retired(std::size_t least, std::size_t most) {
    counters_.retired_least += least;
    counters_.retired_most += most;
  }
  // A lease ends. `kept`: whether its connection was, if nothing but a resize could have been the reason.
  void leaves(const Member& member, std::optional<bool> kept) {
    if (member.doomed) return;
    const auto stay =
        static_cast<std::size_t>(std::ranges::count_if(leased_, [](const Member& each) { return !each.doomed; }));
    if (kept == true) {
      expect(stay_most_ > 0, "a connection beyond the maximum is kept");
      stay_least_ = std::max<std::size_t>(stay_least_, 1) - 1;
      --stay_most_;
    } else if (kept == false) {
      expect(stay_least_ <= stay, "a connection is closed for no reason");
      stay_most_ = std::min(stay_most_, stay);
    } else {
      stay_least_ = std::max<std::size_t>(stay_least_, 1) - 1;
      stay_most_ = std::min(stay_most_, stay);
    }
  }

  Rules rules_;
  Members idle_;
  Members leased_;
  // How many of the leased that are not doomed stay when they come back: a resize may have marked some, and does not
  // say which.
  std::size_t stay_least_ = 0;
  std::size_t stay_most_ = 0;
  bool suspended_ = false;
  bool closed_ = false;
  Counters counters_;
};

}  // namespace lido::test
