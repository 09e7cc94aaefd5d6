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


SLOT = "detail/slot.hpp"
SLOT_TABLE = "detail/slot_table.hpp"
SLOT_MAP = "detail/slot_map.hpp"
SLOT_SEARCH = "detail/slot_search.hpp"
SLOT_TALLY = "detail/slot_tally.hpp"
USE_COUNTS = "detail/use_counts.hpp"
DISPATCHER = "detail/dispatcher.hpp"
WAIT_LIST = "detail/wait_list.hpp"
BARGING_LIMIT = "detail/barging_limit.hpp"
FAIL_FAST = "detail/fail_fast.hpp"
CAPACITY = "detail/capacity.hpp"
CONNECT_LIMITER = "detail/connect_limiter.hpp"
CORE = "detail/core.hpp"
METRICS = "detail/metrics.hpp"
ACQUIRE = "detail/acquire.hpp"
LEASES = "detail/leases.hpp"
ADMISSION = "detail/admission.hpp"
JOBS = "detail/jobs.hpp"
WORKFORCE = "detail/workforce.hpp"
MAINTENANCE = "detail/maintenance.hpp"
CONNECTION_OPS = "detail/connection_ops.hpp"
GUARD = "detail/guard.hpp"
ACQUIRE_REQUEST = "detail/acquire_request.hpp"
WORKER_GROUP = "detail/worker_group.hpp"
WORK_QUEUE = "detail/work_queue.hpp"
RESUMPTION = "detail/resumption.hpp"
HANGING = ("unit/hanging",)
EVENTS = ("unit/events",)
SLOTS = ("unit/slot_table",)

