// What a pool asks of its connector and of its policies before it is made.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <lido/error.hpp>
#include <lido/health.hpp>
#include <lido/policy.hpp>
#include <lido/recycle.hpp>

namespace lido {

template <class Connection, class Growth, class Health, class Recycle, class Platform>
class Pool;

}  // namespace lido

namespace lido::detail {

template <class T>
inline constexpr bool is_pool = false;
template <class... Parts>
inline constexpr bool is_pool<Pool<Parts...>> = true;

// In the place of a connection where the connector is none, so that the compiler says so.
struct NoConnector {};

// Whether a policy of this library asks the connection for something that it has not.
template <class Policy, class Connection>
inline constexpr bool lacks_ping = false;
template <class Connection>
inline constexpr bool lacks_ping<PingOnAcquire, Connection> = !Pingable<Connection>;
template <class Connection>
inline constexpr bool lacks_ping<PingIfIdle, Connection> = !Pingable<Connection>;
template <class Policy, class Connection>
inline constexpr bool lacks_reset = false;
template <class Connection>
inline constexpr bool lacks_reset<ResetOnReturn, Connection> = !Resettable<Connection>;
template <class... Policies, class Connection>
inline constexpr bool lacks_reset<AllOf<Policies...>, Connection> = (lacks_reset<Policies, Connection> || ...);

template <class Connector>
struct Connects {
  using type = std::invoke_result_t<const Connector&>;
};
template <class Connector>
  requires std::invocable<const Connector&, const OpenInfo&>
struct Connects<Connector> {
  using type = std::invoke_result_t<const Connector&, const OpenInfo&>;
};

// Makes the connection in its slot.
template <class Slot, class Connector>
[[nodiscard]] auto in_place(Connector connector) {
  return [connector = std::move(connector)](Slot& slot, const OpenInfo& info) {
    if constexpr (std::invocable<const Connector&, const OpenInfo&>)
      slot.emplace([&] { return connector(info); });
    else
      slot.emplace(connector);
  };
}

template <class Policy>
void validate_policy(const Policy& policy) {
  if constexpr (requires { lido_validate(policy); }) lido_validate(policy);
}
template <class Growth>
void validate_growth(const Growth& growth) {
  validate_policy(growth);
  const GrowthPlan plan = growth.plan({});
  if (plan.max_size == 0 || plan.max_size > 1'000'000)
    throw InvalidOption{"GrowthPlan::max_size", "a number from 1 to 1000000"};
  if (plan.pool_size > plan.max_size) throw InvalidOption{"GrowthPlan::pool_size", "at most max_size"};
}

}  // namespace lido::detail
