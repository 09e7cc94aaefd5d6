// Who may wait, and what those are told who get no connection.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <lido/detail/complaint.hpp>
#include <lido/detail/leaks.hpp>
#include <lido/detail/probes.hpp>
#include <lido/detail/workforce.hpp>

namespace lido::detail {

template <class Types>
class Admission {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using Ops = typename Types::Ops;
  using Share = typename Types::Share;

 public:
  Admission(typename Types::Monitor& monitor, Ops& ops, Workforce<Types>& workforce, Leaks<Types>& leaks,
            const PoolOptions& options) noexcept
      : monitor_{monitor}, ops_{ops}, workforce_{workforce}, leaks_{leaks}, options_{options} {}

  // Throws where there is nothing to wait for. `again`: it was in the queue before. `unfit`: it had a connection in
  // hand that was not fit, which costs it no place.
  void line_up(typename Types::Waiter& waiter, TimePoint deadline, bool again, bool unfit) {
    if (!again) Probes::wait(options_.name.c_str());
    const TimePoint now = Platform::now();
    const bool nested =
        now < deadline && waiter.thread && options_.refuse_nested_wait && leaks_.held_by(thread_number<Slot>()) > 0;
    bool full = false;
    bool closed = false;
    std::exception_ptr refused;
    bool hopeless = false;
    TimePoint turn = TimePoint::min();
    waiter.until = deadline;
    monitor_.recall_in_turns();
    {
      Guard lock = monitor_.enter();
      closed = monitor_.capacity.closed();
      if (!closed) refused = monitor_.attempts.refusal(now);
      const bool for_good = refused != nullptr;
      if (!closed && !for_good) refused = monitor_.attempts.outage(now);
      if (refused != nullptr) {
        monitor_.metrics.count(&Statistics::failed_fast, lock);
        monitor_.recorder.record(EventKind::failed_fast, now, lock);
        if (!for_good) workforce_.want_one_more(lock);
      }
      full = !again && monitor_.waiters.full_for(waiter, options_.max_waiting);
      if (!again && !unfit) turn = monitor_.dispatcher.foresight().turn(now);
      hopeless = now < deadline && deadline < turn && !full && !nested;
      if (closed || refused != nullptr) {
        // Told below, without the lock.
      } else if (nested || (full && now < deadline)) {
        monitor_.count(&Statistics::rejected, &ShareStatistics::rejected, waiter.share, lock);
        monitor_.recorder.record(EventKind::refused, now, lock);
        if (monitor_.share_claims.may_have_more(waiter.share)) workforce_.want_one_more(lock);  // for the next try
      } else if (hopeless) {
        monitor_.metrics.count(&Statistics::hopeless, lock);
        monitor_.recorder.record(EventKind::hopeless, now, lock);
      } else if (now < deadline) {
        if (!again) monitor_.count_wait(waiter, lock);
        return monitor_.dispatcher.line_up(waiter, unfit, lock);
      } else if (!full && !waiter.thread && waiter.at == waiter.since && monitor_.dispatcher.looks() &&
                 monitor_.share_claims.may_have_more(waiter.share)) {
        // One that would not wait, and cannot block, waits for what is looked at, which may be idle after the look.
        waiter.at = saturating_add(now, options_.check_timeout);
        waiter.until = {};  // it may be gone any moment
        waiter.for_look = true;
        monitor_.count_wait(waiter, lock);
        return monitor_.dispatcher.line_up(waiter, unfit, lock);
      } else if (deadline <= waiter.since && monitor_.share_claims.may_have_more(waiter.share)) {
        workforce_.want_one_more(lock);  // for the next one who would not wait
      }
    }
    if (closed) throw_closed();
    if (refused != nullptr) refuse(refused);
    if (nested)
      refuse(SelfDeadlock{concat({options_.name, ": acquire: this thread holds a connection of the pool already"})});
    if (hopeless) throw_hopeless(now, deadline, turn);
    if (now < deadline)
      refuse(QueueFull{queue_full_message(options_.name, waiter.share ? &waiter.share->name : nullptr)});
    throw_timeout(waiter.since, deadline, unfit, waiter.share);
  }

