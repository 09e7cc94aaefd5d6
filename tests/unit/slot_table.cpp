// Which slot an acquire finds, and how many steps that takes: counted, so that no clock has to be asked.
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <lido/detail/monitor.hpp>
#include <lido/growth.hpp>
#include <lido/pool.hpp>
#include <memory>
#include <random>
#include <support/invariants.hpp>
#include <support/simulated_pool.hpp>
#include <thread>
#include <vector>

BOOST_AUTO_TEST_SUITE(slot_table)

using namespace lido;
using namespace std::chrono_literals;
using namespace lido::detail;  // of this suite: the files are also compiled as one

namespace {

// The real machine, which counts what is done to its atomics.
struct CountingPlatform : StandardPlatform {
  static constexpr bool checks = false;  // whose looks are steps
  static inline std::size_t steps = 0;
  static inline Duration later{};
  static TimePoint now() noexcept { return StandardPlatform::now() + later; }

  template <class T>
  class Atomic {
   public:
    Atomic(T value = {}) noexcept : value_{value} {}
    T load(std::memory_order = std::memory_order_seq_cst) const noexcept { return ++steps, value_; }
    void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept { ++steps, value_ = value; }
    bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                                 std::memory_order = std::memory_order_seq_cst) noexcept {
      ++steps;
      if (value_ == expected) return value_ = desired, true;
      return expected = value_, false;
    }

   private:
    T value_;
  };

  // Knows how many steps were the most that it was held for.
  class Mutex {
   public:
    void lock() noexcept { since_ = steps; }
    void unlock() noexcept {
      ++turns;
      longest = std::max(longest, steps - since_);
    }
    static inline std::size_t longest = 0;
    static inline std::size_t turns = 0;

   private:
    std::size_t since_ = 0;
  };

  template <class Function>
  static std::size_t of(Function&& function) {
    const std::size_t before = steps;
    function();
    return steps - before;
  }
};

using CountedSlot = Slot<int, CountingPlatform, false>;
using CountedTable = SlotTable<CountedSlot, CountingPlatform>;
constexpr std::size_t many = 10'000;
constexpr std::size_t words = many / 32 / 32 + 1;  // of the map above, of each of two

template <class Table>
void open_one(Table& table) {
  auto* const slot = table.vacant();
  BOOST_REQUIRE(slot != nullptr);
  table.put(*slot, SlotState::opening);
  table.put(*slot, SlotState::idle);
}
template <class Table>
void open_all(Table& table, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) open_one(table);
}
std::vector<CountedSlot*> lease(CountedTable& table, std::size_t count) {
  std::vector<CountedSlot*> leased;
  while (leased.size() < count) {
    leased.push_back(table.claim_idle());
    BOOST_REQUIRE(leased.back() != nullptr);
  }
  return leased;
}

using CountedMonitor = Monitor<CountedSlot, FixedSize, CountingPlatform>;
using CountedGuard = CountedMonitor::Guard;

// A pool of many idle connections, which no policy wants to be more.
struct Large {
  explicit Large(Duration barging_limit = 0ms) : pool{FixedSize{many}, {barging_limit, {5, 10ms, 250ms, 1s}}} {
    CountedGuard guard = pool.enter();
    pool.dispatcher.grow(guard);
    while (CountedSlot* const slot = pool.work.next_to_open()) pool.attempts.opened(*slot, TimePoint{1h}, guard);
    BOOST_REQUIRE(test::exact_counts(pool.capacity.slots()).idle == many);
    guard.end();
    CountingPlatform::Mutex::longest = 0;
  }
  // What 64 slots take, and none of it may grow with the pool.
  static bool held_briefly() { return CountingPlatform::Mutex::longest <= 64 * 24; }
  CountedMonitor pool;
};

struct Unheard : Waiter<CountedSlot> {
  explicit Unheard(bool is_thread = false)
      : Waiter{[](Waiter<CountedSlot>& waiter) noexcept { static_cast<Unheard&>(waiter).told = true; }, is_thread} {}
  bool told = false;
};

