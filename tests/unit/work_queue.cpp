// In which order a worker takes what there is to do.
#include <cstddef>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <lido/detail/work_queue.hpp>
#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(work_queue)

using detail::next_task;
using detail::PendingWork;
using detail::Task;

BOOST_AUTO_TEST_CASE(each_kind_of_work_has_its_turn_and_an_open_goes_before_a_close) {
  constexpr PendingWork all{true, true, true, true, true, true, true};
  constexpr PendingWork no_open{true, true, true, false, true, true, true};
  constexpr PendingWork supply{.opens = true, .closes = true, .sweep = true, .stopping = true};
  struct Row {
    PendingWork pending;
    Task last;
    Task next;
  };
  const std::vector<Row> rows{
      {{}, Task::rest, Task::rest},
      {{.sweep = true}, Task::rest, Task::sweep},
      {{.sweep = true}, Task::sweep, Task::sweep},
      {{.sweep = true, .stopping = true}, Task::rest, Task::end},
      {{.closes = true, .sweep = true, .stopping = true}, Task::rest, Task::close},
      {all, Task::rest, Task::check_for_caller},
      {all, Task::sweep, Task::check_for_caller},
      {all, Task::check_for_caller, Task::put_in_order},
      {all, Task::put_in_order, Task::open},
      {all, Task::open, Task::check_suspect},
      {all, Task::close, Task::check_suspect},
      {all, Task::check_suspect, Task::check_for_caller},
      {no_open, Task::put_in_order, Task::close},
      {supply, Task::rest, Task::open},
      {supply, Task::open, Task::open},
      {supply, Task::close, Task::open},
      {{.closes = true}, Task::open, Task::close},
      {{.asked = true, .closes = true}, Task::check_for_caller, Task::close},
      {{.asked = true, .closes = true}, Task::close, Task::check_for_caller},
      {{.asked = true}, Task::check_for_caller, Task::check_for_caller},
      {{.returned = true, .suspects = true}, Task::open, Task::check_suspect},
      {{.returned = true, .suspects = true}, Task::put_in_order, Task::check_suspect},
  };
  for (std::size_t i = 0; i < rows.size(); ++i)
    BOOST_TEST((next_task(rows[i].pending, rows[i].last) == rows[i].next), "row " << i);
}

BOOST_AUTO_TEST_CASE(nothing_that_waits_is_passed_over_more_than_three_times_but_a_close_for_an_open) {
  for (unsigned bits = 1; bits < 32; ++bits) {
    const PendingWork pending{.asked = (bits & 1) != 0,
                              .returned = (bits & 2) != 0,
                              .suspects = (bits & 16) != 0,
                              .opens = (bits & 4) != 0,
                              .closes = (bits & 8) != 0};
    std::vector<int> passed(5, 0);
    Task last = Task::rest;
    for (int i = 0; i < 20; ++i) {
      last = next_task(pending, last);
      for (int& each : passed) ++each;
      passed.at(static_cast<std::size_t>(last)) = 0;
      for (std::size_t kind = 0; kind < 5; ++kind)
        if ((bits >> kind & 1) != 0 && (kind != 3 || !pending.opens)) BOOST_TEST(passed[kind] <= 3);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_acquire_waits_for_one_close_at_most) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 0, .max_size = 400}};
    {
      std::vector<decltype(pool.acquire())> leases;
      while (leases.size() < 200) leases.push_back(pool.acquire());
    }
    pool.events().on_close([](Resource&, const ConnectionInfo&) { sim::sleep_for(50ms); });
    pool.invalidate();
    for (int i = 0; i < 10; ++i) {
      sim::sleep_for(1ms);  // all workers are at it
      const TimePoint asked = sim::Platform::now();
      const auto lease = pool.acquire();
      BOOST_TEST((sim::Platform::now() - asked <= 50ms));
      pool.invalidate();
    }
    BOOST_TEST(pool.statistics().now.closing > 100U);
    sim::sleep_for(10s);
    BOOST_TEST(pool.statistics().now.closing == 0U);
  });
}

BOOST_AUTO_TEST_CASE(each_job_is_handed_out_once_and_a_sweep_to_one_worker_at_a_time) {
  using TestSlot = detail::Slot<int, sim::Platform>;
  using Queue = detail::WorkQueue<TestSlot, sim::Platform>;
  sim::Simulation{0}.run([] {
    sim::Platform::Mutex mutex;
    Queue queue{false};
    TestSlot opening, closing, returned, suspect;
    const TimePoint now = sim::Platform::now();
    Queue::Guard guard{mutex};
    queue.open(opening, guard);
    queue.close(closing, guard);
    queue.put_in_order(returned, guard);
    queue.check_suspect(suspect);
    queue.sweep_at(now);
    const std::vector<std::pair<Task, TestSlot*>> rows{
        {Task::put_in_order, &returned}, {Task::open, &opening}, {Task::check_suspect, &suspect},
        {Task::close, &closing},         {Task::sweep, nullptr}, {Task::rest, nullptr},
    };
    Task last = Task::rest;
    for (const auto& [task, slot] : rows) {
      const Queue::Work work = queue.next(now, last);
      BOOST_TEST((work.task == task));
      BOOST_TEST(work.slot == slot);
      last = work.task;
    }
    BOOST_TEST((queue.next_sweep(now + 5s) == now + 5s));  // one is under way
    queue.sweep_at(now + 1s);
    BOOST_TEST((queue.next_sweep(now + 5s) == now + 1s));
    queue.stop(guard);
    BOOST_TEST((queue.next(now, last).task == Task::end));
  });
}

BOOST_AUTO_TEST_CASE(without_workers_a_thread_closes_what_it_retired_and_nothing_else) {
  using TestSlot = detail::Slot<int, sim::Platform>;
  using Queue = detail::WorkQueue<TestSlot, sim::Platform>;
  sim::Simulation{0}.run([] {
    for (const bool by_callers : {true, false}) {
      sim::Platform::Mutex mutex;
      Queue queue{by_callers};
      TestSlot mine, other;
      Queue::Guard guard{mutex};
      queue.close(other, guard);
      other.closer = {};
      queue.close(mine, guard);
      BOOST_TEST(queue.next_to_close() == (by_callers ? &mine : &other));
      BOOST_TEST(queue.next_to_close() == (by_callers ? nullptr : &mine));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
