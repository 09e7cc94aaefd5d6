// The rows come while the loop runs, and the lease would be gone before.
// expect: lido: the rows would outlive the lease, which is a temporary: keep the lease in a variable
#include <lido/postgres/pool.hpp>

int sum_of(lido::postgres::Pool& pool) {
  int sum = 0;
#ifdef LIDO_WRONG
  for (const int number : pool.acquire()->copy_out<int>("copy numbers to stdout")) sum += number;
#else
  auto lease = pool.acquire();
  for (const int number : lease->copy_out<int>("copy numbers to stdout")) sum += number;
#endif
  return sum;
}
