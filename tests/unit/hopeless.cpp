// Who is refused since its turn would come too late, and that nobody is who would have been served.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <lido/detail/service_rate.hpp>
#include <lido/detail/turn_bound.hpp>
#include <memory>
#include <random>
#include <string>
#include <support/forms.hpp>
#include <support/invariants.hpp>
#include <support/seeds.hpp>
#include <support/served_queue.hpp>
#include <support/slow.hpp>
#include <vector>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(hopeless)

namespace {

using detail::ServiceRate;
using detail::TurnBound;

// --- workloads on a pool
// ----------------------------------------------------------------------------------------------

enum class Holds : unsigned char { exponential, constant, two_kinds, pareto, lognormal };
enum class Patience : unsigned char { a_second, ten_seconds, of_two_kinds, mixed };
constexpr std::array hold_names{"exponential", "constant", "two kinds", "Pareto, 1.5", "lognormal, 2"};
constexpr std::array patience_names{"1 s", "10 s", "0.1 or 10 s", "0.1 to 10 s"};

struct Workload {
  Holds holds = Holds::exponential;  // of 20 ms on average
  Patience patience = Patience::mixed;
  double times = 1.5;    // what the connections can serve
  std::size_t size = 4;  // connections
  bool in_bursts = false;
  std::size_t callers = 2000;
  unsigned seed = 1;
};
struct Tally {
  std::size_t callers = 0, served = 0, timed_out = 0, refused = 0;
  std::size_t waited_on = 0;  // of those that were refused: one in ten, to see what becomes of it
  std::size_t wrong = 0;      // and would have been served
  Tally& operator+=(const Tally& other) {
    callers += other.callers, served += other.served, timed_out += other.timed_out, refused += other.refused;
    waited_on += other.waited_on, wrong += other.wrong;
    return *this;
  }
  [[nodiscard]] double wrong_share() const {
    return waited_on == 0 ? 0 : static_cast<double>(wrong) / static_cast<double>(waited_on);
  }
};

Duration seconds(double value) { return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{value}); }

class Draws {
 public:
  explicit Draws(const Workload& load) : load_{load}, random_{load.seed} {}
  Duration hold() {
    constexpr double mean = 0.02;
    switch (load_.holds) {
      case Holds::exponential:
        return seconds(-mean * std::log(uniform()));
      case Holds::two_kinds:
        return seconds(uniform() < 0.1 ? mean * 0.2 / 0.0218 : mean * 0.002 / 0.0218);
      case Holds::pareto:
        return seconds(std::min(mean / 3 * std::pow(uniform(), -1 / 1.5), 100.0));
      case Holds::lognormal:
        return seconds(mean * std::exp(2 * normal_(random_) - 2));
      default:
        return seconds(mean);
    }
  }
  Duration patience() {
    switch (load_.patience) {
      case Patience::a_second:
        return 1s;
      case Patience::ten_seconds:
        return 10s;
      case Patience::of_two_kinds:
        return uniform() < 0.5 ? 100ms : 10s;
      default:
        return seconds(0.1 * std::pow(100, uniform()));
    }
  }
  Duration gap() {
    const double mean = 0.02 / load_.times / static_cast<double>(load_.size);
    if (!load_.in_bursts) return seconds(-mean * std::log(uniform()));
    if (burst_-- > 0) return 10us;
    burst_ = 100 + static_cast<std::size_t>(random_() % 900);
    return seconds(mean * static_cast<double>(burst_));
  }

 private:
  double uniform() { return std::uniform_real_distribution<double>{1e-12, 1}(random_); }
  const Workload& load_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::size_t burst_ = 0;
};

