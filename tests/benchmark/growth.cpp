// What a pool costs as it grows: the same with 10 slots and with 10,000, in one run, and how long the lock is held.
//
// Every figure is processor time, so that it does not depend on what else runs, and the least of some rounds.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <lido/async.hpp>
#include <lido/pool.hpp>

namespace {

using namespace std::chrono_literals;

std::atomic<std::size_t> allocated{0};  // bytes, ever

double clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}
double thread_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }
double process_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

// The real machine, with a mutex that knows how long it was held at most, in its holder's processor time. Not one that
// was held around another: such a one keeps two changes of the size apart, and nobody else waits for it.
struct TimedPlatform : lido::StandardPlatform {
  class Mutex {
   public:
    void lock() {
      mutex_.lock();
      since_ = thread_ns();
      innermost = true;
    }
    bool try_lock() {
      if (!mutex_.try_lock()) return false;
      since_ = thread_ns();
      innermost = true;
      return true;
    }
    void unlock() {
      if (std::exchange(innermost, false)) longest = std::max(longest, thread_ns() - since_);
      mutex_.unlock();
    }
    static inline double longest = 0;  // written by one pool's holders alone

   private:
    std::mutex mutex_;
    static inline thread_local bool innermost = false;
    double since_ = 0;
  };
};

struct Token {
  int number = 0;
  bool ping(lido::TimePoint) { return true; }
};

template <class Growth, class Platform>
using PoolOf = lido::Pool<Token, Growth, lido::AssumeHealthy, lido::KeepAlways, Platform>;
template <class Platform>
using Fixed = PoolOf<lido::FixedSize, Platform>;
template <class Platform>
using Growing = PoolOf<lido::Elastic, Platform>;

const lido::PoolOptions calm{.sweep_interval = 24h};

template <class Platform>
std::unique_ptr<Fixed<Platform>> opened(std::size_t slots) {
  auto pool = std::make_unique<Fixed<Platform>>([] { return Token{}; }, lido::FixedSize{slots}, lido::AssumeHealthy{},
                                                lido::KeepAlways{}, calm);
  pool->wait_until_ready(5min);
  return pool;
}
template <class Pool>
auto lease(Pool& pool, std::size_t count) {
  std::vector<typename Pool::Lease> leases;
  while (leases.size() < count) leases.push_back(pool.acquire(1min));
  return leases;
}
template <class Pool>
void until_total(Pool& pool, std::size_t total) {
  while (pool.statistics().now.total() > total) std::this_thread::sleep_for(2ms);
}

// One measurement: nanoseconds of one of what it names, of a pool with so many slots.
struct Row {
  std::string name;
  double most = 0;  // how much more it may be with 10,000 slots; 0: it is linear, told a slot, and may be no more
  std::function<double(std::size_t)> once;
};

// The leased ones are given back and acquired anew, any of them but the one that was acquired last: that one the thread
// would find at once, which is what `repeat` measures. So two are leased at least, also where 5 % are none.
template <class Platform>
double churn(std::size_t slots, double share) {
  const auto pool = opened<Platform>(slots);
  const auto wanted = static_cast<std::size_t>(static_cast<double>(slots) * share);
  auto leases = lease(*pool, std::clamp<std::size_t>(wanted, 2, slots - 1));
  std::size_t last = leases.size() - 1;
  std::mt19937 random{1};
  constexpr int times = 20'000;
  double began = 0;
  for (int i = -times / 2; i < times; ++i) {
    if (i == 0) began = thread_ns();
    last = (last + 1 + random() % (leases.size() - 1)) % leases.size();
    auto& one = leases[last];
    one.release();
    one = pool->acquire();
  }
  return (thread_ns() - began) / times;
}

