// What must hold of a simulated pool after every step of every thread, as long as nobody has its lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <support/inspection.hpp>
#include <support/simulated_pool.hpp>

namespace lido::test {

// By state, asked at one moment: of one who need not give up the lock between.
template <class Table>
[[nodiscard]] PoolCounts exact_counts(Table& table) noexcept {
  struct Unpaused {
    static void pause() noexcept {}
  } guard;
  return table.exact_counts(guard);
}

// Checks them for as long as it lives, after each step in which the lock is free. `detached` counts the connections
// that are, or are about to be, nobody's but a test's. Ends the program where one does not hold.
template <class AnyPool>
class Invariants {
  using Inspection = detail::Inspection;
  using Monitor = std::remove_reference_t<decltype(Inspection::monitor(std::declval<AnyPool&>()))>;
  using Waiter = typename std::remove_reference_t<decltype(std::declval<Monitor&>().dispatcher)>::Waiter;
  using SlotState = detail::SlotState;
  using WaitState = detail::WaitState;

 public:
  Invariants(sim::Simulation& world, const AnyPool& pool, const Ledger& ledger, const std::size_t& detached)
      : world_{world},
        max_standing_wait_{pool.options().max_standing_wait},
        monitor_{Inspection::monitor(pool)},
        ledger_{ledger},
        detached_{detached} {
    world_.after_each_step = [this] { check(); };
  }
  Invariants(const Invariants&) = delete;
  Invariants& operator=(const Invariants&) = delete;
  ~Invariants() { world_.after_each_step = nullptr; }

  [[nodiscard]] std::size_t checks() const noexcept { return checks_; }

  // Acquires, and looks whether it overtook somebody who had waited beyond the limit before it began.
  template <class Acquire>
  auto in_order(Acquire acquire) {
    if (shares().any()) return acquire();  // see `check_shares`
    const std::vector<std::uint64_t> overdue = find_overdue();
    auto got = acquire();
    if (!got) return got;
    // Who has left by now may have been served first, also if that stay under the lock goes on.
    for (const Waiter* waiter = monitor_.waiters.queue().front(); waiter != nullptr; waiter = waiter->next) {
      const auto place = std::ranges::find(places_, waiter, &Place::waiter);
      demand(waiter->busy || place == places_.end() || std::ranges::find(overdue, place->stay) == overdue.end(),
             "one who had waited beyond the limit was overtaken by one who came after it");
    }
    return got;
  }

 private:
  // A waiter in the queue, and a number for as long as it stays there and could take what comes back.
  struct Place {
    const Waiter* waiter;
    TimePoint since;
    bool busy;
    std::uint64_t stay;
  };

  // Whom nobody may overtake any more: the head if it is past its limit, and those behind it that are as well.
  [[nodiscard]] std::vector<std::uint64_t> find_overdue() const {
    std::vector<std::uint64_t> overdue;
    for (const Place& place : places_) {
      if (world_.now() - place.since < monitor_.waiters.barging_limit()) break;
      if (!place.busy) overdue.push_back(place.stay);
    }
    return overdue;
  }
  void note_places() {
    places_before_.swap(places_);
    places_.clear();
    for (const Waiter* waiter = monitor_.waiters.queue().front(); waiter != nullptr; waiter = waiter->next) {
      const auto known = std::ranges::find(places_before_, waiter, &Place::waiter);
      const bool stays = known != places_before_.end() && !waiter->busy && !monitor_.capacity.suspended();
      places_.push_back(
          {.waiter = waiter, .since = waiter->since, .busy = waiter->busy, .stay = stays ? known->stay : ++last_stay_});
    }
  }

  void check() {
    if (monitor_.mutex().is_locked()) return;
    ++checks_;
    const PoolCounts counts = detail::count_slots(monitor_.capacity.slots());
    check_counts(counts);
    check_connections(counts);
    check_figures(counts);
    check_queue();
    check_order();
    check_shares();
    note_places();
  }