// Plays a workload with callers that do not block, in one thread. Of those that are refused one in ten comes again at
// once, now with all the time of the world, and gives up when its own would have been over: what it sees is what it
// would have seen.
class Player {
  using P = SimulatedPool<FixedSize>;
  struct Call;
  struct Take {
    void operator()(std::exception_ptr error, P::Lease lease) const {
      player.ended(call, std::move(error), std::move(lease));
    }
    Player& player;
    Call& call;
  };
  using Operation = decltype(std::declval<P&>().async_acquire(1s).connect(std::declval<Take>()));
  struct Call {
    TimePoint deadline;
    Duration hold;
    bool again = false, over = false;
    std::unique_ptr<Operation> operation;
    P::Lease lease;
  };
  struct Due {
    TimePoint at;
    Call* call;
    bool gives_up;
  };

 public:
  explicit Player(const Workload& load) : load_{load}, draws_{load} {}

  Tally play() {
    sim::Simulation world{0};
    world.step_limit = 2'000'000'000;
    world.run([&] {
      Ledger ledger;
      P pool{
          connector(ledger), FixedSize{.size = load_.size}, {}, {}, {.sweep_interval = 24h, .refuse_hopeless = true}};
      pool_ = &pool;
      pool.wait_until_ready(10s);
      TimePoint next = sim::Platform::now();
      while (tally_.callers < load_.callers || !due_.empty() || waiting_ > 0) {
        const TimePoint at = std::min(tally_.callers < load_.callers ? next : TimePoint::max(),
                                      due_.empty() ? TimePoint::max() : due_.front().at);
        if (sim::Platform::now() < at) {
          static_cast<void>(changed_.park_until(at));
          continue;
        }
        if (tally_.callers < load_.callers && at == next) {
          next += draws_.gap();
          come();
        } else {
          std::ranges::pop_heap(due_, std::ranges::greater{}, &Due::at);
          const Due due = due_.back();
          due_.pop_back();
          due.gives_up ? give_up(*due.call) : due.call->lease.release();
        }
        for (; !refused_.empty(); refused_.pop_back()) refused_.back()->operation->start();
      }
      calls_.clear();
      BOOST_TEST(pool.statistics().hopeless == tally_.refused);
    });
    return tally_;
  }

 private:
  void come() {
    ++tally_.callers;
    calls_.emplace_back();
    Call& call = calls_.back();
    const Duration patience = draws_.patience();
    call.deadline = sim::Platform::now() + patience;
    call.hold = draws_.hold();
    begin(call, patience);
    call.operation->start();
  }
  void begin(Call& call, Duration patience) {
    ++waiting_;
    // NOLINTNEXTLINE(modernize-make-unique): made in place, as it cannot be moved
    call.operation.reset(new Operation{pool_->async_acquire(patience).connect(Take{*this, call})});
  }
  void add(const Due& due) {
    due_.push_back(due);
    std::ranges::push_heap(due_, std::ranges::greater{}, &Due::at);
    changed_.unpark();
  }
  void give_up(Call& call) {
    if (!call.over) call.operation->cancel();
  }
  void ended(Call& call, std::exception_ptr error, P::Lease lease) {
    --waiting_;
    changed_.unpark();
    if (!error) {
      call.over = true;
      call.again ? ++tally_.wrong : ++tally_.served;
      call.lease = std::move(lease);
      return add({sim::Platform::now() + call.hold, &call, false});
    }
    try {
      std::rethrow_exception(std::move(error));
    } catch (const Overloaded&) {
      if (++tally_.refused % 10 != 0) return;
      ++tally_.waited_on;
      call.again = true;
      again_.push_back(std::move(call.operation));  // it is in use
      begin(call, Duration::max());
      refused_.push_back(&call);
      add({call.deadline, &call, true});
    } catch (const AcquireTimeout&) {
      ++tally_.timed_out;
    } catch (const AcquireCancelled&) {
      call.over = true;
    }
  }

  const Workload load_;
  Draws draws_;
  Tally tally_;
  P* pool_ = nullptr;
  std::deque<Call> calls_;
  std::vector<std::unique_ptr<Operation>> again_;
  std::vector<Call*> refused_;
  std::vector<Due> due_;
  std::size_t waiting_ = 0;
  sim::Parker changed_;
};

