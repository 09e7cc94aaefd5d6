// Where supply meets demand: which waiter gets which slot, and when to open. Decides only; opens and closes nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <utility>

#include <lido/detail/backoff.hpp>
#include <lido/detail/jobs.hpp>
#include <lido/detail/slots.hpp>
#include <lido/detail/turn.hpp>
#include <lido/detail/wait_queue.hpp>
#include <lido/options.hpp>
#include <lido/policy.hpp>

namespace lido::detail {

// How a market is set up; from `PoolOptions`.
struct MarketRules {
  Duration barging_limit{};
  std::size_t openers = 0;  // opens at a time; 0: callers do the work themselves
  Duration backoff_min{};
  Duration backoff_max{};
};

// The invariant, true whenever the lock is free: nobody waits, or the market is suspended or closed, or one waiter has
// been woken and has yet to look, or else no slot is idle and every lent slot is recalled. So no waiter sleeps beside
// an idle connection, and whoever gives one back comes by here.
template <class Slot, GrowthPolicy Growth, class Platform>
class Market {
 public:
  using Turn = detail::Turn<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;

  Market(Growth growth, MarketRules rules)
      : rules_{rules},
        growth_{std::move(growth)},
        plan_{growth_.plan({})},
        slots_{plan_.max_size},
        backoff_{rules.backoff_min, rules.backoff_max, Platform::entropy()} {}

  [[nodiscard]] typename Platform::Mutex& mutex() noexcept { return mutex_; }
  // Claimed without the lock, by the fast path.
  [[nodiscard]] Slots<Slot, Platform>& slots() noexcept { return slots_; }

  // Everything below needs the lock.
  [[nodiscard]] const GrowthPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] bool suspended() const noexcept { return suspended_; }
  [[nodiscard]] bool inline_work() const noexcept { return rules_.openers == 0; }
  [[nodiscard]] std::size_t total() const noexcept { return total_; }
  // Connections that are not on their way out.
  [[nodiscard]] std::size_t staying() const noexcept { return total_ - closing_; }
  [[nodiscard]] const WaitQueue<Slot>& queue() const noexcept { return queue_; }
  [[nodiscard]] const Backoff& backoff() const noexcept { return backoff_; }
  [[nodiscard]] JobQueue<Slot>& opens() noexcept { return opens_; }
  [[nodiscard]] JobQueue<Slot>& closes() noexcept { return closes_; }
  [[nodiscard]] Sleepers<Platform>& workers() noexcept { return workers_; }
  [[nodiscard]] Sleepers<Platform>& watchers() noexcept { return watchers_; }
  // Until when this waiter may sleep before it has to look at the back-off.
  [[nodiscard]] TimePoint keeps_time_until(const Waiter& waiter) const noexcept {
    return timekeeper_ == &waiter ? retry_at() : TimePoint::max();
  }
  // The waiter's back-off is over.
  void try_again(const Waiter& waiter, Turn& turn) noexcept {
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    grow(turn);
  }
  // When the growth held back by the back-off should be tried again.
  [[nodiscard]] TimePoint retry_at() const noexcept { return retry_ ? backoff_.until() : TimePoint::max(); }

  [[nodiscard]] PoolCounts counts() noexcept {
    PoolCounts counts = count_slots(slots_);
    counts.waiting = queue_.size();
    return counts;
  }
  // Whether there is a connection, and the growth policy misses none but for callers.
  [[nodiscard]] bool satisfied() noexcept {
    PoolCounts open = count_slots(slots_);
    open.opening = 0;
    return open.idle + open.leased + open.checking > 0 && growth_.plan(open).open == 0;
  }

  // --- demand -----------------------------------------------------------------------------------------------------

  void line_up(Waiter& waiter, bool in_front, Turn& turn) noexcept {
    const bool first = queue_.empty();
    in_front ? queue_.push_front(waiter) : queue_.push_back(waiter);
    // Behind others the invariant holds already, and no pass over the slots is due.
    first ? match(turn) : grow(turn);
  }

