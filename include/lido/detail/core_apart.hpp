// What a core does that is not worth a copy in each unit: defined apart from its class, and not inline.
#pragma once

#include <cstddef>
#include <limits>
#include <source_location>
#include <utility>
#include <vector>

#include <lido/detail/acquire_request_apart.hpp>
#include <lido/detail/core.hpp>

namespace lido::detail {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
Core<Connection, Growth, Health, Recycle, Platform>::Core(typename Types::Ops::Connector connector, Growth growth,
                                                          Health health, Recycle recycle, PoolOptions options)
    : options_{std::move(options)},
      ops_{std::move(connector), std::move(health), std::move(recycle)},
      worker_count_{worker_count(options_, growth)},
      monitor_{std::move(growth), rules()} {}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
Core<Connection, Growth, Health, Recycle, Platform>::Core(const Core& parent)
    : options_{parent.options_},
      ops_{parent.ops_},
      worker_count_{parent.worker_count_},
      monitor_{parent.monitor_.capacity.growth(), rules()} {}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::discard(Slot& slot) noexcept {
  is_ours() ? leases_.discard(slot) : disown(slot);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
Connection Core<Connection, Growth, Health, Recycle, Platform>::detach(Slot& slot) {
  return is_ours() ? leases_.detach(slot) : std::move(slot.connection);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
Statistics Core<Connection, Growth, Health, Recycle, Platform>::statistics() {
  std::vector<ShareStatistics> shares(monitor_.waiters.shares().count());
  Statistics figures = monitor_.figures(shares);
  figures.name = options_.name;
  auto named = shares.begin();
  monitor_.waiters.shares().each(shares.size(), [&](const Share& share) { named++->name = share.name; });
  figures.shares = std::move(shares);
  auto& slots = monitor_.capacity.slots();
  slots.uses().read(figures.use, [&] { slots.each([&](const Slot& slot) { Metrics::add_leases(slot, figures); }); });
  {
    const typename Types::Guard lock = monitor_.enter();
    monitor_.metrics.tell_at_once(figures, lock);
  }
  return figures;
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
ShareStatistics Core<Connection, Growth, Health, Recycle, Platform>::statistics(const Share& share) {
  ShareStatistics figures;
  {
    const typename Types::Guard lock = monitor_.enter();
    figures = monitor_.figures_of(share);
  }
  figures.name = share.name;
  return figures;
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
auto Core<Connection, Growth, Health, Recycle, Platform>::acquire(Duration timeout, const StopToken& stop,
                                                                  std::source_location where, Share& share) -> Slot& {
  return acquire_.acquire(timeout, stop, where, share);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
auto Core<Connection, Growth, Health, Recycle, Platform>::try_acquire(Duration limit, std::source_location where,
                                                                      Share& share) -> Slot* {
  return acquire_.try_acquire(limit, where, &share);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
std::vector<Holder> Core<Connection, Growth, Health, Recycle, Platform>::holders() {
  return leaks_.holders();
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
std::vector<ConnectionDescription> Core<Connection, Growth, Health, Recycle, Platform>::connections() {
  return leaks_.connections();
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
std::vector<RecordedEvent> Core<Connection, Growth, Health, Recycle, Platform>::recent_events() {
  return monitor_.recent(std::numeric_limits<std::size_t>::max());
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::start() {
  maintenance_.plan_sweep();
  workers_.start();
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::begin() noexcept {
  typename Types::Guard lock = monitor_.enter();
  monitor_.dispatcher.grow(lock);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::abandon() noexcept {
  if (!is_ours()) return disown();
  const TimePoint deadline = saturating_add(Platform::now(), workers_.longest_call());
  administration_.close(Duration::zero());
  leases_.leave_to_holders();
  workers_.stop();
  ops_.silence(deadline);
  lifetime_.drop_reference();
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
auto Core<Connection, Growth, Health, Recycle, Platform>::in_child() const -> Core* {
  auto* const own = new Core{*this};
  if (monitor_.waiters.shares().any()) {
    try {
      own->monitor_.waiters.shares().add_those_of(monitor_.waiters.shares());
      own->administration_.begin_shares();
    } catch (...) {
      own->lifetime_.drop_reference();
      throw;
    }
  }
  if (monitor_.capacity.suspended()) own->administration_.suspend();
  if (monitor_.capacity.closed()) own->administration_.close(Duration::zero());
  return own;
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::disown() noexcept {
  monitor_.capacity.slots().each([](Slot& slot) {
    if (Types::Table::claim_free(slot, SlotState::leased)) disown(slot);
  });
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
auto Core<Connection, Growth, Health, Recycle, Platform>::acquire_apart(Duration timeout, const StopToken& stop,
                                                                        std::source_location where) -> Slot& {
  return acquire_.acquire(timeout, stop, where);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
auto Core<Connection, Growth, Health, Recycle, Platform>::try_acquire_apart(Duration limit, std::source_location where)
    -> Slot* {
  return acquire_.try_acquire(limit, where);
}

template <class Connection, class Growth, class Health, class Recycle, class Platform>
void Core<Connection, Growth, Health, Recycle, Platform>::release_apart(Slot& slot) noexcept {
  is_ours() ? leases_.release(slot) : disown(slot);
}

}  // namespace lido::detail
