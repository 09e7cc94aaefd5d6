// What is leased: how a lease ends, who has one, and who has had one for too long.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <source_location>
#include <thread>
#include <utility>
#include <vector>

#include <lido/detail/connection_ops.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Leases : public ConnectionOps<Connection, Growth, Health, Recycle, Platform> {
  using Base = ConnectionOps<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::Base;
  using typename Base::Guard;
  using typename Base::Slot;

  // Who has a connection now. Takes no lock: what it tells may be over when it is read.
  [[nodiscard]] std::vector<Holder> holders(std::size_t most = std::numeric_limits<std::size_t>::max()) {
    std::vector<Holder> found;
    const TimePoint now = Platform::now();
    monitor_.capacity.slots().each([&](const Slot& slot) {
      if (found.size() >= most) return;
      if (const std::optional<Holder> holder = slot.holder_if_any(now)) found.push_back(*holder);
    });
    return found;
  }

 protected:
  using Base::metrics_;
  using Base::monitor_;
  using Base::options_;
  using Base::signals_;

  // Ends the caller's hold on a slot under the lock: it is supplied, or closed and counted where there is a reason to.
  void give_back(Slot& slot, CloseReason why) noexcept {
    const Reference keep{*this};
    // Of a request whose result nobody took.
    if (slot.has_holder()) slot.end_lease(Base::reads_clock ? Platform::now() : TimePoint{});
    std::optional<LeakReport> leak;
    bool orphan = false;
    bool do_closes = false;
    {
      Guard lock = this->guard();
      const bool counted = slot.retire && why == CloseReason::invalidated;
      if (why != CloseReason::none && !counted) metrics_.count_removal(why, lock);
      leak = end_of_leak(slot);
      if (why != CloseReason::none) monitor_.capacity.suspect_outage();
      why != CloseReason::none ? monitor_.capacity.retire(slot, why, lock) : monitor_.dispatcher.supply(slot, lock);
      orphan = orphans_;
      do_closes = orphan || monitor_.capacity.inline_work();
    }
    if (leak) report(*leak);
    if (do_closes) run_closes();
    if (orphan) this->drop_reference();
  }

  // Needs the lock. What to report of a lease that ends: that it was taken for a leak, if it was.
  [[nodiscard]] std::optional<LeakReport> end_of_leak(Slot& slot) noexcept {
    const TimePoint since = std::exchange(slot.leaked_since, TimePoint{});
    if (since == TimePoint{}) return std::nullopt;
    const TimePoint until = slot.returned_at != TimePoint{} ? slot.returned_at : Platform::now();
    return LeakReport{.holder = slot.holder(since, until), .returned = true};
  }

  // Reports each lease that has gone on for too long, once.
  void report_leaks(TimePoint now) noexcept {
    monitor_.capacity.slots().each([&](Slot& slot) {
      if (!is_overdue(slot, now)) return;
      LeakReport leak;
      {
        const Guard lock = this->guard();
        // Once it is recalled the lease can only end by the lock. Asked again: it may have just ended.
        if (!monitor_.capacity.recall(slot) || slot.leaked_since != TimePoint{} || !is_overdue(slot, now)) return;
        slot.leaked_since = slot.since.load(std::memory_order_relaxed);
        leak = {.holder = slot.holder(slot.leaked_since, now), .returned = false};
        metrics_.count(&Statistics::leaks, lock);
      }
      report(leak);
    });
  }

  void report(const LeakReport& leak) noexcept {
    if (this->emit(signals_.leak, leak) == nullptr) return;
    const Guard lock = this->guard();
    metrics_.count(&Statistics::listener_errors, lock);
  }

  // Tells listeners of a connection that the caller has, as it was at `at`; now where nobody read the clock.
  void tell(const Signal<Connection&, const ConnectionInfo&>& signal, Slot& slot, Moment moment,
            TimePoint at = {}) noexcept {
    const TimePoint now = at != TimePoint{} ? at : Platform::now();
    if (this->emit(signal, slot.connection, slot.info(moment, now, now)) == nullptr) return;
    const Guard lock = this->guard();
    metrics_.count(&Statistics::listener_errors, lock);
  }

  void run_closes() noexcept {
    while (this->do_one(false)) {
    }
  }

  // How many connections a thread holds; of none, none.
  [[nodiscard]] std::size_t held_by(std::thread::id thread) noexcept {
    std::size_t count = 0;
    if (thread == std::thread::id{}) return count;
    monitor_.capacity.slots().each([&](const Slot& slot) {
      if (slot.has_holder() && slot.thread.load(std::memory_order_relaxed) == thread) ++count;
    });
    return count;
  }

  bool orphans_ = false;  // the pool is gone, and each lease that is out has a reference; owned by the lock

 private:
  [[nodiscard]] bool is_overdue(const Slot& slot, TimePoint now) const noexcept {
    if (!slot.has_holder() || slot.is_expected_long()) return false;
    const TimePoint since = slot.since.load(std::memory_order_relaxed);
    return since != TimePoint{} && now - since >= options_.leak_after;
  }
};

}  // namespace lido::detail
