// The way to a connection for callers that do not block: callbacks, and with them coroutines.
#pragma once

#include <atomic>
#include <exception>
#include <optional>
#include <source_location>
#include <thread>
#include <type_traits>
#include <utility>

#include <lido/detail/acquire.hpp>
#include <lido/detail/completion.hpp>
#include <lido/detail/probes.hpp>
#include <lido/detail/worker_group.hpp>

namespace lido::detail {

// What is worth no copy in each unit stands in acquire_request_apart.hpp.
template <class Types>
class AcquireRequests {
  using Platform = typename Types::Platform;
  using Slot = typename Types::Slot;
  using Guard = typename Types::Guard;
  using Waiter = typename Types::Waiter;
  using Ops = typename Types::Ops;
  using StopToken = typename Types::StopToken;
  using ProcessMark = typename Platform::ProcessMark;
  static constexpr bool reads_clock = Ops::reads_clock;

 public:
  AcquireRequests(Lifetime& lifetime, const ProcessMark& mark, typename Types::Monitor& monitor, Ops& ops,
                  Workforce<Types>& workforce, Leases<Types>& leases, WorkerGroup<Types>& workers,
                  Admission<Types>& admission, Acquire<Types>& acquire, const PoolOptions& options) noexcept
      : lifetime_{lifetime},
        mark_{mark},
        monitor_{monitor},
        ops_{ops},
        workforce_{workforce},
        leases_{leases},
        workers_{workers},
        admission_{admission},
        acquire_{acquire},
        options_{options} {}

  // One acquire, living in its caller's memory: `try_now`, then `wait` where that says so, then `result`. Destroyed at
  // any time before `done` is called, it leaves the queue, or gives back what it was granted.
  class Request : private Waiter {
   public:
    // Called once after `wait`, by whoever completes the request; its last access to it.
    using Done = void (*)(Request&) noexcept;

    Request(AcquireRequests& pool, Duration timeout, StopToken stop, std::source_location where, Done done,
            typename Types::Share* account) noexcept
        : Waiter{&Request::heard, false},
          pool_{pool},
          timeout_{timeout},
          stop_{std::move(stop)},
          where_{where},
          caller_{.number = thread_number<Slot>(), .id = Platform::this_thread()},
          done_{done} {
      this->share = account;
    }
    ~Request();

    // Takes what is idle. True: there is a result. False: `wait` for it. Throws what an acquire throws.
    bool try_now();

    // Has `done` called, later or before it returns. Throws what an acquire throws, and `std::system_error` where the
    // thread that keeps time cannot be started: then `done` is not called.
    void wait();

    // The slot, now the caller's; or throws. Once.
    Slot& result();

    // Once `wait` has returned, while it lives. Harmless when it is over.
    void cancel() noexcept;

   private:
    void end_trace(const Slot* found, const std::exception_ptr& why) noexcept {
      detail::end_trace(pool_.monitor_, pool_.ops_, spans_, found, why);
    }
    // What `action` throws ends the acquire for its tracers.
    template <class Action>
    std::invoke_result_t<Action&> ending_with_it(Action action) {
      try {
        return action();
      } catch (...) {
        end_trace(nullptr, std::current_exception());
        throw;
      }
    }

    bool claim_now() {
      if (!pool_.mark_.is_ours()) pool_.admission_.throw_inherited();
      require_not_negative(timeout_, "async_acquire(timeout)");
      if (stop_.stop_requested()) pool_.admission_.throw_cancelled();
      this->since = Platform::now();
      this->at = saturating_add(this->since, timeout_);
      for (TimePoint now = this->since; !pool_.acquire_.suspended(); now = Platform::now()) {
        this->slot = pool_.acquire_.find(now, this->share);
        if (this->slot == nullptr || needs_worker(now)) return false;
        if (lease_if_fit(now)) return complete_at_once(WaitState::granted);
        if (Platform::now() >= (waits() ? this->at : saturating_add(this->since, pool_.options_.check_timeout)))
          return false;
      }
      return false;
    }

