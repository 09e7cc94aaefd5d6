// What one pool is made of, named once: its parts are templates of this one parameter.
#pragma once

#include <lido/detail/connection_ops.hpp>
#include <lido/detail/monitor.hpp>

namespace lido::detail {

template <class ConnectionType, class GrowthPolicyType, class HealthPolicyType, class RecyclePolicyType,
          class PlatformType>
struct PoolTypes {
  using Connection = ConnectionType;
  using Growth = GrowthPolicyType;
  using Health = HealthPolicyType;
  using Recycle = RecyclePolicyType;
  using Platform = PlatformType;

  using Ops = ConnectionOps<Connection, Health, Recycle, Platform>;
  using Slot = typename Ops::Slot;
  using Table = SlotTable<Slot, Platform>;
  using Waiter = detail::Waiter<Slot>;
  using Share = ShareAccount<Slot>;
  using Sleeper = detail::Sleeper<Platform>;
  using Guard = detail::Guard<Slot, Platform>;
  using Work = typename WorkQueue<Slot, Platform>::Work;
  using Monitor = detail::Monitor<Slot, Growth, Platform>;
  using StopToken = typename Platform::StopToken;
};

}  // namespace lido::detail