// The same connection again and again, while others are leased.
template <class Platform>
double repeat(std::size_t slots, double share) {
  const auto pool = opened<Platform>(slots);
  const auto wanted = static_cast<std::size_t>(static_cast<double>(slots) * share);
  const auto leases = lease(*pool, std::clamp<std::size_t>(wanted, 1, slots - 1));
  constexpr int times = 20'000;
  double began = 0;
  for (int i = -times / 2; i < times; ++i) {
    if (i == 0) began = thread_ns();
    (void)pool->acquire();
  }
  return (thread_ns() - began) / times;
}

template <class Platform>
double failed_try(std::size_t slots) {
  const auto pool = opened<Platform>(slots);
  const auto leases = lease(*pool, slots);
  constexpr int times = 2'000;
  (void)pool->try_acquire();
  const double began = thread_ns();
  for (int i = 0; i < times; ++i) (void)pool->try_acquire();
  return (thread_ns() - began) / times;
}

// Callers that do not block, so that one thread can queue many.
template <class Platform>
class Callers {
 public:
  using Lease = typename Fixed<Platform>::Lease;

  explicit Callers(std::size_t slots) : pool{opened<Platform>(slots)}, leases{lease(*pool, slots)} {}

  void queue(lido::Duration timeout) {
    auto asked = pool->async_acquire(timeout, stop.get_token());
    const auto heard = [this](std::exception_ptr failure, Lease got) {
      ++told;
      if (failure == nullptr) leases.push_back(std::move(got));
    };
    using Operation = decltype(std::move(asked).connect(heard));
    struct Holder : Base {
      Holder(decltype(asked)&& from, decltype(heard)& done) : operation{std::move(from).connect(done)} {}
      void start() override { operation.start(); }
      void cancel() override { operation.cancel(); }
      Operation operation;
    };
    callers.push_back(std::make_unique<Holder>(std::move(asked), heard));
    callers.back()->start();
  }

  struct Base {
    virtual ~Base() = default;
    virtual void start() = 0;
    virtual void cancel() = 0;
  };
  std::unique_ptr<Fixed<Platform>> pool;
  std::vector<Lease> leases;
  std::stop_source stop{std::nostopstate};
  std::vector<std::unique_ptr<Base>> callers;
  std::atomic<std::size_t> told{0};
};

template <class Platform>
double queued(std::size_t slots, std::size_t times, bool at_once) {
  Callers<Platform> callers{slots};
  callers.callers.reserve(times + 1);
  const auto serve = [&] {
    auto last = std::move(callers.leases.back());
    callers.leases.pop_back();
    last.release();
  };
  callers.queue(1h);
  serve();
  const double began = thread_ns();
  for (std::size_t i = 0; i < times; ++i) {
    callers.queue(1h);
    if (!at_once) serve();
  }
  if (at_once)
    for (std::size_t i = 0; i < times; ++i) serve();
  const double took = thread_ns() - began;
  if (callers.told != times + 1) std::abort();
  return took / static_cast<double>(times);
}

template <class Platform>
double cancelled(std::size_t slots, std::size_t times, bool at_once) {
  Callers<Platform> callers{slots};
  callers.callers.reserve(times + 1);
  callers.queue(1h);
  callers.callers.back()->cancel();
  std::vector<std::size_t> order(times);
  std::iota(order.begin(), order.end(), 1U);
  std::shuffle(order.begin(), order.end(), std::mt19937{1});
  const double began = thread_ns();
  for (std::size_t i = 0; i < times; ++i) {
    callers.queue(1h);
    if (!at_once) callers.callers.back()->cancel();
  }
  if (at_once)
    for (const std::size_t i : order) callers.callers[i]->cancel();
  const double took = thread_ns() - began;
  if (callers.told != times + 1) std::abort();
  return took / static_cast<double>(times);
}