using Queue = ServedQueue<SimulatedPool<FixedSize>>;

// Known after as many windows, the first of which begins with one that is served, and a pass through the queue.
void learn(Queue& queue) {
  const std::size_t more = 15 * ServiceRate::windows;
  queue.add(more + 100);
  queue.serve(more);
}

PoolOptions options(bool refuse = true) { return {.name = "orders", .sweep_interval = 24h, .refuse_hopeless = refuse}; }

// What becomes of one more.
bool is_refused(Form form, SimulatedPool<FixedSize>& pool, Duration patience) {
  const TimePoint came = sim::Platform::now();
  try {
    (void)acquire(form, pool, patience);
  } catch (const Overloaded&) {
    BOOST_TEST((sim::Platform::now() == came));
    return true;
  } catch (const PoolError&) {
  }
  return false;
}

}  // namespace

BOOST_AUTO_TEST_CASE(of_those_who_are_refused_at_most_one_in_a_hundred_would_have_been_served) {
  // LIDO_CALLERS in each of the workloads that the page tells of; by default fewer of both, and a whole run has more.
  const bool deep = number_from_environment("LIDO_SEEDS", 0) >= 10'000 && !slow;
  const auto asked = number_from_environment("LIDO_CALLERS", 0);
  const std::size_t callers = asked > 0 ? static_cast<std::size_t>(asked) : deep ? 1500 : 150;
  const std::vector<double> loads = asked > 0 ? std::vector{0.8, 1.0, 1.1, 1.5, 2.0, 3.0} : std::vector{1.5, 3.0};
  BOOST_TEST_MESSAGE("holds          time-outs      callers   served  timed out  refused  waited on  would be served");
  const auto print = [](const char* holds, const char* patience, const Tally& tally) {
    char line[160];
    std::snprintf(line, sizeof line, "%-14s %-12s %9zu %8zu %10zu %8zu %10zu %16zu", holds, patience, tally.callers,
                  tally.served, tally.timed_out, tally.refused, tally.waited_on, tally.wrong);
    BOOST_TEST_MESSAGE(line);
  };
  Tally all;
  for (const Holds holds : {Holds::exponential, Holds::constant, Holds::two_kinds, Holds::pareto, Holds::lognormal}) {
    Tally of_holds;
    for (const Patience patience :
         {Patience::a_second, Patience::ten_seconds, Patience::of_two_kinds, Patience::mixed}) {
      Tally sum;
      for (const double times : loads)
        for (const std::size_t size : {1U, 4U, 20U})
          for (const bool in_bursts : {false, true})
            sum += Player{{.holds = holds,
                           .patience = patience,
                           .times = times,
                           .size = size,
                           .in_bursts = in_bursts,
                           .callers = callers,
                           .seed = static_cast<unsigned>(times * 1000 + static_cast<double>(size))}}
                       .play();
      print(hold_names.at(static_cast<std::size_t>(holds)), patience_names.at(static_cast<std::size_t>(patience)), sum);
      of_holds += sum;
    }
    BOOST_TEST(of_holds.wrong_share() <= 0.01);
    all += of_holds;
  }
  print("all", "", all);
  BOOST_TEST((!deep || all.refused > all.callers / 50));
}