  // `deadline`: when the caller's time was over. `self`: the thread that waits, which should not hold one of the
  // others.
  [[noreturn]] void throw_timeout(TimePoint since, TimePoint deadline, bool unfit, Share* share = nullptr,
                                  ThreadMark self = this_thread()) {
    const Duration waited = Platform::now() - since;
    Late late;
    {
      const Guard lock = monitor_.enter();
      monitor_.count(&Statistics::timeouts, &ShareStatistics::timeouts, share, lock);
      monitor_.recorder.record(EventKind::timed_out, saturating_add(since, waited), lock);
      late = look_at(deadline, lock);
      ShareHold& held = late.held = monitor_.waiters.shares().held_by(share);
      held.back = held.full || (held.back && monitor_.capacity.any_live());  // what is not open is kept for nobody
    }
    if (late.suspended) refuse(suspended_error(waited));
    const AcquireTimeout error = timeout_error(std::move(late), waited, unfit, self);
    if (!ops_.tell(ops_.signals().timeout, error)) monitor_.count(&Statistics::listener_errors);
    throw_with_cause(error);
  }
  // For one that waited until the pool is ready: the same, but of no acquire, so that nobody is told and no share is to
  // blame.
  [[noreturn]] void throw_not_ready(TimePoint since, TimePoint deadline) {
    const Duration waited = Platform::now() - since;
    Late late;
    {
      const Guard lock = monitor_.enter();
      late = look_at(deadline, lock);
    }
    if (late.suspended) throw suspended_error(waited);
    throw_with_cause(timeout_error(std::move(late), waited, false, this_thread()));
  }

  // For one that was shed.
  [[noreturn]] void throw_overloaded(TimePoint since, Share* share) {
    const Duration waited = Platform::now() - since;
    std::shared_ptr<const Exhaustion> seen;
    {
      const Guard lock = monitor_.enter();
      monitor_.count(&Statistics::shed, &ShareStatistics::shed, share, lock);
      monitor_.recorder.record(EventKind::shed, saturating_add(since, waited), lock);
      if (exhaustion_ != nullptr && exhaustion_->at > since) seen = exhaustion_;  // others are as well
    }
    if (seen == nullptr) seen = look_around();
    throw_overloaded(overloaded_message(options_.name, waited, options_.max_standing_wait, *seen), waited, *seen, {});
  }

  // For one that gets what others have thrown.
  [[noreturn]] void refuse(const std::exception_ptr& why) {
    if (!ops_.tell(ops_.signals().refused, why)) monitor_.count(&Statistics::listener_errors);
    std::rethrow_exception(why);
  }
  template <class Error>
  [[noreturn]] void refuse(const Error& error) {
    if (ops_.signals().refused.empty()) throw error;
    refuse(std::make_exception_ptr(error));
  }
  [[noreturn]] void throw_cancelled() {
    monitor_.count(&Statistics::cancelled);
    throw AcquireCancelled{concat({options_.name, ": acquire: cancelled by its stop token"})};
  }
  // For one that nobody waits for any more.
  [[nodiscard]] std::exception_ptr given_up() const noexcept {
    try {
      throw AcquireCancelled{
          concat({options_.name, ": acquire: given up, as its coroutine or operation was destroyed"})};
    } catch (...) {  // this, or that there was no memory for it
      return std::current_exception();
    }
  }
  [[noreturn]] void throw_closed() { throw PoolClosed{closed_message(options_.name)}; }
  [[noreturn]] void throw_inherited() { throw PoolClosed{inherited_message(options_.name)}; }

 private:
  [[nodiscard]] static ThreadMark this_thread() noexcept {
    return {.number = thread_number<Slot>(), .id = Platform::this_thread()};
  }

