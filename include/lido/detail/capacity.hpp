// How many connections there are and may be: the slots by state, and what to open.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>

#include <lido/detail/assertion.hpp>
#include <lido/detail/connect_limiter.hpp>
#include <lido/detail/guard.hpp>
#include <lido/detail/replacements.hpp>
#include <lido/detail/slot_table.hpp>
#include <lido/detail/work_queue.hpp>
#include <lido/policy.hpp>

namespace lido::detail {

// Everything needs the lock but `slots`, which the fast path claims from without it.
template <class Slot, GrowthPolicy Growth, class Platform>
class Capacity {
 public:
  using Guard = detail::Guard<Slot, Platform>;

  Capacity(Growth growth, const ConnectRules& rules, WorkQueue<Slot, Platform>& work)
      : work_{work},
        growth_{std::make_unique<const Growth>(std::move(growth))},
        plan_{growth_->plan({})},
        slots_{plan_.max_size},
        limiter_{rules, Platform::entropy()} {}

  [[nodiscard]] SlotTable<Slot, Platform>& slots() noexcept { return slots_; }
  [[nodiscard]] const Growth& growth() const noexcept { return *growth_; }
  [[nodiscard]] const GrowthPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] bool suspended() const noexcept { return suspended_; }
  [[nodiscard]] std::size_t total() const noexcept { return slots_.total(); }
  // Connections that are not on their way out.
  [[nodiscard]] std::size_t staying() const noexcept { return slots_.not_closing(); }
  // And are open.
  [[nodiscard]] std::size_t open() const noexcept { return staying() - limiter_.under_way(); }
  [[nodiscard]] const Backoff& backoff() const noexcept { return limiter_.backoff(); }
  [[nodiscard]] ConnectLimiter& limiter() noexcept { return limiter_; }
  [[nodiscard]] const Replacements& replacements() const noexcept { return replacements_; }
  [[nodiscard]] std::size_t queued_opens() const noexcept { return work_.opens(); }
  // When to look again whether more should be opened, though nothing has happened.
  [[nodiscard]] TimePoint retry_at() const noexcept { return retry_ ? limiter_.next() : TimePoint::max(); }
  [[nodiscard]] Sleepers<Platform>& watchers() noexcept { return watchers_; }

  void close() noexcept {
    closed_ = true;
    retry_ = false;
  }
  void suspend(bool suspended) noexcept { suspended_ = suspended; }
  // Whether there is something to look at when `retry_at` says so.
  [[nodiscard]] bool retries() const noexcept { return retry_; }
  void end_retries() noexcept { retry_ = false; }
  // The slots that `growth` needs must have been added (`slots().grow_to`). What was the policy stands there
  // afterwards.
  void resize(std::unique_ptr<const Growth>& growth) noexcept {
    growth_.swap(growth);
    plan_ = growth_->plan({});
  }

  // A connection was not as it should be, and the server may be away.
  void suspect_outage() noexcept { limiter_.suspect_outage(Platform::now()); }
  [[nodiscard]] Duration time_to_open(const Slot& slot) const noexcept { return limiter_.time_for(slot.probe); }

  // Whether there is a connection, and the growth policy misses none but for callers.
  [[nodiscard]] bool satisfied() noexcept {
    PoolCounts now = slots_.counts();
    now.opening = 0;
    const bool full = open() >= plan_.max_size;
    return any_live() && (full || growth_->plan(now).open == 0);
  }
  [[nodiscard]] bool any_live() noexcept {
    const PoolCounts now = slots_.counts();
    return now.idle + now.leased + now.checking > 0;
  }

  // That the slot is somebody's, who may decide what becomes of its connection.
  static void verify_owner(const Slot& slot) noexcept {
    verify<Platform>([&]() -> const char* {
      const SlotState state = slot.state.load(std::memory_order_relaxed);
      const bool owned = state == SlotState::opening || state == SlotState::checking || is_leased(state);
      return owned ? nullptr : "a slot is given up that is nobody's";
    });
  }

  // The connection in the caller's slot is to be closed.
  void retire(Slot& slot, CloseReason reason, Guard& guard) noexcept {
    verify_owner(slot);
    begin_close(slot, reason, guard);
  }

  // Whether the connection that the caller checks could go: the growth policy keeps fewer, and would not open another.
  [[nodiscard]] bool can_spare_one() noexcept { return open() > plan_.pool_size && missed_without_one() == 0; }