FAULTS = [
    # --- weaker memory orders, which only a race detector sees on this machine
    Fault("release_publishes_nothing", SLOT_TABLE,
          "held, SlotState::idle, std::memory_order_release, std::memory_order_relaxed)",
          "held, SlotState::idle, std::memory_order_relaxed, std::memory_order_relaxed)",
          ("stress/random_actions",), "tsan"),
    Fault("claim_sees_nothing", SLOT,
          "compare_exchange_strong(from, to, std::memory_order_acquire, std::memory_order_relaxed)",
          "compare_exchange_strong(from, to, std::memory_order_relaxed, std::memory_order_relaxed)",
          ("stress/random_actions",), "tsan"),
    Fault("publish_publishes_nothing", SLOT_TABLE,
          "slot.state.store(to, std::memory_order_release);",
          "slot.state.store(to, std::memory_order_relaxed);",
          ("stress/random_actions",), "tsan"),
    # --- the meeting of a waiter and a releaser
    Fault("waiter_recalls_nothing", SLOT_TABLE,
          "if (!claim(slot, seen, SlotState::recalled)) continue;", ""),
    Fault("resting_slots_are_lost", SLOT_SEARCH, "    segment.rested.set(index);\n", ""),
    Fault("waiter_overlooks_resting_slots", SLOT_TABLE,
          "if (!is_free(seen) || !claim(slot, seen, SlotState::leased)) continue;",
          "if (seen == SlotState::resting) return true;\n        if (!is_free(seen) || !claim(slot, seen, SlotState::leased)) continue;"),
    Fault("recalled_slot_is_not_given_back", LEASES, "    if (monitor_.capacity.slots().give_back(slot)) return;\n    give_back(slot, CloseReason::none);\n",
          "    if (monitor_.capacity.slots().give_back(slot)) return;\n"),
    # --- where a search looks
    Fault("who_gives_back_an_unlisted_slot_does_not_list_it", SLOT_TABLE,
          "        segment.listed.set(segment.index_of(slot));\n", "        static_cast<void>(segment);\n", SLOTS),
    Fault("listed_again_is_taken_for_never_listed", SLOT_MAP, "(seen + one_version) | bit_of(index)", "seen | bit_of(index)", SLOTS),
    Fault("slot_that_comes_back_is_taken_out", SLOT_SEARCH,
          "        case SlotState::unlisted:  // its holder may be about to give it back, and have listed it\n", "", SLOTS),
    Fault("what_is_published_is_not_listed", SLOT_TABLE, "      segment.listed.set(index);\n      return;", "      return;", SLOTS),
    Fault("what_rested_is_not_listed", SLOT_SEARCH, "        segment.listed.set(index);\n", "", SLOTS),
    Fault("word_is_not_found_from_above", SLOT_MAP, "if (!small_) above_.set(slot / bits_a_word);", "", SLOTS),
    Fault("search_looks_at_every_lease", SLOT_SEARCH, "if (++passed <= left_alone) return Walk::on;", "return Walk::on;", SLOTS),
    Fault("search_looks_at_every_word", SLOT_MAP, "if (Level::bits(word) == 0) above_.clear(index, above);", "", SLOTS),
    Fault("published_slot_is_passed_over", SLOT_TABLE, "      segment.swift.add(index);\n", "", SLOTS),
    Fault("all_are_renamed_at_each_match", SLOT_TABLE, "if (std::exchange(offering_, false)) rename", "rename", SLOTS),
    Fault("vacant_slot_is_lost", SLOT_TABLE, "slot.next_job = std::exchange(vacant_, &slot);", "(void)vacant_;", SLOTS),
    Fault("all_are_asked_at_each_count", SLOT_TALLY, "return ++asked_ * 64 >= swift_;", "return ++asked_ > 0;", SLOTS),
    Fault("nobody_is_asked_at_a_count", SLOT_TALLY, "return ++asked_ * 64 >= swift_;", "return ++asked_ == 0;", SLOTS),
    Fault("uses_beyond_a_byte_are_lost", USE_COUNTS, "if (before == most) spill(bucket);", "", ("unit/metrics",)),
    Fault("figure_of_uses_falls", USE_COUNTS, "std::max(told_[i], histogram.counts[i])", "histogram.counts[i]", ("unit/metrics",)),
    Fault("granted_slot_is_not_recalled_for_the_next", DISPATCHER,
          "const bool last = waiters_.queue().empty() && !slot.retire;", "const bool last = true;"),
    Fault("wake_stays_in_flight", WAIT_LIST,
          "    wake_in_flight_ = false;\n    waiter.state.store(WaitState::waiting", "    waiter.state.store(WaitState::waiting"),
    Fault("next_waiter_is_not_woken", DISPATCHER,
          "match(guard);  // others may be idle: the next one is woken", ""),
    Fault("leaving_waiter_swallows_the_wake", DISPATCHER,
          "    if (before != WaitState::waiting || kept_time) match(guard);\n    return true;", "    return true;"),
    Fault("settled_wake_stays_in_flight", WAIT_LIST,
          "    if (waiter.state.load(std::memory_order_relaxed) == WaitState::woken) wake_in_flight_ = false;\n", ""),
    Fault("waiter_is_not_told", WAIT_LIST,
          "if (before == WaitState::waiting) guard.notify_later(waiter);", ""),
    Fault("last_of_several_waiters_is_not_told", GUARD,
          "    waiter.next_notified = nullptr;\n    *last_waiter_ = &waiter;",
          "    waiter.next_notified = nullptr;\n    if (waiters_ != nullptr) return;\n    *last_waiter_ = &waiter;"),
    Fault("waiter_leaves_before_it_was_told", ACQUIRE,
          "      if (!told) {  // the call", "      if (false) {  // the call"),
    Fault("two_wakes_in_flight", DISPATCHER,
          "    if (waiters_.wake_in_flight()) return;  // whoever was woken looks at the slots after this\n", ""),
    # --- order
    Fault("head_is_overtaken_for_ever", WAIT_LIST,
          "Platform::now() - head.since >= barging_limit_;", "false;"),
    Fault("offered_is_taken_for_idle", SLOT_TABLE, "if (offered && barging_limit_", "if (false && barging_limit_",
          ("unit/dispatcher", "stress/schedules")),
    Fault("barging_slot_comes_back_idle", SLOT_TABLE, "slot.state.compare_exchange_strong(held, SlotState::offered,",
          "slot.state.compare_exchange_strong(held, SlotState::idle,", ("unit/dispatcher", "stress/schedules")),
    Fault("nothing_is_recalled_for_the_woken", DISPATCHER, "capacity_.slots().offer(waiters_.limit_of(*waiters_.next_in_line()));", ";",
          ("unit/dispatcher",)),
    Fault("offer_never_ends", DISPATCHER, "capacity_.slots().end_offer();", ";", ("unit/dispatcher",)),
    Fault("woken_past_its_limit_waits_for_its_thread", DISPATCHER,
          " || (waiters_.wake_in_flight() && waiters_.overdue(*head))", "", ("unit/dispatcher",)),
    Fault("limit_of_the_woken_is_never_set", BARGING_LIMIT,
          "until_.store(until, std::memory_order_relaxed);", "static_cast<void>(until);", ("unit/dispatcher",)),
    Fault("look_for_the_limit_before_stands", BARGING_LIMIT,
          "version_ = (version_ + 1) & versions;", "", ("unit/barging_limit",)),
    Fault("ticks_are_taken_for_nanoseconds", BARGING_LIMIT, "slowest_tick{4}", "slowest_tick{1}", ("unit/barging_limit",)),
    Fault("ticks_that_were_set_back_are_believed", BARGING_LIMIT,
          "if ((sure & ~versions) - tick - 1 < most_ticks)", "if ((sure & ~versions) > tick)", ("unit/barging_limit",)),
    # --- what callers are told while the server is away
    Fault("each_failure_begins_an_outage", FAIL_FAST, "since_ = std::min(since_, now);", "since_ = now;", ("unit/fail_fast",)),
    Fault("told_of_an_outage_beside_a_connection", DISPATCHER, ".any_live = due && capacity_.any_live(),", ".any_live = false,",
          ("unit/fail_fast",)),
    Fault("nobody_looks_whether_the_server_is_back", ADMISSION,
          "monitor_.metrics.count(&Statistics::failed_fast, lock);\n        workforce_.want_one_more(lock);",
          "monitor_.metrics.count(&Statistics::failed_fast, lock);", ("unit/fail_fast",)),
    Fault("an_outage_never_ends", DISPATCHER, "    fail_fast_.succeeded();\n", "", ("unit/fail_fast",)),
    Fault("who_waits_is_not_told_of_an_outage", DISPATCHER, "const std::size_t told = away ?", "const std::size_t told = false ?",
          ("unit/fail_fast",)),
    # --- order
    Fault("queue_is_last_come_first_served", "detail/waiter.hpp",
          "    entry.previous = last_;\n    entry.next = nullptr;\n    (last_ != nullptr ? last_->next : first_) = &entry;\n    last_ = &entry;\n",
          "    entry.next = first_;\n    entry.previous = nullptr;\n    (first_ != nullptr ? first_->previous : last_) = &entry;\n    first_ = &entry;\n"),
    Fault("unfit_grant_costs_the_place", WAIT_LIST,
          "unfit ? queue_.put_back(waiter) : queue_.push_back(waiter);", "queue_.push_back(waiter);"),
    Fault("last_who_comes_back_is_first", "detail/waiter.hpp",
          "while (later != nullptr && !comes_before(entry, *later)) later = later->next;", "", ("unit/dispatcher",)),
    Fault("woken_waiter_overtakes_who_came_back", DISPATCHER, "Waiter& head = *waiters_.next_in_line();\n      if", "Waiter& head = waiter;\n      if",
          ("unit/dispatcher",)),
    Fault("queue_counts_up_only", "detail/waiter.hpp", "    --size_;\n", ""),
    # --- bounds
    Fault("one_too_many_after_shrinking", CAPACITY,
          "return staying > plan_.max_size ? staying - plan_.max_size : 0;",
          "return staying > plan_.max_size + 1 ? staying - plan_.max_size - 1 : 0;"),
    Fault("grows_past_the_maximum", CAPACITY,
          "if (closed_ || suspended_ || total_ >= plan_.max_size) return;", "if (closed_ || suspended_) return;"),
    Fault("one_opener_too_many", CONNECT_LIMITER, "return mine - std::min(mine, in_time());",
          "return mine + 1 - std::min(mine + 1, in_time());"),
    Fault("many_probers", CAPACITY, "more = too_soon ? 0 : std::min<std::size_t>(more, 1);", "more = too_soon ? 0 : more;"),
    Fault("back_off_is_ignored", CAPACITY, "limiter_.one_by_one() && time < limiter_.next();", "false;"),
    Fault("back_off_does_not_grow", "detail/backoff.hpp",
          "cap_ = !failing() ? first_ : cap_ > longest_ / 2 ? longest_ : cap_ * 2;", "cap_ = first_;"),
    Fault("back_off_never_ends", CONNECT_LIMITER, "return backoff_.succeeded();", "return nullptr;"),
    Fault("one_waiter_too_many", ADMISSION,
          "monitor_.waiters.queue().size() >= options_.max_waiting", "monitor_.waiters.queue().size() > options_.max_waiting"),
    # --- slots and connections that get lost
    Fault("failed_open_keeps_its_slot", DISPATCHER, "    capacity_.empty(slot, guard);\n    if (permanent", "    if (permanent"),
    Fault("opening_is_counted_for_ever", CONNECT_LIMITER, "    --under_way_;\n", ""),
    Fault("vacant_slot_still_counts", CAPACITY, "    --total_;\n", ""),
    Fault("mark_of_the_last_connection_stays", CAPACITY, "    slot.retire = false;\n    slot.close_reason = CloseReason::none;\n", "    slot.close_reason = CloseReason::none;\n"),
    Fault("retired_connection_is_not_closed", WORK_QUEUE, "    closes_.push(slot);\n", ""),
    Fault("freed_slot_serves_nobody", DISPATCHER,
          "    capacity_.empty(slot, guard);\n    match(guard);\n  }\n\n  // `begun`",
          "    capacity_.empty(slot, guard);\n  }\n\n  // `begun`"),
    Fault("retired_connection_is_lent_on", DISPATCHER, "if (capacity_.closed() || slot.retire)", "if (capacity_.closed())"),
    Fault("lent_connections_survive_an_invalidation", CAPACITY,
          "      slot.retire = true;\n      slot.close_reason = reason;\n      return true;", "      return true;"),
    Fault("suspects_are_forgotten", MAINTENANCE,
          "while (Slot* const other = monitor_.work.next_suspect()) condemn(*other, CloseReason::dead, lock);",
          "while (monitor_.work.next_suspect() != nullptr) {}"),
    Fault("others_are_not_suspected", ACQUIRE,
          "const bool proven = !hurried || Platform::now() < facts.deadline;", "const bool proven = false;"),
    Fault("suspects_are_lent_where_nobody_checks_them", CAPACITY,
          "slot.trust.store(Trust::none, std::memory_order_relaxed);", "(void)slot;"),
    Fault("caller_closes_for_another", WORK_QUEUE, "if (!by_callers_) return closes_.pop();", "return closes_.pop();"),
    Fault("what_it_opened_in_vain_stays", WORKFORCE,
          "    jobs_.run_closes();  // an invalidation during the open retires what it opened\n", ""),
    Fault("new_connection_is_trusted_for_ever", SLOT, "now - opened_at.load(std::memory_order_relaxed) < fresh_for;", "true;"),
    Fault("orphan_is_not_closed", LEASES, "orphan ? jobs_.run_closes() : workforce_.close_retired();",
          "workforce_.close_retired();"),
    Fault("lease_of_a_dead_pool_has_no_reference", LEASES,
          "SlotState::recalled) lifetime_.add_reference();", "SlotState::recalled) (void)0;",
          ("unit/lifetime",), "asan"),
    # --- policies
    Fault("unhealthy_connection_is_lent", ACQUIRE, "if (!fresh && !ops_.healthy(slot, facts)) {", "if (false) {"),
    Fault("new_connection_is_checked", ACQUIRE, "if (!fresh && !ops_.healthy", "if (!ops_.healthy"),
    Fault("worn_connection_is_lent", ACQUIRE, "if (!leases_.recycles(slot, facts)) return", "if (false) return"),
    Fault("worn_connection_is_kept_on_return", LEASES, "    if (!keep) return", "    if (false) return"),
    Fault("no_policy_ends_a_generation", LEASES, "    if (verdict == Verdict::invalidate) end_generation(slot, facts.moment);\n", ""),
    Fault("late_findings_end_the_new_generation", LEASES, "    if (slot.retire) return;  // it has ended", "    // it has ended"),
    Fault("discard_tells_no_policy", LEASES, "if constexpr (!always_keeps<typename Types::Recycle>) {  // what", "if constexpr (false) {  // what"),
    Fault("surplus_stays", MAINTENANCE, "monitor_.capacity.can_spare_one())", "false)"),
    Fault("turns_keep_all_connections", MAINTENANCE,
          "      monitor_.capacity.slots().let_rest(slot);\n", ""),
    Fault("worn_go_before_their_replacement", MAINTENANCE, "worn && !workforce_.replaces_first(slot)", "worn"),
    Fault("keep_alive_never_asks", MAINTENANCE, "if (now - proof < options_.keep_alive) return CloseReason::none;",
          "return CloseReason::none;"),
    # --- administration
    Fault("suspended_pool_lends", DISPATCHER, "if (!waiters_.queue().empty() && !capacity_.suspended()) return hand_off", "if (!waiters_.queue().empty()) return hand_off"),
    Fault("resume_serves_nobody", DISPATCHER, "    capacity_.suspend(false);\n    match(guard);", "    capacity_.suspend(false);"),
    Fault("close_leaves_waiters", DISPATCHER, "      waiters_.complete(*waiter, WaitState::closed, guard);\n", ""),
    Fault("close_leaves_connections", DISPATCHER, "    capacity_.drop_queued_opens(guard);\n    capacity_.invalidate(CloseReason::shut_down, guard);", "    capacity_.drop_queued_opens(guard);"),
    Fault("suspended_pool_lends_what_is_idle", "detail/administration.hpp",
          "    acquire_.suspend(true);\n", ""),
    Fault("permanent_failure_is_waited_for", DISPATCHER, "if (permanent && !capacity_.any_live()) refuse_all(error, guard);", ""),
    Fault("cancelled_before_is_not_noticed", ACQUIRE, "    if (stop.stop_requested()) admission_.throw_cancelled();\n", ""),
    # --- figures
    Fault("time_out_is_not_counted", ADMISSION, "      monitor_.metrics.count(&Statistics::timeouts, lock);\n", ""),
    Fault("discard_is_not_counted", LEASES, "      if (why != CloseReason::none && !counted) monitor_.metrics.count_removal(why, lock);\n", ""),
    Fault("leak_is_reported_again_and_again", "detail/leaks.hpp",
          "        slot.leaked_since = slot.since.load(std::memory_order_relaxed);\n", ""),
    Fault("failed_open_is_not_counted", JOBS, "    monitor_.metrics.count(&Statistics::open_failures, lock);\n", ""),
    # --- the end of a guard
    Fault("waiters_are_told_under_the_lock", GUARD, "    lock_.unlock();\n    dropped_", "    dropped_"),
    Fault("told_waiter_is_looked_at", GUARD,
          "      Waiter<Slot>& told = *std::exchange(waiter, waiter->next_notified);\n      told.notify(told);\n",
          "      waiter->notify(*waiter);\n      waiter = waiter->next_notified;\n", ("unit/async",), "asan"),
    Fault("sleeper_is_not_woken", GUARD, "      woken.wake();\n", "      (void)woken;\n"),
    Fault("one_of_several_sleepers_is_woken", GUARD,
          "sleeper.next_woken = std::exchange(sleepers_, &sleeper);",
          "sleeper.next_woken = nullptr; sleepers_ = &sleeper;"),
    Fault("sleeper_that_woke_by_itself_stays_listed", GUARD, "    *link = sleeper.next;\n", ""),
    # --- callers that do not block
    Fault("cancelled_request_goes_on", ACQUIRE_REQUEST, "      if (stop_.stop_requested()) pool_.admission_.throw_cancelled();\n", "",
          ("unit/async",)),
    Fault("withdrawn_request_stays_in_the_queue", ACQUIRE_REQUEST, "      if (waits_) withdraw();\n", "", ("unit/async",)),
    Fault("withdrawn_request_keeps_its_connection", ACQUIRE_REQUEST,
          "      if (this->slot != nullptr) pool_.leases_.give_back(*this->slot, CloseReason::none);\n", "", ("unit/async",)),
    Fault("withdrawn_request_does_not_wait_for_its_call", ACQUIRE_REQUEST,
          "      parker_.park();  // it is being told just now", "      //", ("unit/async",)),
    Fault("late_grant_is_lent", ACQUIRE_REQUEST,
          "if (reads_clock && now >= this->at && timeout_ > Duration::zero()) {", "if (false) {", ("unit/async",)),
    Fault("nobody_keeps_time", ACQUIRE_REQUEST, "      if (timed) pool_.workers_.start_alarm();\n", "",
          ("unit/async",)),
    Fault("caller_that_does_not_block_checks", ACQUIRE_REQUEST,
          "      if (!asked_worker && needs_worker(now)) return !ask_worker();\n", "", ("unit/async",)),
    Fault("unfit_grant_ends_the_request", ACQUIRE_REQUEST, "if (!lease_if_fit(now)) return !line_up_again();",
          "if (!lease_if_fit(now)) return complete_at_once(WaitState::abandoned);", ("unit/async",)),
    Fault("done_is_not_called", ACQUIRE_REQUEST, "          return self.done_(self);\n", "          return;\n", ("unit/async",)),
    Fault("asked_worker_sleeps_on", WORK_QUEUE, "    asked_.push(caller);\n    wake_worker(guard);\n", "    asked_.push(caller);\n", ("unit/async",)),
    Fault("nobody_opens_for_a_request", WORKFORCE,
          "while (Platform::now() < caller.deadline && jobs_.do_one(true, caller)) {",
          "while (false) {", ("unit/async",)),
    Fault("wait_of_a_request_is_not_recorded", ACQUIRE_REQUEST, "        pool_.monitor_.metrics.record(&Statistics::wait, now - this->since, lock);\n", "",
          ("unit/async",)),
    Fault("cancelled_request_hears_nothing", ACQUIRE_REQUEST,
          "          pool_.monitor_.dispatcher.leave(*this, WaitState::cancelled, false, lock);\n", "", ("unit/async",)),
    # --- the threads behind
    Fault("workers_sleep_through_the_end", WORK_QUEUE,
          "    while (Sleeper<Platform>* const worker = workers_.pop()) guard.wake_later(*worker);\n", "",
          ("unit/lifetime",)),
    Fault("timekeeper_sleeps_through_the_end", WORKER_GROUP,
          "      while (Sleeper* const alarm = monitor_.waiters.alarm().pop()) lock.wake_later(*alarm);\n", "",
          ("unit/async",)),
    Fault("end_waits_for_no_worker", WORKER_GROUP,
          "return std::max({options_.open_timeout, options_.check_timeout, reset});",
          "return reset - reset;", ("unit/lifetime",)),
    Fault("end_waits_for_itself", WORKER_GROUP, "working_ == (from_worker ? 1U : 0U)", "working_ == 0U", ("unit/lifetime",)),
    Fault("worker_has_no_reference", WORKER_GROUP, "    lifetime_.add_reference();\n    try {", "    try {", ("unit/lifetime",)),
    Fault("worker_leaves_its_reference", WORKER_GROUP,
          "    leave(1);\n    lifetime_.drop_reference();\n", "    leave(1);\n", ("unit/lifetime",), "asan"),
    Fault("failed_start_still_counts", WORKER_GROUP, "      leave(2);\n", "", ("unit/lifetime",)),
    Fault("failed_start_keeps_its_reference", WORKER_GROUP,
          "      lifetime_.drop_reference();\n      throw;", "      throw;", ("allocation/allocation",)),
    Fault("timekeeper_is_tried_once", WORKER_GROUP,
          "      alarm_started_.store(false, std::memory_order_relaxed);\n", "", ("allocation/coroutines",)),
    # --- coroutines that are resumed in line
    Fault("coroutines_are_resumed_inside_one_another", RESUMPTION,
          "Hold() noexcept : outer_{line_.held} { line_.held = true; }", "Hold() noexcept : outer_{line_.held} {}",
          ("unit/async",)),
    Fault("line_moves_once", RESUMPTION, "      line_.held = false;\n", "", ("unit/async",)),
    Fault("emptied_line_has_an_end", RESUMPTION, "        if (line_.first == nullptr) line_.last = nullptr;\n", "",
          ("unit/async",)),
    Fault("destroyed_coroutine_stays_in_line", RESUMPTION, "    if (line_ == nullptr) return;\n", "    return;\n",
          ("unit/async",)),
    Fault("line_ends_with_a_destroyed_coroutine", RESUMPTION,
          "    if (line_->last == this) line_->last = before;\n", "", ("unit/async",)),
    # --- attempts that hang, and callers that open for themselves
    Fault("hung_attempt_holds_up_all", CONNECT_LIMITER, "    stalled_ = under_way_;\n", "", HANGING),
    Fault("hung_attempts_take_every_opener", CONNECT_LIMITER, "too_soon || in_the_way ||", "in_the_way ||", HANGING),
    Fault("hung_attempts_take_every_place", CONNECT_LIMITER, "too_soon || in_the_way ||", "too_soon ||", HANGING),
    Fault("hung_attempts_take_every_worker", CONNECT_LIMITER, " || stalled_ >= openers_);", ");", HANGING),
    Fault("hung_attempts_leave_nobody_to_look", CONNECT_LIMITER, "openers_ - stalled_ : spare;", "openers_ - stalled_ : 0;", HANGING),
    Fault("slow_server_is_never_found", CONNECT_LIMITER, "    if (!probe) last_whole_ = now;", "    last_whole_ = now;", HANGING),
    Fault("doubt_makes_no_haste", CONNECT_LIMITER,
          "in_trouble && may_stall() ? rules_.backoff_max : share();", "share();", HANGING),
    Fault("hung_server_is_asked_without_rest", CONNECT_LIMITER, "(stalled_ > 0 && !answers_)", "false", HANGING),
    Fault("hung_attempts_hold_up_recovery", CONNECT_LIMITER, "(stalled_ > 0 && !answers_)", "stalled_ > 0", HANGING),
    Fault("old_success_ends_the_suspicion", CONNECT_LIMITER, "if (begun >= suspected_at_) outage_suspected_", "outage_suspected_", HANGING),
    Fault("old_news_count", DISPATCHER, "if (!permanent && capacity_.limiter().outdated(slot.stalled)) return vacate(slot, guard), 0;", "",
          HANGING),
    Fault("brief_failure_counts", JOBS, "const bool given_up = !outcome.permanent && (cut_short || caller.gave_up());",
          "const bool given_up = !outcome.permanent && caller.gave_up();", HANGING),
    Fault("attempts_pile_up", CAPACITY, "if (work_.opens() == 0 && limiter_.stall_from", "if (limiter_.stall_from", HANGING),
    Fault("watch_ends_with_a_close", WORKER_GROUP, "if (next.task != Task::rest) {", "if (next.task == Task::close) {\n        } else if (next.task != Task::rest) {",
          HANGING),
    Fault("watch_ends_with_a_job", WORKER_GROUP, "          monitor_.capacity.keep_watch(lock);\n", "          if (next.task == Task::close) monitor_.capacity.keep_watch(lock);\n", HANGING),
    # --- what a worker does next
    Fault("closes_go_before_opens", WORK_QUEUE, "Task::open && !pending.opens ?", "Task::open && pending.closes ?",
          ("unit/work_queue",)),
    Fault("callers_checks_go_before_all", WORK_QUEUE, "(next + step) % turns.size()", "step", ("unit/work_queue",)),
    Fault("end_leaves_work", WORK_QUEUE, "if (waits[i]) return", "if (waits[i] && !pending.stopping) return",
          ("unit/work_queue",)),
    Fault("nobody_watches_the_back_off", CAPACITY, "    keep_watch(guard);\n", ""),
    Fault("hung_slot_stays_so", CAPACITY, "    slot.stalled = false;\n", ""),
    # --- the figures
    Fault("lease_that_nobody_took_does_not_end", LEASES, "if (slot.has_holder()) slot.end_lease(", "if (false) slot.end_lease(",
          EVENTS),
    Fault("figures_count_a_lease_that_goes_on_as_ended", METRICS,
          "figures.released += changes / 2;", "figures.released += (changes + 1) / 2;", EVENTS),
    Fault("check_counts_as_use", ACQUIRE, "if (takes_time) now = Platform::now();", "", EVENTS),
    Fault("listener_counts_as_use", ACQUIRE, "      if constexpr (reads_clock) now = Platform::now();\n", "", EVENTS),
    Fault("connections_are_counted_twice", METRICS, "totals_.*counter += times;", "totals_.*counter += 1;", ("unit/metrics",)),
    Fault("connection_is_closed_uncounted", JOBS, "    monitor_.metrics.count(&Statistics::closed, lock);\n", ""),
    # --- listeners end with their pool
    Fault("listeners_are_called_for_ever", CORE, "    ops_.silence(deadline);\n", "", ("unit/lifetime",)),
    # --- callers without time
    Fault("end_of_a_look_is_not_told", DISPATCHER, "    capacity_.wake_watchers(guard);\n    if (!waiters_.any_for_look()", "    if (!waiters_.any_for_look()",
          ("unit/waiting",)),
    Fault("who_waits_for_a_look_waits_on", DISPATCHER, "if (waiter.for_look) leave(", "if (false) leave(", ("unit/waiting",)),
    Fault("acquire_of_the_parent_is_made_in_the_child", ACQUIRE_REQUEST,
          "      if (!pool_.mark_.is_ours()) pool_.admission_.throw_inherited();\n      if (timeout_",
          "      if (timeout_", ("unit/fork",)),
    # --- workers that are no threads
    Fault("workers_of_others_are_waited_for", WORKER_GROUP, "    if (options_.start_worker) return;\n", "",
          ("unit/start_worker",)),
    Fault("who_waits_for_fibres_does_not_help", WORKFORCE, "waits_work_{workers == 0 || options.start_worker}", "waits_work_{workers == 0}",
          ("unit/start_worker",)),
    Fault("full_pool_does_not_grow", ADMISSION, "        if (full) workforce_.want_one_more(lock);\n", ""),
    Fault("old_failure_is_told_again", "detail/administration.hpp", "      before = monitor_.capacity.backoff().cause();\n", ""),
    Fault("full_pool_is_not_ready", CAPACITY, "any_live() && (full || ", "any_live() && ("),
    Fault("first_opens_are_cut_short", CONNECT_LIMITER, "in_the_way = in_trouble && !room;", "in_the_way = !room;", HANGING),
    Fault("newcomer_sleeps_behind_those_at_work", DISPATCHER, "const head = waiters_.next_in_line();", "const head = waiters_.queue().front();"),
    Fault("first_attempt_is_waited_for", CONNECT_LIMITER, "under_way_ == 0 ? backoff_.until() : ", ""),
    Fault("who_opens_is_handed_a_connection", WAIT_LIST,
          "    while (waiter != nullptr && waiter->busy) waiter = waiter->next;\n", ""),
    Fault("one_opens_for_all", WAIT_LIST, "      if (call(*waiter, guard)) --missing;", "      if (call(*waiter, guard)) break;",
          ("unit/capacity",)),
    Fault("hopeless_pool_is_waited_for", DISPATCHER, "return hopeless ? backoff.cause() : nullptr;", "return nullptr;"),
    Fault("failures_of_others_count", DISPATCHER,
          "    if (!backoff.permanent()) guard.drop_later(backoff.note(error));",
          "    guard.drop_later(backoff.failed(error, false, Platform::now()));"),
]
