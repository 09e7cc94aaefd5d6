// It would begin with COMMIT, when the session has no connection any more.
// expect: lido: LISTEN begins with COMMIT, when the session gives its connection back: listen on a lease
#include <lido/postgres/session.hpp>

void hear(lido::postgres::Pool& pool) {
#ifdef LIDO_WRONG
  lido::postgres::Session session{pool};
  session.listen("news");
#else
  auto lease = pool.acquire();
  lease->listen("news");
#endif
}