  // Whether a worn connection that the caller checks should stay until its replacement is open. Not where there is no
  // room for both, which an attempt that is under way has already.
  [[nodiscard]] bool can_replace_first(const Slot& slot) noexcept {
    const bool replaced = slot.wear == Wear::worn && replacements_.any_open();
    const bool keeps = !replaced && open() <= plan_.pool_size;  // what the policy may not miss until it is used
    const std::size_t missed = std::max<std::size_t>(missed_without_one(), keeps ? 1 : 0);
    const std::size_t taken = total() - limiter_.under_way();
    return missed > 0 && missed <= plan_.max_size - std::min(taken, plan_.max_size);
  }

  // Whether the connection that the caller checks will be worn soon, and stays until then.
  void note_wear(Slot& slot, bool worn) noexcept {
    if (worn == (slot.wear == Wear::worn)) return;
    slot.wear = worn ? Wear::worn : Wear::none;
    worn ? replacements_.wears() : replacements_.wears_no_more();
  }

  // For a caller that has no time to close what is idle now: nobody gets it any more, and whoever comes by it closes
  // it.
  void distrust_idle(Guard& guard) noexcept {
    slots_.each_in_turns(guard, [&](Slot& slot) {
      if (is_free(slot.state.load(std::memory_order_relaxed))) distrust(slot);
    });
  }

  // Retires what is open now, or being opened: idle connections at once, others when they come back. `in_haste`: the
  // idle ones are left to whoever comes by them, as in `distrust_idle`, and do not count. The lock is given up between:
  // what is opened meanwhile may be retired as well, and nothing is passed over, since a connection stays in its slot.
  std::size_t invalidate(CloseReason reason, Guard& guard, bool in_haste = false) noexcept {
    std::size_t retired = 0;
    slots_.each_in_turns(guard, [&](Slot& slot) {
      const SlotState seen = slot.state.load(std::memory_order_relaxed);
      if (seen == SlotState::opening && !slot.has_begun()) return;  // it is opened after this
      const SlotState which = seen == SlotState::opening ? seen : SlotState::leased;
      // An attempt counts when it has become a connection, which it may not.
      if (!slot.retire && mark_retired(slot, which, reason, in_haste, guard) && which == SlotState::leased) ++retired;
    });
    return retired;
  }
  // Retires what is beyond the maximum: attempts first, since they may hang where a connection works, and among these
  // those that have not begun; then idle connections.
  void retire_excess(Guard& guard) noexcept {
    while (excess() > 0) {
      Slot* const slot = work_.next_to_open();
      if (slot == nullptr) break;
      empty(*slot, guard);
    }
    for (const SlotState which : {SlotState::opening, SlotState::idle, SlotState::checking, SlotState::leased}) {
      if (excess() == 0) return;
      slots_.each_in_turns(guard, [&](Slot& slot) {
        if (excess() > 0 && !slot.retire) mark_retired(slot, which, CloseReason::surplus, false, guard);
      });
    }
  }

  // Has a worker that rests know when `retry_at` is. For whoever changes that, and for a worker that goes to work: it
  // may have been the one who knew.
  void keep_watch(Guard& guard) noexcept {
    if (retry_ && !work_.workers().any_rests_until(retry_at())) work_.wake_worker(guard);
  }
  void wake_watchers(Guard& guard) noexcept {
    while (Sleeper<Platform>* const watcher = watchers_.pop()) guard.wake_later(*watcher);
  }

  // Begins the opens that the growth policy wants for so many waiting callers, and that may begin. `most`: that may be
  // queued at a time.
  void begin_opens(std::size_t waiting, std::size_t most, Guard& guard) noexcept {
    retry_ = false;
    if (closed_ || suspended_ || total() >= plan_.max_size) return;
    const TimePoint time = Platform::now();
    if (work_.opens() == 0 && limiter_.stall_from(time)) mark_stalled();
    PoolCounts now = slots_.lasting();
    // What the policy keeps is replaced before it is worn, also where it opens on demand alone.
    const std::size_t kept = now.total() - now.closing;
    const std::size_t owed = std::min(replacements_.owed(), plan_.pool_size - std::min(plan_.pool_size, kept));
    now.waiting = waiting;
    now.opening = limiter_.backoff().failing() ? 0 : limiter_.in_time();  // what may be stalled is no supply
    const OpenPlan plan = plan_opens({.wanted = growth_->plan(now).open,
                                      .owed = owed,
                                      .room = plan_.max_size - total(),
                                      .places = std::min(limiter_.places(), most - std::min(most, work_.opens())),
                                      .one_by_one = limiter_.one_by_one(),
                                      .too_soon = time < limiter_.next()});
    for (std::size_t more = plan.begin; more > 0; --more) {
      Slot* const slot = slots_.vacant();
      if (slot == nullptr) break;
      slots_.put(*slot, SlotState::opening);
      slot->probe = limiter_.begin(time, total() < plan_.max_size);
      if (replacements_.owed() > 0) {
        slot->wear = Wear::replacement;
        replacements_.begun();
      }
      work_.open(*slot, guard);
    }
    retry_ = plan.later || limiter_.any_may_stall();
    keep_watch(guard);
  }

