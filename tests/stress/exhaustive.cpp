// Small programs, two connections and three threads with two operations each, on every schedule with at most so many
// preemptions and detours (see SearchBounds): LIDO_PREEMPTIONS and LIDO_DETOURS, by default two, and one under a
// sanitizer or where a program says so because it has too many schedules. Every invariant is checked after every step.
// LIDO_SCHEDULE replays one.
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <support/forms.hpp>
#include <support/invariants.hpp>
#include <support/replay_note.hpp>
#include <support/schedule_search.hpp>
#include <support/seeds.hpp>
#include <support/served_queue.hpp>
#include <support/slow.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(exhaustive)

namespace {

constexpr std::size_t usual_preemptions = slow ? 1 : 2;
constexpr std::size_t usual_detours = slow ? 1 : 2;

// What the threads of a program share.
template <class Growth, class Health>
struct Stage {
  using P = SimulatedPool<Growth, Health>;
  Ledger& ledger;
  P& pool;
  std::vector<Share<P>> shares{};
  sim::StopSource stop{};
  std::vector<Resource> detached{};
  std::size_t detaching = 0;  // those, and those that are about to be
  std::unique_ptr<ServedQueue<P>> queue{};
  Invariants<P>* invariants = nullptr;

  auto acquire_in_order() {
    return invariants->in_order([this] { return pool.acquire(Duration::max()); });
  }
};

template <class Growth, class Health = AssumeHealthy>
struct Program {
  using Operation = std::function<void(Stage<Growth, Health>&)>;
  const char* name;
  Growth growth;
  PoolOptions options;
  std::size_t warm = 0;  // connections that are open and idle before it begins
  std::vector<std::pair<std::string, ShareOptions>> shares{};
  std::vector<std::vector<Operation>> threads;
  std::function<void(Ledger&)> prepare = [](Ledger&) {};
  std::size_t bound = 2;   // connections at once
  Duration limit = 100ms;  // by when all is done: a sweep, which comes much later, would make up for a lost wake-up
  std::function<void(Stage<Growth, Health>&)> begin = [](Stage<Growth, Health>&) {};  // by one thread, at the end
  std::size_t preemptions = usual_preemptions;
  std::size_t preemptions_with_workers = preemptions;
};

// --- Operations: what may not happen in one escapes from it, and ends the test. --------------------------------------

const auto lease_one = [](auto& stage) { stage.acquire_in_order()->use(); };
// Holds it until nobody else can run, so that others have to wait.
const auto work = [](auto& stage) { stage.acquire_in_order()->use(1ms); };
const auto keep_for_an_hour = [](auto& stage) { stage.pool.acquire(Duration::max())->use(1h); };
const auto lease_one_within_a_minute = [](auto& stage) { stage.pool.acquire(1min)->use(); };
const auto discard = [](auto& stage) { stage.pool.acquire(Duration::max()).discard(); };
const auto detach = [](auto& stage) {
  auto lease = stage.pool.acquire(Duration::max());
  ++stage.detaching;
  stage.detached.push_back(lease.detach());
};
const auto try_lease_one = [](auto& stage) { (void)stage.pool.try_acquire(); };
const auto invalidate = [](auto& stage) { stage.pool.invalidate(); };
const auto maintain = [](auto& stage) { stage.pool.maintain(); };
const auto suspend_and_resume = [](auto& stage) {
  stage.pool.suspend();
  stage.pool.resume();
};
const auto cancel = [](auto& stage) { stage.stop.request_stop(); };
const auto close_pool = [](auto& stage) { stage.pool.close(1h); };
const auto resize_to_one = [](auto& stage) { stage.pool.resize({.max_size = 1}); };
const auto resize_to_two = [](auto& stage) { stage.pool.resize({.max_size = 2}); };

const auto lease_one_as_callback = [](auto& stage) { acquire(Form::callback, stage.pool, Duration::max())->use(); };
const auto work_as_coroutine = [](auto& stage) { acquire(Form::coroutine, stage.pool, Duration::max())->use(1ms); };
const auto lease_one_as_callback_unless_cancelled = [](auto& stage) {
  try {
    acquire(Form::callback, stage.pool, Duration::max(), stage.stop.get_token())->use();
  } catch (const AcquireCancelled&) {
  }
};

const auto lease_one_though_the_server_is_away = [](auto& stage) {
  for (bool served = false; !served;) try {
      stage.pool.acquire(Duration::max())->use();
      served = true;
    } catch (const std::logic_error&) {
      throw;
    } catch (const std::runtime_error&) {
      sim::sleep_for(3ms);
    }
};

const auto lease_one_in_time = [](auto& stage) {
  try {
    stage.pool.acquire(1ms)->use();
  } catch (const AcquireTimeout&) {
  }
};
const auto lease_one_unless_cancelled = [](auto& stage) {
  try {
    stage.pool.acquire(Duration::max(), stage.stop.get_token())->use();
  } catch (const AcquireCancelled&) {
  }
};
const auto lease_one_unless_closed = [](auto& stage) {
  try {
    stage.pool.acquire(Duration::max())->use();
  } catch (const PoolClosed&) {
  }
};
const auto work_unless_closed = [](auto& stage) {
  try {
    stage.pool.acquire(Duration::max())->use(1ms);
  } catch (const PoolClosed&) {
  }
};

// Of the first share, and the second.
const auto work_in_first = [](auto& stage) { stage.shares[0].acquire(Duration::max())->use(1ms); };
const auto lease_in_first = [](auto& stage) { stage.shares[0].acquire(Duration::max())->use(); };
const auto work_in_second = [](auto& stage) { stage.shares[1].acquire(Duration::max())->use(1ms); };
const auto lease_in_second = [](auto& stage) { stage.shares[1].acquire(Duration::max())->use(); };
const auto discard_in_second = [](auto& stage) { stage.shares[1].acquire(Duration::max()).discard(); };
const auto lease_in_second_in_time = [](auto& stage) {
  try {
    stage.shares[1].acquire(1ms)->use();
  } catch (const AcquireTimeout&) {
  }
};
const auto lease_in_second_unless_cancelled = [](auto& stage) {
  try {
    acquire(Form::callback, stage.shares[1], Duration::max(), stage.stop.get_token())->use();
  } catch (const AcquireCancelled&) {
  }
};
const auto work_in_second_as_coroutine = [](auto& stage) {
  acquire(Form::coroutine, stage.shares[1], Duration::max())->use(1ms);
};
const auto try_in_first = [](auto& stage) { (void)stage.shares[0].try_acquire(); };
const auto begin_shares = [](auto& stage) {
  stage.pool.share("late", {.guaranteed = 1}).acquire(Duration::max())->use();
};

// --- The search -----------------------------------------------------------------------------------------------------

// What is wrong when all threads are done.
template <class Growth, class Health>
std::string find_fault(Stage<Growth, Health>& stage, std::size_t bound) {
  const Statistics figures = stage.pool.statistics();
  if (figures.acquired != figures.released || figures.now.leased != 0) return "a lease is still counted";
  if (figures.now.waiting != 0) return "somebody is still in the queue";
  for (const ShareStatistics& share : figures.shares)
    if (share.leased + share.waiting != 0) return "a share still has something";
  if (figures.now.total() > bound) return "too many connections are counted";
  if (stage.ledger.peak > bound + stage.detached.size()) return "too many connections were open";
  if (!stage.pool.close(1h).complete) return "the pool cannot be closed";
  if (stage.ledger.live != stage.detached.size()) return "a connection was not closed";
  if (stage.pool.statistics().opened != stage.pool.statistics().closed) return "opens and closes do not add up";
  return {};
}

template <class Growth, class Health>
std::string play(const Program<Growth, Health>& program, ScheduleSearch& search) {
  sim::Simulation world;
  world.step_limit = 100'000;
  std::string wrong;
  world.run([&] {
    Ledger ledger;
    SimulatedPool<Growth, Health> pool{connector(ledger), program.growth, {}, {}, program.options};
    Stage<Growth, Health> stage{.ledger = ledger, .pool = pool};
    Invariants<SimulatedPool<Growth, Health>> invariants{world, pool, ledger, stage.detaching};
    stage.invariants = &invariants;
    {
      std::vector<typename SimulatedPool<Growth, Health>::Lease> first;
      while (first.size() < program.warm) first.push_back(pool.acquire());
    }
    program.prepare(ledger);
    for (const auto& [share, options] : program.shares) stage.shares.push_back(pool.share(share, options));
    program.begin(stage);
    // The search is about the operations alone, not about how their threads begin and end.
    std::size_t running = program.threads.size();
    sim::Task& main = *sim::self;
    Threads threads;
    for (const auto& operations : program.threads)
      threads.start([&] {
        for (const auto& operation : operations) operation(stage);
        if (--running > 0) return;
        world.decided_by(nullptr);
        sim::Simulation::wake(main);
      });
    const TimePoint begun = world.now();
    world.decided_by(&search);
    world.block(TimePoint::max());
    const Duration took = world.now() - begun;
    threads.join();
    wrong = took > program.limit ? "somebody slept too long" : find_fault(stage, program.bound);
  });
  return wrong;
}

template <class Growth, class Health = AssumeHealthy>
void explore(const Program<Growth, Health>& program) {
  const bool inline_work = program.options.workers == 0U;
  const std::size_t usual = inline_work ? program.preemptions : program.preemptions_with_workers;
  const SearchBounds bounds{.preemptions = number_from_environment("LIDO_PREEMPTIONS", usual),
                            .detours = number_from_environment("LIDO_DETOURS", usual_detours)};
  const std::string name = program.name;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it meanwhile
  const char* const wanted = std::getenv("LIDO_SCHEDULE");
  const std::string only = wanted != nullptr ? wanted : "";
  if (!only.empty() && !only.starts_with(name + ':')) return;
  ScheduleSearch search{bounds, only.empty() ? "" : only.substr(name.size() + 1)};
  bool more = true;
  for (; more; more = only.empty() && search.advance()) {
    const std::string replay =
        "replay with LIDO_SCHEDULE=" + name + ':' + search.schedule() + " and --run_test=exhaustive";
    const ReplayNote note{replay};
    const std::string wrong = play(program, search);
    if (!wrong.empty()) BOOST_FAIL(name << ": " << wrong << "; " << replay);
  }
  if (!only.empty()) return;
  BOOST_TEST(search.explored() > 1U);
  std::printf("exhaustive: %s: %zu schedules, all with at most %zu preemptions and %zu detours\n", program.name,
              search.explored(), bounds.preemptions, bounds.detours);
  std::fflush(stdout);
}

constexpr Elastic two{.min_idle = 0, .max_size = 2};
constexpr Elastic one{.min_idle = 0, .max_size = 1};

// The same with the work done by the callers, and by workers.
template <class Growth, class Health = AssumeHealthy>
void explore_both(Program<Growth, Health> program) {
  const std::string name = program.name;
  for (const std::size_t workers : {0U, 2U}) {
    const std::string full = name + "-" + std::to_string(workers) + "-workers";
    program.name = full.c_str();
    program.options.workers = workers;
    program.options.sweep_interval = 24h;
    explore(program);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(three_threads_share_two_connections) {
  explore_both<Elastic>({.name = "contention",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{work, lease_one}, {work, lease_one}, {work, lease_one}}});
}

BOOST_AUTO_TEST_CASE(three_threads_share_two_connections_in_strict_order) {
  explore<Elastic>({.name = "strict",
                    .growth = two,
                    .options = {.barging_limit = 0ms, .workers = 2, .sweep_interval = 24h},
                    .warm = 2,
                    .threads = {{work, lease_one}, {work, lease_one}, {work, lease_one}}});
}

BOOST_AUTO_TEST_CASE(nobody_waits_beside_an_idle_connection) {
  explore<Elastic>({.name = "idle",
                    .growth = two,
                    .options = {.barging_limit = 1h, .workers = 2, .sweep_interval = 24h},
                    .warm = 2,
                    .threads = {{work}, {work}, {keep_for_an_hour}, {lease_one_within_a_minute}},
                    .limit = 2h});
}

BOOST_AUTO_TEST_CASE(an_empty_pool_opens_two_connections_for_three_threads) {
  explore_both<Elastic>({.name = "cold",
                         .growth = two,
                         .options = {},
                         .threads = {{work, lease_one}, {work, lease_one}, {work}},
                         .preemptions = 1});
}

BOOST_AUTO_TEST_CASE(callers_who_are_told_that_the_server_is_away_have_the_pool_try_again) {
  explore_both<Elastic>({.name = "away",
                         .growth = one,
                         .options = {.fail_fast_after = 0ms},
                         .threads = {{lease_one_though_the_server_is_away}, {lease_one_though_the_server_is_away}},
                         .prepare =
                             [](Ledger& ledger) {
                               ledger.on_open = [&ledger](const OpenInfo&) {
                                 if (ledger.attempts < 3) throw std::runtime_error{"refused"};
                               };
                             },
                         .bound = 1});
}

BOOST_AUTO_TEST_CASE(callers_are_refused_whose_turn_would_come_too_late_while_those_before_them_leave) {
  const auto serve_and_leave = [](auto& stage) {
    stage.queue->serve(1, 1us);
    stage.queue->leave();
    stage.queue->give_back();
  };
  const auto begin = [](auto& stage) {
    detail::Inspection::monitor(stage.pool).dispatcher.foresight().measure_in(1);
    stage.queue = std::make_unique<ServedQueue<SimulatedPool<Elastic>>>(stage.pool);
    stage.queue->add(23);
    stage.queue->serve(11);
    const std::uint64_t before = stage.pool.statistics().hopeless;
    lease_one_in_time(stage);  // it is known by now
    if (stage.pool.statistics().hopeless != before + 1) throw std::logic_error{"one was to be refused"};
  };
  explore_both<Elastic>({.name = "hopeless",
                         .growth = one,
                         .options = {},
                         .warm = 1,
                         .threads = {{serve_and_leave}, {lease_one_in_time}, {lease_one_in_time}},
                         .bound = 1,
                         .begin = begin});
}

BOOST_AUTO_TEST_CASE(a_discard_frees_its_slot) {
  explore_both<Elastic>({.name = "discard",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{discard, lease_one}, {work, lease_one}, {work, discard}}});
}

BOOST_AUTO_TEST_CASE(a_detach_frees_its_slot) {
  explore_both<Elastic>({.name = "detach",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{detach, lease_one}, {work, lease_one}, {work}}});
}

