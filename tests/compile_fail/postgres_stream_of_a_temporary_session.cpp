// The rows come while the loop runs, and the session would be gone before.
// expect: lido: the rows would outlive the session, which is a temporary: keep the session in a variable
#include <lido/postgres/session.hpp>

int sum_of(lido::postgres::Pool& pool) {
  int sum = 0;
#ifdef LIDO_WRONG
  for (const int number : lido::postgres::Session{pool}.stream<int>("select generate_series(1, 10)")) sum += number;
#else
  lido::postgres::Session session{pool};
  for (const int number : session.stream<int>("select generate_series(1, 10)")) sum += number;
#endif
  return sum;
}