    void enter() {
      keep_.emplace(pool_.lifetime_);
      const bool may_look = this->slot != nullptr || pool_.monitor_.dispatcher.looks();
      if (waits() ? this->at != TimePoint::max() : may_look) start_alarm();
      // Whoever completes it may do so before the call that makes it known returns.
      lined_up_ = this->slot == nullptr;
      waits_ = true;
      if (lined_up_)
        line_up();
      else if (!ask_worker())
        return done_(*this);
      if (stop_.stop_possible()) on_stop_.emplace(stop_, Cancel{*this});
      pool_.workforce_.open_for({.deadline = this->at, .waiter = this, .stop = &stop_});
      // From here on the request may be gone, unless it has been told already.
      if (!completion_.wait()) done_(*this);
    }

    void start_alarm() {
      try {
        pool_.workers_.start_alarm();
      } catch (...) {
        if (this->slot != nullptr) pool_.leases_.give_back(*std::exchange(this->slot, nullptr), CloseReason::none);
        throw;
      }
    }

    Slot& take() {
      if (!pool_.mark_.is_ours()) pool_.admission_.throw_inherited();
      on_stop_.reset();
      taken_ = true;
      switch (this->state.load(std::memory_order_relaxed)) {
        case WaitState::granted:
          if (reads_clock && waits_) this->slot->begin_use(Platform::now());  // an executor may have taken its time
          Probes::acquire(this->slot);
          return *this->slot;
        case WaitState::refused:
          pool_.admission_.refuse(this->error);
        case WaitState::shed:
          pool_.admission_.throw_overloaded(this->since, this->share);
        case WaitState::closed:
          pool_.admission_.throw_closed();
        case WaitState::cancelled:
          pool_.admission_.throw_cancelled();
        default:
          pool_.admission_.throw_timeout(this->since, this->at, unfit_, this->share, {});
      }
    }

    struct Cancel {
      void operator()() const noexcept { request.cancel(); }
      Request& request;
    };

    static void heard(Waiter& waiter) noexcept;

    // It has been granted a slot. False: it is not complete yet, and may be gone.
    bool accept() noexcept {
      const TimePoint now = Platform::now();
      const bool asked_worker = std::exchange(with_worker_, false);
      if (reads_clock && now >= this->at && waits()) {
        // Too late to be checked: it is passed on, and not condemned for the lack of time.
        this->slot->end_freshness();
        pool_.leases_.give_back(*std::exchange(this->slot, nullptr), CloseReason::none);
        return complete_at_once(WaitState::abandoned);
      }
      if (!asked_worker && needs_worker(now)) return !ask_worker();
      if (!lease_if_fit(now)) return !line_up_again();
      if (lined_up_) {
        const Guard lock = pool_.monitor_.enter();
        pool_.monitor_.record_wait(*this, now, lock);
      }
      return true;
    }

    void line_up() {
      try {
        pool_.admission_.line_up(*this, this->at, false, unfit_);
      } catch (...) {
        waits_ = false;
        throw;
      }
    }

    // At its place in the queue, after a connection that was not fit. False: it is complete instead.
    bool line_up_again() noexcept {
      const TimePoint now = Platform::now();
      pool_.monitor_.recall_in_turns();
      Guard lock = pool_.monitor_.enter();
      if (pool_.monitor_.capacity.closed()) return !complete_at_once(WaitState::closed);
      if (is_unwanted()) return !complete_at_once(WaitState::cancelled);
      if (!waits()) look_on(now);
      if (now >= this->at) return !complete_at_once(WaitState::abandoned);
      if (!std::exchange(lined_up_, true)) pool_.monitor_.count_wait(*this, lock);
      this->state.store(WaitState::waiting, std::memory_order_relaxed);
      pool_.monitor_.dispatcher.line_up(*this, true, lock);
      return true;
    }

