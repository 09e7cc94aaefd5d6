// Coroutines in the queue.
#include <algorithm>
#include <coroutine>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <support/forms.hpp>
#include <support/schedule_search.hpp>
#include <support/slow.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(async)

namespace {

constexpr FixedSize one{.size = 1};

struct Refused : PermanentFailure, std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Holds what it gets for as long as `span`, in virtual time; tells how it ended.
template <class AnyPool>
Task lease_one(AnyPool& pool, Duration timeout, std::vector<int>& order, int number, sim::StopToken stop = {}) {
  try {
    auto lease = co_await pool.async_acquire(timeout, stop);
    lease->use();
    order.push_back(number);
  } catch (const AcquireTimeout&) {
    order.push_back(-number);
  } catch (const AcquireCancelled&) {
    order.push_back(-100 - number);
  } catch (const PoolClosed&) {
    order.push_back(-200 - number);
  }
}

// A loop that somebody turns: what it was given is resumed when it is turned.
struct Loop {
  std::deque<std::coroutine_handle<>> ready;
  auto executor() {
    return [this](std::coroutine_handle<> handle) { ready.push_back(handle); };
  }
  void turn() {
    while (!ready.empty()) {
      const auto handle = ready.front();
      ready.pop_front();
      handle.resume();
    }
  }
};

// Where a coroutine waits for the test.
struct Gate {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const noexcept { waiting = handle; }
  void await_resume() const noexcept {}
  std::coroutine_handle<>& waiting;
};

// An operation whose callback ends it, and gives back what it got.
struct Held {
  struct Callback {
    void operator()(const std::exception_ptr&, SimulatedPool<FixedSize>::Lease) const {
      ++*served;
      home->reset();
    }
    std::unique_ptr<Held>* home;
    std::size_t* served;
  };
  Held(SimulatedPool<FixedSize>& pool, std::unique_ptr<Held>& home, std::size_t& served)
      : operation{pool.async_acquire(Duration::max()).connect(Callback{&home, &served})} {
    operation.start();
  }
  decltype(std::declval<SimulatedPool<FixedSize>&>().async_acquire().connect(std::declval<Callback>())) operation;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_coroutine_takes_an_idle_connection_without_waiting) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    pool.wait_until_ready(10s);
    std::vector<int> order;
    const Task task = lease_one(pool, 1s, order, 1);
    BOOST_TEST(task.done());
    BOOST_TEST(order == std::vector<int>{1});
    BOOST_TEST(pool.statistics().waited == 0U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_waits_for_a_connection_that_is_opened) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(5ms); };
    SimulatedPool<> pool{connector(ledger), Elastic{.max_size = 2}};
    std::vector<int> order;
    const Task task = lease_one(pool, 1s, order, 1);
    BOOST_TEST(!task.done());
    until([&] { return task.done(); });
    BOOST_TEST(order == std::vector<int>{1});
    BOOST_TEST(pool.statistics().opened == 1U);
  });
}

BOOST_AUTO_TEST_CASE(coroutines_and_threads_are_served_in_the_order_in_which_they_came) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one, {}, {}, PoolOptions{.barging_limit = 0ms}};
    std::vector<int> order;
    auto leased = pool.acquire();
    Threads threads;
    std::vector<Task> tasks;
    for (int number = 1; number <= 6; ++number) {
      if (number % 2 == 1)
        tasks.push_back(lease_one(pool, 10s, order, number));
      else
        threads.start([&, number] {
          auto lease = pool.acquire(10s);
          order.push_back(number);
        });
      until([&] { return pool.statistics().now.waiting == static_cast<std::size_t>(number); });
    }
    leased.release();
    until([&] { return order.size() == 6; });
    threads.join();
    BOOST_TEST(order == (std::vector<int>{1, 2, 3, 4, 5, 6}));
  });
}

