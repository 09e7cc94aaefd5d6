// Coroutines that share a few connections: a hundred requests wait for four connections, and no thread is blocked.
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

namespace {

// Stands for the event loop of an application: resumes what is posted, one after the other.
class EventLoop {
 public:
  void post(std::coroutine_handle<> handle) {
    {
      const std::lock_guard lock{mutex_};
      ready_.push_back(handle);
    }
    came_.notify_one();
  }
  void run_one() {
    std::unique_lock lock{mutex_};
    came_.wait(lock, [&] { return !ready_.empty(); });
    const std::coroutine_handle<> next = ready_.front();
    ready_.pop_front();
    lock.unlock();
    next.resume();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::coroutine_handle<>> ready_;
};

// A coroutine that nobody waits for.
struct Request {
  struct promise_type {
    Request get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct Connection {
  void send(int) { ++sent; }
  int sent = 0;
};

struct Figures {
  int served = 0;
  int failed = 0;
  bool elsewhere = false;  // resumed in another thread than the loop's
};

// [coroutine]
Request handle(auto& pool, EventLoop& loop, int number, Figures& figures) {
  const std::thread::id here = std::this_thread::get_id();
  const auto on_the_loop = [&loop](std::coroutine_handle<> waiting) { loop.post(waiting); };
  try {
    auto connection = co_await pool.async_acquire(2s, {}, on_the_loop);
    figures.elsewhere |= std::this_thread::get_id() != here;
    connection->send(number);
    ++figures.served;
  } catch (const lido::PoolError& error) {  // the same errors as from `acquire`
    std::cerr << error.what() << '\n';
    ++figures.failed;
  }
}
// [/coroutine]

}  // namespace

int main() try {
  EventLoop loop;
  Figures figures;
  lido::Pool pool{[] { return Connection{}; }, lido::FixedSize{.size = 4}};
  for (int number = 0; number < 100; ++number) handle(pool, loop, number, figures);
  while (figures.served + figures.failed < 100) loop.run_one();

  const lido::Statistics statistics = pool.statistics();
  std::cout << figures.served << " requests served by " << statistics.opened << " connections, in one thread\n";
  const bool good = figures.served == 100 && !figures.elsewhere && statistics.opened <= 4;
  return good && statistics.now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