// A large pool whose waiters may overtake each other for an hour, so that those who are woken compete.
struct Competing : Large {
  Competing() : Large{1h} {}
  void line_up(Unheard& waiter) {
    waiter.since = CountingPlatform::now();
    pool.recall_in_turns();
    CountedGuard guard = pool.enter();
    pool.dispatcher.line_up(waiter, false, guard);
  }
  void give_back(CountedSlot& slot) {
    if (pool.capacity.slots().give_back(slot)) return;
    CountedGuard guard = pool.enter();
    pool.dispatcher.supply(slot, guard);
  }
  template <class Change>
  void change(Change change) {
    CountedGuard guard = pool.enter();
    change(pool.transitions, guard);
  }
  void suspend() {
    change([](auto& transitions, auto&) { transitions.suspend(); });
  }
  void resume() {
    change([](auto& transitions, auto& guard) { transitions.resume(guard); });
  }
  std::size_t in(SlotState state) {
    std::size_t count = 0;
    pool.capacity.slots().each([&](const CountedSlot& slot) { count += slot.state.load() == state ? 1 : 0; });
    return count;
  }
  // The lock was never held for long since the last look, and all is as it must be.
  void is_in_order() {
    BOOST_TEST(held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
    {
      const CountedGuard guard = pool.enter();
      const char* const broken =
          detail::Invariants<CountedSlot, FixedSize, CountingPlatform>{pool.capacity, pool.waiters}.broken();
      BOOST_TEST(broken == nullptr, (broken != nullptr ? broken : ""));
    }
    CountingPlatform::Mutex::longest = 0;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(whoever_retires_many_gives_up_the_lock_between) {
  const auto retire = [](auto change, std::size_t left) {
    Large large;
    const auto leased = lease(large.pool.capacity.slots(), many / 2);
    {
      CountedGuard guard = large.pool.enter();
      change(large.pool, guard);
    }
    BOOST_TEST(large.held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
    BOOST_TEST(large.pool.capacity.slots().staying() == left);
    BOOST_TEST(test::exact_counts(large.pool.capacity.slots()).idle == 0U);
    for (CountedSlot* const slot : leased) {
      if (large.pool.capacity.slots().give_back(*slot)) continue;
      CountedGuard guard = large.pool.enter();
      large.pool.dispatcher.supply(*slot, guard);
    }
    BOOST_TEST(large.pool.capacity.slots().staying() == left);
    BOOST_TEST(test::exact_counts(large.pool.capacity.slots()).idle == left);
  };
  retire([](auto& pool, auto& guard) { pool.capacity.invalidate(CloseReason::invalidated, guard); }, 0);
  retire([](auto& pool, auto& guard) { pool.transitions.close(guard); }, 0);
  retire(
      [](auto& pool, auto& guard) {
        auto growth = std::make_unique<const FixedSize>(3U);
        pool.transitions.resize(growth, guard);
      },
      3);
}

BOOST_AUTO_TEST_CASE(the_first_who_waits_behind_many_leases_holds_the_lock_no_longer_than_the_second) {
  Large large;
  const auto leased = lease(large.pool.capacity.slots(), many);
  std::array<Unheard, 2> waiters;
  for (Unheard& waiter : waiters) {
    CountingPlatform::Mutex::longest = 0;
    large.pool.recall_in_turns();
    CountedGuard guard = large.pool.enter();
    large.pool.dispatcher.line_up(waiter, false, guard);
    guard.end();
    BOOST_TEST(large.held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
  }
  for (const CountedSlot* const slot : leased) BOOST_REQUIRE((slot->state.load() == SlotState::recalled));
}

BOOST_AUTO_TEST_CASE(a_resume_recalls_many_leases_in_turns) {
  Competing large;
  const auto leased = lease(large.pool.capacity.slots(), many);
  std::array<Unheard, 3> waiters;
  large.suspend();
  std::ranges::for_each(waiters, [&](Unheard& each) { large.line_up(each); });
  BOOST_TEST(large.in(SlotState::recalled) == 0U);
  CountingPlatform::Mutex::longest = CountingPlatform::Mutex::turns = 0;
  large.resume();
  large.is_in_order();
  BOOST_TEST(CountingPlatform::Mutex::turns > many / 64 - 4);
  BOOST_TEST(large.in(SlotState::recalled) == many);
  for (Unheard& waiter : waiters) {
    BOOST_TEST(!waiter.told);
    large.give_back(*leased[static_cast<std::size_t>(&waiter - waiters.data())]);
    BOOST_TEST((waiter.state.load() == WaitState::granted));
  }
  large.is_in_order();
}

BOOST_AUTO_TEST_CASE(a_resume_serves_many_who_wait_in_turns_and_first_those_who_came_first) {
  for (const bool threads : {false, true}) {
    Competing large;
    large.suspend();
    std::deque<Unheard> waiters;
    while (waiters.size() < many + 2) large.line_up(waiters.emplace_back(threads));
    CountingPlatform::Mutex::longest = CountingPlatform::Mutex::turns = 0;
    large.resume();
    large.is_in_order();
    BOOST_TEST(CountingPlatform::Mutex::turns > many / 64 - 4);
    const auto served = std::ranges::count_if(
        waiters, [](const Unheard& each) { return each.state.load() == WaitState::granted && each.told; });
    // Of the last ones each thread is woken by the one before it.
    BOOST_TEST(served >= static_cast<std::ptrdiff_t>(many - 128));
    BOOST_TEST(std::ranges::all_of(waiters.begin(), waiters.begin() + served,
                                   [](const Unheard& each) { return each.state.load() == WaitState::granted; }));
    for (Unheard& waiter : waiters) {
      if (waiter.state.load() != WaitState::woken) continue;
      CountedGuard guard = large.pool.enter();
      BOOST_REQUIRE(large.pool.dispatcher.compete(waiter, guard) == (waiter.slot != nullptr));
    }
    BOOST_TEST(large.pool.waiters.queue().size() == 2U);
    large.is_in_order();
  }
}

BOOST_AUTO_TEST_CASE(a_suspension_or_an_end_that_comes_between_the_turns_of_a_resume_holds) {
  struct First : Waiter<CountedSlot> {
    First() : Waiter{[](Waiter<CountedSlot>& waiter) noexcept { static_cast<First&>(waiter).then(); }, false} {}
    std::function<void()> then;
  };
  enum class Meanwhile : std::uint8_t { suspended, suspended_and_resumed, closed, another_comes };
  for (const Meanwhile meanwhile :
       {Meanwhile::suspended, Meanwhile::suspended_and_resumed, Meanwhile::closed, Meanwhile::another_comes}) {
    Competing large;
    large.suspend();
    First first;
    first.since = CountingPlatform::now();
    {
      CountedGuard guard = large.pool.enter();
      large.pool.dispatcher.line_up(first, false, guard);
    }
    std::deque<Unheard> waiters;
    while (waiters.size() < 1'000) large.line_up(waiters.emplace_back(false));
    Unheard newcomer;
    first.then = [&] {  // nobody has the lock
      if (meanwhile == Meanwhile::another_comes) return large.line_up(newcomer);
      if (meanwhile == Meanwhile::closed)
        return large.change([](auto& transitions, auto& guard) { transitions.close(guard); });
      large.suspend();
      if (meanwhile == Meanwhile::suspended_and_resumed) large.resume();
    };
    CountingPlatform::Mutex::longest = 0;
    large.resume();
    large.is_in_order();
    const auto in = [&](WaitState state) {
      return std::ranges::count_if(waiters, [&](const Unheard& each) { return each.state.load() == state; });
    };
    const bool stays = meanwhile == Meanwhile::suspended;
    BOOST_TEST(large.pool.capacity.suspended() == (stays || meanwhile == Meanwhile::closed));
    BOOST_TEST(in(WaitState::granted) == (stays || meanwhile == Meanwhile::closed ? 63 : 1'000));
    BOOST_TEST(in(WaitState::closed) == (meanwhile == Meanwhile::closed ? 937 : 0));
    BOOST_TEST((newcomer.state.load() == WaitState::granted) == (meanwhile == Meanwhile::another_comes));
    if (!stays) continue;
    large.resume();
    BOOST_TEST(in(WaitState::granted) == 1'000);
    large.is_in_order();
  }
}

BOOST_AUTO_TEST_CASE(many_that_come_back_before_a_woken_thread_looks_are_offered_to_nobody_for_long) {
  for (const bool suspended : {false, true}) {
    Competing large;
    const auto leased = lease(large.pool.capacity.slots(), many);
    Unheard thread{true};
    large.line_up(thread);
    large.give_back(*leased.front());
    BOOST_TEST((thread.state.load() == WaitState::woken));
    for (std::size_t i = 1; i < 100; ++i) large.give_back(*leased[i]);
    if (suspended) large.suspend();
    for (std::size_t i = 100; i < many; ++i) large.give_back(*leased[i]);
    if (!suspended) {  // by then there was plenty
      BOOST_TEST((thread.state.load() == WaitState::granted));
    } else {
      large.resume();
      BOOST_TEST((thread.state.load() == WaitState::granted));
    }
    large.is_in_order();
    BOOST_TEST(large.in(SlotState::offered) + large.in(SlotState::barging) == 0U);
    BOOST_TEST(large.in(SlotState::idle) == many - 1);
  }
}

BOOST_AUTO_TEST_CASE(one_who_lines_up_beside_many_that_came_back_meanwhile_is_handed_one) {
  for (const bool is_thread : {false, true}) {
    Competing large;
    Unheard waiter{is_thread};
    large.line_up(waiter);
    BOOST_TEST((waiter.state.load() == WaitState::granted));
    large.is_in_order();
    BOOST_TEST(large.in(SlotState::idle) == many - 1);
  }
}

BOOST_AUTO_TEST_CASE(a_suspended_pool_that_had_offered_something_ends_that_in_turns) {
  Competing large;
  const auto leased = lease(large.pool.capacity.slots(), many);
  Unheard thread{true};
  large.line_up(thread);
  for (std::size_t i = 0; i < 100; ++i) large.give_back(*leased[i]);
  BOOST_TEST(large.in(SlotState::offered) == 100U);
  large.suspend();
  {
    CountedGuard guard = large.pool.enter();
    BOOST_TEST(large.pool.dispatcher.leave(thread, WaitState::abandoned, true, guard));
  }
  for (std::size_t i = 100; i < many; ++i) large.give_back(*leased[i]);
  CountingPlatform::Mutex::longest = CountingPlatform::Mutex::turns = 0;
  large.resume();
  large.is_in_order();
  BOOST_TEST(CountingPlatform::Mutex::turns > many / 64 - 4);
  BOOST_TEST(large.in(SlotState::idle) == many);
}

BOOST_AUTO_TEST_CASE(ten_thousand_who_are_late_or_refused_are_told_in_turns) {
  for (const bool closes : {false, true}) {
    Large large;
    const auto leased = lease(large.pool.capacity.slots(), many);
    std::vector<Unheard> waiters(many);
    large.pool.recall_in_turns();
    for (Unheard& waiter : waiters) {
      waiter.at = TimePoint{2h};
      CountedGuard guard = large.pool.enter();
      large.pool.dispatcher.line_up(waiter, false, guard);
    }
    CountingPlatform::Mutex::turns = 0;
    CountedGuard guard = large.pool.enter();
    if (closes)
      large.pool.transitions.close(guard);
    else
      BOOST_TEST(large.pool.dispatcher.expire(TimePoint{3h}, guard) == nullptr);
    guard.end();
    BOOST_TEST(large.pool.waiters.queue().empty());
    BOOST_TEST(std::ranges::all_of(waiters, &Unheard::told));
    BOOST_TEST(CountingPlatform::Mutex::turns > many / (closes ? 64 : 16));
  }
}

BOOST_AUTO_TEST_CASE(ten_thousand_who_wait_for_an_open_that_cannot_succeed_are_told_in_turns) {
  enum class Meanwhile : std::uint8_t { nothing, another_comes, one_opens };
  for (const Meanwhile meanwhile : {Meanwhile::nothing, Meanwhile::another_comes, Meanwhile::one_opens}) {
    CountedMonitor pool{FixedSize{many}, {0ms, {5, 10ms, 250ms, 1s}}};
    const auto error = std::make_exception_ptr(7);
    struct Waiting : Waiter<CountedSlot> {
      Waiting() : Waiter{[](Waiter<CountedSlot>& waiter) noexcept { static_cast<Waiting&>(waiter).hear(); }, false} {}
      void hear() {
        ++told;
        if (then) then();
      }
      std::size_t told = 0;
      std::function<void()> then;
    };
    std::vector<Waiting> waiters(many);
    Waiting late;
    for (Waiting& waiter : waiters) {
      CountedGuard guard = pool.enter();
      pool.dispatcher.line_up(waiter, false, guard);
    }
    waiters.front().then = [&] {  // nobody has the lock
      CountedGuard guard = pool.enter();
      if (meanwhile == Meanwhile::another_comes) pool.dispatcher.line_up(late, false, guard);
      if (meanwhile == Meanwhile::one_opens) pool.attempts.opened(*pool.work.next_to_open(), TimePoint{1h}, guard);
    };
    CountingPlatform::Mutex::turns = 0;
    std::size_t counted = 0;
    CountedGuard guard = pool.enter();
    pool.attempts.open_failed(*pool.work.next_to_open(), error, true, TimePoint{1h}, guard,
                              [&](std::size_t told) { counted += told; });
    guard.end();
    const auto in = [&](WaitState state) {
      return std::ranges::count_if(waiters, [&](const Waiting& waiter) { return waiter.state.load() == state; });
    };
    BOOST_TEST(counted == static_cast<std::size_t>(in(WaitState::refused)));
    if (meanwhile == Meanwhile::one_opens) {
      BOOST_TEST(in(WaitState::refused) == 64);
      BOOST_TEST(in(WaitState::granted) == 1);
      BOOST_TEST(pool.waiters.queue().size() == many - 65);
    } else {
      BOOST_TEST(in(WaitState::refused) == many);
      BOOST_TEST(
          std::ranges::all_of(waiters, [&](const Waiting& each) { return each.told == 1 && each.error == error; }));
      BOOST_TEST(CountingPlatform::Mutex::turns > many / 64);
      BOOST_TEST(late.told == 0U);
      BOOST_TEST(pool.waiters.queue().size() == (meanwhile == Meanwhile::another_comes ? 1U : 0U));
    }
  }
}

BOOST_AUTO_TEST_CASE(ten_thousand_who_waited_too_long_in_a_queue_that_stands_are_told_in_turns) {
  constexpr std::size_t size = 4;
  CountedMonitor pool{FixedSize{size}, {0ms, {5, 10ms, 250ms, 1s}, Duration::max(), 1s}};
  {
    CountedGuard guard = pool.enter();
    pool.dispatcher.grow(guard);
    while (CountedSlot* const slot = pool.work.next_to_open()) pool.attempts.opened(*slot, TimePoint{1h}, guard);
  }
  CountedSlot* const slot = lease(pool.capacity.slots(), size).front();
  const auto line_up = [&](Unheard& waiter) {
    waiter.since = CountingPlatform::now();
    CountedGuard guard = pool.enter();
    pool.dispatcher.line_up(waiter, false, guard);
  };
  std::vector<Unheard> waiters(many);
  std::ranges::for_each(waiters, line_up);
  std::vector<Unheard> newcomers(1'000);
  const auto told = [&] { return std::ranges::count_if(waiters, &Unheard::told); };
  std::size_t came = 0;
  std::size_t turns = 0;
  for (auto before = told(); before < static_cast<std::ptrdiff_t>(many) && came < newcomers.size(); ++came) {
    CountingPlatform::later += 600ms;  // a while of the queue's is some of these
    line_up(newcomers[came]);
    const auto by_joining = told() - before;
    CountingPlatform::Mutex::longest = 0;
    {
      CountedGuard guard = pool.enter();
      pool.dispatcher.supply(*slot, guard);  // of whoever was served before
    }
    const auto after = told();
    BOOST_REQUIRE(by_joining <= 64);
    BOOST_REQUIRE(after - before - by_joining <= 65);  // and one is served
    if (after - before > 2) ++turns;
    before = after;
  }
  CountingPlatform::later = {};
  BOOST_TEST(told() == static_cast<std::ptrdiff_t>(many));
  BOOST_TEST(turns >= many / 128 - 1);
  BOOST_TEST(std::ranges::count_if(waiters, [](const Unheard& each) { return each.state.load() == WaitState::shed; }) >
             static_cast<std::ptrdiff_t>(many - 2 * turns - 30));
}

BOOST_AUTO_TEST_CASE(whoever_asks_for_figures_gives_up_the_lock_between) {
  Large large;
  const auto leased = lease(large.pool.capacity.slots(), many / 2);
  CountingPlatform::Mutex::longest = 0;
  std::vector<ShareStatistics> no_shares;
  const Statistics figures = large.pool.figures(no_shares);
  BOOST_TEST(CountingPlatform::Mutex::longest <= 2 * 64U);
  BOOST_TEST(figures.now.leased == many / 2);
  BOOST_TEST(figures.now.idle == many / 2);
}

BOOST_AUTO_TEST_CASE(no_call_asks_many_slots_how_many_there_are) {
  constexpr std::size_t all = many + many / 2;
  CountedTable table{many};
  open_all(table, many);
  table.grow_to(all);  // two segments
  open_all(table, all - many);
  const auto leased = lease(table, all);
  for (std::size_t call = 0; call < all / 64 + 4; ++call)
    BOOST_REQUIRE(CountingPlatform::of([&] { static_cast<void>(table.counts()); }) <= 2 * 64U);
  BOOST_TEST(table.counts().leased == all);
  for (CountedSlot* const slot : leased) BOOST_REQUIRE(table.give_back(*slot));
  for (std::size_t call = 0; call < all / 64 + 4; ++call) static_cast<void>(table.counts());
  BOOST_TEST(table.counts().leased == 0U);
  BOOST_TEST(table.counts().idle == all);
}

BOOST_AUTO_TEST_CASE(attempts_that_stall_are_found_among_many_connections_without_a_search) {
  CountedMonitor pool{FixedSize{many}, {0ms, {5, 10ms, 250ms, 1s}}};
  std::vector<CountedSlot*> hanging;  // as many as may be opened at a time, and then the pool is half full
  CountedGuard guard = pool.enter();
  pool.dispatcher.grow(guard);
  for (std::size_t opened = 0; CountedSlot* const slot = pool.work.next_to_open();)
    ++opened <= many / 2 ? pool.attempts.opened(*slot, TimePoint{1h}, guard) : hanging.push_back(slot);
  BOOST_REQUIRE(!hanging.empty());
  guard.pause();
  CountingPlatform::Mutex::longest = 0;
  CountingPlatform::later = 1h;
  pool.dispatcher.grow(guard);
  CountingPlatform::later = {};
  guard.end();
  BOOST_TEST(Large::held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
  for (const CountedSlot* const slot : hanging) BOOST_TEST(slot->stalled);
  std::size_t stalled = 0;
  pool.capacity.slots().each([&](const CountedSlot& slot) { stalled += slot.stalled ? 1 : 0; });
  BOOST_TEST(stalled == hanging.size());
}

BOOST_AUTO_TEST_CASE(a_caller_that_opens_for_itself_queues_nothing_that_nobody_opens) {
  using CountedPool = Pool<int, FixedSize, AssumeHealthy, KeepAlways, CountingPlatform>;
  CountedPool pool{[] { return 1; }, FixedSize{many}, {}, {}, {.workers = 0}};
  CountingPlatform::Mutex::longest = 0;
  const auto first = pool.acquire();
  const auto second = pool.acquire();
  BOOST_TEST(Large::held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
  BOOST_TEST(pool.statistics().opened == 2U);
  pool.maintain();  // opens the rest
  BOOST_TEST(pool.statistics().now.total() == many);
  BOOST_TEST(Large::held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
}

BOOST_AUTO_TEST_CASE(a_pool_that_ends_holds_the_lock_no_longer_for_many_leases) {
  using CountedPool = Pool<int, FixedSize, AssumeHealthy, KeepAlways, CountingPlatform>;
  std::vector<CountedPool::Lease> leases;
  {
    CountedPool pool{[] { return 1; }, FixedSize{many}, {}, {}, {.workers = 0}};
    while (leases.size() < many) leases.push_back(pool.acquire());
    CountingPlatform::Mutex::longest = 0;
  }
  BOOST_TEST(Large::held_briefly(), CountingPlatform::Mutex::longest << " steps under the lock");
  leases.clear();  // each is closed, and the last frees what is left
}

BOOST_AUTO_TEST_CASE(the_slot_that_was_used_last_takes_one_exchange_to_lease_and_one_to_give_back) {
  CountedTable table{many};
  open_all(table, many);
  BOOST_REQUIRE(table.give_back(*lease(table, 1).front()));
  CountedSlot* slot = nullptr;
  BOOST_TEST(CountingPlatform::of([&] { slot = table.claim_idle(); }) == 2U);  // a look and an exchange
  BOOST_TEST(CountingPlatform::of([&] { table.give_back(*slot); }) == 2U);
}

BOOST_AUTO_TEST_CASE(a_search_comes_by_a_leased_slot_once_a_lease) {
  CountedTable table{many};
  open_all(table, many);
  const auto leased = lease(table, many);
  const auto failed = [&] { return CountingPlatform::of([&] { BOOST_TEST(table.claim_idle() == nullptr); }); };
  BOOST_TEST(failed() <= 5 * many);        // it takes them out
  BOOST_TEST(failed() <= 2 * words + 10);  // and finds nothing to look at
  BOOST_REQUIRE(table.give_back(*leased[7'000]));
  std::thread{[&] {  // one who has not given it back
    BOOST_TEST(CountingPlatform::of([&] { BOOST_TEST(table.claim_idle() == leased[7'000]); }) <= words + 10);
  }}
      .join();
}

BOOST_AUTO_TEST_CASE(what_a_search_passed_by_is_found_at_once_by_the_thread_that_gives_it_back) {
  CountedTable table{many};
  open_all(table, many);
  const auto leased = lease(table, many);
  BOOST_TEST(table.claim_idle() == nullptr);  // a search that passes by all of them
  for (const std::size_t index : {500U, 7'000U, 3U}) {
    CountedSlot* found = nullptr;
    BOOST_REQUIRE(table.give_back(*leased[index]));
    BOOST_TEST(CountingPlatform::of([&] { found = table.claim_idle(); }) == 2U);  // a look and an exchange
    BOOST_TEST(found == leased[index]);
  }
}

BOOST_AUTO_TEST_CASE(a_search_does_not_come_by_a_run_of_leases_that_ends_where_it_begins) {
  CountedTable table{many};
  open_all(table, many);
  std::vector<CountedSlot*> leased;
  while (leased.size() < 200)
    BOOST_REQUIRE(CountingPlatform::of([&] { leased.push_back(lease(table, 1).front()); }) <= 10U);
  for (const CountedSlot* const slot : leased) BOOST_TEST((slot->state.load() == SlotState::leased));
}

BOOST_AUTO_TEST_CASE(what_stands_before_the_beginning_of_a_search_is_found_last) {
  CountedTable table{many};
  open_all(table, many);
  auto leased = lease(table, many);
  for (const std::size_t from : {std::size_t{31}, many / 2, many - 1}) {
    CountedSlot* const one = leased[from];
    BOOST_TEST(table.claim_idle() == nullptr);
    BOOST_REQUIRE(table.give_back(*leased[from - from % 32]));  // the first of its word
    BOOST_REQUIRE(table.give_back(*one));
    BOOST_REQUIRE(table.claim_idle() == one);  // the next search begins here
    CountedSlot* found = nullptr;
    const std::size_t steps = CountingPlatform::of([&] { found = table.claim_idle(); });
    BOOST_TEST(found == leased[from - from % 32]);
    BOOST_TEST(steps <= words + 20);
  }
}

BOOST_AUTO_TEST_CASE(nineteen_of_twenty_may_be_leased_and_the_next_is_found_in_a_few_steps) {
  for (const double share : {0.05, 0.5, 0.95}) {
    CountedTable table{many};
    open_all(table, many);
    auto leased = lease(table, static_cast<std::size_t>(static_cast<double>(many) * share));
    std::mt19937 random{1};
    const auto turns = [&] {
      for (std::size_t i = 0; i < many; ++i) {
        CountedSlot*& one = leased[random() % leased.size()];
        BOOST_REQUIRE(table.give_back(*one));
        one = table.claim_idle();
      }
    };
    turns();
    BOOST_TEST(CountingPlatform::of(turns) <= 20 * many);
  }
}

BOOST_AUTO_TEST_CASE(opening_is_linear_and_so_is_asking_how_many_there_are) {
  const auto steps_a_slot = [](std::size_t count) {
    CountedTable table{count};
    const std::size_t steps = CountingPlatform::of([&] {
      for (std::size_t i = 0; i < count; ++i) {
        open_one(table);
        BOOST_REQUIRE(table.counts().idle == i + 1);
      }
    });
    return steps / count;
  };
  BOOST_TEST(steps_a_slot(10) <= 32U);
  BOOST_TEST(steps_a_slot(many) <= 90U);  // at most 64 of them are asked in the mean
}

BOOST_AUTO_TEST_CASE(what_was_recalled_is_passed_by_no_more) {
  CountedTable table{many};
  open_all(table, many);
  const auto leased = lease(table, many);
  const auto pass = [&] { return CountingPlatform::of([&] { BOOST_TEST(table.claim_idle_or_recall() == nullptr); }); };
  BOOST_TEST(test::exact_counts(table).leased == many);
  BOOST_TEST(pass() <= 4 * many);
  BOOST_TEST(pass() == 0U);
  BOOST_TEST(table.counts().leased == many);  // each of them once
  BOOST_TEST(table.counts().idle == 0U);
  table.put(*leased[5], SlotState::leased);  // somebody else gets it, for whom nobody waits
  BOOST_TEST(pass() <= 8U);
  BOOST_TEST((leased[5]->state.load() == SlotState::recalled));
  BOOST_TEST(!table.give_back(*leased[5]));
}

BOOST_AUTO_TEST_CASE(nobody_is_told_of_an_end_where_nothing_was_offered) {
  CountedTable table{many};
  open_all(table, many);
  BOOST_TEST(CountingPlatform::of([&] { table.end_offer(); }) == 0U);
}

BOOST_AUTO_TEST_CASE(what_rests_is_leased_last_and_found_as_quickly) {
  CountedTable table{many};
  open_all(table, many);
  table.each([&](CountedSlot& slot) { table.let_rest(slot); });
  CountedSlot* first = nullptr;
  first = table.claim_idle();  // who is first finds the others' words empty
  BOOST_REQUIRE(first != nullptr);
  BOOST_REQUIRE(table.give_back(*first));
  for (int i = 0; i < 10; ++i) {  // the one that is awake suffices
    BOOST_TEST(table.claim_idle() == first);
    BOOST_REQUIRE(table.give_back(*first));
  }
  BOOST_TEST(table.claim_idle() == first);
  CountedSlot* second = nullptr;
  BOOST_TEST(CountingPlatform::of([&] { second = table.claim_idle(); }) <= 2 * words + 12);
  BOOST_TEST((second != nullptr && second != first));
}

BOOST_AUTO_TEST_CASE(a_vacant_slot_is_found_at_once_and_every_one_is_used_before_there_is_none) {
  CountedTable table{3};
  open_all(table, 3);
  BOOST_TEST(table.vacant() == nullptr);
  CountedSlot* const one = table.claim_idle();
  table.put(*one, SlotState::closing);
  table.put(*one, SlotState::vacant);
  table.grow_to(5);
  BOOST_TEST(table.vacant() == one);
  table.put(*one, SlotState::opening);
  open_all(table, 2);
  BOOST_TEST(table.vacant() == nullptr);
  BOOST_TEST(table.counts().idle == 4U);
}

// Of a large table the number of leases may be as old as the 64th part of it has calls; the rest is right at once, and
// so is what changes under the lock.
BOOST_AUTO_TEST_CASE(how_many_are_leased_may_be_old_news_in_a_large_pool_for_a_while_and_in_a_small_one_never) {
  for (const std::size_t size : {std::size_t{64}, many}) {
    CountedTable table{size};
    open_all(table, size);
    BOOST_TEST(test::exact_counts(table).idle == size);
    const auto leased = lease(table, size / 2);
    BOOST_TEST(table.counts().total() == size);
    BOOST_TEST(test::exact_counts(table).leased == size / 2);
    for (CountedSlot* const slot : leased) BOOST_REQUIRE(table.give_back(*slot));
    std::size_t asked = 1;
    while (table.counts().leased > 0) ++asked;
    BOOST_TEST(asked <= size / 64 + 1);
  }
}

BOOST_AUTO_TEST_CASE(whatever_is_free_is_found_after_any_schedule_of_searches_and_releases) {
  using TestSlot = Slot<int, sim::Platform>;
  using TestTable = SlotTable<TestSlot, sim::Platform>;
  for (std::uint64_t seed = 1; seed <= (test::slow ? 300U : 3000U); ++seed) {
    sim::Simulation world{seed};
    world.run([&] {
      constexpr std::size_t size = 4;
      TestTable table{size};
      sim::Mutex mutex;
      open_all(table, size);
      std::vector<sim::Thread> threads;
      for (int t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
          for (int i = 0; i < 4; ++i) {
            TestSlot* const one = table.claim_idle();
            TestSlot* const other = t != 1 ? table.claim_idle() : nullptr;
            for (TestSlot* const slot : {one, other}) {
              if (slot == nullptr || table.give_back(*slot)) continue;
              const std::scoped_lock lock{mutex};  // somebody recalled it
              table.put(*slot, i % 2 == 0 ? SlotState::idle : SlotState::leased);
              if (i % 2 != 0 && !table.give_back(*slot)) table.put(*slot, SlotState::idle);
            }
          }
        });
      threads.emplace_back([&] {
        for (int i = 0; i < 3; ++i) {
          table.each([&](TestSlot& slot) { table.let_rest(slot); });
          const std::scoped_lock lock{mutex};
          if (TestSlot* const slot = table.claim_idle_or_recall()) table.put(*slot, SlotState::idle);
          table.offer(TimePoint::max());
          table.end_offer();
        }
      });
      for (sim::Thread& thread : threads) thread.join();
      const PoolCounts told = test::exact_counts(table);
      BOOST_TEST(told.idle == size, "seed " << seed);
      std::size_t found = 0;
      while (table.claim_idle() != nullptr) ++found;
      BOOST_TEST(found == size, "seed " << seed << ": only " << found << " are found");
    });
  }
}

BOOST_AUTO_TEST_CASE(a_large_pool_gives_nothing_out_while_it_closes) {
  using namespace lido::test;
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    sim::Simulation{seed}.run([] {
      Ledger ledger;
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 300}};
      pool.wait_until_ready(1h);
      std::size_t asked = 0;
      std::size_t got = 0;
      pool.events().on_close([&](Resource&, const ConnectionInfo&) {  // in a worker, beside the close
        ++asked;
        if (asked % 2 == 0) pool.resume();
        if (pool.try_acquire()) ++got;
      });
      pool.close(1h);
      BOOST_TEST(asked == 300U);
      BOOST_TEST(got == 0U);
      BOOST_TEST(ledger.live == 0U);
    });
}

BOOST_AUTO_TEST_CASE(a_large_pool_keeps_its_order_while_bursts_come_back_and_it_is_suspended) {
  using namespace lido::test;
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    sim::Simulation{seed}.run([seed] {
      Ledger ledger;
      SimulatedPool<FixedSize> pool{
          connector(ledger), FixedSize{.size = 300}, {}, {}, {.barging_limit = seed % 2 == 0 ? 1ms : 1h}};
      pool.wait_until_ready(1h);
      const std::size_t detached = 0;
      test::Invariants<SimulatedPool<FixedSize>> invariants{*sim::self->world, pool, ledger, detached};
      std::size_t served = 0;
      Threads threads;
      for (int i = 0; i < 5; ++i)
        threads.start([&] {
          for (int round = 0; round < 4; ++round) {
            std::vector<SimulatedPool<FixedSize>::Lease> burst;
            while (burst.size() < 70) {
              auto got = invariants.in_order([&] { return pool.try_acquire(); });
              if (!got) break;
              burst.push_back(std::move(*got));
            }
            sim::sleep_for(1ms);
          }
        });
      for (int i = 0; i < 90; ++i)
        threads.start([&] {
          sim::sleep_for(500us);
          for (int round = 0; round < 3; ++round, ++served) pool.acquire(Duration::max())->use(100us);
        });
      threads.start([&] {
        for (int round = 0; round < 4; ++round) {
          sim::sleep_for(700us);
          pool.suspend();
          sim::sleep_for(800us);
          pool.resume();
        }
      });
      threads.join();
      BOOST_TEST(served == 270U);
      BOOST_TEST(pool.statistics().now.idle == 300U);
    });
}

// Whoever finds a slot may have looked at the clock before the connection was opened.
BOOST_AUTO_TEST_CASE(no_connection_is_younger_than_new) {
  Slot<int, StandardPlatform> slot;
  const TimePoint now = Clock::now();
  slot.opened_at = now + 3ms;
  slot.since = now + 4ms;
  BOOST_TEST((slot.info(Moment::acquire, now, TimePoint::max()).age == 0ms));
  BOOST_TEST((slot.info(Moment::acquire, now, TimePoint::max()).idle == 0ms));
  BOOST_TEST((slot.info(Moment::acquire, now + 5ms, TimePoint::max()).age == 2ms));
}

BOOST_AUTO_TEST_SUITE_END()
