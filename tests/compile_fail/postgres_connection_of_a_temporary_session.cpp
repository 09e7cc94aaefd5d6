// The connection would be given back at the end of the statement.
// expect: (use of deleted function|call to deleted member function).*connection
#include <lido/postgres/session.hpp>

int one(lido::postgres::Pool& pool) {
#ifdef LIDO_WRONG
  lido::postgres::Connection& connection = lido::postgres::Session{pool}.connection();
#else
  lido::postgres::Session session{pool};
  lido::postgres::Connection& connection = session.connection();
#endif
  return connection.backend_pid();
}