BOOST_AUTO_TEST_CASE(what_comes_back_to_a_suspended_pool_is_nobodys_before_it_resumes) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    std::vector<int> order;
    auto leased = pool.acquire();
    const Task waits = lease_one(pool, 10s, order, 1);
    pool.suspend();
    leased.release();
    sim::sleep_for(1s);
    BOOST_TEST(order.empty());
    BOOST_TEST(pool.statistics().now.waiting == 1U);
    pool.resume();
    until([&] { return waits.done(); });
    BOOST_TEST(order == (std::vector{1}));
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_times_out_at_its_deadline_and_is_told_who_has_the_connections) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    auto leased = pool.acquire();
    const TimePoint start = sim::Platform::now();
    std::vector<std::pair<int, Duration>> ends;
    const auto wait = [&](int number, Duration timeout) -> Task {
      try {
        auto lease = co_await pool.async_acquire(timeout);
      } catch (const AcquireTimeout& error) {
        ends.emplace_back(number, sim::Platform::now() - start);
        BOOST_TEST(error.holders().size() == 1U);
      }
    };
    const Task late = wait(1, 300ms);
    const Task early = wait(2, 100ms);
    const Task never = wait(3, Duration::max());
    const Task at_once = wait(4, 0ms);
    BOOST_TEST(at_once.done());
    while (!late.done()) sim::sleep_for(1ms);
    BOOST_REQUIRE(ends.size() == 3U);
    BOOST_TEST(ends[0].first == 4);
    BOOST_TEST(ends[1].first == 2);
    BOOST_TEST((ends[1].second >= 100ms && ends[1].second <= 101ms));
    BOOST_TEST(ends[2].first == 1);
    BOOST_TEST((ends[2].second >= 300ms && ends[2].second <= 301ms));
    BOOST_TEST(!never.done());
    BOOST_TEST(pool.statistics().timeouts == 3U);
    leased.release();
    BOOST_TEST(never.done());
  });
}

BOOST_AUTO_TEST_CASE(time_outs_hold_while_every_worker_is_held_up) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo& info) { sim::sleep_for(info.deadline - sim::Platform::now()); };
    SimulatedPool<> pool{connector(ledger), Elastic{.max_size = 8}, {}, {}, PoolOptions{.workers = 1}};
    const TimePoint start = sim::Platform::now();
    std::vector<int> order;
    const Task task = lease_one(pool, 50ms, order, 1);
    until([&] { return task.done(); });
    BOOST_TEST(order == std::vector<int>{-1});
    BOOST_TEST((sim::Platform::now() - start <= 51ms));
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_is_cancelled_by_its_stop_token_and_loses_nothing) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    std::vector<int> order;
    {
      auto leased = pool.acquire();
      sim::StopSource source;
      const Task first = lease_one(pool, 10s, order, 1, source.get_token());
      const Task second = lease_one(pool, 10s, order, 2);
      Threads threads;
      threads.start([&] { source.request_stop(); });
      threads.join();
      until([&] { return first.done(); });
      const Task third = lease_one(pool, 10s, order, 3, source.get_token());  // requested already
      BOOST_TEST(third.done());
      leased.release();
      until([&] { return second.done(); });
    }
    BOOST_TEST(order == (std::vector<int>{-101, -103, 2}));
    BOOST_TEST(pool.statistics().cancelled == 2U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_is_destroyed_while_it_waits_leaves_the_queue) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    std::vector<int> order;
    auto leased = pool.acquire();
    {
      const Task gone = lease_one(pool, 10s, order, 1);
      BOOST_TEST(pool.statistics().now.waiting == 1U);
    }
    BOOST_TEST(pool.statistics().now.waiting == 0U);
    const Task next = lease_one(pool, 10s, order, 2);
    leased.release();
    until([&] { return next.done(); });
    BOOST_TEST(order == std::vector<int>{2});
  });
}

