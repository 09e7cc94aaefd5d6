// The reference would outlive its lease: it dangles as soon as the statement ends.
// expect: (use of deleted function|overload resolution selected deleted operator|call to deleted member function).*
// expect: operator ?\*
#include <lido/pool.hpp>

int use(lido::Pool<int, lido::FixedSize, lido::AssumeHealthy, lido::KeepAlways>& pool) {
#ifdef LIDO_WRONG
  int& connection = *pool.acquire();
  return connection;
#else
  auto lease = pool.acquire();
  int& connection = *lease;
  return connection;
#endif
}