  void check_counts(const PoolCounts& counts) {
    demand(counts.total() == monitor_.capacity.total(), "the slots in use are miscounted");
    const PoolCounts told = exact_counts(monitor_.capacity.slots());
    demand(told.idle == counts.idle && told.leased == counts.leased && told.opening == counts.opening &&
               told.checking == counts.checking && told.closing == counts.closing,
           "the slots are not counted as they are");
    demand(counts.opening == monitor_.capacity.limiter().under_way(), "the opens are miscounted");
    demand(counts.closing == monitor_.capacity.total() - monitor_.capacity.staying(), "the closes are miscounted");
    // What was too many after a resize is marked, and leaves when it comes back.
    const std::size_t maximum = monitor_.capacity.plan().max_size;
    largest_ = std::max(largest_, maximum);
    std::size_t staying = 0;
    monitor_.capacity.slots().each([&](auto& slot) {
      const SlotState state = slot.state.load();
      const bool leased = detail::is_leased(state);
      demand(leased || !slot.has_holder(), "somebody holds a connection that is not leased");
      if (state != SlotState::vacant && state != SlotState::closing && !slot.retire) ++staying;
    });
    demand(staying <= maximum, "more connections stay than may");
    demand(monitor_.capacity.slots().staying() == staying, "those that stay are miscounted");
    demand(counts.total() <= largest_, "there are more connections than there ever could be");
    demand(!monitor_.capacity.closed() || counts.idle == 0, "a closed pool has an idle connection");
  }

  // Of each slot that has a connection there is one, and there is none that no slot knows of.
  void check_connections(const PoolCounts& counts) {
    demand(ledger_.live >= counts.idle + counts.leased + counts.checking, "a slot has no connection");
    demand(ledger_.live <= counts.total() + detached_, "a connection has no slot");
  }

  void check_figures(const PoolCounts& counts) {
    const Statistics figures = monitor_.metrics.totals(*this);  // nobody has the lock
    demand(figures.opened - figures.closed == counts.total() - counts.opening, "the figures do not add up");
    demand(figures.wait.count() <= figures.waited, "more have waited than were counted");
    demand(figures.open.count() == figures.opened, "an open has no span");
    const bool away = counts.idle + counts.leased + counts.checking == 0 && monitor_.capacity.backoff().failing();
    demand(figures.failed_fast == failed_fast_ || away, "somebody was told that the server is away, which it is not");
    failed_fast_ = figures.failed_fast;
    const bool served = !monitor_.waiters.queue().empty() && !monitor_.capacity.suspended() &&
                        monitor_.capacity.limiter().under_way() == 0;
    demand(figures.hopeless == hopeless_ || served, "somebody was refused as hopeless who had nobody to wait for");
    hopeless_ = figures.hopeless;
  }

  void check_queue() {
    std::size_t waiting = 0, woken = 0, asleep = 0;
    const Waiter* const passed_next = monitor_.dispatcher.foresight().passes_next();
    bool foreseen = passed_next == nullptr;
    for (const Waiter* waiter = monitor_.waiters.queue().front(); waiter != nullptr; waiter = waiter->next) {
      ++waiting;
      foreseen = foreseen || waiter == passed_next;
      const WaitState state = waiter->state.load();
      if (state == WaitState::woken) ++woken;
      // Who opens for itself looks when it is done, and whose share has all it may have waits for one of its own.
      if (!waiter->busy && (!shares().any() || shares().may_have_more(waiter->share))) ++asleep;
      demand(state == WaitState::waiting || state == WaitState::woken || state == WaitState::called,
             "one whose wait is complete waits");
    }
    demand(foreseen, "one who is to be passed next does not wait");
    demand(waiting == monitor_.waiters.queue().size(), "the waiters are miscounted");
    demand(woken == (monitor_.waiters.wake_in_flight() ? 1U : 0U), "the wake in flight is not that of one waiter");
    demand(!monitor_.capacity.closed() || waiting == 0, "somebody waits for a closed pool");
    if (monitor_.capacity.suspended()) return;
    demand(woken > 0 || monitor_.capacity.closed() || !monitor_.capacity.slots().offering(),
           "an offer goes on though nobody is on the way");
    monitor_.capacity.slots().each([&](auto& slot) {
      const SlotState state = slot.state.load();
      const bool for_woken = state == SlotState::offered || state == SlotState::barging;
      demand(woken > 0 || !for_woken, "a slot is offered to nobody");
      if (asleep == 0) return;
      demand(woken > 0 || !detail::is_free(state), "somebody sleeps beside an idle connection");
      demand(state != SlotState::idle && state != SlotState::resting, "somebody waits who may be overtaken for ever");
      demand(state != SlotState::leased && state != SlotState::unlisted,
             "somebody sleeps beside a lease that will not come by");
    });
  }

