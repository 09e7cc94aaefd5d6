// expect: assertion.*lido: the health policy needs `Verdict check\(Connection&, const ConnectionInfo&\) const`
#include <lido/pool.hpp>

struct NeverAsks {
#ifdef LIDO_WRONG
  bool check(int&, const lido::ConnectionInfo&) const { return true; }
#else
  lido::Verdict check(int&, const lido::ConnectionInfo&) const { return lido::Verdict::keep; }
#endif
};

lido::Pool pool{[] { return 1; }, lido::FixedSize{.size = 1}, NeverAsks{}, lido::KeepAlways{}, lido::PoolOptions{}};
