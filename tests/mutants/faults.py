"""The faults that tests/mutants/run plants: a piece of a header below include/lido, and what it becomes."""
from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    file: str
    before: str  # stands in the file exactly once
    after: str
    tests: tuple[str, ...] = ()  # tried before the usual ones
    sanitizer: str = ""  # with one, only `tests` are tried


SLOTS = "detail/slots.hpp"
MARKET = "detail/market.hpp"
DEMAND = "detail/demand.hpp"
STOCK = "detail/stock.hpp"
CORE = "detail/core.hpp"
LENDING = "detail/lending.hpp"
LOANS = "detail/loans.hpp"
UPKEEP = "detail/upkeep.hpp"
CHORES = "detail/chores.hpp"
TURN = "detail/turn.hpp"
ASYNC = "detail/async_lending.hpp"
WORKERS = "detail/workers.hpp"
RESUMPTION = "detail/resumption.hpp"

FAULTS = [
    # --- weaker memory orders, which only a race detector sees on this machine
    Fault("release_publishes_nothing", CORE,
          "SlotState::idle, std::memory_order_release, std::memory_order_relaxed)",
          "SlotState::idle, std::memory_order_relaxed, std::memory_order_relaxed)",
          ("stress/random_actions",), "tsan"),
    Fault("claim_sees_nothing", SLOTS,
          "compare_exchange_strong(from, to, std::memory_order_acquire, std::memory_order_relaxed)",
          "compare_exchange_strong(from, to, std::memory_order_relaxed, std::memory_order_relaxed)",
          ("stress/random_actions",), "tsan"),
    Fault("publish_publishes_nothing", MARKET,
          "slot.state.store(SlotState::idle, std::memory_order_release);",
          "slot.state.store(SlotState::idle, std::memory_order_relaxed);",
          ("stress/random_actions",), "tsan"),
    # --- the meeting of a waiter and a releaser
    Fault("waiter_recalls_nothing", SLOTS,
          "if (seen == SlotState::leased && claim(slot, seen, SlotState::recalled)) break;",
          "if (seen == SlotState::leased) break;"),
    Fault("resting_slots_are_lost", SLOTS, "if (resting == nullptr) return nullptr;", "return nullptr;"),
    Fault("waiter_overlooks_resting_slots", SLOTS,
          "if (is_free(seen) && claim(slot, seen, SlotState::leased)) return &slot;",
          "if (seen == SlotState::idle && claim(slot, seen, SlotState::leased)) return &slot;"),
    Fault("recalled_slot_is_not_given_back", CORE, "    this->give_back(slot, nullptr);\n", ""),
    Fault("granted_slot_is_not_recalled_for_the_next", MARKET,
          "const bool last = queue_.empty() && !slot.retire;", "const bool last = true;"),
    Fault("wake_stays_in_flight", MARKET,
          "    wake_in_flight_ = false;\n    waiter.fate.store(Fate::waiting", "    waiter.fate.store(Fate::waiting"),
    Fault("next_waiter_is_not_woken", MARKET,
          "match(turn);  // others may be idle: the next one is woken", ""),
    Fault("leaving_waiter_swallows_the_wake", MARKET,
          "    if (before != Fate::waiting || kept_time) match(turn);\n    return true;", "    return true;"),
    Fault("settled_wake_stays_in_flight", DEMAND,
          "    if (before == Fate::woken) wake_in_flight_ = false;\n    if (before == Fate::waiting)",
          "    if (before == Fate::waiting)"),
    Fault("waiter_is_not_told", DEMAND,
          "if (before == Fate::waiting) turn.notify_later(waiter);", ""),
    Fault("last_of_several_waiters_is_not_told", TURN,
          "    waiter.next_notified = nullptr;\n    *last_waiter_ = &waiter;",
          "    waiter.next_notified = nullptr;\n    if (waiters_ != nullptr) return;\n    *last_waiter_ = &waiter;"),
    Fault("waiter_leaves_before_it_was_told", LENDING,
          "      if (!told) {  // the call", "      if (false) {  // the call"),
    Fault("two_wakes_in_flight", MARKET,
          "    if (wake_in_flight_) return;  // whoever was woken looks at the slots after this\n", ""),
    # --- order
    Fault("head_is_overtaken_for_ever", DEMAND,
          "Platform::now() - head.since >= rules_.barging_limit;", "false;"),
    Fault("queue_is_last_come_first_served", MARKET,
          "in_front ? queue_.push_front(waiter) : queue_.push_back(waiter);", "queue_.push_front(waiter);"),
    Fault("unfit_grant_costs_the_place", MARKET,
          "in_front ? queue_.push_front(waiter) : queue_.push_back(waiter);", "queue_.push_back(waiter);"),
    Fault("queue_counts_up_only", "detail/wait_queue.hpp", "    --size_;\n", ""),
    # --- bounds
    Fault("one_too_many_after_shrinking", STOCK,
          "return staying > plan_.max_size ? staying - plan_.max_size : 0;",
          "return staying > plan_.max_size + 1 ? staying - plan_.max_size - 1 : 0;"),
    Fault("grows_past_the_maximum", STOCK,
          "if (closed_ || suspended_ || total_ >= plan_.max_size) return;", "if (closed_ || suspended_) return;"),
    Fault("one_opener_too_many", STOCK, "opening_ < at_a_time; --more", "opening_ <= at_a_time; --more"),
    Fault("many_probers", STOCK, "      more = 1;  // behind one prober while the server is away\n", ""),
    Fault("back_off_is_ignored", STOCK,
          "if (backoff_.failing() && more > 0 && opening_ < at_a_time) {", "if (false) {"),
    Fault("back_off_does_not_grow", "detail/backoff.hpp",
          "cap_ = !failing() ? first_ : cap_ > longest_ / 2 ? longest_ : cap_ * 2;", "cap_ = first_;"),
    Fault("back_off_never_ends", MARKET, "    turn.drop_later(backoff_.succeeded());\n", ""),
    Fault("one_waiter_too_many", LENDING,
          "market_.queue().size() >= options_.max_waiting", "market_.queue().size() > options_.max_waiting"),
    # --- slots and connections that get lost
    Fault("failed_open_keeps_its_slot", MARKET, "    this->empty(slot, turn);\n    if (permanent", "    if (permanent"),
    Fault("opening_is_counted_for_ever", MARKET, "    --opening_;\n    doubtful_", "    doubtful_"),
    Fault("vacant_slot_still_counts", STOCK, "    --total_;\n", ""),
    Fault("mark_of_the_last_connection_stays", STOCK, "    slot.retire = false;\n    slot.expiring", "    slot.expiring"),
    Fault("retired_connection_is_not_closed", STOCK, "    closes_.push(slot);\n", ""),
    Fault("freed_slot_serves_nobody", MARKET,
          "    this->empty(slot, turn);\n    match(turn);\n  }\n\n  void opened",
          "    this->empty(slot, turn);\n  }\n\n  void opened"),
    Fault("retired_connection_is_lent_on", MARKET, "if (closed_ || slot.retire) return", "if (closed_) return"),
    Fault("lent_connections_survive_an_invalidation", STOCK,
          "      slot.retire = true;\n      return true;", "      return true;"),
    Fault("suspects_are_forgotten", UPKEEP,
          "      market_.retire(*other, lock);\n", ""),
    Fault("others_are_not_suspected", LENDING,
          "        if (!hurried || Platform::now() < facts.deadline) this->suspect_others();\n", ""),
    Fault("orphan_is_not_closed", LOANS, "do_closes = orphan || market_.inline_work();",
          "do_closes = market_.inline_work();"),
    Fault("lease_of_a_dead_pool_has_no_reference", CORE,
          "SlotState::recalled) this->add_reference();", "SlotState::recalled) (void)0;",
          ("unit/lifetime",), "asan"),
    # --- policies
    Fault("unhealthy_connection_is_lent", LENDING, "if (!fresh && !this->healthy(slot, facts)) {", "if (false) {"),
    Fault("new_connection_is_checked", LENDING, "if (!fresh && !this->healthy", "if (!this->healthy"),
    Fault("worn_connection_is_lent", LENDING, "if (!this->recycles(slot, facts)) return", "if (false) return"),
    Fault("worn_connection_is_kept_on_return", CORE, "    if (!keep) return", "    if (false) return"),
    Fault("no_policy_ends_a_generation", CHORES, "    if (verdict == Verdict::invalidate) end_generation(slot);\n", ""),
    Fault("late_findings_end_the_new_generation", CHORES, "    if (slot.retire) return;  // it has ended", "    // it has ended"),
    Fault("discard_tells_no_policy", CORE, "if constexpr (!always_keeps<Recycle>) {  // what", "if constexpr (false) {  // what"),
    Fault("surplus_stays", UPKEEP, "market_.queue().empty() && market_.can_spare_one())", "false)"),
    Fault("turns_keep_all_connections", UPKEEP,
          "Slots<Slot, Platform>::claim(slot, SlotState::idle, SlotState::resting);", ""),
    Fault("worn_go_before_their_replacement", UPKEEP, "worn && !market_.can_replace_first(slot)", "worn"),
    Fault("keep_alive_never_asks", UPKEEP, "if (now - proof < options_.keep_alive) return nullptr;", "return nullptr;"),
    # --- administration
    Fault("suspended_pool_lends", MARKET, "if (!queue_.empty() && !suspended_) return hand", "if (!queue_.empty()) return hand"),
    Fault("resume_serves_nobody", MARKET, "    suspended_ = false;\n    match(turn);", "    suspended_ = false;"),
    Fault("close_leaves_waiters", MARKET, "      settle(*waiter, Fate::closed, turn);\n", ""),
    Fault("close_leaves_connections", MARKET, "    this->drop_queued_opens(turn);\n    invalidate(turn);", "    this->drop_queued_opens(turn);"),
    Fault("suspended_pool_lends_what_is_idle", CORE,
          "    this->suspended_.store(true, std::memory_order_relaxed);\n", ""),
    Fault("permanent_failure_is_waited_for", MARKET, "if (permanent && !this->any_live()) {", "if (false) {"),
    Fault("cancelled_before_is_not_noticed", LENDING, "    if (stop.stop_requested()) throw_cancelled();\n", ""),
    # --- figures
    Fault("time_out_is_not_counted", LENDING, "      ++totals_.timeouts;\n", ""),
    Fault("discard_is_not_counted", LOANS, "      if (why != nullptr) ++(totals_.*why);\n", ""),
    Fault("leak_is_reported_again_and_again", LOANS,
          "        slot.leaked_since = slot.since.load(std::memory_order_relaxed);\n", ""),
    Fault("failed_open_is_not_counted", CHORES, "      ++totals_.open_failures;\n", ""),
    # --- the end of a turn
    Fault("waiters_are_told_under_the_lock", TURN, "    lock_.unlock();\n    dropped_", "    dropped_"),
    Fault("told_waiter_is_looked_at", TURN,
          "      Waiter<Slot>& told = *std::exchange(waiter, waiter->next_notified);\n      told.notify(told);\n",
          "      waiter->notify(*waiter);\n      waiter = waiter->next_notified;\n", ("unit/async",), "asan"),
    Fault("sleeper_is_not_woken", TURN, "      woken.parker.unpark();\n", "      (void)woken;\n"),
    Fault("one_of_several_sleepers_is_woken", TURN,
          "sleeper.next_woken = std::exchange(sleepers_, &sleeper);",
          "sleeper.next_woken = nullptr; sleepers_ = &sleeper;"),
    Fault("sleeper_that_woke_by_itself_stays_listed", TURN, "    *link = sleeper.next;\n", ""),
    # --- callers that do not block
    Fault("cancelled_request_goes_on", ASYNC, "      if (stop_.stop_requested()) pool_.throw_cancelled();\n", "",
          ("unit/async",)),
    Fault("withdrawn_request_stays_in_the_queue", ASYNC, "      if (waits_) withdraw();\n", "", ("unit/async",)),
    Fault("withdrawn_request_keeps_its_connection", ASYNC,
          "      if (this->slot != nullptr) pool_.give_back(*this->slot, nullptr);\n", "", ("unit/async",)),
    Fault("withdrawn_request_does_not_wait_for_its_call", ASYNC,
          "      parker_.park();  // it is being told just now", "      //", ("unit/async",)),
    Fault("late_grant_is_lent", ASYNC,
          "if (reads_clock && now >= this->at && timeout_ > Duration::zero()) {", "if (false) {", ("unit/async",)),
    Fault("nobody_keeps_time", ASYNC, "      if (timeout_ > Duration::zero() && this->at != TimePoint::max()) pool_.start_alarm();\n", "",
          ("unit/async",)),
    Fault("caller_that_does_not_block_checks", ASYNC,
          "      if (!asked_worker && needs_worker(now)) return !ask_worker();\n", "", ("unit/async",)),
    Fault("unfit_grant_ends_the_request", ASYNC, "if (!lend(now)) return !line_up_again();",
          "if (!lend(now)) return settle_at_once(Fate::abandoned);", ("unit/async",)),
    Fault("done_is_not_called", ASYNC, "          return self.done_(self);\n", "          return;\n", ("unit/async",)),
    Fault("asked_worker_sleeps_on", UPKEEP, "asked_.push(caller);\n    if (patient) market_.watch(caller, lock);\n    market_.wake_worker(lock);\n",
          "asked_.push(caller);\n    if (patient) market_.watch(caller, lock);\n", ("unit/async",)),
    Fault("nobody_opens_for_a_request", ASYNC,
          "while (Platform::now() < this->at && pool_.do_one(true, {.deadline = this->at, .waiter = this, .stop = &stop_})) {",
          "while (false) {", ("unit/async",)),
    Fault("wait_of_a_request_is_not_recorded", ASYNC, "        pool_.totals_.wait.record(now - this->since);\n", "",
          ("unit/async",)),
    Fault("cancelled_request_hears_nothing", ASYNC,
          "          pool_.market_.leave(*this, Fate::cancelled, false, lock);\n", "", ("unit/async",)),
    # --- the threads behind
    Fault("workers_sleep_through_the_end", WORKERS,
          "      while (Sleeper<Platform>* const worker = market_.workers().pop()) lock.wake_later(*worker);\n", ""),
    Fault("timekeeper_sleeps_through_the_end", WORKERS,
          "      while (Sleeper<Platform>* const alarm = market_.alarm().pop()) lock.wake_later(*alarm);\n", "",
          ("unit/async",)),
    Fault("end_waits_for_no_worker", WORKERS,
          "const Duration patience = std::max({options_.open_timeout, options_.check_timeout, reset});",
          "const Duration patience = Duration::zero();", ("unit/lifetime",)),
    Fault("end_waits_for_itself", WORKERS, "working_ == (from_worker ? 1U : 0U)", "working_ == 0U", ("unit/lifetime",)),
    Fault("worker_has_no_reference", WORKERS, "    this->add_reference();\n    try {", "    try {", ("unit/lifetime",)),
    Fault("worker_leaves_its_reference", WORKERS,
          "    leave(1);\n    this->drop_reference();\n", "    leave(1);\n", ("unit/lifetime",), "asan"),
    Fault("failed_start_still_counts", WORKERS, "      leave(2);\n", "", ("unit/lifetime",)),
    Fault("failed_start_keeps_its_reference", WORKERS,
          "      this->drop_reference();\n      throw;", "      throw;", ("allocation/allocation",)),
    Fault("timekeeper_is_tried_once", WORKERS,
          "      alarm_started_.store(false, std::memory_order_relaxed);\n", "", ("allocation/coroutines",)),
    # --- coroutines that are resumed in line
    Fault("coroutines_are_resumed_inside_one_another", RESUMPTION,
          "Hold() noexcept : outer_{line_.held} { line_.held = true; }", "Hold() noexcept : outer_{line_.held} {}",
          ("unit/async",)),
    Fault("line_moves_once", RESUMPTION, "      line_.held = false;\n", "", ("unit/async",)),
    Fault("emptied_line_has_an_end", RESUMPTION, "        if (line_.first == nullptr) line_.last = nullptr;\n", "",
          ("unit/async",)),
    Fault("destroyed_coroutine_stays_in_line", RESUMPTION, "    if (!in_line_) return;\n", "    return;\n",
          ("unit/async",)),
    Fault("line_ends_with_a_destroyed_coroutine", RESUMPTION,
          "    if (line.last == this) line.last = before;\n", "", ("unit/async",)),
    # --- attempts that hang, and callers that open for themselves
    Fault("hung_attempt_holds_up_all", STOCK, "    if (backoff_.failing()) now.opening = 0;", "    //"),
    Fault("hung_attempts_take_every_opener", STOCK, "std::max(rules_.backoff_max, share_of_openers())", "rules_.backoff_max"),
    Fault("openers_hang_in_step", STOCK, "    return std::max(left, std::min(whole, rules_.backoff_max));",
          "    return whole;"),
    Fault("full_pool_does_not_grow", LENDING, "        if (full) grow_for_the_next(lock);\n", ""),
    Fault("old_failure_is_told_again", CORE, "      before = market_.backoff().cause();\n", ""),
    Fault("full_pool_is_not_ready", STOCK, "any_live() && (full || ", "any_live() && ("),
    Fault("first_opens_are_cut_short", STOCK, "if (!doubtful_ || backoff_.failing()", "if (backoff_.failing()"),
    Fault("newcomer_sleeps_behind_those_at_work", MARKET, "next_in_line() == &waiter ? match", "&waiter == queue_.front() ? match"),
    Fault("first_attempt_is_waited_for", STOCK, "    if (opening_ == 0) return backoff_.until();\n", ""),
    Fault("who_opens_is_handed_a_connection", DEMAND,
          "    while (waiter != nullptr && waiter->busy) waiter = waiter->next;\n", ""),
    Fault("one_opens_for_all", DEMAND, "      if (call(*waiter, turn)) --missing;", "      if (call(*waiter, turn)) break;",
          ("unit/capacity",)),
    Fault("hopeless_pool_is_waited_for", MARKET, "return hopeless ? backoff_.cause() : nullptr;", "return nullptr;"),
    Fault("failures_of_others_count", MARKET, "    if (!backoff_.permanent()) turn.drop_later(backoff_.note(error));",
          "    turn.drop_later(backoff_.failed(error, false, Platform::now()));"),
]
