// expect: assertion.*lido: the health policy needs `Verdict check\(Connection&, const ConnectionInfo&\) const`
#include <lido/pool.hpp>

struct Channel {
#ifndef LIDO_WRONG
  bool ping(lido::TimePoint) { return true; }
#endif
};

lido::Pool pool{[] { return Channel{}; }, lido::FixedSize{.size = 1}, lido::PingOnAcquire{}, lido::KeepAlways{},
                lido::PoolOptions{}};