BOOST_AUTO_TEST_CASE(the_rate_is_that_of_the_fastest_of_the_last_windows_and_a_quarter_more) {
  ServiceRate rate;
  TimePoint now{1h};
  std::size_t asked = 0;
  const auto serve = [&](std::size_t times, Duration each, std::size_t waiting) {
    for (; times > 0; --times) {
      now += each;
      rate.left(waiting, [&] { return ++asked, now; });
    }
  };
  serve(64, 10ms, 50);
  BOOST_TEST(!rate.known());
  serve(1, 10ms, 50);
  BOOST_TEST(rate.known());
  BOOST_TEST((rate.least_gap() == 8ms));
  BOOST_TEST(asked == 9U);  // the clock, where a window ends
  serve(8, 5ms, 50);        // one window is faster
  BOOST_TEST((rate.least_gap() == 4ms));
  serve(56, 20ms, 50);
  BOOST_TEST((rate.least_gap() == 4ms));
  serve(8, 20ms, 50);  // it is the last of eight no more
  BOOST_TEST((rate.least_gap() == 16ms));
  serve(1, 10ms, 0);  // nobody waits
  BOOST_TEST(!rate.known());
  serve(65, 10ms, 160);
  BOOST_TEST(!rate.known());  // a window is as long as a sixteenth of those who wait
  serve(16, 10ms, 160);
  BOOST_TEST(rate.known());
  rate.clear();
  BOOST_TEST(!rate.known());
}

BOOST_AUTO_TEST_CASE(a_turn_comes_when_those_in_front_were_served_or_have_given_up) {
  const TimePoint now{1h};
  TurnBound bound;
  bound.start(now);
  BOOST_TEST((bound.next(1ms) == now + 10us));  // a hundredth: one may be served at any moment
  for (int i = 0; i < 100; ++i) bound.join(now + 10s, 1ms);
  BOOST_TEST((bound.next(1ms) > now + 77ms && bound.next(1ms) < now + 78ms));  // 101 less 2.33 times its root
  BOOST_TEST((bound.next(2ms) > now + 154ms));
  for (int i = 0; i < 1000; ++i) bound.join(now + 50ms, 1ms);  // give up before
  BOOST_TEST((bound.next(1ms) < now + 78ms));
  BOOST_TEST(!bound.over(now + 76ms));
  BOOST_TEST(bound.over(now + 78ms));
  // One that gives up later than its turn comes counts; but of what is later than it gives up nothing is claimed.
  bound.join(now + 90ms, 1ms);
  for (int i = 0; i < 1000; ++i) bound.join(now + 10s, 1ms);
  BOOST_TEST((bound.next(1ms) > now + 90ms + 900ms && bound.next(1ms) < now + 90ms + 950ms));
}

BOOST_AUTO_TEST_CASE(behind_those_with_one_time_out_a_turn_is_foreseen_up_to_that_and_no_further) {
  const TimePoint now{1h};
  TurnBound burst;
  burst.start(now);
  for (int i = 0; i < 1000; ++i) burst.join(now + 100ms, 1ms);
  BOOST_TEST((burst.next(1ms) >= now + 100ms && burst.next(1ms) <= now + 100ms + 10us));
  TurnBound edge;  // the hundredth of them might just be served
  edge.start(now);
  for (int i = 0; i < 100; ++i) edge.join(now + 77ms, 1ms);
  BOOST_TEST((edge.next(1ms) == now + 77ms + 10us));
  // As they come one after the other each has a chance in the moment after the one before it has given up.
  TurnBound steady;
  steady.start(now);
  for (int i = 0; i < 1000; ++i) {
    BOOST_TEST((steady.next(1ms) < now + 100us * i + 100ms));
    steady.join(now + 100us * i + 100ms, 1ms);
  }
  TurnBound for_ever;
  for_ever.start(now);
  for (int i = 0; i < 1000; ++i) for_ever.join(TimePoint::max(), 24h * 365);
  BOOST_TEST((for_ever.next(24h * 365) < TimePoint::max()));
}

