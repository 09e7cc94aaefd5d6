// Who has a connection, and who has had one for too long.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/pool_types.hpp>

namespace lido::detail {

template <class Types>
class Leaks {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;

 public:
  Leaks(typename Types::Monitor& monitor, typename Types::Ops& ops, Duration leak_after) noexcept
      : monitor_{monitor}, ops_{ops}, leak_after_{leak_after} {}

  // Who has a connection now. Takes no lock: what it tells may be over when it is read.
  [[nodiscard]] std::vector<Holder> holders() {
    std::vector<Holder> found;
    each_holder([&](const Holder& holder, std::uint64_t) { return found.push_back(holder), true; });
    return found;
  }
  // Calls `function` with each and the number of its thread, until it returns false.
  template <class Function>
  void each_holder(Function&& function) {
    const TimePoint now = Platform::now();
    bool more = true;
    monitor_.capacity.slots().each([&](const Slot& slot) {
      std::uint64_t number = 0;
      if (!more) return;
      if (const std::optional<Holder> holder = slot.holder_if_any(now, &number)) more = function(*holder, number);
    });
  }
  // Each connection, and who has it. Takes no lock.
  [[nodiscard]] std::vector<ConnectionDescription> connections() {
    std::vector<ConnectionDescription> found;
    const TimePoint now = Platform::now();
    monitor_.capacity.slots().each([&](const Slot& slot) {
      // Acquire: the number is not that of the connection before.
      const std::string_view state = name_of(slot.state.load(std::memory_order_acquire));
      const std::uint64_t id = slot.id.load(std::memory_order_relaxed);
      const bool opening = state == name_of(SlotState::opening);
      if (state.empty() || (id == 0 && !opening)) return;
      const Duration age = now - slot.opened_at.load(std::memory_order_relaxed);
      found.push_back(ConnectionDescription{
          .id = id,
          .state = state,
          .age = opening ? Duration::zero() : std::max(age, Duration::zero()),  // it may have been opened since `now`
          .uses = opening ? 0 : slot.uses.load(std::memory_order_relaxed),
          .holder = slot.holder_if_any(now)});
    });
    return found;
  }
  // How many the thread of this number has acquired and not given back.
  [[nodiscard]] std::size_t held_by(std::uint64_t thread_number) noexcept {
    std::size_t count = 0;
    monitor_.capacity.slots().each([&](const Slot& slot) {
      if (slot.has_holder() && slot.holder_number.load(std::memory_order_relaxed) == thread_number) ++count;
    });
    return count;
  }

  // Reports each lease that has gone on for too long, once.
  void look(TimePoint now) noexcept {
    monitor_.capacity.slots().each([&](Slot& slot) {
      if (!is_overdue(slot, now)) return;
      LeakReport leak;
      {
        const Guard lock = monitor_.enter();
        // Once it is recalled the lease can only end by the lock. Asked again: it may have just ended.
        if (!monitor_.capacity.slots().recall(slot) || slot.leaked_since != TimePoint{} || !is_overdue(slot, now))
          return;
        slot.leaked_since = slot.since.load(std::memory_order_relaxed);
        leak = {.holder = slot.holder(slot.leaked_since, now), .returned = false};
        monitor_.metrics.count(&Statistics::leaks, lock);
        monitor_.recorder.record(EventKind::leaked, now, lock, leak.holder.connection_id);
      }
      report(leak);
    });
  }

  // What to report of a lease that ends: that it was taken for a leak, if it was.
  [[nodiscard]] std::optional<LeakReport> end_of_lease(Slot& slot, const Guard&) noexcept {
    const TimePoint since = std::exchange(slot.leaked_since, TimePoint{});
    if (since == TimePoint{}) return std::nullopt;
    const TimePoint until = slot.last_use.ended != TimePoint{} ? slot.last_use.ended : Platform::now();
    return LeakReport{.holder = slot.holder(since, until), .returned = true};
  }
  void report(const LeakReport& leak) noexcept {
    if (!ops_.tell(ops_.signals().leak, leak)) monitor_.count(&Statistics::listener_errors);
  }

 private:
  [[nodiscard]] bool is_overdue(const Slot& slot, TimePoint now) const noexcept {
    if (!slot.has_holder() || slot.is_expected_long()) return false;
    const TimePoint since = slot.since.load(std::memory_order_relaxed);
    return since != TimePoint{} && now - since >= leak_after_;
  }

  typename Types::Monitor& monitor_;
  typename Types::Ops& ops_;
  const Duration leak_after_;
};

}  // namespace lido::detail