  // What is to be known where no connection came in time.
  struct Late {
    std::shared_ptr<const Exhaustion> seen;  // what another was told, who was late at the same time; or null
    std::size_t max_size = 0;
    bool suspended = false;
    std::exception_ptr cause;
    ShareHold held;
  };
  [[nodiscard]] Late look_at(TimePoint deadline, const Guard&) const noexcept {
    const bool fresh = exhaustion_ != nullptr && exhaustion_->at > deadline;
    return {.seen = fresh ? exhaustion_ : nullptr,
            .max_size = monitor_.capacity.plan().max_size,
            .suspended = monitor_.capacity.suspended(),
            .cause = monitor_.capacity.backoff().cause(),
            .held = {}};
  }
  [[nodiscard]] PoolSuspended suspended_error(Duration waited) const {
    return PoolSuspended{concat({options_.name, ": acquire: the pool was suspended for ", milliseconds(waited)})};
  }
  [[nodiscard]] AcquireTimeout timeout_error(Late late, Duration waited, bool unfit, ThreadMark self) {
    if (late.seen == nullptr) late.seen = look_around();
    const Exhaustion& seen = *late.seen;
    const PoolCounts& counts = seen.counts;
    // What is idle while others wait is theirs already.
    const std::size_t taken = counts.leased + counts.closing + (counts.waiting > 0 ? counts.idle : 0);
    const bool looks = unfit || (taken < late.max_size && taken + counts.checking >= late.max_size);
    const Phase phase = late.held.back          ? Phase::waiting
                        : looks                 ? Phase::checking
                        : taken < late.max_size ? Phase::opening
                                                : Phase::waiting;
    const std::string message = timeout_message(options_.name, phase, unfit, waited, seen, late.max_size, self.number,
                                                leaks_.held_by(self.number), late.cause, late.held);
    return {message, phase, waited, counts, seen.holders, late.cause, seen.recent};
  }
  [[noreturn]] static void throw_with_cause(const AcquireTimeout& error) {
    if (error.cause() == nullptr) throw error;
    try {
      std::rethrow_exception(error.cause());
    } catch (...) {
      std::throw_with_nested(error);
    }
  }

  // For one whose turn would have come too late. Many of them may come in a moment: they are told the same of the pool.
  [[noreturn]] void throw_hopeless(TimePoint now, TimePoint deadline, TimePoint turn) {
    constexpr Duration fresh = std::chrono::milliseconds{10};
    std::shared_ptr<const Exhaustion> seen;
    {
      const Guard lock = monitor_.enter();
      if (exhaustion_ != nullptr && exhaustion_->at > now - fresh) seen = exhaustion_;
    }
    if (seen == nullptr) seen = look_around();
    throw_overloaded(hopeless_message(options_.name, turn - now, deadline - now, *seen), {}, *seen, turn - now);
  }
  [[noreturn]] void throw_overloaded(const std::string& message, Duration waited, const Exhaustion& seen,
                                     Duration expected) {
    const Overloaded error{
        AcquireTimeout{message, Phase::waiting, waited, seen.counts, seen.holders, nullptr, seen.recent}, expected};
    if (!ops_.tell(ops_.signals().timeout, error)) monitor_.count(&Statistics::listener_errors);
    throw error;
  }

  // For this time-out, and those that come while it is told.
  [[nodiscard]] std::shared_ptr<const Exhaustion> look_around() {
    auto found = std::make_shared<Exhaustion>();
    {
      Guard lock = monitor_.enter();
      found->counts = monitor_.dispatcher.counts(lock);
    }
    std::vector<Holder> holders;
    leaks_.each_holder([&](const Holder& holder, std::uint64_t thread_number) {
      if (found->lines.size() < Exhaustion::shown)
        found->lines.push_back({thread_number, concat({"\n  ", describe(holder)})});
      holders.push_back(holder);
      return holders.size() < AcquireTimeout::most_holders;
    });
    found->holders = std::make_shared<const std::vector<Holder>>(std::move(holders));
    found->recent = std::make_shared<const std::vector<RecordedEvent>>(monitor_.recent(AcquireTimeout::most_recent));
    found->at = Platform::now();  // last: no event is later
    std::shared_ptr<const Exhaustion> seen = std::move(found);
    std::shared_ptr<const Exhaustion> before = seen;
    const Guard lock = monitor_.enter();
    exhaustion_.swap(before);
    return seen;
  }

  typename Types::Monitor& monitor_;
  Ops& ops_;
  Workforce<Types>& workforce_;
  Leaks<Types>& leaks_;
  const PoolOptions& options_;
  std::shared_ptr<const Exhaustion> exhaustion_;  // the last one; owned by the lock
};

}  // namespace lido::detail