BOOST_AUTO_TEST_CASE(who_is_refused_is_told_at_once_how_long_it_would_have_taken) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options()};
    std::size_t heard = 0;
    pool.events().on_timeout([&](const AcquireTimeout& error) {
      if (dynamic_cast<const Overloaded*>(&error) != nullptr) ++heard;
    });
    Queue queue{pool};
    learn(queue);
    const TimePoint came = sim::Platform::now();
    const Statistics before = pool.statistics();
    bool refused = false;
    try {
      (void)acquire(form, pool, 40ms);
    } catch (const AcquireTimeout& error) {
      const auto* const overloaded = dynamic_cast<const Overloaded*>(&error);
      BOOST_REQUIRE(overloaded != nullptr);
      refused = true;
      const std::string words = error.what();
      BOOST_TEST(words.starts_with("orders: acquire: overloaded: refused at once, as its turn comes after "), words);
      BOOST_TEST(words.ends_with(" ms at the soonest, and its time is over after 40 ms; 1 leased, 100 waiting"), words);
      BOOST_TEST((overloaded->expected_wait() > 40ms && overloaded->expected_wait() < 100ms));
      BOOST_TEST((error.waited() == 0s && sim::Platform::now() == came));
      BOOST_TEST((error.phase() == Phase::waiting));
      BOOST_TEST(error.holders().size() == 1U);
    }
    BOOST_TEST(refused);
    const Statistics after = pool.statistics();
    BOOST_TEST((after.hopeless == 1U && heard == 1U));
    BOOST_TEST((after.waited == before.waited && after.timeouts == 0U && after.now.waiting == 100U));
    BOOST_TEST(!is_refused(form, pool, 200ms));
    BOOST_TEST((pool.recent_events().back().kind == EventKind::timed_out));
    queue.leave();
  });
}

BOOST_AUTO_TEST_CASE(it_is_off_where_it_is_not_asked_for) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options(false)};
    Queue queue{pool};
    learn(queue);
    BOOST_TEST(!is_refused(form, pool, 40ms));
    BOOST_TEST(pool.statistics().hopeless == 0U);
    queue.leave();
  });
}

BOOST_AUTO_TEST_CASE(nobody_is_refused_while_little_is_known) {
  struct Row {
    const char* what;
    void (*happens)(SimulatedPool<FixedSize>&, Queue&, Ledger&);
    bool refused;
  };
  for (const Row& row : {
           Row{"all is known", [](auto&, auto&, auto&) {}, true},
           Row{"it took long before", [](auto&, Queue& queue, auto&) { queue.serve(1, 10s), queue.serve(20); }, true},
           Row{"suspended", [](auto& pool, auto&, auto&) { pool.suspend(); }, false},
           Row{"suspended before", [](auto& pool, auto&, auto&) { pool.suspend(), pool.resume(); }, false},
           Row{"the queue was empty", [](auto&, Queue& queue, auto&) { queue.serve(100), queue.add(100); }, false},
           Row{"a larger pool", [](auto& pool, Queue& queue, auto&) { pool.resize({.size = 2}), queue.serve(1); },
               false},
           Row{"a connection is being opened",
               [](auto& pool, auto&, Ledger& ledger) {
                 ledger.on_open = [](const OpenInfo&) { sim::sleep_for(5s); };  // the pool waits for it
                 pool.resize({.size = 2});
               },
               false},
           Row{"there are shares", [](auto& pool, auto&, auto&) { (void)pool.share("jobs", {}); }, false},
           Row{"nothing can be opened",
               [](auto& pool, auto&, Ledger& ledger) {
                 ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"away"}; };
                 pool.resize({.size = 2});
                 sim::sleep_for(1ms);
               },
               false},
       })
    calmly([&] {
      Ledger ledger;
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options()};
      Queue queue{pool};
      learn(queue);
      row.happens(pool, queue, ledger);
      BOOST_TEST(is_refused(Form::callback, pool, 40ms) == row.refused, row.what);
      pool.resume();
      queue.leave();
      queue.give_back();
    });
}

