// expect: assertion.*lido: a tracer needs `T begin\(const lido::AcquireBegin&\)` and `void end
#include <lido/tracing.hpp>

struct Follows {
  int begin(const lido::AcquireBegin&) { return 1; }
#ifdef LIDO_WRONG
  void ended(int, const lido::AcquireEnd&) {}
#else
  void end(int, const lido::AcquireEnd&) {}
#endif
};

void follow(lido::Pool<int, lido::FixedSize>& pool) { trace(pool, Follows{}); }
