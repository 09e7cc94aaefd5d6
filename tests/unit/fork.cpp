// In the child of a fork a pool starts empty, and the parent's goes on. On the real machine: only a real fork forks.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <coroutine>
#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/pool.hpp>
#include <lido/tracing.hpp>
#include <support/forking.hpp>
#include <support/task.hpp>

using namespace lido;
using namespace std::chrono_literals;

namespace {

// Knows in which process it was made, and how many were destroyed there and elsewhere.
struct Descriptor {
  Descriptor() = default;
  Descriptor(Descriptor&& other) noexcept : owner{std::exchange(other.owner, 0)} {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (owner != 0) ++destroyed;
  }
  [[nodiscard]] bool inherited() const { return owner != ::getpid(); }

  pid_t owner = ::getpid();
  static inline std::atomic<int> destroyed{0};
};
struct Mute : Descriptor {};  // may be destroyed in a child

// What `body` returns in a child. There it can only return: the test framework is the parent's.
template <class Body>
int in_a_child(Body body) {
  Descriptor::destroyed = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(300);  // a child that hangs fails
    ::_exit(body());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

}  // namespace

template <>
inline constexpr bool lido::safe_to_destroy_after_fork<Mute> = true;

BOOST_AUTO_TEST_SUITE(fork_, *boost::unit_test::enable_if<lido::test::can_fork>())

// What a program ends with where it would have ended by `std::terminate`.
int terminates(const std::function<void()>& body) {
  return in_a_child([&] {
    std::set_terminate([] { ::_exit(7); });
    body();
    return 0;
  });
}

BOOST_AUTO_TEST_CASE(the_child_has_the_shares_of_the_parent_and_all_of_them_free) {
  Pool pool{[] { return Descriptor{}; }, Elastic{.min_idle = 0, .max_size = 2}};
  auto web = pool.share("web", {.guaranteed = 1});
  auto jobs = pool.share("jobs", {.at_most = 1});
  const auto held = jobs.acquire();
  const auto other = web.acquire();
  const int what = in_a_child([&] {
    if (pool.statistics().shares.size() != 2) return 3;  // also before it asks for them
    const auto own = jobs.acquire(1min);
    if (own->inherited() || jobs.try_acquire() || pool.try_acquire()) return 1;
    if (jobs.statistics().leased != 1 || web.statistics().leased != 0) return 2;
    return web.acquire(1min)->inherited() ? 4 : 0;
  });
  BOOST_TEST(what == 0);
  BOOST_TEST(jobs.statistics().leased == 1U);
}

BOOST_AUTO_TEST_CASE(the_child_is_traced_as_the_parent_was) {
  struct Counts {
    int begin(const AcquireBegin&) const { return ++*begun; }
    void end(int, const AcquireEnd&) const { ++*ended; }
    std::atomic<int>* begun;
    std::atomic<int>* ended;
  };
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  Pool pool{[] { return Mute{}; }, Elastic{.min_idle = 0, .max_size = 2}};
  trace(pool, Counts{&begun, &ended});
  pool.acquire().release();
  BOOST_TEST(in_a_child([&] {
               pool.acquire(1min).release();
               return begun == 2 && ended == 2 ? 0 : 1;
             }) == 0);
  BOOST_TEST(begun == 1);
}

BOOST_AUTO_TEST_CASE(an_executor_or_a_callback_that_throws_ends_the_program) {
  const auto wait = [](auto& pool) -> test::Detached {
    auto lease = co_await pool.async_acquire(1min, {}, [](std::coroutine_handle<>) { throw std::runtime_error{"no"}; });
  };
  BOOST_TEST(terminates([&] {
               Pool pool{[] { return Mute{}; }, FixedSize{.size = 1}};
               auto leased = pool.acquire();
               wait(pool);
               leased.release();
             }) == 7);
  BOOST_TEST(terminates([] {
               Pool pool{[] { return Mute{}; }, FixedSize{.size = 1}};
               pool.wait_until_ready(1min);
               auto operation = pool.async_acquire(1min).connect([](auto&&...) { throw std::runtime_error{"no"}; });
               operation.start();
             }) == 7);
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_waits_in_the_parent_can_be_destroyed_in_the_child) {
  Pool pool{[] { return Mute{}; }, FixedSize{.size = 1}, AssumeHealthy{}, KeepAlways{}, PoolOptions{.workers = 1}};
  auto leased = pool.acquire(1min);
  const auto wait = [&]() -> test::Task { auto lease = co_await pool.async_acquire(1min); };
  std::optional<test::Task> task{wait()};
  BOOST_TEST(in_a_child([&] {
               task.reset();
               return pool.acquire(1min)->inherited() ? 1 : 0;
             }) == 0);
  BOOST_TEST(!task->done());
  leased.release();
  BOOST_TEST(task->done());
  (void)pool.acquire(1min);
}

BOOST_AUTO_TEST_CASE(a_child_uses_connections_of_its_own_and_the_parent_keeps_its_own) {
  for (const std::size_t workers : {0U, 3U}) {
    Pool pool{[] { return Descriptor{}; }, Elastic{.max_size = 2}, AssumeHealthy{}, KeepAlways{},
              PoolOptions{.workers = workers}};
    int heard = 0;
    pool.events().on_connect([&](Descriptor&, const ConnectionInfo&) { ++heard; });
    auto leased = pool.acquire();
    (void)pool.acquire();
    const int heard_before = heard;
    BOOST_TEST(in_a_child([&] {
                 auto first = pool.acquire(1min);
                 auto second = pool.acquire(1min);  // the inherited lease takes no place here
                 if (first->inherited() || second->inherited()) return 1;
                 if (heard != heard_before + 2) return 2;
                 if (pool.statistics().now.leased != 2 || pool.statistics().opened != 2) return 3;
                 if (pool.try_acquire()) return 4;
                 first.release();
                 if ((*pool.try_acquire())->inherited()) return 5;
                 leased.release();
                 if (Descriptor::destroyed != 0) return 6;
                 second.discard();
                 return pool.close(1min).complete ? 0 : 7;
               }) == 0);
    BOOST_TEST(pool.statistics().now.leased == 1U);
    leased.release();
    BOOST_TEST(!pool.acquire()->inherited());
    BOOST_TEST(pool.statistics().opened == 2U);
  }
}

BOOST_AUTO_TEST_CASE(a_child_may_be_forked_in_the_middle_of_anything,
                     *boost::unit_test::enable_if<lido::test::can_fork_amid_threads>()) {
  Pool pool{[] { return Descriptor{}; }, Elastic{.max_size = 2}};
  std::atomic<bool> stop{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        while (!stop) {
          auto lease = pool.acquire();
          std::this_thread::yield();
          if (lease.info().uses > 10) lease.discard();
        }
      });
    for (int i = 0; i < 50; ++i)
      BOOST_TEST(in_a_child([&] {
                   auto first = pool.acquire(1min);
                   auto second = pool.acquire(1min);
                   return first->inherited() || second->inherited() ? 1 : 0;
                 }) == 0);
    stop = true;
  }
  BOOST_TEST(pool.statistics().now.leased == 0U);
}