BOOST_AUTO_TEST_CASE(coroutines_that_wait_when_the_pool_closes_get_pool_closed) {
  on_many_schedules([] {
    Ledger ledger;
    std::vector<int> order;
    std::vector<Task> tasks;
    {
      std::optional<SimulatedPool<FixedSize>> pool{std::in_place, connector(ledger), one};
      auto leased = pool->acquire();
      for (int number = 1; number <= 3; ++number) tasks.push_back(lease_one(*pool, 10s, order, number));
      pool.reset();
    }
    for (const Task& task : tasks) BOOST_TEST(task.done());
    BOOST_TEST(order == (std::vector<int>{-201, -202, -203}));
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_permanent_failure_to_open_reaches_the_coroutine) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { throw Refused{"refused"}; };
    SimulatedPool<> pool{connector(ledger)};
    const auto wait = [&]() -> Task { (void)co_await pool.async_acquire(10s); };
    const Task task = wait();
    until([&] { return task.done(); });
    BOOST_CHECK_THROW(task.check(), Refused);
  });
}

BOOST_AUTO_TEST_CASE(a_check_that_may_block_is_done_by_a_worker_and_an_unfit_connection_costs_no_place) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), one};
    pool.wait_until_ready(10s);
    const std::thread::id loop = sim::Platform::this_thread();
    ledger.on_ping = [&](TimePoint) {
      BOOST_TEST((sim::Platform::this_thread() != loop));
      return ledger.pings > 1;  // the first is found dead
    };
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(1ms); };
    std::vector<int> order;
    const Task first = lease_one(pool, 10s, order, 1);
    const Task second = lease_one(pool, 10s, order, 2);
    until([&] { return first.done() && second.done(); });
    BOOST_TEST(order == (std::vector<int>{1, 2}));
    BOOST_TEST(ledger.opened == 2U);
    BOOST_TEST(pool.statistics().found_dead == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_check_of_what_came_back_is_a_workers_and_not_that_of_who_gave_it_back) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), one};
    auto leased = pool.acquire();
    const std::thread::id here = sim::Platform::this_thread();
    ledger.on_ping = [&](TimePoint) {
      BOOST_TEST((sim::Platform::this_thread() != here));
      return true;
    };
    std::vector<int> order;
    const Task waits = lease_one(pool, 10s, order, 1);
    const std::size_t pings = ledger.pings;
    leased.release();
    until([&] { return waits.done(); });
    BOOST_TEST(order == std::vector<int>{1});
    BOOST_TEST(ledger.pings == pings + 1);
  });
}

BOOST_AUTO_TEST_CASE(how_long_a_coroutine_waited_is_in_the_figures) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(10ms); };
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 1}};
    std::vector<int> order;
    const Task waits = lease_one(pool, 10s, order, 1);
    until([&] { return waits.done(); });
    BOOST_TEST((pool.statistics().wait.sum == 10ms));
  });
}

BOOST_AUTO_TEST_CASE(time_outs_hold_while_no_worker_has_time_for_the_check) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), FixedSize{.size = 2}, {}, {}, {.workers = 1}};
    pool.wait_until_ready(1s);
    ledger.on_ping = [](TimePoint deadline) { return sim::self->world->block(deadline); };
    const TimePoint start = sim::Platform::now();
    std::vector<int> order;
    const Task held = lease_one(pool, 200ms, order, 1);  // the one worker hangs in its ping
    sim::sleep_for(1ms);
    const Task late = lease_one(pool, 100ms, order, 2);
    until([&] { return late.done(); });
    BOOST_TEST(order == std::vector<int>{-2});
    BOOST_TEST((sim::Platform::now() - start <= 102ms));
    BOOST_TEST(pool.statistics().now.idle == 1U);
    ledger.on_ping = [](TimePoint) { return true; };
    until([&] { return held.done(); });
  });
}

