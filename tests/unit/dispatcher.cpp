// The decisions of the pool without its I/O: slots, waiters and what pairs them.
#include <array>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <lido/detail/monitor.hpp>
#include <lido/growth.hpp>
#include <lido/testing/platform.hpp>
#include <support/invariants.hpp>
#include <vector>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(dispatcher)

using namespace lido::detail;  // of this suite: the files are also compiled as one

namespace {

using TestSlot = Slot<int, sim::Platform>;
using TestMonitor = Monitor<TestSlot, FixedSize, sim::Platform>;
using TestGuard = TestMonitor::Guard;
using TestTable = SlotTable<TestSlot, sim::Platform>;

// A waiter that notes when it is told, as a callback or as a thread would stand in the queue.
struct Noting : Waiter<TestSlot> {
  explicit Noting(bool is_thread) : Waiter{&note, is_thread} { since = sim::Platform::now(); }
  static void note(Waiter<TestSlot>& waiter) noexcept { ++static_cast<Noting&>(waiter).told; }
  int told = 0;
};

// A pool of `size` open connections, all idle.
struct Fixture {
  explicit Fixture(std::size_t size, Duration barging_limit = 0ms, std::size_t workers = 5,
                   Duration max_standing_wait = Duration::max())
      : pool{FixedSize{size}, {barging_limit, {workers, 10ms, 250ms}, Duration::max(), max_standing_wait, false}} {
    TestGuard guard = pool.enter();
    pool.dispatcher.grow(guard);
    while (TestSlot* const slot = pool.work.next_to_open()) pool.attempts.opened(*slot, sim::Platform::now(), guard);
  }
  TestSlot& lease() { return *pool.capacity.slots().claim_idle(); }
  // What `release` does.
  void give_back(TestSlot& slot) {
    if (pool.capacity.slots().give_back(slot)) return;
    TestGuard guard = pool.enter();
    pool.dispatcher.supply(slot, guard);
  }
  void line_up(Noting& waiter) {
    TestGuard guard = pool.enter();
    pool.dispatcher.line_up(waiter, false, guard);
  }
  TestMonitor pool;
};

void in_simulation(const std::function<void()>& body) { sim::Simulation{0}.run(body); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_slot_goes_through_its_states) {
  in_simulation([] {
    TestMonitor pool{FixedSize{1}, {0ms, {1, 10ms, 250ms}}};
    const auto state = [&] {
      SlotState seen{};
      pool.capacity.slots().each([&](TestSlot& slot) { seen = slot.state.load(); });
      return seen;
    };
    BOOST_TEST((state() == SlotState::vacant));
    TestGuard guard = pool.enter();
    pool.dispatcher.grow(guard);
    BOOST_TEST((state() == SlotState::opening));
    TestSlot& slot = *pool.work.next_to_open();
    pool.attempts.opened(slot, sim::Platform::now(), guard);
    BOOST_TEST((state() == SlotState::idle));
    BOOST_TEST(pool.capacity.slots().claim_idle() == &slot);
    BOOST_TEST((state() == SlotState::leased));
    BOOST_TEST(pool.capacity.slots().claim_idle_or_recall() == nullptr);
    BOOST_TEST((state() == SlotState::recalled));
    pool.dispatcher.supply(slot, guard);
    BOOST_TEST((state() == SlotState::idle));
    using Table = SlotTable<TestSlot, sim::Platform>;
    BOOST_TEST(Table::claim(slot, SlotState::idle, SlotState::resting));  // by the sweep
    BOOST_TEST(!Table::claim(slot, SlotState::idle, SlotState::checking));
    BOOST_TEST(test::exact_counts(pool.capacity.slots()).idle == 1U);
    BOOST_TEST(pool.capacity.slots().claim_idle() == &slot);
    BOOST_TEST((state() == SlotState::leased));
    BOOST_TEST(pool.capacity.slots().recall(slot));
    BOOST_TEST((state() == SlotState::recalled));
    BOOST_TEST(pool.capacity.slots().recall(slot));  // it is already
    pool.dispatcher.supply(slot, guard);
    BOOST_TEST((state() == SlotState::idle));
    BOOST_TEST(!pool.capacity.slots().recall(slot));
    BOOST_TEST(Table::claim(slot, SlotState::idle, SlotState::resting));
    BOOST_TEST(pool.capacity.slots().claim_idle_or_recall() == &slot);
    BOOST_TEST((state() == SlotState::leased));
    pool.dispatcher.supply(slot, guard);
    BOOST_TEST(Table::claim(slot, SlotState::idle, SlotState::resting));
    BOOST_TEST(pool.capacity.slots().claim_free_for(SlotState::checking, slot));
    BOOST_TEST(pool.capacity.slots().claim_idle() == nullptr);
    pool.capacity.retire(slot, CloseReason::discarded, guard);
    BOOST_TEST((state() == SlotState::closing));
    BOOST_TEST(pool.work.next_to_close() == &slot);
    pool.dispatcher.vacate(slot, guard);  // and the policy wants another at once
    BOOST_TEST((state() == SlotState::opening));
    pool.attempts.open_failed(*pool.work.next_to_open(), nullptr, false, sim::Platform::now(), guard,
                              [](std::size_t) {});
    BOOST_TEST((state() == SlotState::vacant));
    BOOST_TEST((pool.capacity.retry_at() != TimePoint::max()));
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_recalls_every_leased_slot_and_so_hears_of_the_next_release) {
  in_simulation([] {
    Fixture f{3};
    TestSlot& a = f.lease();
    TestSlot& b = f.lease();
    TestSlot& c = f.lease();
    Noting waiter{true};
    f.line_up(waiter);
    for (TestSlot* slot : {&a, &b, &c}) BOOST_TEST((slot->state.load() == SlotState::recalled));
    BOOST_TEST(waiter.told == 0);
    f.give_back(b);
    BOOST_TEST(waiter.told == 1);
    BOOST_TEST(waiter.slot == &b);
    f.give_back(a);
    f.give_back(c);
    BOOST_TEST((c.state.load() == SlotState::idle));
  });
}

BOOST_AUTO_TEST_CASE(callbacks_and_threads_are_served_in_their_order) {
  in_simulation([] {
    Fixture f{1};
    TestSlot& slot = f.lease();
    Noting first{false};
    Noting second{true};
    Noting third{false};
    for (Noting* waiter : {&first, &second, &third}) f.line_up(*waiter);
    for (Noting* waiter : {&first, &second, &third}) {
      BOOST_TEST(waiter->told == 0);
      f.give_back(slot);
      BOOST_TEST(waiter->told == 1);
      BOOST_TEST((waiter->state.load() == WaitState::granted));
    }
    BOOST_TEST((slot.state.load() == SlotState::leased));  // nobody waits any more: its release is the fast one
  });
}

BOOST_AUTO_TEST_CASE(a_young_thread_is_woken_to_compete_and_a_callback_is_handed_its_slot) {
  in_simulation([] {
    Fixture f{1, 1ms};
    TestSlot& slot = f.lease();
    Noting thread{true};
    f.line_up(thread);
    f.give_back(slot);
    BOOST_TEST((thread.state.load() == WaitState::woken));
    BOOST_TEST((slot.state.load() == SlotState::offered));
    BOOST_TEST(&f.lease() == &slot);  // a newcomer is quicker
    BOOST_TEST((slot.state.load() == SlotState::barging));
    BOOST_TEST(test::exact_counts(f.pool.capacity.slots()).leased == 1U);
    TestGuard guard = f.pool.enter();
    BOOST_TEST(!f.pool.dispatcher.compete(thread, guard));
    BOOST_TEST((slot.state.load() == SlotState::recalled));
    f.pool.dispatcher.supply(slot, guard);
    BOOST_TEST(f.pool.dispatcher.compete(thread, guard));
    BOOST_TEST(thread.slot == &slot);
  });
  in_simulation([] {
    Fixture f{1, 1ms};
    TestSlot& slot = f.lease();
    Noting callback{false};
    f.line_up(callback);
    f.give_back(slot);
    BOOST_TEST((callback.state.load() == WaitState::granted));
  });
}

BOOST_AUTO_TEST_CASE(a_thread_past_the_barging_limit_is_handed_its_slot) {
  in_simulation([] {
    Fixture f{1, 1ms};
    TestSlot& slot = f.lease();
    Noting thread{true};
    f.line_up(thread);
    sim::sleep_for(1ms);
    f.give_back(slot);
    BOOST_TEST((thread.state.load() == WaitState::granted));
    BOOST_TEST(f.pool.capacity.slots().claim_idle() == nullptr);
  });
}

BOOST_AUTO_TEST_CASE(nobody_overtakes_a_woken_thread_past_the_limit_though_it_has_yet_to_run) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    Noting thread{true};
    f.line_up(thread);
    f.give_back(one);
    BOOST_TEST((thread.state.load() == WaitState::woken));
    for (int i = 0; i < 10; ++i) {  // newcomers, without the lock
      BOOST_TEST(&f.lease() == &one);
      BOOST_TEST((one.state.load() == SlotState::barging));
      BOOST_TEST(f.pool.capacity.slots().give_back(one));
      BOOST_TEST((one.state.load() == SlotState::offered));
      sim::sleep_for(99us);
    }
    BOOST_TEST(test::exact_counts(f.pool.capacity.slots()).idle == 1U);
    sim::sleep_for(10us);  // the limit
    BOOST_TEST(f.pool.capacity.slots().claim_idle() == nullptr);
    f.give_back(other);
    BOOST_TEST((thread.state.load() == WaitState::granted));
    BOOST_TEST(thread.slot == &other);
    BOOST_TEST(thread.told == 1);
    BOOST_TEST((one.state.load() == SlotState::idle));  // nobody waits any more
    BOOST_TEST(&f.lease() == &one);
  });
}