BOOST_AUTO_TEST_CASE(several_threads_of_a_child_share_one_pool) {
  Pool pool{[] { return Descriptor{}; }, Elastic{.max_size = 3}};
  (void)pool.acquire();
  BOOST_TEST(in_a_child([&] {
               std::atomic<int> inherited{0};
               {
                 std::vector<std::jthread> threads;
                 for (int t = 0; t < 4; ++t)
                   threads.emplace_back([&] {
                     for (int i = 0; i < 100; ++i)
                       if (pool.acquire(1min)->inherited()) ++inherited;
                   });
               }
               return inherited == 0 && pool.statistics().acquired == 400 && pool.statistics().opened <= 3 ? 0 : 1;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(inherited_connections_are_destroyed_in_the_child_if_that_is_silent) {
  Pool pool{[] { return Mute{}; }, Elastic{.max_size = 3}};
  auto leased = pool.acquire();
  (void)pool.acquire();
  BOOST_TEST(in_a_child([&] {
               if (!pool.holders().empty()) return 1;  // any use will do
               if (Descriptor::destroyed != 1) return 2;
               leased.release();
               return Descriptor::destroyed == 2 ? 0 : 3;
             }) == 0);
  BOOST_TEST(pool.holders().size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_child_that_never_uses_the_pool_may_destroy_it) {
  std::optional<Pool<Descriptor>> pool{std::in_place, [] { return Descriptor{}; }, Elastic{.max_size = 3}};
  std::optional<Pool<Descriptor>::Lease> leased{pool->acquire()};
  (void)pool->acquire();
  BOOST_TEST(in_a_child([&] {
               pool.reset();
               leased.reset();
               return Descriptor::destroyed == 0 ? 0 : 1;
             }) == 0);
  BOOST_TEST(pool->statistics().now.leased == 1U);
}

BOOST_AUTO_TEST_CASE(an_acquire_that_was_begun_in_the_parent_gives_the_child_no_connection_of_its) {
  using Forked = Pool<Descriptor>;
  Forked pool{[] { return Descriptor{}; }, Elastic{.max_size = 2}};
  (void)pool.acquire();
  std::exception_ptr failure;
  Forked::Lease got;
  auto operation = pool.async_acquire(0s).connect([&](std::exception_ptr error, Forked::Lease lease) {
    failure = std::move(error);
    got = std::move(lease);
  });
  std::coroutine_handle<> granted;
  std::exception_ptr refused;
  auto held = pool.acquire();
  auto other = pool.acquire();
  const test::Task waits = [](Forked& from, std::coroutine_handle<>& ready, std::exception_ptr& thrown) -> test::Task {
    try {
      auto lease = co_await from.async_acquire(1min, {}, [&ready](std::coroutine_handle<> handle) { ready = handle; });
      if (lease->inherited()) ::_exit(9);
    } catch (...) {
      thrown = std::current_exception();
    }
  }(pool, granted, refused);
  held.release();  // it is granted, and its loop has yet to resume it
  BOOST_REQUIRE(granted != nullptr);
  other.release();
  BOOST_TEST(in_a_child([&] {
               operation.start();
               if (got || !failure) return 1;
               granted.resume();
               if (!refused) return 2;
               operation.cancel();
               for (const std::exception_ptr& each : {failure, refused}) try {
                   std::rethrow_exception(each);
                 } catch (const PoolClosed&) {
                 } catch (...) {
                   return 3;
                 }
               return pool.acquire(1min)->inherited() ? 4 : 0;
             }) == 0);
  BOOST_TEST(pool.statistics().now.leased == 1U);
}

BOOST_AUTO_TEST_CASE(an_acquire_of_the_parent_does_not_begin_to_wait_in_the_child) {
  using Forked = Pool<Descriptor>;
  Forked pool{[] { return Descriptor{}; }, Elastic{.max_size = 1}};
  const auto held = pool.acquire();
  std::exception_ptr failure;
  auto operation = pool.async_acquire(1min).connect(
      [&](std::exception_ptr error, const Forked::Lease&) { failure = std::move(error); });
  BOOST_TEST(in_a_child([&] {
               operation.start();
               return failure ? 0 : 1;
             }) == 0);
}

BOOST_AUTO_TEST_CASE(a_closed_pool_is_closed_in_the_child_and_a_suspended_one_suspended) {
  Pool pool{[] { return Descriptor{}; }};
  pool.suspend();
  const auto refusal = [&] {
    try {
      (void)pool.acquire(1ms);
    } catch (const PoolSuspended&) {
      return 10;
    } catch (const PoolClosed&) {
      return 20;
    }
    return 0;
  };
  BOOST_TEST(in_a_child(refusal) == 10);
  pool.resume();
  BOOST_TEST(in_a_child([&] { return pool.acquire(1min)->inherited() ? 1 : 0; }) == 0);
  pool.close();
  BOOST_TEST(in_a_child(refusal) == 20);
}

#ifndef NDEBUG
BOOST_AUTO_TEST_CASE(a_debug_build_stops_where_an_empty_lease_is_used) {
  Pool<int> pool{[] { return 7; }};
  auto moved = pool.acquire();
  const auto lease = std::move(moved);
  BOOST_TEST(in_a_child([&] {
               ::close(STDERR_FILENO);  // what it says is not for those who read the tests
               std::signal(SIGABRT, SIG_DFL);
               return *moved;  // NOLINT(bugprone-use-after-move): that is the fault
             }) == 1000 + SIGABRT);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
