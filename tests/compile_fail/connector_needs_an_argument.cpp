// The connector wants something that the pool has not.
// expect: lido: the connector must be copyable, and callable as `connector\(const lido::OpenInfo&\)` or `connector\(\)`
#include <lido/pool.hpp>

struct Channel {};

#ifdef LIDO_WRONG
lido::Pool pool{[](const char* /*address*/) { return Channel{}; }, lido::FixedSize{.size = 2}};
#else
lido::Pool pool{[](const lido::OpenInfo& /*info*/) { return Channel{}; }, lido::FixedSize{.size = 2}};
#endif
