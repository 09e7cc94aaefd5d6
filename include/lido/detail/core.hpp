// A pool without its handle: the end of a lease, the figures, and the administration.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <lido/detail/acquire_request.hpp>
#include <lido/fork.hpp>

namespace lido::detail {

// Freed by whoever comes last: the pool, its workers, calls in progress, and, once the pool is gone, each lease that is
// still out. While the pool lives a lease needs no reference of its own: its release touches the core for the last
// time in the exchange that gives the slot back. A pool that is destroyed meanwhile either finds the slot idle, or has
// recalled it, and then it comes back by the lock and drops the reference that the pool took for it.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Core final : public AcquireRequests<Connection, Growth, Health, Recycle, Platform> {
  using Base = AcquireRequests<Connection, Growth, Health, Recycle, Platform>;

 public:
  using Base::Base;
  using Base::is_ours;
  using Base::reads_clock;
  using typename Base::Guard;
  using typename Base::Slot;

  // --- the end of a lease -----------------------------------------------------------------------------------------

  void release(Slot& slot) noexcept {
    if (!is_ours()) return disown(slot);
    TimePoint now{};
    bool keep = true;
    if constexpr (reads_clock) {
      now = Platform::now();
      const ConnectionInfo facts = this->info(slot, Moment::release, now, options_.reset_timeout);
      slot.end_lease(now);  // what follows is not the holder's time
      if (slot.hurried && may_block(this->recycle_, std::as_const(slot.connection), facts) &&
          this->leave_to_worker(slot))
        return;
      keep = this->recycles(slot, facts);
    } else {
      slot.end_lease(now);
    }
    if (!signals_.release.empty()) this->tell(signals_.release, slot, Moment::release, now);
    if (!keep) return this->give_back(slot, CloseReason::recycled);
    slot.since.store(now, std::memory_order_release);  // see `Slot::begin_lease`
    if (SlotTable<Slot, Platform>::give_back(slot)) return;
    this->give_back(slot, CloseReason::none);
  }

  void discard(Slot& slot) noexcept {
    if (!is_ours()) return disown(slot);
    const TimePoint now = reads_clock ? Platform::now() : TimePoint{};
    slot.end_lease(now);
    if constexpr (!always_keeps<Recycle>) {  // what it is closed for may be true of others, too
      const ConnectionInfo facts = this->info(slot, Moment::discard, now, options_.reset_timeout);
      if (!slot.hurried || !may_block(this->recycle_, std::as_const(slot.connection), facts))
        static_cast<void>(this->recycles(slot, facts));
    }
    this->give_back(slot, CloseReason::discarded);
  }

  // Moves the connection out; its slot is free at once.
  Connection detach(Slot& slot) {
    if (!is_ours()) return std::move(slot.connection);
    slot.end_lease(reads_clock ? Platform::now() : TimePoint{});
    const Reference keep{*this};
    Connection connection = std::move(slot.connection);
    std::optional<LeakReport> leak;
    bool orphan = false;
    const bool destroyed = Base::destroy(slot);
    {
      Guard lock = this->guard();
      metrics_.count(&Statistics::closed, lock);
      if (!destroyed) metrics_.count(&Statistics::listener_errors, lock);
      leak = this->end_of_leak(slot);
      monitor_.dispatcher.vacate(slot, lock);
      orphan = this->orphans_;
    }
    if (leak) this->report(*leak);
    if (orphan) this->drop_reference();
    return connection;
  }

  [[nodiscard]] ConnectionInfo info_of(const Slot& slot) const noexcept {
    const TimePoint now = Platform::now();
    ConnectionInfo facts = slot.info(Moment::release, now, TimePoint::max());
    facts.moment = Moment::acquire;
    return facts;
  }

  // --- figures ----------------------------------------------------------------------------------------------------

  [[nodiscard]] Statistics statistics() {
    Statistics figures;
    {
      const Guard lock = this->guard();
      figures = metrics_.totals(lock);
      figures.now = monitor_.dispatcher.counts();
      figures.pool_size = monitor_.capacity.plan().pool_size;
      figures.max_size = monitor_.capacity.plan().max_size;
    }
    figures.name = options_.name;
    monitor_.capacity.slots().each([&](const Slot& slot) { Metrics::add_leases(slot, figures); });
    return figures;
  }

