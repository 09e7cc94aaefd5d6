// The way to a connection: the fast path, the check before a lease, and the wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <lido/detail/complaint.hpp>
#include <lido/detail/worker_group.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Acquire : public WorkerGroup<Connection, Growth, Health, Recycle, Platform> {
  using Base = WorkerGroup<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::Base;
  using Base::reads_clock;
  using typename Base::Guard;
  using typename Base::Slot;
  using StopToken = typename Platform::StopToken;

  // A slot with a fit connection, now the caller's. Throws what `Pool::acquire` throws.
  Slot& acquire(Duration timeout, const StopToken& stop, std::source_location where) {
    if (timeout < Duration::zero()) throw InvalidOption{"acquire(timeout)", "a duration of zero or more"};
    if (stop.stop_requested()) throw_cancelled();
    const TimePoint begun = reads_clock ? Platform::now() : TimePoint{};
    bool unfit = false;
    if (Slot* const slot = claim(begun, timeout, where, unfit, timeout == Duration::zero())) return *slot;
    return wait(begun, timeout, stop, where, unfit);
  }

  // The same for a connection that is idle now; null where none is. Lets the pool grow for the next try.
  Slot* try_acquire(Duration limit, std::source_location where) {
    if (limit < Duration::zero()) throw InvalidOption{"try_acquire(limit)", "a duration of zero or more"};
    bool unfit = false;
    if (Slot* const slot = claim(reads_clock ? Platform::now() : TimePoint{}, limit, where, unfit, true)) return slot;
    Guard lock = this->guard();
    if (!monitor_.capacity.closed()) grow_for_the_next(lock);
    return nullptr;
  }

  [[nodiscard]] Duration acquire_timeout() const noexcept { return options_.acquire_timeout; }

 protected:
  using Base::metrics_;
  using Base::monitor_;
  using Base::options_;
  using Base::signals_;

  // `deadline`: when the caller's time was over. `self`: the thread that waits, which should not hold one of the
  // others.
  [[noreturn]] void throw_timeout(TimePoint since, TimePoint deadline, bool unfit,
                                  std::thread::id self = Platform::this_thread()) {
    const Duration waited = Platform::now() - since;
    std::shared_ptr<const Exhaustion> seen;
    std::size_t max_size = 0;
    bool suspended = false;
    std::exception_ptr cause;
    {
      const Guard lock = this->guard();
      metrics_.count(&Statistics::timeouts, lock);
      if (exhaustion_ != nullptr && exhaustion_->at > deadline) seen = exhaustion_;
      max_size = monitor_.capacity.plan().max_size;
      suspended = monitor_.capacity.suspended();
      cause = monitor_.capacity.backoff().cause();
    }
    if (suspended) throw PoolSuspended{options_.name + ": acquire: the pool was suspended for " + milliseconds(waited)};
    if (seen == nullptr) seen = look_around();
    const PoolCounts& counts = seen->counts;
    // What is idle while others wait is theirs already.
    const std::size_t taken = counts.leased + counts.closing + (counts.waiting > 0 ? counts.idle : 0);
    const Phase phase = unfit || (taken < max_size && taken + counts.checking >= max_size) ? Phase::checking
                        : taken < max_size                                                 ? Phase::opening
                                                                                           : Phase::waiting;
    const std::string message =
        timeout_message(options_.name, phase, unfit, waited, *seen, max_size, self, this->held_by(self), cause);
    const AcquireTimeout error{message, phase, waited, counts, seen->holders, cause};
    if (this->emit(signals_.timeout, error) != nullptr) {
      const Guard lock = this->guard();
      metrics_.count(&Statistics::listener_errors, lock);
    }
    if (cause == nullptr) throw error;
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(error);
    }
  }

  // For this time-out, and those that come while it is told.
  [[nodiscard]] std::shared_ptr<const Exhaustion> look_around() {
    PoolCounts counts;
    {
      const Guard lock = this->guard();
      counts = monitor_.dispatcher.counts();
    }
    auto seen =
        std::make_shared<const Exhaustion>(Platform::now(), counts, this->holders(AcquireTimeout::most_holders));
    std::shared_ptr<const Exhaustion> before = seen;
    const Guard lock = this->guard();
    exhaustion_.swap(before);
    return seen;
  }

  // Asks the policies about a slot that is the caller's. False: it was unfit, and is the caller's no more.
  bool lease_if_fit(Slot& slot, TimePoint now, TimePoint deadline, std::source_location where,
                    std::thread::id holder_thread) {
    if constexpr (reads_clock) {
      if (slot.trust.load(std::memory_order_relaxed) == Trust::none)
        return this->give_back(slot, CloseReason::invalidated), false;
      ConnectionInfo facts = this->info(slot, Moment::acquire, now, options_.check_timeout);
      const bool hurried = deadline < facts.deadline;
      facts.deadline = std::min(facts.deadline, deadline);
      const bool fresh = slot.is_fresh(now);
      const bool takes_time = may_block(this->recycle_, std::as_const(slot.connection), facts) ||
                              (!fresh && may_block(this->health_, std::as_const(slot.connection), facts));
      if (!this->recycles(slot, facts)) return this->give_back(slot, CloseReason::recycled), false;
      if (!fresh && !this->healthy(slot, facts)) {
        // Running out of a caller's short time is no evidence against others.
        const bool proven = !hurried || Platform::now() < facts.deadline;
        // Without workers before it is closed here, which may take long; otherwise the workers close it first.
        if (proven && monitor_.capacity.inline_work()) this->suspect_others();
        this->give_back(slot, CloseReason::dead);
        if (proven && !monitor_.capacity.inline_work()) this->suspect_others();
        return false;
      }
      slot.trust.store(Trust::usual, std::memory_order_relaxed);
      if (takes_time) now = Platform::now();  // which is not the holder's
    }
    slot.count_use();
    if (!signals_.acquire.empty()) {
      slot.begin_use(now);  // it is not idle any more
      this->tell(signals_.acquire, slot, Moment::acquire);
      if constexpr (reads_clock) now = Platform::now();
    }
    slot.begin_lease(where, holder_thread, now);
    return true;
  }

  // Throws where there is nothing to wait for. `again`: it was in the queue before. `unfit`: it had a connection in
  // hand that was not fit, which costs it no place.
  void line_up(Waiter<Slot>& waiter, TimePoint deadline, bool again, bool unfit) {
    const TimePoint now = Platform::now();
    if constexpr (!reads_clock) monitor_.capacity.slots().each([&](Slot& slot) { Base::stamp(slot, now); });
    const bool nested = waiter.thread && options_.refuse_nested_wait && this->held_by(Platform::this_thread()) > 0;
    bool full = false;
    bool closed = false;
    std::exception_ptr refused;
    {
      Guard lock = this->guard();
      closed = monitor_.capacity.closed();
      refused = monitor_.dispatcher.refusal(now);
      if (refused == nullptr && !closed && (refused = monitor_.dispatcher.outage(now)) != nullptr) {
        metrics_.count(&Statistics::failed_fast, lock);
        grow_for_the_next(lock);
      }
      full = !again && monitor_.waiters.queue().size() >= options_.max_waiting;
      if (closed || refused != nullptr) {
        // Told below, without the lock.
      } else if (nested || (full && now < deadline)) {
        metrics_.count(&Statistics::rejected, lock);
        if (full) grow_for_the_next(lock);
      } else if (now < deadline) {
        if (!again) metrics_.count(&Statistics::waited, lock);
        return monitor_.dispatcher.line_up(waiter, unfit, lock);
      } else if (!full && !waiter.thread && waiter.at == waiter.since && monitor_.dispatcher.looks()) {
        // One that would not wait, and cannot block, waits for what is looked at, which may be idle after the look.
        waiter.at = saturating_add(now, options_.check_timeout);
        waiter.for_look = true;
        metrics_.count(&Statistics::waited, lock);
        return monitor_.dispatcher.line_up(waiter, unfit, lock);
      }
    }
    if (closed) throw PoolClosed{closed_message(options_.name)};
    if (refused != nullptr) std::rethrow_exception(refused);
    if (nested) throw SelfDeadlock{options_.name + ": acquire: this thread holds a connection of the pool already"};
    if (now < deadline) throw QueueFull{options_.name + ": acquire: max_waiting callers wait already"};
    throw_timeout(waiter.since, deadline, unfit);
  }

  [[noreturn]] void throw_cancelled() {
    {
      const Guard lock = this->guard();
      metrics_.count(&Statistics::cancelled, lock);
    }
    throw AcquireCancelled{options_.name + ": acquire: cancelled by its stop token"};
  }

  // As the capacity knows it too; read by every acquire, written by few calls. A closed pool needs no such sign: it
  // has nothing idle.
  typename Platform::template Atomic<bool> suspended_{false};

 private:
  std::shared_ptr<const Exhaustion> exhaustion_;  // the last one; owned by the lock

 private:
  struct ThreadWaiter : Waiter<Slot> {
    ThreadWaiter() noexcept : Waiter<Slot>{&wake, true} {}
    static void wake(Waiter<Slot>& waiter) noexcept { static_cast<ThreadWaiter&>(waiter).parker.unpark(); }
    typename Platform::Parker parker;
  };

  // For a caller that wants a connection and does not wait for it.
  void grow_for_the_next(Guard& lock) noexcept {
    if (!monitor_.capacity.inline_work() && monitor_.capacity.plan().reuse) monitor_.dispatcher.grow(lock, 1);
  }

  // Any idle connection that passes the check. `unfit` tells that one did not. `last`: the caller does not queue, and
  // so waits for those that are looked at just now.
  Slot* claim(TimePoint now, Duration timeout, std::source_location where, bool& unfit, bool last) {
    // A caller that does not wait still gives the check its time.
    const Duration allowed = timeout == Duration::zero() ? options_.check_timeout : timeout;
    const TimePoint deadline = reads_clock ? saturating_add(now, allowed) : TimePoint::max();
    // Relaxed: an acquire that overlaps a suspension may come before it.
    while (!suspended_.load(std::memory_order_relaxed)) {
      Slot* slot = monitor_.capacity.slots().claim_idle(now);
      if (slot == nullptr && last) {
        slot = claim_after_look(reads_clock ? deadline : saturating_add(Platform::now(), options_.check_timeout));
        if (reads_clock) now = Platform::now();
        if (slot != nullptr && now >= deadline) {  // too late to be checked
          slot->end_freshness();
          this->give_back(*slot, CloseReason::none);
          return nullptr;
        }
      }
      if (slot == nullptr) return nullptr;
      if (lease_if_fit(*slot, now, deadline, where, Platform::this_thread())) return slot;
      unfit = true;
      now = Platform::now();
      if (now >= deadline) return nullptr;
    }
    return nullptr;
  }

  // A connection that the background looks at is idle to a caller, after the look. Null where none is looked at, or
  // the deadline comes first. Not where this thread may be the one that has to look.
  Slot* claim_after_look(TimePoint deadline) noexcept {
    Slot* slot = nullptr;
    if (options_.start_worker) return slot;
    this->watch(deadline, [&] {
      if (!monitor_.capacity.suspended()) slot = monitor_.capacity.slots().claim_idle();
      return slot != nullptr || monitor_.capacity.suspended() || !monitor_.dispatcher.looks();
    });
    return slot;
  }

  // The slow path: a place in the queue until a slot is granted or the time is up.
  Slot& wait(TimePoint begun, Duration timeout, const StopToken& stop, std::source_location where, bool unfit) {
    const Reference keep{*this};
    ThreadWaiter waiter;
    waiter.since = reads_clock ? begun : Platform::now();
    const TimePoint deadline = saturating_add(waiter.since, timeout);
    for (bool again = false;; again = true) {
      line_up(waiter, deadline, again, unfit);
      {
        std::optional<typename Platform::template StopCallback<Cancel>> on_stop;
        if (stop.stop_possible()) on_stop.emplace(stop, Cancel{*this, waiter});
        sleep(waiter, deadline, stop);
      }
      switch (waiter.state.load(std::memory_order_relaxed)) {
        case WaitState::granted:
          break;
        case WaitState::refused:
          std::rethrow_exception(waiter.error);
        case WaitState::closed:
          throw PoolClosed{closed_message(options_.name)};
        case WaitState::cancelled:
          throw_cancelled();
        default:
          throw_timeout(waiter.since, deadline, unfit);
      }
      const TimePoint now = Platform::now();
      if (reads_clock && now > deadline) {
        // Granted too late to be checked: it is passed on, and not condemned for the lack of time.
        waiter.slot->end_freshness();
        this->give_back(*waiter.slot, CloseReason::none);
        throw_timeout(waiter.since, deadline, unfit);
      }
      if (lease_if_fit(*waiter.slot, now, deadline, where, Platform::this_thread())) {
        const Guard lock = this->guard();
        metrics_.record(&Statistics::wait, now - waiter.since, lock);
        return *waiter.slot;
      }
      unfit = true;  // and once more, at its old place
      waiter.state.store(WaitState::waiting, std::memory_order_relaxed);
    }
  }

  struct Cancel {
    void operator()() const noexcept {
      Guard lock = pool.guard();
      pool.monitor_.dispatcher.leave(waiter, WaitState::cancelled, false, lock);
    }
    Acquire& pool;
    ThreadWaiter& waiter;
  };

  // Until the wait is complete.
  void sleep(ThreadWaiter& waiter, TimePoint deadline, const StopToken& stop) noexcept {
    for (TimePoint retry = TimePoint::max();;) {
      const bool told = waiter.parker.park_until(std::min(deadline, retry));
      Guard lock = this->guard();
      const WaitState state = waiter.state.load(std::memory_order_relaxed);
      if (!told && (state == WaitState::waiting || state == WaitState::woken || state == WaitState::called)) {
        if (Platform::now() < deadline) {
          monitor_.dispatcher.try_again(waiter, lock);
          retry = monitor_.dispatcher.keeps_time_until(waiter);
          continue;
        }
        monitor_.dispatcher.leave(waiter, WaitState::abandoned, true, lock);
        if (state == WaitState::waiting) return;
      }
      if (!told) {  // the call is on its way, and may not find the waiter gone
        lock.end();
        return waiter.parker.park();
      }
      if (state == WaitState::woken) {
        if (monitor_.dispatcher.compete(waiter, lock)) return;
      } else if (state == WaitState::called && Platform::now() >= deadline) {
        monitor_.dispatcher.leave(waiter, WaitState::abandoned, true, lock);
        return;
      } else if (state == WaitState::called) {
        retry = open_for_itself(waiter, {.deadline = deadline, .waiter = &waiter, .stop = &stop}, lock);
      } else if (state != WaitState::waiting) {
        return;
      }
    }
  }

  // In a pool without workers. May be granted a slot meanwhile: then its parker holds the token. Until when it may
  // sleep.
  TimePoint open_for_itself(ThreadWaiter& waiter, const typename Base::Caller& caller, Guard& lock) noexcept {
    waiter.state.store(WaitState::waiting,
                       std::memory_order_relaxed);  // whoever completes it owes it a notification again
    lock.end();
    this->do_one(true, caller);
    this->run_closes();  // an invalidation during the open retires what it opened
    Guard relock = this->guard();
    monitor_.dispatcher.grow(relock);
    return monitor_.dispatcher.keeps_time_until(waiter);
  }
};

}  // namespace lido::detail
