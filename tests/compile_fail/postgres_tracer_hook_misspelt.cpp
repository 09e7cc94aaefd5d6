// expect: assertion.*lido: a tracer needs `T begin\(const B&\)` and `void end\(T, const E&\)`
#include <lido/postgres/pool.hpp>
#include <lido/postgres/tracing.hpp>

struct FollowsStatements {
  int begin(const lido::postgres::StatementBegin&) { return 1; }
#ifdef LIDO_WRONG
  void end(int, const lido::postgres::StatementBegin&) {}
#else
  void end(int, const lido::postgres::StatementEnd&) {}
#endif
};

void follow(lido::postgres::Pool& pool) { trace(pool, FollowsStatements{}); }