BOOST_AUTO_TEST_CASE(a_time_out_races_with_a_grant) {
  // Beyond the time-out, so that a waiter may be woken to compete and give up instead.
  explore_both<Elastic>(
      {.name = "timeout",
       .growth = one,
       .options = {.barging_limit = 1h},
       .warm = 1,
       .threads = {{work, lease_one}, {lease_one_in_time, lease_one_in_time}, {lease_one, lease_one_in_time}},
       .bound = 1});
}

BOOST_AUTO_TEST_CASE(a_cancellation_races_with_a_grant) {
  explore_both<Elastic>(
      {.name = "cancel",
       .growth = one,
       .options = {.barging_limit = 1h},
       .warm = 1,
       .threads = {{work, cancel}, {lease_one_unless_cancelled, lease_one_unless_cancelled}, {work, lease_one}},
       .bound = 1});
}

BOOST_AUTO_TEST_CASE(callbacks_and_coroutines_wait_beside_threads) {
  explore<Elastic>(
      {.name = "forms",
       .growth = two,
       .options = {.workers = 2, .sweep_interval = 24h},
       .warm = 2,
       .threads = {{work, lease_one_as_callback}, {work_as_coroutine, lease_one}, {work, lease_one_as_callback}}});
  explore<Elastic>({.name = "forms-cancel",
                    .growth = one,
                    .options = {.workers = 2, .sweep_interval = 24h},
                    .warm = 1,
                    .threads = {{work, cancel},
                                {lease_one_as_callback_unless_cancelled, lease_one_as_callback_unless_cancelled},
                                {work_as_coroutine, lease_one}},
                    .bound = 1});
}

