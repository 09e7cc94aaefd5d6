// What waits without a thread, in great numbers and on real threads.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <lido/pool.hpp>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <stop_token>
#include <support/seeds.hpp>
#include <support/slow.hpp>
#include <support/task.hpp>
#include <thread>
#include <vector>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(async_stress)

namespace {

struct Thing {
  bool ping(TimePoint) { return ++uses % 997 != 0; }
  bool reset(TimePoint) { return ++uses % 991 != 0; }
  unsigned uses = 0;
};

// A coroutine whose frame is weighed.
struct Weighed {
  struct promise_type {
    Weighed get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
    static void* operator new(std::size_t size) {
      bytes += size;
      return ::operator new(size);
    }
    static void operator delete(void* frame) noexcept { ::operator delete(frame); }
  };
  static inline std::size_t bytes = 0;
};

// An event loop; its thread calls `turn`.
class Loop {
 public:
  auto executor() {
    return [this](std::coroutine_handle<> handle) {
      const std::lock_guard lock{mutex_};
      ready_.push_back(handle);
    };
  }
  void turn() {
    std::unique_lock lock{mutex_};
    while (!ready_.empty()) {
      const std::coroutine_handle<> next = ready_.front();
      ready_.pop_front();
      lock.unlock();
      next.resume();
      lock.lock();
    }
  }

 private:
  std::mutex mutex_;
  std::deque<std::coroutine_handle<>> ready_;
};

struct Ends {
  std::atomic<unsigned> running{0};
  std::atomic<unsigned> served{0};
  std::atomic<unsigned> cancelled{0};
  std::atomic<unsigned> timed_out{0};
};

template <class AnyPool, class Executor>
test::Detached lease_one(AnyPool& pool, Duration patience, std::stop_token stop, Executor executor, Ends& ends) {
  try {
    auto lease = co_await pool.async_acquire(patience, std::move(stop), executor);
    ++lease->uses;
    ++ends.served;
  } catch (const AcquireCancelled&) {
    ++ends.cancelled;
  } catch (const AcquireTimeout&) {
    ++ends.timed_out;
  }
  --ends.running;
}

// The same as an operation, which frees itself.
template <class AnyPool>
struct Operation {
  struct Callback {
    void operator()(const std::exception_ptr& failure, typename AnyPool::Lease lease) const {
      const std::unique_ptr<Operation> end{self};
      lease.release();
      ++(failure == nullptr ? ends->served : ends->cancelled);
      --ends->running;
    }
    Operation* self;
    Ends* ends;
  };
  Operation(AnyPool& pool, std::stop_token stop, Ends& ends)
      : operation{pool.async_acquire(Duration::max(), std::move(stop)).connect(Callback{this, &ends})} {}
  decltype(std::declval<AnyPool&>().async_acquire().connect(std::declval<Callback>())) operation;
};

}  // namespace

