// What those who run a pool ask of it: invalidate, resize, suspend, wait until it is ready, close.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <lido/detail/acquire.hpp>
#include <lido/detail/maintenance.hpp>

namespace lido::detail {

template <class Types>
class Administration {
  using Platform = typename Types::Platform;
  using Guard = typename Types::Guard;
  using Growth = typename Types::Growth;

 public:
  Administration(Lifetime& lifetime, typename Types::Monitor& monitor, typename Types::Ops& ops, Jobs<Types>& jobs,
                 Workforce<Types>& workforce, Maintenance<Types>& maintenance, Admission<Types>& admission,
                 Acquire<Types>& acquire) noexcept
      : lifetime_{lifetime},
        monitor_{monitor},
        ops_{ops},
        jobs_{jobs},
        workforce_{workforce},
        maintenance_{maintenance},
        admission_{admission},
        acquire_{acquire} {}

  void invalidate() noexcept;

  void resize(Growth growth);

  void suspend() noexcept;

  void resume() noexcept;

  void maintain() noexcept;

  // Waits until the growth policy wants no more connections and at least one is open. Throws as `acquire` does, but
  // counts as none.
  void wait_until_ready(Duration timeout);

  // Refuses newcomers, fails waiters, closes what is idle, and waits for what is leased. True when all is closed.
  bool close(Duration grace) noexcept;

  // The share of this name, made if there is none. Throws `InvalidOption`.
  typename Types::Share& share(std::string_view name, const ShareOptions& options);
  // The pool has its first. Needs the lock, or nobody who would take it.
  void begin_shares() noexcept {
    acquire_.begin_shares();
    monitor_.share_claims.begin();
  }

 private:
  // Throws unless it has enough for what is guaranteed, and keeps connections for those who may not wait.
  void require_fit_for_shares(const GrowthPlan& plan, Guard& lock);
  [[nodiscard]] bool failed(std::uint64_t before) noexcept {
    return monitor_.capacity.backoff().permanent() && monitor_.capacity.backoff().failures() != before;
  }
  [[nodiscard]] bool ready(Guard& lock, std::uint64_t before) noexcept {
    if (monitor_.capacity.closed() || failed(before) || !monitor_.capacity.plan().reuse) return true;
    if (monitor_.capacity.satisfied()) return true;
    // One at least, also where the policy is lazy.
    monitor_.dispatcher.grow(lock, monitor_.capacity.total() == 0 ? 1 : 0);
    return false;
  }