BOOST_AUTO_TEST_CASE(a_newcomer_past_the_limit_has_what_is_offered_handed_to_those_who_waited) {
  in_simulation([] {
    Fixture f{3, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    TestSlot& third = f.lease();
    Noting first{true};
    Noting second{true};
    f.line_up(first);
    f.line_up(second);
    f.give_back(one);
    f.give_back(other);
    BOOST_TEST(&f.lease() == &one);
    sim::sleep_for(1ms);
    BOOST_TEST(f.pool.capacity.slots().give_back(one));
    BOOST_TEST(f.pool.capacity.slots().claim_idle() == nullptr);
    Noting newcomer{true};
    f.line_up(newcomer);
    BOOST_TEST((first.state.load() == WaitState::granted));
    BOOST_TEST((second.state.load() == WaitState::granted));
    BOOST_TEST((newcomer.state.load() == WaitState::waiting));
    for (TestSlot* slot : {&one, &other, &third}) BOOST_TEST((slot->state.load() == SlotState::recalled));
  });
}

BOOST_AUTO_TEST_CASE(what_is_idle_or_leased_when_a_thread_is_woken_is_offered_or_barging_until_it_has_looked) {
  in_simulation([] {
    Fixture f{3, 1ms};
    const std::array free{&f.lease(), &f.lease()};
    TestSlot& leased = f.lease();  // behind those
    for (TestSlot* slot : free) f.give_back(*slot);
    f.pool.transitions.suspend();
    Noting thread{true};
    f.line_up(thread);
    BOOST_TEST(TestTable::claim(*free.back(), SlotState::idle, SlotState::resting));
    {
      TestGuard guard = f.pool.enter();
      f.pool.transitions.resume(guard);
    }
    BOOST_TEST((thread.state.load() == WaitState::woken));
    for (TestSlot* slot : free) BOOST_TEST((slot->state.load() == SlotState::offered));
    BOOST_TEST((leased.state.load() == SlotState::barging));
    BOOST_TEST(f.pool.capacity.slots().recall(leased));
    BOOST_TEST((leased.state.load() == SlotState::recalled));
    {
      TestGuard guard = f.pool.enter();
      BOOST_TEST(f.pool.dispatcher.compete(thread, guard));
    }
    BOOST_TEST(thread.slot == free.front());
    BOOST_TEST((free.front()->state.load() == SlotState::leased));
    BOOST_TEST((free.back()->state.load() == SlotState::idle));
    f.give_back(leased);
    BOOST_TEST((leased.state.load() == SlotState::idle));
  });
}

BOOST_AUTO_TEST_CASE(at_most_one_wake_is_in_flight_and_it_is_passed_on) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& a = f.lease();
    TestSlot& b = f.lease();
    Noting first{true};
    Noting second{true};
    f.line_up(first);
    f.line_up(second);
    f.give_back(a);
    f.give_back(b);
    BOOST_TEST(first.told == 1);
    BOOST_TEST(second.told == 0);
    {
      TestGuard guard = f.pool.enter();
      BOOST_TEST(f.pool.dispatcher.compete(first, guard));  // takes one, and wakes the next for the other
    }
    BOOST_TEST(second.told == 1);
    TestGuard guard = f.pool.enter();
    BOOST_TEST(f.pool.dispatcher.compete(second, guard));
  });
}