BOOST_AUTO_TEST_CASE(ten_thousand_waiting_coroutines_cost_at_most_a_kilobyte_each) {
  constexpr unsigned count = 10'000;
  Pool pool{[] { return Thing{}; }, FixedSize{.size = 1}, PingOnAcquire{}, ResetOnReturn{}};
  std::stop_source source;
  std::atomic<unsigned> ended{0};
  const auto wait = [&](std::stop_token stop) -> Weighed {
    try {
      auto lease = co_await pool.async_acquire(1h, std::move(stop));
    } catch (const PoolClosed&) {
      ++ended;
    }
  };
  auto leased = pool.acquire();
  Weighed::bytes = 0;
  for (unsigned i = 0; i < count; ++i) wait(source.get_token());
  BOOST_TEST(pool.statistics().now.waiting == count);
  const std::size_t each = Weighed::bytes / count;
  using Awaiter = decltype(pool.async_acquire(1h).operator co_await());
  std::printf("async_stress: a waiting coroutine takes %zu bytes, its awaiter %zu of them\n", each, sizeof(Awaiter));
  BOOST_TEST(each <= 1024U);
  pool.close();
  BOOST_TEST(ended == count);
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_cancellations_at_random_points_lose_nothing) {
  constexpr unsigned total = test::slow ? 10'000 : 100'000;
  constexpr unsigned batch = 100;
  using P = Pool<Thing, FixedSize, PingOnAcquire, ResetOnReturn>;
  P pool{[] { return Thing{}; }, FixedSize{.size = 2}};
  Ends ends;
  Loop loop;
  std::minstd_rand random{test::seed()};
  for (unsigned done = 0; done < total; done += batch) {
    ends.running += batch;
    std::vector<std::stop_source> sources(batch);
    std::atomic<unsigned> started{0};
    std::jthread canceller{[&, seed = random()] {
      std::minstd_rand dice{seed};
      for (unsigned i = 0; i < batch; ++i) {
        while (started <= i) std::this_thread::yield();
        for (auto pause = dice() % 256; pause > 0; --pause) std::atomic_signal_fence(std::memory_order_seq_cst);
        sources[i].request_stop();
      }
    }};
    for (std::stop_source& source : sources) {
      switch (random() % 3) {
        case 0:
          lease_one(pool, random() % 4 == 0 ? Duration{random() % 200'000} : Duration{1h}, source.get_token(), InLine{},
                    ends);
          break;
        case 1:
          lease_one(pool, 1h, source.get_token(), loop.executor(), ends);
          break;
        default:
          (new Operation<P>{pool, source.get_token(), ends})->operation.start();
      }
      ++started;
      if (random() % 8 == 0) loop.turn();
    }
    while (ends.running > 0) {
      loop.turn();
      std::this_thread::yield();
    }
  }
  std::printf("async_stress: %u cancellations: %u came first, %u connections and %u time-outs did\n", total,
              ends.cancelled.load(), ends.served.load(), ends.timed_out.load());
  BOOST_TEST(ends.cancelled + ends.served + ends.timed_out == total);
  BOOST_TEST(ends.cancelled > 0U);
  BOOST_TEST(ends.served > 0U);
  // What a worker still resets comes back too: both can be had at once.
  auto first = pool.acquire(1min);
  auto second = pool.acquire(1min);
  const Statistics figures = pool.statistics();
  BOOST_TEST(figures.now.waiting == 0U);
  BOOST_TEST(figures.now.leased == 2U);
  BOOST_TEST(figures.acquired == figures.released + 2);
}

BOOST_AUTO_TEST_CASE(shares_keep_their_limits_on_real_threads) {
  Pool pool{[] { return Thing{}; }, Elastic{.min_idle = 0, .max_size = 4}, PingOnAcquire{}, ResetOnReturn{}};
  auto web = pool.share("web", {.guaranteed = 1});
  auto jobs = pool.share("jobs", {.at_most = 2});
  auto late = [&] { return pool.share("late", {.guaranteed = 1, .at_most = 3}); };
  std::atomic<int> of_jobs{0};
  std::atomic<int> too_many{0};
  const auto act = [&](auto& share, std::mt19937& random) {
    const bool counted = static_cast<const void*>(&share) == &jobs;
    const auto hold = [&](auto& lease) {
      if (counted && ++of_jobs > 2) ++too_many;
      if (random() % 4 == 0) std::this_thread::yield();
      if (counted) --of_jobs;
      if (random() % 16 == 0) lease.discard();
    };
    switch (random() % 4) {
      case 0:
        if (auto lease = share.try_acquire()) hold(*lease);
        break;
      case 1: {
        std::atomic<bool> told{false};
        auto operation = share.async_acquire(1min).connect([&](const std::exception_ptr&, auto lease) {
          lease.release();
          told = true;
          told.notify_one();
        });
        operation.start();
        told.wait(false);
        break;
      }
      default:
        try {
          auto lease = share.acquire(random() % 8 == 0 ? Duration{50us} : Duration{1min});
          hold(lease);
        } catch (const AcquireTimeout&) {
        }
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random{t};
      for (int i = 0; i < (test::slow ? 300 : 3000); ++i) {
        if (t == 0 && i == 100) {
          auto third = late();
          act(third, random);
        }
        t < 2 ? act(pool, random) : t < 4 ? act(web, random) : act(jobs, random);
        if (t == 1 && i % 64 == 0) (void)pool.statistics();
      }
    });
  threads.clear();
  while (pool.statistics().now.leased > 0) std::this_thread::yield();  // a worker puts it in order
  const Statistics figures = pool.statistics();
  BOOST_TEST(too_many == 0);
  BOOST_TEST(figures.now.waiting == 0U);
  BOOST_TEST(figures.shares.size() == 3U);
  for (const ShareStatistics& share : figures.shares) BOOST_TEST(share.leased + share.waiting == 0U);
  BOOST_TEST(figures.acquired == figures.released);
}

BOOST_AUTO_TEST_SUITE_END()
