// One pool, several kinds of callers: requests, jobs, and a tenant that asks for too much.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

using namespace std::chrono_literals;

namespace {

// Calls `body` again and again in each of so many threads, until it is over.
class Callers {
 public:
  template <class Body>
  void start(int count, Body body) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, body] {
        try {
          while (!over_) body();
        } catch (const std::exception& error) {
          if (!failed_.exchange(true)) failure_ = error.what();
        }
      });
  }
  void end() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
    if (failed_) throw std::runtime_error{failure_};
  }

 private:
  std::atomic<bool> over_{false};
  std::atomic<bool> failed_{false};
  std::string failure_;
  std::vector<std::thread> threads_;
};

}  // namespace

int main() try {
  // [shares]
  lido::postgres::Pool pool{lido::postgres::options_from_environment({.pool_size = 10, .max_overflow = 0})};
  auto web = pool.share("web", {.guaranteed = 5});                        // five are its own; more if they are spare
  auto jobs = pool.share("jobs", {.guaranteed = 1, .at_most = 4});        // one at least, and never more than four
  auto tenant = pool.share("tenant", {.at_most = 6, .max_waiting = 50});  // what is spare, and a short queue
  // [/shares]
  // [acquire]
  web.acquire()->exec("select 1");
  lido::postgres::Session session{web};
  session.exec("select 2");
  session.commit();
  const int three = transact(jobs, [](auto& own) { return own.exec("select 3")[0][0].template as<int>(); });
  // [/acquire]
  std::cout << "a job answered " << three << '\n';

  Callers callers;
  callers.start(3, [&] { web.acquire()->exec("select pg_sleep(0.002)"); });
  callers.start(6, [&] { jobs.acquire()->exec("select pg_sleep(0.01)"); });
  callers.start(40, [&] { tenant.acquire()->exec("select pg_sleep(0.02)"); });
  std::this_thread::sleep_for(1s);
  // [figures]
  for (const lido::ShareStatistics& share : pool.statistics().shares)
    std::cout << share.name << ": " << share.leased << " leased of at most " << share.at_most << ", " << share.waiting
              << " waiting; acquired " << share.acquired << ", waited " << share.waited << ", of those " << share.full
              << " as it had all it may have\n";
  // [/figures]
  callers.end();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return EXIT_FAILURE;
}