BOOST_AUTO_TEST_CASE(many_coroutines_that_serve_each_other_need_no_deep_stack) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    auto leased = pool.acquire();
    std::size_t served = 0;
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(Duration::max());
      ++served;
    };
    std::vector<Task> tasks;
    for (int i = 0; i < 20'000; ++i) tasks.push_back(wait());
    leased.release();
    BOOST_TEST(served == tasks.size());
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_is_resumed_on_the_executor_that_it_gave) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    Loop loop;
    bool served = false;
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(10s, {}, loop.executor());
      served = true;
    };
    auto leased = pool.acquire();
    const Task task = wait();
    leased.release();
    BOOST_TEST(!served);
    BOOST_TEST(loop.ready.size() == 1U);
    loop.turn();
    BOOST_TEST(served);
  });
}

BOOST_AUTO_TEST_CASE(an_executor_that_has_stopped_costs_no_connection) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(10s, {}, [](std::coroutine_handle<>) {});
      BOOST_ERROR("nobody resumes it");
    };
    auto leased = pool.acquire();
    {
      const Task task = wait();
      leased.release();
      BOOST_TEST(pool.statistics().now.idle == 0U);
    }
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_with_waiters_loses_no_connection) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    std::vector<Task> tasks;
    Loop loop;
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(1ms, {}, loop.executor());
      BOOST_ERROR("the loop has ended");
    };
    {
      auto leased = pool.acquire();
      for (int i = 0; i < 4; ++i) tasks.push_back(wait());
    }
    sim::sleep_for(5ms);  // some are granted a connection, some time out: nobody is told
    BOOST_TEST(!loop.ready.empty());
    tasks.clear();
    BOOST_TEST(pool.statistics().now.waiting == 0U);
    BOOST_TEST(pool.statistics().now.idle == 1U);
    BOOST_TEST(pool.close(1h).complete);
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_may_destroy_another_that_is_told_in_the_same_turn) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    auto leased = pool.acquire();
    std::vector<int> order;
    std::optional<Task> second;
    const auto wait = [&]() -> Task {
      try {
        auto lease = co_await pool.async_acquire(10s);
      } catch (const PoolClosed&) {
        second.reset();
      }
    };
    const Task first = wait();
    second = lease_one(pool, 10s, order, 2);
    pool.close();
    BOOST_TEST(first.done());
    BOOST_TEST(order.empty());
  });
}

BOOST_AUTO_TEST_CASE(who_is_told_behind_one_that_was_destroyed_goes_on) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    SimulatedPool<FixedSize> other{connector(ledger), one};
    auto leased = pool.acquire();
    auto theirs = other.acquire();
    std::vector<int> order;
    std::optional<Task> second;
    const auto wait = [&]() -> Task {
      try {
        auto lease = co_await pool.async_acquire(10s);
      } catch (const PoolClosed&) {
        second.reset();  // the last in line
        theirs.release();
      }
    };
    const Task first = wait();
    second = lease_one(pool, 10s, order, 2);
    const Task third = lease_one(other, 10s, order, 3);
    pool.close();
    BOOST_TEST(order == std::vector<int>{3});
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_may_destroy_another_whose_connection_waits_for_the_worker_that_it_runs_in) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{
        connector(ledger), FixedSize{.size = 2}, {}, {}, PoolOptions{.workers = 1}};
    pool.wait_until_ready(10s);
    // Both have a connection in hand before the worker comes to the second.
    bool both = false;
    ledger.on_ping = [&](TimePoint) {
      until([&] { return both; });
      return true;
    };
    std::vector<int> order;
    std::optional<Task> second;
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(10s);
      second.reset();
      order.push_back(1);
    };
    const Task first = wait();
    second = lease_one(pool, 10s, order, 2);
    both = true;
    until([&] { return first.done(); });
    BOOST_TEST(order == std::vector<int>{1});
    until([&] { return pool.statistics().now.idle == 2; });
  });
}

