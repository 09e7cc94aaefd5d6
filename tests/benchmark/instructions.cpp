// An acquire and its release that meet nobody, as often as the first argument says, for a tool that counts
// instructions. With a second one, traced.
#include <chrono>
#include <cstdlib>

#include <lido/pool.hpp>
#include <lido/tracing.hpp>

namespace {

struct Thing {
  long uses = 0;
};
using Pool = lido::Pool<Thing, lido::FixedSize>;

struct Tracer {
  int begin(const lido::AcquireBegin&) const { return 0; }
  void end(int, const lido::AcquireEnd&) const {}
};

// Apart, so that what is made before it has no part in it.
[[gnu::noinline]] void cycle(Pool& pool, long times) {
  for (; times > 0; --times) {
    auto lease = pool.acquire();
    ++lease->uses;
  }
}

}  // namespace

int main(int argc, char** argv) {
  Pool pool{[] { return Thing{}; }, lido::FixedSize{.size = 8}};
  pool.wait_until_ready(std::chrono::seconds{30});
  if (argc > 2) trace(pool, Tracer{});
  cycle(pool, argc > 1 ? std::atol(argv[1]) : 1);
}