BOOST_AUTO_TEST_CASE(a_connection_in_a_workers_hands_comes_back) {
  explore<Elastic, PingOnAcquire>(
      {.name = "forms-check",
       .growth = one,
       .options = {.workers = 2, .sweep_interval = 24h},
       .warm = 1,
       .threads = {{work_as_coroutine, lease_one}, {lease_one_as_callback, lease_one_as_callback}},
       .prepare = [](Ledger& ledger) { ledger.on_ping = [&ledger](TimePoint) { return ledger.pings != 2; }; },
       .bound = 1});
}

BOOST_AUTO_TEST_CASE(an_invalidation_passes_beside_releases) {
  explore_both<Elastic>({.name = "invalidate",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{work, lease_one}, {work, lease_one}, {invalidate, invalidate}}});
}

BOOST_AUTO_TEST_CASE(a_close_passes_beside_acquires) {
  explore_both<Elastic>({.name = "close",
                         .growth = two,
                         .options = {},
                         .warm = 1,
                         .threads = {{work_unless_closed, lease_one_unless_closed},
                                     {work_unless_closed, lease_one_unless_closed},
                                     {close_pool}}});
}

BOOST_AUTO_TEST_CASE(a_suspension_and_a_resize_pass_beside_acquires) {
  explore_both<Elastic>({.name = "suspend",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{work, lease_one}, {work, lease_one}, {suspend_and_resume, lease_one}}});
  explore_both<Elastic>({.name = "resize",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{work, lease_one}, {work, lease_one}, {resize_to_one, resize_to_two}}});
}