BOOST_AUTO_TEST_CASE(those_who_give_up_before_are_not_in_the_way) {
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options()};
    Queue queue{pool};
    learn(queue);
    queue.serve(99);
    queue.add(500, 30ms);  // of whom the first forty may be served
    queue.serve(1);        // the last of those before them
    BOOST_TEST(pool.statistics().hopeless > 400U);
    BOOST_TEST(is_refused(form, pool, 10ms));
    const TimePoint came = sim::Platform::now();
    Threads threads;
    threads.start([&] { BOOST_CHECK_NO_THROW(acquire(form, pool, 60ms)->use()); });
    sim::sleep_for(40ms);
    queue.give_back();
    threads.join();
    BOOST_TEST((sim::Platform::now() - came == 40ms));
    queue.leave();
  });
}

BOOST_AUTO_TEST_CASE(one_who_is_to_be_passed_next_may_give_up) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options()};
    auto& foresight = detail::Inspection::monitor(pool).dispatcher.foresight();
    foresight.measure_in(1);
    Queue queue{pool};
    queue.add(60, 2s);
    const std::size_t detached = 0;
    const Invariants<SimulatedPool<FixedSize>> invariants{*sim::self->world, pool, ledger, detached};
    while (foresight.passes_next() == nullptr && pool.statistics().now.waiting > 0) queue.serve(1);
    BOOST_TEST((foresight.passes_next() != nullptr));
    sim::sleep_for(3s);
    BOOST_TEST((foresight.passes_next() == nullptr));
    BOOST_TEST(pool.statistics().now.waiting == 0U);
    queue.leave();
  });
}

BOOST_AUTO_TEST_CASE(those_who_wait_are_looked_at_again_once_in_a_while_and_not_all_the_time) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 1}, {}, {}, options()};
    const auto& foresight = detail::Inspection::monitor(pool).dispatcher.foresight();
    Queue queue{pool};
    learn(queue);
    int passing = 0, begun = 0;
    for (int served = 0; served < 96; ++served) {
      const bool before = foresight.passes_next() != nullptr;
      queue.serve(1);
      const bool now = foresight.passes_next() != nullptr;
      queue.add(1);
      passing += now ? 1 : 0;
      begun += now && !before ? 1 : 0;
    }
    BOOST_TEST(begun >= 2);
    BOOST_TEST(passing < 48);
    queue.leave();
  });
}

BOOST_AUTO_TEST_CASE(on_every_schedule_each_caller_is_served_or_told_and_nobody_is_forgotten) {
  std::uint64_t refused = 0;
  on_many_schedules([&refused](Form form) {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}, {}, {}, options()};
    detail::Inspection::monitor(pool).dispatcher.foresight().measure_in(1);
    const std::size_t detached = 0;
    const Invariants<SimulatedPool<FixedSize>> invariants{*sim::self->world, pool, ledger, detached};
    std::size_t ended = 0;
    Threads threads;
    for (int i = 0; i < 24; ++i)
      threads.start([&, i] {
        sim::StopSource stop;
        for (int j = 0; j < 4; ++j, ++ended) try {
            if (i == 7 && j % 4 == 1) stop.request_stop();
            acquire(form, pool, (i + j) % 3 == 0 ? Duration{100us} : 1h, i == 7 ? stop.get_token() : sim::StopToken{})
                ->use(200us);
          } catch (const AcquireTimeout&) {
          } catch (const AcquireCancelled&) {
          } catch (const PoolSuspended&) {
          }
      });
    threads.start([&] {
      sim::sleep_for(3ms);
      pool.suspend();
      sim::sleep_for(1ms);
      pool.resume();
      sim::sleep_for(3ms);
      pool.invalidate();
    });
    threads.join();
    BOOST_TEST(ended == 96U);
    refused += pool.statistics().hopeless;
    BOOST_TEST(pool.statistics().now.waiting == 0U);
    BOOST_TEST(pool.statistics().now.leased == 0U);
  });
  BOOST_TEST_MESSAGE(refused << " refused");
  BOOST_TEST(refused > 0U);
}

BOOST_AUTO_TEST_SUITE_END()