  // The waiter that was woken looks for a slot. False: it stays where it stood, and every lent slot is recalled.
  bool compete(Waiter& waiter, Turn& turn) noexcept {
    wake_in_flight_ = false;
    waiter.fate.store(Fate::waiting, std::memory_order_relaxed);
    Slot* const slot = slots_.claim_idle_or_recall();
    if (slot == nullptr) return false;
    dequeue(waiter, turn);
    take(waiter, *slot);
    waiter.fate.store(Fate::granted, std::memory_order_relaxed);
    match(turn);  // others may be idle: the next one is woken
    return true;
  }

  // Takes a waiter out of the queue unless its fate is settled. `by_itself`: it is not told, since it knows.
  bool leave(Waiter& waiter, Fate fate, bool by_itself, Turn& turn) noexcept {
    const Fate before = waiter.fate.load(std::memory_order_relaxed);
    if (before != Fate::waiting && before != Fate::woken && before != Fate::called) return false;
    const bool kept_time = &waiter == timekeeper_;
    dequeue(waiter, turn);
    if (by_itself) {
      waiter.fate.store(fate, std::memory_order_release);
      if (before == Fate::woken) wake_in_flight_ = false;
    } else {
      settle(waiter, fate, turn);
    }
    // A wake that was on its way is passed on, and so are a call to open and the keeping of time.
    if (before != Fate::waiting || kept_time) match(turn);
    return true;
  }

  // --- supply -----------------------------------------------------------------------------------------------------

  // A connection is free: its slot is the caller's, and goes to a waiter, to the idle ones, or to be closed.
  void supply(Slot& slot, Turn& turn) noexcept {
    if (closed_ || slot.retire) return retire(slot, turn);
    if (!queue_.empty() && !suspended_) return hand(slot, turn);
    if (!plan_.reuse) return retire(slot, turn);
    publish(slot);
  }

  // The connection in the caller's slot is to be closed.
  void retire(Slot& slot, Turn& turn) noexcept {
    slot.state.store(SlotState::closing, std::memory_order_relaxed);  // the lock orders it for whoever closes
    ++closing_;
    closes_.push(slot);
    wake_worker(turn);
  }

  // The caller's slot has no connection any more.
  void vacate(Slot& slot, Turn& turn) noexcept {
    if (slot.state.load(std::memory_order_relaxed) == SlotState::closing) --closing_;
    slot.retire = false;
    slot.state.store(SlotState::vacant, std::memory_order_relaxed);
    --total_;
    wake_watchers(turn);
    match(turn);
  }

  void opened(Slot& slot, Turn& turn) noexcept {
    --opening_;
    backoff_.succeeded();
    slot.fresh.store(!queue_.empty(), std::memory_order_relaxed);
    supply(slot, turn);
    grow(turn);
    wake_watchers(turn);
  }

  // `permanent`: trying again cannot help, so that callers who have nothing else to wait for are told at once.
  void open_failed(Slot& slot, std::exception_ptr error, bool permanent, Turn& turn) noexcept {
    --opening_;
    backoff_.failed(error, permanent, Platform::now());
    slot.retire = false;
    slot.state.store(SlotState::vacant, std::memory_order_relaxed);
    --total_;
    if (permanent && !any_live()) {
      while (Waiter* const waiter = queue_.front()) {
        dequeue(*waiter, turn);
        waiter->error = error;
        settle(*waiter, Fate::refused, turn);
      }
    }
    wake_watchers(turn);
    match(turn);
  }

  // --- the match --------------------------------------------------------------------------------------------------

  // Pairs waiters with idle slots while there are both, and opens where there are too few. Everything that raises
  // demand or supply ends here, in `hand` or in `grow`.
  void match(Turn& turn) noexcept {
    while (!closed_ && !suspended_ && !wake_in_flight_ && !queue_.empty()) {
      Slot* const slot = slots_.claim_idle_or_recall();
      if (slot == nullptr) break;
      hand(*slot, turn);
    }
    grow(turn);
  }

