// How tests look at what is inside a pool.
#pragma once

#include <lido/pool.hpp>

// The friend of the pool's parts.
struct lido::detail::Inspection {
  template <class AnyPool>
  static auto& monitor(const AnyPool& pool) {
    return monitor_of(*pool.core_.load());
  }
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  static auto& monitor_of(ConnectionOps<Connection, Growth, Health, Recycle, Platform>& ops) {
    return ops.monitor_;
  }
  template <class AnyPool>
  static const Metrics& metrics(const AnyPool& pool) {
    return metrics_of(*pool.core_.load());
  }
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  static const Metrics& metrics_of(const ConnectionOps<Connection, Growth, Health, Recycle, Platform>& ops) {
    return ops.metrics_;
  }
  template <class AnyMonitor>
  static bool is_locked(const AnyMonitor& monitor) {
    return monitor.mutex_.is_locked();
  }
};
