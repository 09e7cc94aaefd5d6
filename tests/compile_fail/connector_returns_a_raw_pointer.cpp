// Nobody would close it.
// expect: lido: the connector returns a raw pointer, which nobody would close
#include <memory>

#include <lido/pool.hpp>

struct Channel {};

#ifdef LIDO_WRONG
lido::Pool pool{[] { return new Channel; }};
#else
lido::Pool pool{[] { return std::make_unique<Channel>(); }};
#endif
