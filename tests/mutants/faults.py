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
STOCK = "detail/stock.hpp"
CORE = "detail/core.hpp"
LENDING = "detail/lending.hpp"
LOANS = "detail/loans.hpp"
UPKEEP = "detail/upkeep.hpp"
CHORES = "detail/chores.hpp"

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
          "if (before != Fate::waiting || kept_time) match(turn);", ""),
    Fault("settled_wake_stays_in_flight", MARKET,
          "    if (before == Fate::woken) wake_in_flight_ = false;\n    if (before == Fate::waiting)",
          "    if (before == Fate::waiting)"),
    Fault("waiter_is_not_told", MARKET,
          "if (before == Fate::waiting) turn.notify_later(waiter);", ""),
    Fault("last_of_several_waiters_is_not_told", "detail/turn.hpp",
          "    waiter.next_notified = nullptr;\n    *last_waiter_ = &waiter;",
          "    waiter.next_notified = nullptr;\n    if (waiters_ != nullptr) return;\n    *last_waiter_ = &waiter;"),
    Fault("waiter_leaves_before_it_was_told", LENDING,
          "      if (!told) {  // the call", "      if (false) {  // the call"),
    Fault("two_wakes_in_flight", MARKET,
          "    if (wake_in_flight_) return;  // whoever was woken looks at the slots after this\n", ""),
    # --- order
    Fault("head_is_overtaken_for_ever", MARKET,
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
    Fault("many_probers", STOCK, "backoff_.failing() ? 1 : inline_work()", "inline_work()"),
    Fault("back_off_is_ignored", STOCK,
          "if (more > 0 && backoff_.failing() && Platform::now() < backoff_.until()) {", "if (false) {"),
    Fault("back_off_does_not_grow", "detail/backoff.hpp",
          "cap_ = !failing() ? first_ : cap_ > longest_ / 2 ? longest_ : cap_ * 2;", "cap_ = first_;"),
    Fault("back_off_never_ends", MARKET, "    backoff_.succeeded();\n", ""),
    Fault("one_waiter_too_many", LENDING,
          "market_.queue().size() >= options_.max_waiting", "market_.queue().size() > options_.max_waiting"),
    # --- slots and connections that get lost
    Fault("failed_open_keeps_its_slot", MARKET, "    this->empty(slot, turn);\n    if (permanent", "    if (permanent"),
    Fault("opening_is_counted_for_ever", MARKET, "    --opening_;\n    backoff_.succeeded();", "    backoff_.succeeded();"),
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
          "      ++totals_.found_dead;\n      market_.retire(*other, lock);", "      ++totals_.found_dead;"),
    Fault("others_are_not_suspected", LENDING, "        this->suspect_others();\n", ""),
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
]
