// A policy that pings, and nothing to ping.
// expect: lido: PingOnAcquire and PingIfIdle ask the connection, which needs `bool ping\(lido::TimePoint deadline\)`
#include <lido/pool.hpp>

struct Channel {
#ifndef LIDO_WRONG
  bool ping(lido::TimePoint) { return true; }
#endif
};

lido::Pool pool{[] { return Channel{}; }, lido::FixedSize{.size = 1}, lido::PingIfIdle{}, lido::KeepAlways{},
                lido::PoolOptions{}};