  // Newcomers may overtake those who wait, but nobody who waits overtakes another. Each stay under the lock ends in a
  // step, so that none is missed, and that whoever left the queue in it is still there to be looked at.
  void check_order() {
    queue_.clear();
    for (Waiter* waiter = monitor_.waiters.queue().front(); waiter != nullptr; waiter = waiter->next)
      queue_.push_back(waiter);
    std::vector<const void*> passed_over;  // the shares of those who were; of a pool without, null
    for (Waiter* const waiter : queue_before_) {
      // Who opens a connection for itself just now cannot take one that is given back.
      if (std::ranges::find(queue_, waiter) != queue_.end()) {
        if (!waiter->busy) passed_over.push_back(waiter->share);
      } else if (waiter->state.load() == WaitState::shed)
        demand(!waiter->busy && world_.now() - waiter->since > max_standing_wait_,
               "somebody was refused who had not waited for too long");
      else
        check_grant(*waiter, std::ranges::find(passed_over, waiter->share) != passed_over.end());
    }
    queue_before_.swap(queue_);
  }
  // `passed_over`: one of the same share who came before it waits still.
  void check_grant(const Waiter& waiter, bool passed_over) {
    if (waiter.state.load() != WaitState::granted) return;
    demand(!passed_over, "a connection was not given to the oldest waiter");
    if (!shares().any() || shares().of(waiter.share).counts.beyond() == 0) return;
    for (const Waiter* other : queue_)
      demand(other->busy || shares().of(other->share).counts.unmet() == 0 ||
                 std::ranges::find(queue_before_, other) == queue_before_.end(),
             "a connection was not given to one who lacks what is guaranteed to it");
  }

  void check_shares() {
    if (!shares().any()) return;
    const std::size_t size = monitor_.capacity.plan().max_size;
    const bool first = size_ == 0;
    std::size_t taken = 0, counted = 0;
    shares().each(shares().count(), [&](auto& share) {
      std::size_t leased = 0, waiting = 0;
      monitor_.capacity.slots().each([&](auto& slot) { leased += slot.share == share.number ? 1 : 0; });
      for (const Waiter* waiter : queue_before_) waiting += waiter->share == &share ? 1 : 0;
      demand(leased == share.counts.leased, "what a share has is miscounted");
      demand(waiting == share.waiting, "those who wait in a share are miscounted");
      demand(leased <= share.counts.at_most, "a share has more than it may have");
      taken += share.counts.unmet();
      counted += leased;
    });
    demand(counted <= shares().leased(), "the shares have more than all together");
    // What a resize took away, or was leased before there were shares, may be missed until it has come back.
    const bool kept = taken + shares().leased() <= size;
    missed_ = (missed_ || first || size < size_) && !kept;
    size_ = size;
    demand(kept || missed_, "what is guaranteed to one was leased to another");
  }
  [[nodiscard]] auto& shares() const { return monitor_.waiters.shares(); }

  void demand(bool holds, const char* otherwise) const {
    if (holds) return;
    const PoolCounts counts = detail::count_slots(monitor_.capacity.slots());
    std::fprintf(stderr,
                 "invariant: step %llu: %s: %zu idle, %zu leased, %zu opening, %zu checking, %zu closing, %zu waiting, "
                 "%zu open\n",
                 static_cast<unsigned long long>(world_.steps()), otherwise, counts.idle, counts.leased, counts.opening,
                 counts.checking, counts.closing, monitor_.waiters.queue().size(), ledger_.live);
    std::abort();
  }

  sim::Simulation& world_;
  const Duration max_standing_wait_;
  Monitor& monitor_;
  const Ledger& ledger_;
  const std::size_t& detached_;
  std::size_t largest_ = 0;
  std::size_t checks_ = 0;
  std::size_t size_ = 0;
  bool missed_ = false;
  std::uint64_t failed_fast_ = 0;
  std::uint64_t hopeless_ = 0;
  std::vector<Waiter*> queue_, queue_before_;
  std::vector<Place> places_, places_before_;
  std::uint64_t last_stay_ = 0;
};

}  // namespace lido::test