BOOST_AUTO_TEST_CASE(a_woken_waiter_that_leaves_passes_the_wake_on) {
  for (const bool by_itself : {false, true})
    in_simulation([&] {
      Fixture f{1, 1ms};
      TestSlot& slot = f.lease();
      Noting first{true};
      Noting second{true};
      f.line_up(first);
      f.line_up(second);
      f.give_back(slot);
      {
        TestGuard guard = f.pool.enter();
        BOOST_TEST(f.pool.dispatcher.leave(first, WaitState::abandoned, by_itself, guard));
      }
      BOOST_TEST(second.told == 1);
      BOOST_TEST(first.told == 1);
    });
}

BOOST_AUTO_TEST_CASE(a_woken_waiter_that_is_refused_in_an_overload_leaves_nothing_offered) {
  in_simulation([] {
    Fixture f{2, 1h, 5, 100ms};
    TestSlot& a = f.lease();
    TestSlot& b = f.lease();
    std::deque<Noting> waiters;
    for (int i = 0; i < 13; ++i) {
      f.line_up(waiters.emplace_back(true));
      sim::sleep_for(90ms);
    }
    BOOST_TEST((waiters.front().state.load() == WaitState::shed));
    BOOST_TEST((waiters.back().state.load() == WaitState::waiting));
    f.give_back(a);
    BOOST_TEST((waiters.back().state.load() == WaitState::woken));
    BOOST_TEST((a.state.load() == SlotState::offered));
    sim::sleep_for(90ms);
    f.give_back(b);
    for (Noting& waiter : waiters) {
      BOOST_TEST((waiter.state.load() == WaitState::shed));
      BOOST_TEST(waiter.told == 1);
    }
    BOOST_TEST((a.state.load() == SlotState::idle));
    BOOST_TEST((b.state.load() == SlotState::idle));
  });
}