  [[nodiscard]] Signals<Connection>& signals() noexcept { return signals_; }
  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }

  // --- administration ---------------------------------------------------------------------------------------------

  // The first opens.
  void begin() noexcept {
    Guard lock = this->guard();
    if (!monitor_.capacity.inline_work()) monitor_.dispatcher.grow(lock);
  }

  void invalidate() noexcept {
    {
      Guard lock = this->guard();
      metrics_.count(&Statistics::invalidated, lock, monitor_.capacity.invalidate(CloseReason::invalidated, lock));
      monitor_.capacity.suspect_outage();
      monitor_.dispatcher.match(lock);
    }
    finish_inline_work();
  }

  void resize(Growth growth) {
    const std::size_t size = growth.plan({}).max_size;
    auto other = std::make_unique<const Growth>(std::move(growth));
    {
      // Not the queue's lock: slots are allocated.
      const std::scoped_lock one_at_a_time{resizing_};
      monitor_.capacity.slots().grow_to(size);
      Guard lock = this->guard();
      monitor_.dispatcher.resize(other, lock);
    }
    finish_inline_work();
  }

  void suspend() noexcept {
    const Guard lock = this->guard();
    monitor_.dispatcher.suspend();
    this->suspended_.store(true, std::memory_order_relaxed);
  }

  void resume() noexcept {
    Guard lock = this->guard();
    monitor_.dispatcher.resume(lock);
    this->suspended_.store(false, std::memory_order_relaxed);
  }

  void maintain() noexcept {
    const typename Base::Help help{*this};
    this->sweep();
    while (this->do_one(true)) {
    }
  }

  // Waits until the growth policy wants no more connections and at least one is open. Throws as `acquire` does.
  void wait_until_ready(Duration timeout) {
    const TimePoint begun = Platform::now();
    const TimePoint deadline = saturating_add(begun, timeout);
    std::exception_ptr before;  // what is known to have failed: it is tried once more
    {
      const Guard lock = this->guard();
      before = monitor_.capacity.backoff().cause();
    }
    this->await(deadline, [&](Guard& lock) { return ready(lock, before); });
    std::exception_ptr refused;
    bool closed = false;
    {
      Guard lock = this->guard();
      closed = monitor_.capacity.closed();
      if (!closed && ready(lock, before) && !failed(before)) return;
      if (failed(before)) refused = monitor_.capacity.backoff().cause();
    }
    if (closed) throw PoolClosed{closed_message(options_.name)};
    if (refused) std::rethrow_exception(refused);
    this->throw_timeout(begun, deadline, false);
  }

  // Refuses newcomers, fails waiters, closes what is idle, and waits for what is leased. True when all is closed.
  bool close(Duration grace) noexcept {
    const TimePoint deadline = saturating_add(Platform::now(), grace);
    {
      Guard lock = this->guard();
      monitor_.dispatcher.close(lock);
    }
    this->closing_.request_stop();
    finish_inline_work();
    return this->await(deadline, [this](Guard&) { return monitor_.capacity.total() == 0; });
  }

  // The pool's last call: close, stop the workers, and leave what is still leased to its holders.
  void abandon() noexcept {
    if (!is_ours()) return disown();
    const TimePoint deadline = saturating_add(Platform::now(), this->longest_call());
    close(Duration::zero());
    this->stop_workers();
    {
      const Guard lock = this->guard();
      this->orphans_ = true;
      monitor_.capacity.slots().each([&](const Slot& slot) {
        if (slot.state.load(std::memory_order_relaxed) == SlotState::recalled) this->add_reference();
      });
    }
    this->run_closes();
    this->listening_.silence(deadline);
    this->drop_reference();
  }

  // --- after a fork -----------------------------------------------------------------------------------------------

  // A core like this one, for the child. Takes no lock: only a change that the fork cut in two could be seen half done.
  [[nodiscard]] Core* in_child() const {
    auto* const own =
        new Core{this->connector_, monitor_.capacity.growth(), this->health_, this->recycle_, options_, signals_};
    if (monitor_.capacity.suspended()) own->suspend();
    if (monitor_.capacity.closed()) own->close(Duration::zero());
    return own;
  }

  // Lets go of what the child inherited and nobody has.
  void disown() noexcept {
    monitor_.capacity.slots().each([this](Slot& slot) {
      using Table = std::remove_reference_t<decltype(monitor_.capacity.slots())>;
      if (Table::claim_free(slot, SlotState::leased)) disown(slot);
    });
  }

 private:
  // The caller's connection is the parent's.
  void disown(Slot& slot) noexcept {
    if constexpr (safe_to_destroy_after_fork<Connection>) Base::destroy(slot);
  }

  using Base::metrics_;
  using Base::monitor_;
  using Base::options_;
  using Base::signals_;

  // What a pool without workers owes after a call that may have retired connections.
  void finish_inline_work() noexcept {
    if (this->worker_count_ == 0) this->run_closes();
  }

  [[nodiscard]] bool failed(const std::exception_ptr& before) noexcept {
    return monitor_.capacity.backoff().permanent() && monitor_.capacity.backoff().cause() != before;
  }
  [[nodiscard]] bool ready(Guard& lock, const std::exception_ptr& before) noexcept {
    if (monitor_.capacity.closed() || failed(before) || !monitor_.capacity.plan().reuse) return true;
    if (monitor_.capacity.satisfied()) return true;
    monitor_.dispatcher.grow(lock,
                             monitor_.capacity.total() == 0 ? 1 : 0);  // one at least, also where the policy is lazy
    return false;
  }

  typename Platform::Mutex resizing_;
};

}  // namespace lido::detail
