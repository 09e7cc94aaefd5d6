// A policy that resets, and nothing to reset.
// expect: lido: ResetOnReturn asks the connection, which needs `bool reset\(lido::TimePoint deadline\)`
#include <lido/pool.hpp>

struct Channel {
#ifndef LIDO_WRONG
  bool reset(lido::TimePoint) { return true; }
#endif
};

lido::Pool pool{[] { return Channel{}; }, lido::FixedSize{.size = 1}, lido::AssumeHealthy{},
                lido::AllOf{lido::RetireAfter{}, lido::ResetOnReturn{}}, lido::PoolOptions{}};