BOOST_AUTO_TEST_CASE(a_woken_waiter_leaves_the_slot_to_an_older_one_that_came_back) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    Noting old{true};  // has had one that was idle
    sim::sleep_for(1us);
    Noting young{true};
    f.line_up(young);
    f.give_back(other);
    BOOST_TEST((young.state.load() == WaitState::woken));
    {  // what the old one has is not fit
      TestGuard guard = f.pool.enter();
      f.pool.capacity.retire(one, CloseReason::discarded, guard);
      f.pool.dispatcher.line_up(old, true, guard);
      BOOST_TEST((old.state.load() == WaitState::waiting));  // the young one has yet to look
      BOOST_TEST(!f.pool.dispatcher.compete(young, guard));
    }
    BOOST_TEST((old.state.load() == WaitState::granted));
    BOOST_TEST(old.slot == &other);
    BOOST_TEST(old.told == 1);
    BOOST_TEST((young.state.load() == WaitState::waiting));
  });
}

BOOST_AUTO_TEST_CASE(an_older_one_that_comes_back_past_its_limit_is_handed_what_a_woken_one_was_offered) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    Noting old{true};
    f.line_up(old);
    sim::sleep_for(1ms);
    Noting young{true};
    f.line_up(young);
    f.give_back(one);
    BOOST_TEST((old.state.load() == WaitState::granted));
    f.give_back(other);
    BOOST_TEST((young.state.load() == WaitState::woken));
    {  // what the old one was granted is not fit
      TestGuard guard = f.pool.enter();
      f.pool.capacity.retire(one, CloseReason::discarded, guard);
      old.state.store(WaitState::waiting);
      f.pool.dispatcher.line_up(old, true, guard);
    }
    BOOST_TEST((old.state.load() == WaitState::granted));
    BOOST_TEST(old.slot == &other);
    BOOST_TEST(old.told == 2);
    TestGuard guard = f.pool.enter();
    BOOST_TEST(!f.pool.dispatcher.compete(young, guard));
    BOOST_TEST((young.state.load() == WaitState::waiting));
  });
}

BOOST_AUTO_TEST_CASE(an_older_one_that_comes_back_brings_the_limit_nearer) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    Noting old{true};
    sim::sleep_for(900us);
    Noting young{true};
    f.line_up(young);
    f.give_back(other);
    {
      TestGuard guard = f.pool.enter();
      f.pool.capacity.retire(one, CloseReason::discarded, guard);
      f.pool.dispatcher.line_up(old, true, guard);
    }
    BOOST_TEST(&f.lease() == &other);
    BOOST_TEST(f.pool.capacity.slots().give_back(other));
    sim::sleep_for(100us);
    BOOST_TEST(f.pool.capacity.slots().claim_idle() == nullptr);
    TestGuard guard = f.pool.enter();
    BOOST_TEST(!f.pool.dispatcher.compete(young, guard));
    BOOST_TEST(old.slot == &other);
  });
}

