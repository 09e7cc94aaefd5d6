// Neither policy wants to know the time, so that no hold is measured.
// expect: lido: a pool without a health or recycle policy reads no clock
#include <lido/adaptive_size.hpp>

#ifdef LIDO_WRONG
using Recycle = lido::KeepAlways;
#else
using Recycle = lido::RetireAfter;
#endif
using Pool = lido::Pool<int, lido::FixedSize, lido::AssumeHealthy, Recycle>;

void find_its_size(Pool& pool) {
  const lido::AdaptiveSize adaptive{pool, [](std::size_t size) { return lido::FixedSize{.size = size}; }};
}
