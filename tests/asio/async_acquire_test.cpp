// Every completion token waits at the pool.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/async_acquire.hpp>
#include <support/forking.hpp>

#include "thing.hpp"

using namespace lido;
using namespace lido::test;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_acquire)

namespace {

using ThingLease = ThingPool::Lease;

template <class Error>
bool is(const std::exception_ptr& error) {
  try {
    if (error != nullptr) std::rethrow_exception(error);
  } catch (const Error&) {
    return true;
  } catch (...) {
  }
  return false;
}

// Counts what it hands out.
template <class T>
struct Counting {
  using value_type = T;
  explicit Counting(std::ptrdiff_t& bytes) : live{&bytes} {}
  template <class U>
  Counting(const Counting<U>& other) : live{other.live} {}  // NOLINT(google-explicit-constructor): as allocators do
  T* allocate(std::size_t count) {
    *live += static_cast<std::ptrdiff_t>(count * sizeof(T));
    ++*peak();
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* memory, std::size_t count) {
    *live -= static_cast<std::ptrdiff_t>(count * sizeof(T));
    std::allocator<T>{}.deallocate(memory, count);
  }
  static std::ptrdiff_t* peak() {
    static std::ptrdiff_t calls = 0;
    return &calls;
  }
  friend bool operator==(const Counting&, const Counting&) = default;
  std::ptrdiff_t* live;
};

// A handler with an executor and an allocator of its own.
struct Handler {
  using executor_type = net::io_context::executor_type;
  using allocator_type = Counting<int>;
  [[nodiscard]] executor_type get_executor() const noexcept { return executor; }
  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator; }
  void operator()(const std::exception_ptr& error, ThingLease lease) { call(error, std::move(lease)); }

  executor_type executor;
  allocator_type allocator;
  std::function<void(std::exception_ptr, ThingLease)> call;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_coroutine_gets_a_lease_and_the_errors_of_acquire) {
  ThingPool pool = things();
  net::io_context loop;
  int steps = 0;
  const auto body = [&]() -> net::awaitable<void> {
    auto lease = co_await lido::asio::async_acquire(pool, net::use_awaitable);
    BOOST_TEST(pool.statistics().now.leased == 1U);
    ++lease->uses;
    ++steps;
    bool late = false;
    try {
      auto second = co_await lido::asio::async_acquire(pool, 10ms, net::use_awaitable);
    } catch (const AcquireTimeout& error) {
      late = error.holders().size() == 1;
    }
    BOOST_TEST(late);
    ++steps;
  };
  net::co_spawn(loop, body, net::detached);
  loop.run();
  BOOST_TEST(steps == 2);
  BOOST_TEST(pool.statistics().now.idle == 1U);
}

BOOST_AUTO_TEST_CASE(a_future_gets_a_lease_and_the_errors_of_acquire) {
  ThingPool pool = things();
  auto first = lido::asio::async_acquire(pool, net::use_future);
  ThingLease lease = first.get();
  BOOST_TEST(static_cast<bool>(lease));
  auto second = lido::asio::async_acquire(pool, 10ms, net::use_future);
  BOOST_CHECK_THROW(static_cast<void>(second.get()), AcquireTimeout);
  auto third = lido::asio::async_acquire(pool, 1min, net::use_future);
  lease.release();
  BOOST_TEST(static_cast<bool>(third.get()));
}

BOOST_AUTO_TEST_CASE(a_share_takes_the_same_tokens) {
  ThingPool pool = things(2);
  auto jobs = pool.share("jobs", {.at_most = 1});
  ThingLease lease = lido::asio::async_acquire(jobs, net::use_future).get();
  auto refused = lido::asio::async_acquire(jobs, 10ms, net::use_future);
  BOOST_CHECK_THROW(static_cast<void>(refused.get()), AcquireTimeout);
  auto waits = lido::asio::async_acquire(jobs, 1min, net::use_future);
  BOOST_TEST(static_cast<bool>(lido::asio::async_acquire(pool, 1min, net::use_future).get()));  // beside it
  lease.release();
  BOOST_TEST(static_cast<bool>(waits.get()));
  BOOST_TEST(jobs.statistics().timeouts == 1U);
}

BOOST_AUTO_TEST_CASE(a_handler_runs_on_its_executor_and_neither_within_the_call_nor_in_the_thread_that_gives_back) {
  ThingPool pool = things();
  net::io_context loop;
  std::ptrdiff_t live = 0;
  std::vector<std::thread::id> threads;
  std::ptrdiff_t live_in_handler = -1;
  const auto ask = [&] {
    lido::asio::async_acquire(
        pool, 1min, Handler{loop.get_executor(), Counting<int>{live}, [&](const std::exception_ptr& error, ThingLease) {
                              BOOST_TEST((error == nullptr));
                              threads.push_back(std::this_thread::get_id());
                              live_in_handler = live;
                            }});
  };
  ask();  // idle: it could be served at once
  BOOST_TEST(threads.empty());
  loop.run();
  BOOST_TEST(threads.size() == 1U);

  ThingLease held = pool.acquire();
  ask();
  BOOST_TEST(live > 0);
  std::jthread{[&] { held.release(); }}.join();
  BOOST_TEST(threads.size() == 1U);
  loop.restart();
  loop.run();  // it had work as long as somebody waited
  BOOST_TEST(threads.size() == 2U);
  BOOST_TEST((threads.back() == std::this_thread::get_id()));
  BOOST_TEST(live_in_handler == 0);  // all memory was given back before the call
  BOOST_TEST(live == 0);
}