  // Asks the growth policy and begins the opens that it wants and the back-off allows. `extra`: callers that want a
  // connection and do not wait for it.
  void grow(Turn& turn, std::size_t extra = 0) noexcept {
    retry_ = false;
    if (!closed_ && !suspended_ && total_ < plan_.max_size) {
      PoolCounts now = counts();
      now.waiting += extra;
      std::size_t more = std::min(growth_.plan(now).open, plan_.max_size - total_);
      // Behind one prober while the server is away.
      const std::size_t unlimited = std::numeric_limits<std::size_t>::max();
      const std::size_t at_a_time = backoff_.failing() ? 1 : inline_work() ? unlimited : rules_.openers;
      if (more > 0 && backoff_.failing() && Platform::now() < backoff_.until()) {
        retry_ = true;
        more = 0;
      }
      for (; more > 0 && opening_ < at_a_time; --more) {
        Slot* const slot = slots_.vacant();
        if (slot == nullptr) break;
        slot->state.store(SlotState::opening, std::memory_order_relaxed);
        ++total_;
        ++opening_;
        opens_.push(*slot);
        wake_worker(turn);
      }
    }
    if (inline_work() && !opens_.empty()) call_opener(turn);
    if (!retry_) timekeeper_ = nullptr;  // it may sleep without a limit now, and has to be called for the next
    if (inline_work() && retry_ && timekeeper_ == nullptr) timekeeper_ = call_opener(turn);
  }

  // --- administration ---------------------------------------------------------------------------------------------

  // Retires what is open now: idle connections at once, others when they come back. At most `limit` of them.
  std::size_t invalidate(Turn& turn, std::size_t limit = std::numeric_limits<std::size_t>::max()) noexcept {
    std::size_t retired = 0;
    const auto mark = [&](SlotState which) {
      slots_.each([&](Slot& slot) {
        if (retired < limit && !slot.retire && mark_retired(slot, which, turn)) ++retired;
      });
    };
    mark(SlotState::idle);
    for (const SlotState which : {SlotState::opening, SlotState::checking, SlotState::leased}) mark(which);
    return retired;
  }

  // The slots that `growth` needs must have been added (`slots().grow_to`).
  void resize(Growth growth, Turn& turn) noexcept {
    growth_ = std::move(growth);
    plan_ = growth_.plan({});
    std::size_t staying = 0;
    slots_.each([&](Slot& slot) {
      const SlotState state = slot.state.load(std::memory_order_relaxed);
      if (state != SlotState::vacant && state != SlotState::closing && !slot.retire) ++staying;
    });
    if (staying > plan_.max_size) invalidate(turn, staying - plan_.max_size);
    match(turn);
  }

  void suspend() noexcept { suspended_ = true; }
  void resume(Turn& turn) noexcept {
    suspended_ = false;
    match(turn);
  }

  void close(Turn& turn) noexcept {
    closed_ = true;
    while (Waiter* const waiter = queue_.front()) {
      dequeue(*waiter, turn);
      settle(*waiter, Fate::closed, turn);
    }
    drop_queued_opens(turn);
    invalidate(turn);
    wake_watchers(turn);
  }

  void wake_worker(Turn& turn) noexcept {
    if (Sleeper<Platform>* const worker = workers_.pop()) turn.wake_later(*worker);
  }
  void wake_watchers(Turn& turn) noexcept {
    while (Sleeper<Platform>* const watcher = watchers_.pop()) turn.wake_later(*watcher);
  }

 private:
  // Gives the caller's slot to the head of the queue, or publishes it and wakes the head to compete for it. Handing it
  // over keeps the order; publishing it keeps it busy while the head wakes up. At most one wake is in flight.
  void hand(Slot& slot, Turn& turn) noexcept {
    Waiter& head = *queue_.front();
    const bool at_once = !plan_.reuse || !head.thread || head.busy || inline_work() || overdue(head);
    if (at_once) {
      const bool was_woken = head.fate.load(std::memory_order_relaxed) == Fate::woken;
      if (!plan_.reuse) slot.retire = true;
      const bool kept_time = &head == timekeeper_;
      dequeue(head, turn);
      take(head, slot);
      settle(head, Fate::granted, turn);
      // No wake is in flight any more, so that the invariant has to be made true again; or nobody keeps time any more.
      if (was_woken || kept_time) match(turn);
      return;
    }
    publish(slot);
    if (wake_in_flight_) return;  // whoever was woken looks at the slots after this
    wake_in_flight_ = true;
    settle(head, Fate::woken, turn);
  }

