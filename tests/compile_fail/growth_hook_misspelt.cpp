// expect: assertion.*lido: the growth policy needs `GrowthPlan plan\(const PoolCounts&\) const noexcept`
#include <lido/pool.hpp>

struct AlwaysOne {
#ifdef LIDO_WRONG
  lido::GrowthPlan plans(const lido::PoolCounts&) const noexcept {
    return {.max_size = 1, .pool_size = 1, .open = 0, .idle_timeout = {}, .reuse = true};
  }
#else
  lido::GrowthPlan plan(const lido::PoolCounts&) const noexcept {
    return {.max_size = 1, .pool_size = 1, .open = 0, .idle_timeout = {}, .reuse = true};
  }
#endif
};

lido::Pool pool{[] { return 1; }, AlwaysOne{}, lido::AssumeHealthy{}, lido::KeepAlways{}, lido::PoolOptions{}};