BOOST_AUTO_TEST_CASE(a_loop_runs_as_long_as_somebody_waits) {
  ThingPool pool = things();
  net::io_context loop;
  ThingLease held = pool.acquire();
  bool served = false;
  lido::asio::async_acquire(pool, 1min,
                            net::bind_executor(loop, [&](const std::exception_ptr&, ThingLease) { served = true; }));
  bool waited = false;
  std::jthread later{[&] {
    waited = eventually([&] { return pool.statistics().now.waiting == 1; });
    held.release();
  }};
  loop.run();
  later.join();
  BOOST_TEST(waited);
  BOOST_TEST(served);
}

BOOST_AUTO_TEST_CASE(a_stop_token_cancels_and_loses_nothing) {
  ThingPool pool = things();
  net::io_context loop;
  std::stop_source source;
  ThingLease held = pool.acquire();
  std::vector<int> ends;
  const auto ask = [&](int number) {
    lido::asio::async_acquire(pool, 1min, source.get_token(),
                              net::bind_executor(loop, [&ends, number](const std::exception_ptr& error, ThingLease) {
                                ends.push_back(is<AcquireCancelled>(error) ? -number : number);
                              }));
  };
  ask(1);
  std::jthread{[&] { source.request_stop(); }}.join();
  ask(2);  // requested already
  loop.run();
  BOOST_TEST(ends == (std::vector<int>{-1, -2}));
  BOOST_TEST(pool.statistics().cancelled == 2U);
  BOOST_TEST(pool.statistics().now.waiting == 0U);
}

BOOST_AUTO_TEST_CASE(those_who_wait_when_the_pool_is_destroyed_get_pool_closed) {
  net::io_context loop;
  std::optional<ThingPool> pool{things()};
  std::optional<ThingLease> held{pool->acquire()};
  int closed = 0;
  for (int i = 0; i < 3; ++i)
    lido::asio::async_acquire(*pool, 1min, net::bind_executor(loop, [&](const std::exception_ptr& error, ThingLease) {
      closed += is<PoolClosed>(error) ? 1 : 0;
    }));
  pool.reset();
  loop.run();
  BOOST_TEST(closed == 3);
  held.reset();
}

BOOST_AUTO_TEST_CASE(an_event_loop_that_ends_with_waiters_destroys_their_handlers_and_leaves_the_queue) {
  ThingPool pool = things();
  ThingLease held = pool.acquire();
  const auto alive = std::make_shared<int>();
  {
    net::io_context loop;
    lido::asio::async_acquire(pool, 1min, net::bind_executor(loop, [alive](const std::exception_ptr&, ThingLease) {
                                BOOST_ERROR("nobody runs the loop");
                              }));
    const auto body = [&pool, alive]() -> net::awaitable<void> {
      auto lease = co_await lido::asio::async_acquire(pool, Duration::max(), net::use_awaitable);
      BOOST_ERROR("nobody runs the loop");
    };
    net::co_spawn(loop, body, net::detached);
    loop.poll();
    BOOST_TEST(pool.statistics().now.waiting == 2U);
    BOOST_TEST(alive.use_count() > 1);
  }
  BOOST_TEST(pool.statistics().now.waiting == 0U);
  BOOST_TEST(alive.use_count() == 1);
  held.release();
  BOOST_TEST(pool.statistics().now.idle == 1U);
}