BOOST_AUTO_TEST_CASE(a_coroutine_may_destroy_the_one_that_just_opened_a_connection_for_it) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.max_size = 1}, {}, {}, PoolOptions{.workers = 0}};
    auto leased = pool.acquire();
    std::vector<int> order;
    std::optional<Task> second;
    const auto wait = [&]() -> Task {
      auto lease = co_await pool.async_acquire(10s);
      second.reset();
    };
    const Task first = wait();
    leased.discard();  // nobody opens now
    BOOST_TEST(!first.done());
    std::coroutine_handle<> waiting;
    const auto open_for_the_first = [&]() -> Task {
      co_await Gate{waiting};
      auto lease = co_await pool.async_acquire(10s);
      order.push_back(2);
    };
    second = open_for_the_first();
    waiting.resume();
    BOOST_TEST(first.done());
    BOOST_TEST(order.empty());
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_comes_back_of_one_that_was_given_up_before_it_waited) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{connector(ledger), one, {}, {}, {.workers = 1, .sweep_interval = 1h}};
    pool.wait_until_ready(10s);
    sim::sleep_for(1s);
    {
      auto asked = pool.async_acquire(1s).operator co_await();
      BOOST_TEST(!asked.await_ready());  // it has one in hand, which a worker would check
      BOOST_TEST(pool.statistics().now.leased == 1U);
    }
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_cancellation_does_not_wait_for_a_worker) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize, PingOnAcquire> pool{
        connector(ledger), FixedSize{.size = 2}, {}, {}, PoolOptions{.check_timeout = 1h, .workers = 1}};
    pool.wait_until_ready(10s);
    ledger.on_ping = [](TimePoint) { return sim::sleep_for(20ms), true; };
    std::vector<int> order;
    const Task first = lease_one(pool, 1h, order, 1);  // keeps the worker
    sim::StopSource source;
    Threads threads;
    threads.start([&] { source.request_stop(); });
    const TimePoint start = sim::Platform::now();
    if (form == Form::blocking) return threads.join();  // checks for itself
    BOOST_CHECK_THROW((void)acquire(form, pool, 1h, source.get_token()), AcquireCancelled);
    BOOST_TEST((sim::Platform::now() == start));
    BOOST_TEST(pool.statistics().now.idle == 1U);
    until([&] { return sim::Platform::now() > start + 10ms || first.done(); });
  });
}

BOOST_AUTO_TEST_CASE(a_lease_that_ends_beside_its_pool_leaves_no_waiter_without_an_answer) {
  // It is granted what comes back, and asks for a worker when there may be none any more.
  constexpr std::size_t switches = slow ? 1 : 2;
  ScheduleSearch search{{.preemptions = switches, .detours = switches}, ""};
  do {
    sim::Simulation world;
    world.run([&] {
      Ledger ledger;
      std::vector<int> order;
      std::optional<SimulatedPool<FixedSize, PingOnAcquire>> pool{
          std::in_place, connector(ledger), one, PingOnAcquire{}, KeepAlways{}, PoolOptions{.workers = 1}};
      auto leased = pool->acquire();
      const Task task = lease_one(*pool, Duration::max(), order, 1);
      Threads threads;
      threads.start([&] { leased.release(); });
      world.decided_by(&search);
      pool.reset();
      threads.join();
      world.decided_by(nullptr);
      BOOST_TEST(task.done());
      BOOST_TEST(order.size() == 1U);
      BOOST_TEST(ledger.live == 0U);
    });
  } while (search.advance());
}