  Lifetime& lifetime_;
  typename Types::Monitor& monitor_;
  typename Types::Ops& ops_;
  Jobs<Types>& jobs_;
  Workforce<Types>& workforce_;
  Maintenance<Types>& maintenance_;
  Admission<Types>& admission_;
  Acquire<Types>& acquire_;
  typename Platform::Mutex growing_;  // while slots are added
};

template <class Types>
void Administration<Types>::invalidate() noexcept {
  {
    Guard lock = monitor_.enter();
    monitor_.metrics.count(&Statistics::invalidated, lock,
                           monitor_.capacity.invalidate(CloseReason::invalidated, lock));
    monitor_.recorder.record(EventKind::invalidated, Platform::now(), lock);
    monitor_.capacity.suspect_outage();
    monitor_.dispatcher.match(lock);
  }
  workforce_.close_retired();
}

template <class Types>
void Administration<Types>::resize(Growth growth) {
  const GrowthPlan plan = growth.plan({});
  auto other = std::make_unique<const Growth>(std::move(growth));
  {
    // Not the queue's lock: slots are allocated. Nor longer than that: those who are served below may resize, and wait.
    const std::scoped_lock one_at_a_time{growing_};
    monitor_.capacity.slots().grow_to(plan.max_size);
  }
  {
    Guard lock = monitor_.enter();
    require_fit_for_shares(plan, lock);
    monitor_.recorder.record(EventKind::resized, Platform::now(), lock);
    monitor_.transitions.resize(other, lock);
  }
  workforce_.close_retired();
}

template <class Types>
void Administration<Types>::require_fit_for_shares(const GrowthPlan& plan, Guard& lock) {
  const auto refuse = [&lock](const std::string& expected) {
    lock.end();
    throw InvalidOption{"resize(growth)", expected};
  };
  const auto& shares = monitor_.waiters.shares();
  if (plan.max_size < shares.guaranteed())
    refuse("a policy for at least " + std::to_string(shares.guaranteed()) +
           " connections, which the shares are guaranteed together, not for " + std::to_string(plan.max_size));
  if (plan.reuse) return;
  shares.each(shares.count(), [&](const typename Types::Share& share) {
    if (share.options.max_waiting == 0)
      refuse("a policy that keeps connections, as nobody may wait in the share " + share.name + " (max_waiting = 0)");
  });
}

template <class Types>
typename Types::Share& Administration<Types>::share(std::string_view name, const ShareOptions& options) {
  const auto refuse = [&](const char* field, const std::string& expected) {
    throw InvalidOption{"share(" + std::string{name} + ")" + field, expected};
  };
  if (name.empty()) refuse("", "a name");
  if (options.at_most == 0) refuse(".at_most", "at least 1");
  if (options.at_most < options.guaranteed) refuse(".at_most", "not less than guaranteed");
  auto made = std::make_unique<typename Types::Share>(std::string{name}, options);
  Guard lock = monitor_.enter();
  auto& shares = monitor_.waiters.shares();
  if (auto* const known = shares.find(name)) {
    if (known->options == options) return *known;
    lock.end();
    refuse("", "the options that the share of this name was made with, or another name");
  }
  if (options.max_waiting == 0 && (workforce_.count() == 0 || !monitor_.capacity.plan().reuse)) {
    lock.end();
    refuse(".max_waiting", "at least 1 where callers open for themselves");
  }
  const std::size_t max_size = monitor_.capacity.plan().max_size;
  const std::size_t others = shares.guaranteed();
  if (options.guaranteed > max_size - std::min(max_size, others)) {
    lock.end();
    refuse(".guaranteed", "at most " + std::to_string(max_size - std::min(max_size, others)) + ": of the pool's " +
                              std::to_string(max_size) + " connections " + std::to_string(others) +
                              " are guaranteed to other shares");
  }
  const bool first = !shares.any();
  auto& share = *made;
  shares.add(std::move(made));
  if (first) begin_shares();
  return share;
}

template <class Types>
void Administration<Types>::suspend() noexcept {
  const Guard lock = monitor_.enter();
  monitor_.recorder.record(EventKind::suspended, Platform::now(), lock);
  monitor_.transitions.suspend();
  acquire_.suspend(true);
}

template <class Types>
void Administration<Types>::resume() noexcept {
  Guard lock = monitor_.enter();
  monitor_.recorder.record(EventKind::resumed, Platform::now(), lock);
  monitor_.transitions.resume(lock);
  // It may be suspended anew by then, or closed.
  acquire_.suspend(monitor_.capacity.suspended() || monitor_.capacity.closed());
}

template <class Types>
void Administration<Types>::maintain() noexcept {
  const auto help = jobs_.help();
  maintenance_.sweep();
  while (jobs_.do_one(true)) {
  }
}

template <class Types>
void Administration<Types>::wait_until_ready(Duration timeout) {
  const Reference keep{lifetime_};
  const TimePoint begun = Platform::now();
  const TimePoint deadline = saturating_add(begun, timeout);
  std::uint64_t before = 0;  // what is known to have failed: it is tried once more
  {
    const Guard lock = monitor_.enter();
    before = monitor_.capacity.backoff().failures();
  }
  workforce_.await(deadline, [&](Guard& lock) { return ready(lock, before); });
  std::exception_ptr refused;
  bool closed = false;
  {
    Guard lock = monitor_.enter();
    closed = monitor_.capacity.closed();
    if (!closed && ready(lock, before) && !failed(before)) return;
    if (failed(before)) refused = monitor_.capacity.backoff().cause();
  }
  if (closed) admission_.throw_closed();
  if (refused) std::rethrow_exception(refused);
  admission_.throw_not_ready(begun, deadline);
}

template <class Types>
bool Administration<Types>::close(Duration grace) noexcept {
  const TimePoint deadline = saturating_add(Platform::now(), grace);
  {
    Guard lock = monitor_.enter();
    acquire_.suspend(true);  // nobody takes what is idle yet where the lock is given up meanwhile
    monitor_.recorder.record(EventKind::shut_down, Platform::now(), lock);
    monitor_.transitions.close(lock);
  }
  ops_.end_opens();
  workforce_.close_retired();
  return workforce_.await(deadline, [this](Guard&) { return monitor_.capacity.total() == 0; });
}

}  // namespace lido::detail