BOOST_AUTO_TEST_CASE(shares_have_what_they_may_and_nobody_is_forgotten) {
  // One has a connection whenever it wants; the other never has both.
  const std::vector<std::pair<std::string, ShareOptions>> two_shares{{"web", {.guaranteed = 1}},
                                                                     {"jobs", {.at_most = 1}}};
  explore_both<Elastic>(
      {.name = "shares",
       .growth = two,
       .options = {},
       .warm = 2,
       .shares = two_shares,
       .threads = {{work_in_first, lease_in_first}, {work_in_second, lease_one}, {work, lease_in_second}}});
  explore_both<Elastic>(
      {.name = "shares-discard",
       .growth = two,
       .options = {},
       .warm = 2,
       .shares = two_shares,
       .threads = {{discard_in_second, lease_in_second}, {work_in_second, try_in_first}, {discard_in_second}},
       .preemptions_with_workers = 1});
  explore_both<Elastic>(
      {.name = "shares-timeout",
       .growth = two,
       .options = {},
       .warm = 2,
       .shares = two_shares,
       .threads = {{work_in_second, lease_in_first}, {lease_in_second_in_time, lease_in_second}, {work}}});
  explore<Elastic>({.name = "shares-forms",
                    .growth = two,
                    .options = {.workers = 2, .sweep_interval = 24h},
                    .warm = 2,
                    .shares = two_shares,
                    .threads = {{work_in_second_as_coroutine, lease_in_first},
                                {lease_in_second_unless_cancelled, lease_in_second_unless_cancelled},
                                {work_in_second, cancel}}});
}