    // Needs the lock. One that would not wait takes another that is idle, or waits for those that are looked at, as
    // others may be suspects now: see `Admission::line_up`.
    void look_on(TimePoint now) noexcept {
      if (this->for_look || !pool_.monitor_.share_claims.may_have_more(this->share)) return;
      this->at = saturating_add(now, pool_.options_.check_timeout);
      this->until = {};
      this->for_look = true;
    }

    // Needs the lock, which orders it after `cancel` and `withdraw`: both have found it with a slot in hand, and do not
    // come again.
    [[nodiscard]] bool is_unwanted() const noexcept { return cancelled_ || completion_.is_withdrawn(); }

    void withdraw() noexcept {
      // First this, so that nobody calls `done` any more; then the lock: see `line_up_again`.
      if (!completion_.withdraw()) return;
      on_stop_.reset();
      {
        Guard lock = pool_.monitor_.enter();
        if (pool_.monitor_.take_back(*this, lock) ||
            pool_.monitor_.dispatcher.leave(*this, WaitState::cancelled, true, lock)) {
          pool_.monitor_.metrics.count(&Statistics::cancelled, lock);
          return;
        }
      }
      completion_.await();  // it is being told just now, or a worker is at its connection
    }

    // False: no worker will come any more, or it is not to wait for one, and it is complete instead.
    bool ask_worker() noexcept {
      bool unwanted = false;
      {
        Guard lock = pool_.monitor_.enter();
        unwanted = is_unwanted();
        if (!unwanted && pool_.workforce_.will_come(lock)) {
          this->state.store(WaitState::granted, std::memory_order_relaxed);
          with_worker_ = true;
          pool_.monitor_.ask_worker(*this, waits(), lock);
          return true;
        }
      }
      pool_.leases_.give_back(*std::exchange(this->slot, nullptr), CloseReason::none);
      return !complete_at_once(unwanted ? WaitState::cancelled : WaitState::closed);
    }

    [[nodiscard]] bool waits() const noexcept { return timeout_ > Duration::zero(); }

    [[nodiscard]] bool needs_worker(TimePoint now) const noexcept {
      if (!reads_clock || !pool_.workforce_.checks_for_callers()) return false;
      const ConnectionInfo facts = Ops::info(*this->slot, Moment::acquire, now, pool_.options_.check_timeout);
      return pool_.ops_.check_may_block(*this->slot, facts, this->slot->is_fresh(now));
    }

    // False: the connection was unfit, and is gone.
    bool lease_if_fit(TimePoint now) {
      // A caller that does not wait still gives the check its time.
      const TimePoint deadline = waits() ? this->at : saturating_add(now, pool_.options_.check_timeout);
      if (pool_.acquire_.lease_if_fit(*this->slot, now, deadline, where_, caller_)) return this->slot->hurried = true;
      this->slot = nullptr;
      unfit_ = true;
      return false;
    }

    bool complete_at_once(WaitState outcome) noexcept {
      this->state.store(outcome, std::memory_order_relaxed);
      return true;
    }

    AcquireRequests& pool_;
    const Duration timeout_;
    const StopToken stop_;
    const std::source_location where_;
    const ThreadMark caller_;
    const Done done_;
    std::optional<Reference> keep_;
    std::optional<typename Platform::template StopCallback<Cancel>> on_stop_;
    Completion<Platform> completion_;
    Spans<AcquireEnd> spans_;   // what tracers have begun
    bool waits_ = false;        // somebody else may know of it
    bool lined_up_ = false;     // it stood in the queue
    bool with_worker_ = false;  // a worker is to check its connection
    bool cancelled_ = false;    // it is to be; owned by the lock
    bool unfit_ = false;        // it was offered a connection that was not fit
    bool taken_ = false;        // the result was taken
  };

 private:
  Lifetime& lifetime_;
  const ProcessMark& mark_;
  typename Types::Monitor& monitor_;
  Ops& ops_;
  Workforce<Types>& workforce_;
  Leases<Types>& leases_;
  WorkerGroup<Types>& workers_;
  Admission<Types>& admission_;
  Acquire<Types>& acquire_;
  const PoolOptions& options_;
};

}  // namespace lido::detail