// Of all threads: another one tells them.
template <class Platform>
double timed_out(std::size_t slots, std::size_t times, bool in_order) {
  Callers<Platform> callers{slots};
  callers.callers.reserve(times + 1);
  std::mt19937 random{1};
  callers.queue(1us);
  while (callers.told < 1) std::this_thread::sleep_for(50us);
  const double began = process_ns();
  for (std::size_t i = 0; i < times; ++i) callers.queue(50ms + (in_order ? i * 1ns : random() % 1'000 * 1us));
  while (callers.told < times + 1) std::this_thread::sleep_for(1ms);
  return (process_ns() - began) / static_cast<double>(times);
}

template <class Platform>
double blocking_time_out(std::size_t slots) {
  const auto pool = opened<Platform>(slots);
  const auto leases = lease(*pool, slots);
  constexpr int times = 200;
  double began = 0;
  for (int i = -1; i < times; ++i) {
    if (i == 0) began = thread_ns();
    try {
      (void)pool->acquire(1us);
    } catch (const lido::AcquireTimeout&) {
    }
  }
  return (thread_ns() - began) / times;
}

template <class Platform>
double opening(std::size_t slots) {
  const double began = process_ns();
  const auto pool = opened<Platform>(slots);
  return (process_ns() - began) / static_cast<double>(slots);
}

// A pool that may close whatever it has, and had as many connections as it may.
template <class Platform>
auto grown(std::size_t slots, lido::Duration idle_timeout) {
  auto pool = std::make_unique<Growing<Platform>>(
      [] { return Token{}; }, lido::Elastic{.min_idle = slots, .max_size = slots, .idle_timeout = idle_timeout},
      lido::AssumeHealthy{}, lido::KeepAlways{}, calm);
  pool->wait_until_ready(5min);
  return pool;
}

// `change` is timed until no more than so many connections are there.
template <class Pool, class Change>
double until_there_are(std::size_t left, std::size_t slots, Pool& pool, Change change) {
  TimedPlatform::Mutex::longest = 0;  // what went before is not asked for
  const double began = process_ns();
  change(pool);
  until_total(pool, left);
  return (process_ns() - began) / static_cast<double>(slots);
}
template <class Platform>
double sweeping(std::size_t slots) {
  const auto pool = grown<Platform>(slots, 1h);
  pool->resize({.min_idle = slots - 1, .max_size = slots, .idle_timeout = 1h});
  return until_there_are(slots, slots, *pool, [](auto& each) { each.maintain(); });
}
template <class Platform>
double retiring(std::size_t slots) {
  const auto pool = grown<Platform>(slots, 0s);
  pool->resize({.min_idle = 0, .max_size = slots, .idle_timeout = 0s});
  return until_there_are(0, slots, *pool, [](auto& each) { each.maintain(); });
}
template <class Platform>
double resizing(std::size_t slots) {
  const auto pool = grown<Platform>(slots, 1h);
  return until_there_are(1, slots, *pool, [](auto& each) { each.resize({.min_idle = 0, .max_size = 1}); });
}
template <class Platform>
double invalidating(std::size_t slots) {
  const auto pool = grown<Platform>(slots, 1h);
  pool->resize({.min_idle = 0, .max_size = slots});
  return until_there_are(0, slots, *pool, [](auto& each) { each.invalidate(); });
}
template <class Platform>
double closing(std::size_t slots) {
  const auto pool = grown<Platform>(slots, 1h);
  return until_there_are(0, slots, *pool, [](auto& each) { each.close(5min); });
}

// All are leased meanwhile, and come back then.
template <class Platform, class Change>
double changing_leased(std::size_t slots, std::size_t left, Change change) {
  const auto pool = grown<Platform>(slots, 1h);
  pool->resize({.min_idle = 0, .max_size = slots});
  auto leases = lease(*pool, slots);
  return until_there_are(left, slots, *pool, [&](auto& each) {
    change(each);
    leases.clear();
  });
}

// A suspension ends: all slots are leased and somebody waits, or all are idle and as many wait.
template <class Platform>
double resuming(std::size_t slots, bool leased) {
  Callers<Platform> callers{slots};
  callers.leases.reserve(2 * slots);
  if (!leased) callers.leases.clear();
  callers.pool->suspend();
  for (std::size_t i = 0; i < (leased ? 1 : slots); ++i) callers.queue(1h);
  TimedPlatform::Mutex::longest = 0;
  const double began = thread_ns();
  callers.pool->resume();
  const double took = thread_ns() - began;
  if (callers.told != (leased ? 0 : slots)) std::abort();
  return took / static_cast<double>(slots);
}

// All leases come back while a thread waits for one, and takes its time to wake up.
template <class Platform>
double coming_back(std::size_t slots) {
  const auto pool = opened<Platform>(slots);
  auto leases = lease(*pool, slots);
  std::thread waiter{[&pool] { (void)pool->acquire(1h); }};
  while (pool->statistics().now.waiting == 0) std::this_thread::sleep_for(1ms);
  TimedPlatform::Mutex::longest = 0;
  const double began = process_ns();
  leases.clear();
  waiter.join();
  return (process_ns() - began) / static_cast<double>(slots);
}

template <class Pool>
double bytes_a_slot() {
  const auto bytes = [](std::size_t slots) {
    const std::size_t before = allocated;
    const Pool pool{[] { return Token{}; }, lido::Elastic{.max_size = slots}, {}, {}, calm};
    return allocated - before;
  };
  return static_cast<double>(bytes(10'000) - bytes(10)) / 9'990 - sizeof(Token);
}

template <class Platform>
std::vector<Row> all_rows() {
  return {
      {"acquire + release, the same one, 5 % leased", 1.5, [](auto n) { return repeat<Platform>(n, 0.05); }},
      {"acquire + release, the same one, 95 % leased", 1.5, [](auto n) { return repeat<Platform>(n, 0.95); }},
      {"acquire + release, any one, 5 % leased", 1.5, [](auto n) { return churn<Platform>(n, 0.05); }},
      {"acquire + release, any one, 95 % leased", 1.5, [](auto n) { return churn<Platform>(n, 0.95); }},
      {"a failed try_acquire", 3, [](auto n) { return failed_try<Platform>(n); }},
      {"a queued acquire that is served", 3, [](auto n) { return queued<Platform>(n, 1'000, false); }},
      {"a queued acquire that is cancelled", 3, [](auto n) { return cancelled<Platform>(n, 1'000, false); }},
      {"a blocking acquire that times out", 3, [](auto n) { return blocking_time_out<Platform>(n); }},
      {"10,000 queued, then served, each", 3, [](auto n) { return queued<Platform>(n, 10'000, true); }},
      {"10,000 queued, then cancelled in any order, each", 3,
       [](auto n) { return cancelled<Platform>(n, 10'000, true); }},
      {"10,000 queued, then timed out, each", 3, [](auto n) { return timed_out<Platform>(n, 10'000, true); }},
      {"10,000 queued, then timed out in any order, each", 3,
       [](auto n) { return timed_out<Platform>(n, 10'000, false); }},
      {"opening, a slot", 0, [](auto n) { return opening<Platform>(n); }},
      {"a sweep that looks at all, a slot", 0, [](auto n) { return sweeping<Platform>(n); }},
      {"a sweep that retires all, a slot", 0, [](auto n) { return retiring<Platform>(n); }},
      {"resize to one, a slot", 0, [](auto n) { return resizing<Platform>(n); }},
      {"invalidate, a slot", 0, [](auto n) { return invalidating<Platform>(n); }},
      {"close, a slot", 0, [](auto n) { return closing<Platform>(n); }},
      {"resize to one, all are leased, a slot", 0,
       [](auto n) { return changing_leased<Platform>(n, 1, [](auto& each) { each.resize({.max_size = 1}); }); }},
      {"invalidate, all are leased, a slot", 0,
       [](auto n) { return changing_leased<Platform>(n, 0, [](auto& each) { each.invalidate(); }); }},
      {"close, all are leased, a slot", 0,
       [](auto n) { return changing_leased<Platform>(n, 0, [](auto& each) { each.close(0s); }); }},
      {"resume, all are leased and one waits, a slot", 0, [](auto n) { return resuming<Platform>(n, true); }},
      {"resume, all are idle and as many wait, a slot", 0, [](auto n) { return resuming<Platform>(n, false); }},
      {"all come back while one is woken, a slot", 0, [](auto n) { return coming_back<Platform>(n); }},
  };
}

// The longest of as many stretches as such a measurement has, in which nothing is done: what the machine adds to one of
// the others (its interrupts count as the processor time of whom they interrupt).
double machines_own() {
  TimedPlatform::Mutex mutex;
  TimedPlatform::Mutex::longest = 0;
  for (int i = 0; i < 100'000; ++i) {
    mutex.lock();
    mutex.unlock();
  }
  return TimedPlatform::Mutex::longest;
}

void main_program(bool quick, std::FILE* samples) {
  const int rounds = quick ? 1 : 3;
  const std::pair<const char*, double> sizes[] = {
      {"bytes a slot beside the connection", bytes_a_slot<lido::Pool<Token, lido::Elastic>>()},
      {"the same where policies need a clock",
       bytes_a_slot<lido::Pool<Token, lido::Elastic, lido::PingIfIdle, lido::RetireAfter>>()}};
  for (const auto& [name, bytes] : sizes) {
    std::printf("%-52s %8.0f\n", name, bytes);
    std::fprintf(samples, R"({"case": "%s", "who": "lido", "kind": "own", "round": 0, "bytes": %.1f})", name, bytes);
    std::fprintf(samples, "\n");
  }
  std::printf("\n%-52s %12s %12s %8s %8s %20s\n", "processor time", "10 slots ns", "10,000 ns", "times", "wanted",
              "longest lock us");
  std::fflush(stdout);
  double own = 1e18;
  for (int round = 0; round < rounds; ++round) own = std::min(own, machines_own());
  std::printf("%-52s %12s %12s %8s %8s %20.0f\n", "nothing, 100,000 times", "", "", "", "", own / 1000);
  const std::vector<Row> rows = all_rows<lido::StandardPlatform>();
  const std::vector<Row> timed = all_rows<TimedPlatform>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double few = 1e18, many = 1e18, longest = 1e18;
    for (int round = 0; round < rounds; ++round) {
      few = std::min(few, rows[i].once(10));
      many = std::min(many, rows[i].once(10'000));
      TimedPlatform::Mutex::longest = 0;
      timed[i].once(10'000);
      longest = std::min(longest, TimedPlatform::Mutex::longest);
    }
    std::printf("%-52s %12.0f %12.0f %8.1f ", rows[i].name.c_str(), few, many, many / few);
    rows[i].most > 0 ? std::printf("%8.1f", rows[i].most) : std::printf("%8s", "linear");
    std::printf(" %20.0f\n", longest / 1000);
    std::fflush(stdout);
    // What report.py reads.
    const char* const sample = R"({"case": "%s", "who": "%s", "kind": "own", "round": 0, "processor_ns": %.1f)";
    std::fprintf(samples, sample, rows[i].name.c_str(), "lido", many);
    std::fprintf(samples, ", \"times\": %.3f, \"longest_lock_us\": %.3f}\n", many / few, longest / 1000);
    std::fprintf(samples, sample, rows[i].name.c_str(), "lido, 10 slots", few);
    std::fprintf(samples, "}\n");
  }
}

}  // namespace

// Not inline: the compiler would take `free` for the wrong end of `new`.
// NOLINTBEGIN(cppcoreguidelines-no-malloc, misc-new-delete-overloads)
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocated += size;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  allocated += size;
  const auto step = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
// NOLINTEND(cppcoreguidelines-no-malloc, misc-new-delete-overloads)

int main(int argc, char** argv) {
  bool quick = false;
  const char* samples = "/dev/null";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view{argv[i]} == "--quick")
      quick = true;
    else
      samples = argv[i];
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out{std::fopen(samples, "w"), &std::fclose};
  if (out == nullptr) return 1;
  main_program(quick, out.get());
}