BOOST_AUTO_TEST_CASE(shares_begin_beside_acquires) {
  explore_both<Elastic>({.name = "shares-begin",
                         .growth = two,
                         .options = {},
                         .warm = 2,
                         .threads = {{work, lease_one}, {work, lease_one}, {begin_shares, lease_one}}});
}

BOOST_AUTO_TEST_CASE(a_failed_open_is_tried_again_for_whoever_waits) {
  explore_both<Elastic>({.name = "open-failed",
                         .growth = two,
                         .options = {},
                         .threads = {{work, lease_one}, {work}, {lease_one}},
                         .prepare =
                             [](Ledger& ledger) {
                               ledger.on_open = [&ledger](const OpenInfo&) {
                                 if (ledger.attempts == 1) throw std::runtime_error{"refused"};
                               };
                             },
                         .preemptions = 1});
}

BOOST_AUTO_TEST_CASE(a_dead_connection_is_replaced_for_whoever_waits) {
  explore_both<Elastic, PingOnAcquire>(
      {.name = "dead",
       .growth = two,
       .options = {},
       .warm = 2,
       .threads = {{work, lease_one}, {work, lease_one}, {lease_one, maintain}},
       .prepare = [](Ledger& ledger) { ledger.on_ping = [&ledger](TimePoint) { return ledger.pings != 2; }; },
       .preemptions_with_workers = 1});
}

BOOST_AUTO_TEST_CASE(no_pooling_serves_three_threads_with_two_connections) {
  explore_both<NullPool>({.name = "null-pool",
                          .growth = NullPool{.max_size = 2},
                          .options = {},
                          .threads = {{work, lease_one}, {work, lease_one}, {work, try_lease_one}},
                          .preemptions = 1});
}

BOOST_AUTO_TEST_SUITE_END()