  // The caller's slot has a connection. Returns what was the cause of failures before: to be dropped without the lock.
  [[nodiscard]] std::exception_ptr opened(Slot& slot, TimePoint begun) noexcept {
    if (slot.wear == Wear::replacement && !slot.retire) {
      slot.wear = Wear::none;
      replacements_.opened();
    }
    return limiter_.succeeded(std::exchange(slot.stalled, false), begun);
  }

  // The caller's slot has no connection any more.
  [[gnu::noinline]] void empty(Slot& slot, Guard& guard) noexcept {
    verify<Platform>([&]() -> const char* {
      const SlotState state = slot.state.load(std::memory_order_relaxed);
      const bool had = state == SlotState::opening || state == SlotState::closing || is_leased(state);
      return had ? nullptr : "a slot is emptied that nobody took a connection out of";
    });
    if (slot.state.load(std::memory_order_relaxed) == SlotState::opening) limiter_.end(slot.stalled);
    slot.id.store(0, std::memory_order_release);  // see `Slot::begin_lease`
    slots_.put(slot, SlotState::vacant);
    slot.retire = false;
    slot.close_reason = CloseReason::none;
    end_wear(slot);
    slot.stalled = false;
    wake_watchers(guard);
  }

  void drop_queued_opens(Guard& guard) noexcept {
    while (Slot* const slot = work_.next_to_open()) empty(*slot, guard);
  }

  // How many connections there are beyond `plan().max_size`.
  [[nodiscard]] std::size_t excess() const noexcept {
    const std::size_t staying = slots_.staying();
    return staying > plan_.max_size ? staying - plan_.max_size : 0;
  }

 private:
  WorkQueue<Slot, Platform>& work_;
  // Never assigned to: a policy may do so in its own way, and throw. Nor destroyed under the lock.
  std::unique_ptr<const Growth> growth_;
  GrowthPlan plan_;
  SlotTable<Slot, Platform> slots_;
  ConnectLimiter limiter_;
  Replacements replacements_;
  bool retry_ = false;  // there is something to look at when `retry_at` says so
  bool suspended_ = false;
  bool closed_ = false;

  void begin_close(Slot& slot, CloseReason reason, Guard& guard) noexcept {
    slot.close_reason = reason;
    end_wear(slot);
    slots_.put(slot, SlotState::closing);
    work_.close(slot, guard);
  }

  void end_wear(Slot& slot) noexcept {
    if (slot.wear != Wear::none) replacements_.ended(std::exchange(slot.wear, Wear::none));
  }

  // Relaxed, and not by its owner: who has claimed it just now may lease it all the same, as a moment before.
  static void distrust(Slot& slot) noexcept { slot.trust.store(Trust::none, std::memory_order_relaxed); }

  void mark_stalled() noexcept {
    slots_.each_opening([](Slot& slot) { slot.stalled = true; });
  }

  // How many the growth policy would open if the one that the caller checks were gone. An attempt may take long, or
  // come to nothing.
  [[nodiscard]] std::size_t missed_without_one() noexcept {
    PoolCounts rest = slots_.lasting();
    rest.opening = 0;
    if (rest.checking > 0) --rest.checking;
    return growth_->plan(rest).open;
  }

  // True when the slot was in state `which` (`leased` stands for all that may be leased by now) and is on its way out.
  bool mark_retired(Slot& slot, SlotState which, CloseReason reason, bool in_haste, Guard& guard) noexcept {
    for (;;) {
      const SlotState seen = slot.state.load(std::memory_order_relaxed);
      const bool free = is_free(seen);
      const bool leased = is_leased(seen);
      // What was idle when others were looked at may be leased by the last pass, and the other way round,
      // or claimed by a sweep.
      const bool moved = free || leased || seen == SlotState::checking;
      const bool wanted = which == SlotState::leased ? moved : which == SlotState::idle ? free : seen == which;
      if (!wanted) return false;
      if (free && in_haste) return distrust(slot), false;
      if (free) {
        if (!slots_.claim_free_for(SlotState::closing, slot)) continue;
        begin_close(slot, reason, guard);
        return true;
      }
      // The mark is read under the lock, where a recalled slot comes back.
      if (is_swift(seen) && !slots_.recall(slot)) continue;
      slots_.mark(slot, reason);
      return true;
    }
  }

  Sleepers<Platform> watchers_;  // callers of close and wait_until_ready
};

}  // namespace lido::detail
