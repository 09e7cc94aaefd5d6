// lido: first come, first served, or with what a third argument says: `standing`, which refuses those who have waited
// beyond a standing queue's limit of 100 ms, or `hopeless`, which refuses those whose turn would come too late. See
// ./run for what it reads and prints.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;
using lido::Clock;

namespace {

double seconds(lido::Duration span) { return std::chrono::duration<double>{span}.count(); }

struct Caller {
  double came, hold, waited = 0, held = 0;
  const char* fate = "served";
};

void call(lido::postgres::Pool& pool, Caller& caller) {
  const auto asked = Clock::now();
  auto granted = asked;
  try {
    auto connection = pool.acquire();
    granted = Clock::now();
    connection->exec("select pg_sleep($1)", caller.hold);
  } catch (const lido::Overloaded&) {
    granted = Clock::now();
    caller.fate = "refused";
  } catch (const lido::AcquireTimeout&) {
    granted = Clock::now();
    caller.fate = "timed_out";
  } catch (const std::exception&) {
    caller.fate = "failed";
  }
  caller.waited = seconds(granted - asked);
  caller.held = seconds(Clock::now() - granted);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<Caller> callers;
  for (Caller one{}; std::cin >> one.came >> one.hold;) callers.push_back(one);
  const std::size_t size = std::stoul(arguments[2]);
  lido::postgres::Options options{.pool_size = size, .max_overflow = 0, .min_idle = size};
  const std::string refuses = count > 3 ? arguments[3] : "";
  options.refuse_hopeless = refuses == "hopeless";
  if (refuses == "standing") options.max_standing_wait = 100ms;
  lido::postgres::Pool pool{arguments[1], options};
  pool.wait_until_ready(10s);
  std::vector<std::jthread> threads;
  threads.reserve(callers.size());
  const auto begun = Clock::now();
  for (Caller& one : callers) {
    std::this_thread::sleep_until(begun +
                                  std::chrono::duration_cast<lido::Duration>(std::chrono::duration<double>{one.came}));
    threads.emplace_back([&pool, &one] { call(pool, one); });
  }
  threads.clear();
  for (const Caller& one : callers) std::printf("%f %f %f %s\n", one.came, one.waited, one.held, one.fate);
}
