// The rows come while the loop runs, and the lease would be gone before.
// expect: lido: the rows would outlive the lease, which is a temporary: keep the lease in a variable
#include <lido/postgres/pool.hpp>

int sum_of(lido::postgres::Pool& pool) {
  int sum = 0;
#ifdef LIDO_WRONG
  for (const int number : pool.acquire()->stream<int>("select generate_series(1, $1)", 10)) sum += number;
#else
  auto lease = pool.acquire();
  for (const int number : lease->stream<int>("select generate_series(1, $1)", 10)) sum += number;
#endif
  return sum;
}