BOOST_AUTO_TEST_CASE(a_callback_is_called_once_with_a_connection_or_the_reason) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    using Lease = SimulatedPool<FixedSize>::Lease;
    std::vector<Lease> got;
    int calls = 0;
    std::exception_ptr error;
    const auto callback = [&](std::exception_ptr failure, Lease lease) {
      ++calls;
      BOOST_TEST((failure == nullptr) == static_cast<bool>(lease));
      error = std::move(failure);
      if (lease) got.push_back(std::move(lease));
    };
    auto leased = pool.acquire();
    auto unused = pool.async_acquire(10s).connect(callback);
    auto first = pool.async_acquire(10s).connect(callback);
    first.start();
    auto second = pool.async_acquire(10s).connect(callback);
    second.start();
    {
      auto third = pool.async_acquire(10s).connect(callback);
      third.start();
    }
    auto fourth = pool.async_acquire(-1s).connect(callback);
    fourth.start();
    BOOST_TEST(calls == 1);
    BOOST_CHECK_THROW(std::rethrow_exception(error), InvalidOption);
    first.cancel();
    first.cancel();
    BOOST_TEST(calls == 2);
    BOOST_CHECK_THROW(std::rethrow_exception(error), AcquireCancelled);
    BOOST_TEST(pool.statistics().cancelled == 2U);
    leased.release();
    until([&] { return calls == 3; });
    BOOST_TEST(got.size() == 1U);
    second.cancel();
    pool.close();
    auto fifth = pool.async_acquire(10s).connect(callback);
    fifth.start();
    BOOST_CHECK_THROW(std::rethrow_exception(error), PoolClosed);
    fifth.cancel();
    BOOST_TEST(calls == 4);
  });
}

BOOST_AUTO_TEST_CASE(callbacks_that_serve_each_other_need_no_deep_stack_and_may_end_their_operation) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), one};
    auto leased = pool.acquire();
    std::vector<std::unique_ptr<Held>> operations(20'000);
    std::size_t served = 0;
    for (auto& each : operations) each = std::make_unique<Held>(pool, each, served);
    leased.release();
    BOOST_TEST(served == operations.size());
    BOOST_TEST(pool.statistics().now.idle == 1U);
  });
}

BOOST_AUTO_TEST_CASE(without_workers_the_asker_opens_and_maintain_keeps_time) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.max_size = 1}, {}, {}, PoolOptions{.workers = 0}};
    std::vector<int> order;
    const auto keep = [&]() -> Task {
      auto lease = co_await pool.async_acquire(1s);
      order.push_back(1);
      auto other = co_await pool.async_acquire(50ms);
    };
    const Task first = keep();
    BOOST_TEST(order == std::vector<int>{1});
    const Task second = lease_one(pool, 10s, order, 2);
    sim::sleep_for(60ms);
    BOOST_TEST(!first.done());
    pool.maintain();
    BOOST_TEST(first.done());
    BOOST_CHECK_THROW(first.check(), AcquireTimeout);
    BOOST_TEST(second.done());
    BOOST_TEST(order == (std::vector<int>{1, 2}));
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_whenever_coroutines_give_up) {
  on_many_schedules([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(1ms); };
    SimulatedPool<Elastic, PingIfIdle> pool{connector(ledger), Elastic{.max_size = 2}, PingIfIdle{.after = 0ms}};
    ledger.on_ping = [&](TimePoint) { return ledger.pings % 5 != 0; };
    std::size_t ended = 0;
    Threads threads;
    for (int t = 0; t < 3; ++t)
      threads.start([&, t] {
        std::minstd_rand random{static_cast<unsigned>(t + 1)};
        for (int i = 0; i < 12; ++i) {
          sim::StopSource source;
          const auto work = [&](Duration timeout) -> Task {
            try {
              auto lease = co_await pool.async_acquire(timeout, source.get_token());
              if (random() % 4 == 0) lease.discard();
            } catch (const PoolError&) {
            }
            ++ended;
          };
          // In line it is resumed by whoever serves it: so it is destroyed only while nobody can be about to.
          const Task task = work(std::chrono::microseconds{random() % 3000});
          if (random() % 2 == 0) sim::sleep_for(std::chrono::microseconds{random() % 2000});
          source.request_stop();
          until([&] { return task.done(); });
        }
      });
    threads.join();
    BOOST_TEST(ended == 36U);
    const Statistics figures = pool.statistics();
    BOOST_TEST(figures.now.leased == 0U);
    BOOST_TEST(figures.now.waiting == 0U);
    BOOST_TEST(ledger.peak <= 2U);
    auto all = pool.acquire(10s);
    auto both = pool.acquire(10s);
  });
}

BOOST_AUTO_TEST_SUITE_END()