BOOST_AUTO_TEST_CASE(those_who_come_back_stand_in_the_order_in_which_they_came) {
  in_simulation([] {
    Fixture f{1};
    (void)f.lease();
    std::array<Noting*, 4> in_queue{};
    Noting oldest{true};  // has had an idle one that was not fit, and has not been in the queue yet
    sim::sleep_for(1us);
    Noting older{false};
    Noting young{true};  // of the same instant
    sim::sleep_for(1us);
    Noting youngest{false};
    TestGuard guard = f.pool.enter();
    for (Noting* waiter : {&older, &young, &youngest}) f.pool.dispatcher.line_up(*waiter, false, guard);
    for (Noting* waiter : {&young, &older}) f.pool.dispatcher.leave(*waiter, WaitState::waiting, true, guard);
    for (Noting* waiter : {&young, &oldest, &older}) f.pool.dispatcher.line_up(*waiter, true, guard);
    std::size_t at = 0;
    for (auto* waiter = f.pool.waiters.queue().front(); waiter != nullptr; waiter = waiter->next)
      in_queue.at(at++) = static_cast<Noting*>(waiter);
    BOOST_TEST((in_queue == std::array{&oldest, &older, &young, &youngest}));
    BOOST_TEST(f.pool.waiters.queue().size() == 4U);
    f.pool.transitions.close(guard);
  });
}

BOOST_AUTO_TEST_CASE(a_woken_waiter_that_is_handed_a_slot_meanwhile_passes_the_wake_on) {
  in_simulation([] {
    Fixture f{2, 1ms};
    TestSlot& one = f.lease();
    TestSlot& other = f.lease();
    Noting first{true};
    Noting second{true};
    f.line_up(first);
    f.line_up(second);
    f.give_back(one);
    sim::sleep_for(2ms);  // the first one is slow, and past the limit by now
    f.give_back(other);
    BOOST_TEST((first.state.load() == WaitState::granted));
    BOOST_TEST(first.told == 1);
    BOOST_TEST(second.told == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_settled_waiter_cannot_leave_and_is_told_once) {
  in_simulation([] {
    Fixture f{1};
    TestSlot& slot = f.lease();
    Noting waiter{true};
    f.line_up(waiter);
    f.give_back(slot);
    TestGuard guard = f.pool.enter();
    BOOST_TEST(!f.pool.dispatcher.leave(waiter, WaitState::cancelled, false, guard));
    BOOST_TEST((waiter.state.load() == WaitState::granted));
    guard.end();
    BOOST_TEST(waiter.told == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_cancelled_by_others_is_told) {
  in_simulation([] {
    Fixture f{1};
    (void)f.lease();
    Noting waiter{true};
    f.line_up(waiter);
    {
      TestGuard guard = f.pool.enter();
      BOOST_TEST(f.pool.dispatcher.leave(waiter, WaitState::cancelled, false, guard));
      BOOST_TEST(waiter.told == 0);  // not under the lock
    }
    BOOST_TEST(waiter.told == 1);
    BOOST_TEST(f.pool.waiters.queue().empty());
  });
}

BOOST_AUTO_TEST_CASE(the_race_of_a_release_with_a_waiter_is_won_by_one_of_them_in_every_order) {
  // A releaser and a waiter step by step; the seed decides who is first at the slot.
  int released_first = 0;
  int recalled_first = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed)
    sim::Simulation{seed}.run([&] {
      Fixture f{1};
      TestSlot& slot = f.lease();
      Noting waiter{true};
      sim::Thread releaser{[&] {
        if (f.pool.capacity.slots().give_back(slot)) {
          ++released_first;
          return;
        }
        ++recalled_first;
        TestGuard guard = f.pool.enter();
        f.pool.dispatcher.supply(slot, guard);
      }};
      f.line_up(waiter);
      releaser.join();
      BOOST_TEST(waiter.told == 1);
      BOOST_TEST(waiter.slot == &slot);
    });
  BOOST_TEST(released_first > 10);
  BOOST_TEST(recalled_first > 10);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(backoff)

using namespace lido::detail;

BOOST_AUTO_TEST_CASE(pauses_double_up_to_the_longest_and_end_with_a_success) {
  Backoff backoff{10ms, 250ms, 1};
  const TimePoint now{1h};
  BOOST_TEST(!backoff.failing());
  for (const Duration cap : {Duration{10ms}, Duration{20ms}, Duration{40ms}, Duration{80ms}, Duration{160ms},
                             Duration{250ms}, Duration{250ms}}) {
    backoff.failed(nullptr, false, now);
    BOOST_TEST((backoff.until() >= now && backoff.until() <= now + cap));
  }
  BOOST_TEST(backoff.failing());
  backoff.succeeded();
  BOOST_TEST(!backoff.failing());
}

BOOST_AUTO_TEST_SUITE_END()