  void take(Waiter& waiter, Slot& slot) noexcept {
    waiter.slot = &slot;
    // While others wait this slot has to come back by the lock. Relaxed: the notification orders it for the new owner.
    const bool last = queue_.empty() && !slot.retire;
    slot.state.store(last ? SlotState::leased : SlotState::recalled, std::memory_order_relaxed);
  }

  // Release: whoever claims it by compare-exchange sees what was done to the connection.
  static void publish(Slot& slot) noexcept { slot.state.store(SlotState::idle, std::memory_order_release); }

  // Changes a fate, and tells the waiter unless a call is on its way to it already.
  void settle(Waiter& waiter, Fate fate, Turn& turn) noexcept {
    const Fate before = waiter.fate.load(std::memory_order_relaxed);
    waiter.fate.store(fate, std::memory_order_release);
    if (before == Fate::woken) wake_in_flight_ = false;
    if (before == Fate::waiting) turn.notify_later(waiter);
  }

  [[nodiscard]] bool overdue(const Waiter& head) const noexcept {
    return rules_.barging_limit == Duration::zero() || Platform::now() - head.since >= rules_.barging_limit;
  }

  // True when the slot was in state `which` and is now on its way out.
  bool mark_retired(Slot& slot, SlotState which, Turn& turn) noexcept {
    for (;;) {
      const SlotState seen = slot.state.load(std::memory_order_relaxed);
      const bool lent = seen == SlotState::leased || seen == SlotState::recalled;
      if (seen != which && !(which == SlotState::leased && (lent || seen == SlotState::idle))) return false;
      if (seen == SlotState::idle) {
        if (!slots_.claim(slot, SlotState::idle, SlotState::leased)) continue;
        retire(slot, turn);
        return true;
      }
      // The mark is read under the lock, where a recalled slot comes back.
      if (seen == SlotState::leased && !slots_.claim(slot, SlotState::leased, SlotState::recalled)) continue;
      slot.retire = true;
      return true;
    }
  }

  void drop_queued_opens(Turn& turn) noexcept {
    while (Slot* const slot = opens_.pop()) {
      --opening_;
      --total_;
      slot->retire = false;
      slot->state.store(SlotState::vacant, std::memory_order_relaxed);
    }
    wake_watchers(turn);
  }

  // Without workers a waiting thread opens for itself, and one of them keeps time for the back-off. Who was called.
  Waiter* call_opener(Turn& turn) noexcept {
    for (Waiter* waiter = queue_.front(); waiter != nullptr; waiter = waiter->next) {
      if (waiter->fate.load(std::memory_order_relaxed) == Fate::called) return waiter;
      if (!waiter->thread || waiter->busy) continue;
      settle(*waiter, Fate::called, turn);
      return waiter;
    }
    return nullptr;
  }

  void dequeue(Waiter& waiter, Turn& turn) noexcept {
    queue_.remove(waiter);
    if (timekeeper_ == &waiter) timekeeper_ = nullptr;
    // Without workers nobody would come for them.
    if (inline_work() && queue_.empty()) drop_queued_opens(turn);
  }

  [[nodiscard]] bool any_live() noexcept {
    const PoolCounts now = count_slots(slots_);
    return now.idle + now.leased + now.checking > 0;
  }

  const MarketRules rules_;
  typename Platform::Mutex mutex_;
  Growth growth_;
  GrowthPlan plan_;
  Slots<Slot, Platform> slots_;
  WaitQueue<Slot> queue_;
  JobQueue<Slot> opens_;
  JobQueue<Slot> closes_;
  Sleepers<Platform> workers_;   // idle ones
  Sleepers<Platform> watchers_;  // callers of close and wait_until_ready
  Backoff backoff_;
  std::size_t total_ = 0;         // slots that are not vacant
  std::size_t opening_ = 0;       // of these, the ones being opened
  std::size_t closing_ = 0;       // and the ones being closed
  Waiter* timekeeper_ = nullptr;  // without workers: who tries again after the back-off
  bool wake_in_flight_ = false;
  bool retry_ = false;  // growth is wanted and held back by the back-off
  bool suspended_ = false;
  bool closed_ = false;
};

}  // namespace lido::detail