namespace {

// How a child ended that does `action`, which is false where something is amiss, with a minute for it.
template <class Action>
int status_of_child(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit(action() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_child_process_ends_the_loop_in_which_its_parent_waits_for_a_connection,
                     *boost::unit_test::enable_if<can_fork_amid_threads>()) {
  std::optional<ThingPool> pool{things()};
  ThingLease held = pool->acquire();
  std::optional<net::io_context> loop{std::in_place};
  const auto alive = std::make_shared<int>();
  bool served = false;
  for (int i = 0; i < 2; ++i)
    lido::asio::async_acquire(
        *pool, 1h, net::bind_executor(*loop, [&served, alive](const std::exception_ptr& error, const ThingLease&) {
          served = error == nullptr;
        }));
  loop->poll();
  const int status = status_of_child([&] {
    loop.reset();
    const bool gone = alive.use_count() == 1;
    pool.reset();
    return gone;
  });
  BOOST_TEST(status == 0);
  held.release();
  loop->restart();
  loop->run();
  BOOST_TEST(served);
  BOOST_TEST(pool->statistics().now.idle == 1U);
}

BOOST_AUTO_TEST_CASE(in_a_child_process_that_goes_on_with_the_loop_the_waits_of_its_parent_end,
                     *boost::unit_test::enable_if<can_fork_amid_threads>()) {
  std::optional<ThingPool> pool{things()};
  ThingLease held = pool->acquire();
  std::optional<net::io_context> loop{std::in_place};
  int failed = 0, served = 0;
  const auto ask = [&] {
    lido::asio::async_acquire(*pool, 1h, net::bind_executor(*loop, [&](const std::exception_ptr& error, ThingLease) {
      ++(error == nullptr ? served : failed);
    }));
  };
  ask();
  ask();
  loop->poll();
  loop->notify_fork(net::io_context::fork_prepare);
  const int status = status_of_child([&] {
    loop->notify_fork(net::io_context::fork_child);
    loop->restart();
    loop->run();
    const bool told = failed == 2 && served == 0;
    ask();  // of the child's own, which is empty at first
    loop->restart();
    loop->run();
    loop.reset();
    pool.reset();
    return told && served == 1;
  });
  loop->notify_fork(net::io_context::fork_parent);
  BOOST_TEST(status == 0);
  held.release();
  loop->restart();
  loop->run();
  BOOST_TEST(served == 2);
}

BOOST_AUTO_TEST_CASE(a_loop_that_has_stopped_gives_back_what_was_granted_when_it_is_destroyed) {
  ThingPool pool = things();
  {
    net::io_context loop;
    ThingLease held = pool.acquire();
    lido::asio::async_acquire(pool, 1min, net::bind_executor(loop, [](const std::exception_ptr&, ThingLease) {
                                BOOST_ERROR("the loop has stopped");
                              }));
    loop.stop();
    held.release();
    BOOST_TEST(pool.statistics().now.idle == 0U);  // on its way to the handler
    loop.run();
  }
  BOOST_TEST(pool.statistics().now.idle == 1U);
}

BOOST_AUTO_TEST_CASE(loops_that_end_amid_grants_lose_nothing) {
  ThingPool pool = things(2);
  std::atomic<bool> end{false};
  std::jthread holder{[&] {
    while (!end.load()) {
      auto lease = pool.acquire(1min);
      std::this_thread::yield();
    }
  }};
  for (int i = 0; i < 200; ++i) {
    net::thread_pool loop{1};
    for (int k = 0; k < 5; ++k)
      lido::asio::async_acquire(pool, 1min, net::bind_executor(loop, [](const std::exception_ptr&, ThingLease) {}));
    loop.stop();
  }
  end = true;
  holder.join();
  BOOST_TEST(pool.statistics().now.waiting == 0U);
  auto first = pool.acquire(1min);
  auto second = pool.acquire(1min);
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_throws_out_of_the_loop_and_its_connection_goes_back) {
  ThingPool pool = things();
  net::io_context loop;
  const auto ask = [&] {
    lido::asio::async_acquire(pool, 1min, net::bind_executor(loop, [](const std::exception_ptr&, ThingLease lease) {
                                ++lease->uses;
                                throw std::runtime_error{"from the handler"};
                              }));
  };
  {
    ThingLease held = pool.acquire();
    ask();
  }
  ask();
  BOOST_CHECK_THROW(loop.run(), std::runtime_error);
  BOOST_CHECK_THROW(loop.run(), std::runtime_error);
  BOOST_TEST(pool.statistics().now.idle == 1U);
  BOOST_TEST(pool.acquire()->uses == 2);
}

BOOST_AUTO_TEST_CASE(bad_arguments_reach_the_handler) {
  ThingPool pool = things();
  auto future = lido::asio::async_acquire(pool, -1ms, net::use_future);
  BOOST_CHECK_THROW(static_cast<void>(future.get()), InvalidOption);
}

BOOST_AUTO_TEST_CASE(cancellations_at_random_points_lose_nothing) {
  constexpr std::size_t size = 3;
  ThingPool pool = things(size);
  net::thread_pool loop{2};
  std::atomic<int> ended{0};
  constexpr int tries = 100'000;
  std::minstd_rand random{7};
  for (int i = 0; i < tries; ++i) {
    std::stop_source source;
    const auto action = random() % 4;
    lido::asio::async_acquire(
        pool, action == 3 ? 1us : 60'000'000us, source.get_token(),
        net::bind_executor(net::make_strand(loop), [&, action](const std::exception_ptr&, ThingLease lease) {
          if (lease && action == 2) lease.discard();
          ++ended;
        }));
    if (action == 1) source.request_stop();
    if (i % 64 == 0) BOOST_REQUIRE(eventually([&] { return ended.load() + 200 > i; }));
  }
  BOOST_TEST(eventually([&] { return ended.load() == tries; }));
  loop.join();
  const Statistics figures = pool.statistics();
  BOOST_TEST(figures.now.waiting == 0U);
  BOOST_TEST(figures.now.leased == 0U);
  std::vector<ThingLease> all;
  for (std::size_t i = 0; i < size; ++i) all.push_back(pool.acquire(1min));
}

BOOST_AUTO_TEST_SUITE_END()
