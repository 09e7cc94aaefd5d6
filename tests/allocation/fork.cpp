// Every allocation made to fail in turn in the child of a fork, where the pool begins anew.
#include <sys/wait.h>
#include <unistd.h>

#include <allocation/stage.hpp>
#include <support/forking.hpp>

using namespace lido;
using namespace lido::test;

namespace {

struct Socket {};
using RealPool = Pool<Socket, Elastic>;

// 0: nothing failed, as it needed less; 1: all is well; else what is not. The child can only return it: the test
// framework is the parent's.
int use_in_child(std::optional<RealPool>& pool, std::uint64_t nth, Faults::Mode mode) {
  ::alarm(300);  // a child that hangs fails
  const std::int64_t before = Faults::live;
  Faults::arm(nth, mode);
  try_to([&] { (void)pool->acquire(1s); });
  try_to([&] { (void)pool->statistics(); });
  const bool failed = Faults::disarm();
  {
    const auto one = pool->acquire(1min);
    const auto other = pool->acquire(1min);
    if (pool->statistics().now.leased != 2 || pool->statistics().max_size != 2) return 2;
    if (pool->try_acquire()) return 3;
  }
  if (!pool->close(1min).complete) return 4;
  pool.reset();
  if (Faults::live != before) return 5;
  return failed ? 1 : 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fork_, *boost::unit_test::enable_if<can_fork_amid_threads>())

BOOST_AUTO_TEST_CASE(a_failed_allocation_in_a_child_loses_nothing) {
  for (const std::size_t workers : {0U, 2U}) {
    std::optional<RealPool> pool{std::in_place,
                                 [] { return Socket{}; },
                                 Elastic{.min_idle = 1, .max_size = 2},
                                 AssumeHealthy{},
                                 KeepAlways{},
                                 PoolOptions{.name = "a name that is too long for a small string", .workers = workers}};
    const auto leased = pool->acquire();
    fail_each("child-" + std::to_string(workers) + "-workers", [&](auto nth, auto mode, bool& failed) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(use_in_child(pool, nth, mode));
      int status = -1;
      ::waitpid(child, &status, 0);
      BOOST_TEST_REQUIRE(WIFEXITED(status));
      BOOST_TEST_REQUIRE(WEXITSTATUS(status) <= 1);
      failed = WEXITSTATUS(status) == 1;
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()
