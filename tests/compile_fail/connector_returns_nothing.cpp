// Somebody forgot to return what was opened.
// expect: lido: the connector returns nothing: it must return the connection
#include <lido/pool.hpp>

struct Channel {};

#ifdef LIDO_WRONG
lido::Pool pool{[] { Channel{}; }};
#else
lido::Pool pool{[] { return Channel{}; }};
#endif
