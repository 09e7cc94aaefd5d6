// A program that ends while connections of a pool in static storage are idle and leased. Played by a child, since only
// a program can end.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>

#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <lido/pool.hpp>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(exit_)

namespace {

struct Counted {
  Counted() { ++live; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --live; }
  static inline std::atomic<int> live{0};
};
using CountedPool = Pool<Counted, FixedSize>;

constexpr int all_is_well = 17;

// Destroyed after all that was made after it, and ends the program.
struct LastWord {
  ~LastWord() {
    if (!wanted) return;
    // The one that is leased for ever is still there, and no other.
    std::_Exit(Counted::live == 1 ? all_is_well : 1);
  }
  bool wanted = false;
};

// In the child alone: pools that others need not wait for.
struct Statics {
  static LastWord& last_word() {
    static LastWord instance;
    return instance;
  }
  static std::optional<CountedPool::Lease>& outlives_its_pool() {
    static std::optional<CountedPool::Lease> instance;
    return instance;
  }
  static CountedPool& pool() {
    static CountedPool instance{[] { return Counted{}; }, FixedSize{4}};
    return instance;
  }
  static std::optional<CountedPool::Lease>& ends_before_its_pool() {
    static std::optional<CountedPool::Lease> instance;
    return instance;
  }
};

boost::test_tools::assertion_result is_child(boost::unit_test::test_unit_id) {
  return std::getenv("LIDO_TEST_CHILD") != nullptr;  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
}

}  // namespace

BOOST_AUTO_TEST_CASE(ends_the_program_with_connections_out, *boost::unit_test::precondition(is_child)) {
  Statics::last_word().wanted = true;
  std::optional<CountedPool::Lease>& longest = Statics::outlives_its_pool();
  CountedPool& pool = Statics::pool();
  pool.wait_until_ready(1min);
  Statics::ends_before_its_pool() = pool.acquire();
  longest = pool.acquire();
  const CountedPool::Lease never_ends = pool.acquire();  // `exit` does not unwind; the fourth is idle
  if (Counted::live != 4) std::_Exit(2);
  std::exit(3);  // NOLINT(concurrency-mt-unsafe): the last word says how it went
}

BOOST_AUTO_TEST_CASE(a_program_may_end_with_connections_of_a_static_pool_idle_and_leased) {
  const char* const program = boost::unit_test::framework::master_test_suite().argv[0];
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(300);  // a child that hangs fails
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the child has one thread
    ::setenv("LIDO_TEST_CHILD", "1", 1);
    ::execl(program, program, "--run_test=exit_/ends_the_program_with_connections_out", "--log_level=nothing",
            "--report_level=no", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == all_is_well);
}

BOOST_AUTO_TEST_SUITE_END()
