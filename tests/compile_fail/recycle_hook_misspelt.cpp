// expect: assertion.*lido: the recycle policy needs `Verdict recycle\(Connection&, const ConnectionInfo&\) const`
#include <lido/pool.hpp>

struct KeepsAll {
#ifdef LIDO_WRONG
  lido::Verdict recycled(int&, const lido::ConnectionInfo&) const { return lido::Verdict::keep; }
#else
  lido::Verdict recycle(int&, const lido::ConnectionInfo&) const { return lido::Verdict::keep; }
#endif
};

lido::Pool pool{[] { return 1; }, lido::FixedSize{.size = 1}, lido::AssumeHealthy{}, KeepsAll{}, lido::PoolOptions{}};
