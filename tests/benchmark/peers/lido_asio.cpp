// Coroutines of Boost.Asio that share lido's pool, on a thread for each core.
// name: lido
// kind: own
// does: coroutines
// package: libpq-dev libboost-dev
// link: -lpq
// whole: a program of its own
#include <utility>  // Boost 1.74 forgets it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <lido/asio/async_acquire.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/pool.hpp>
#include "../harness.hpp"

namespace {

using namespace std::chrono_literals;
using benchmark::Clock;
using boost::asio::awaitable;
using boost::asio::use_awaitable;

const char* const said = std::getenv("BENCHMARK_STATEMENT");
const std::string statement = said == nullptr ? "select 1" : said;
const bool cold = std::getenv("BENCHMARK_COLD") != nullptr;

struct Tally {
  std::uint64_t cycles = 0;
  std::vector<std::int64_t> waits;
  Clock::time_point ended;
};

awaitable<void> run(lido::postgres::Pool& pool, Clock::time_point ends, Tally& tally) {
  while (Clock::now() < ends) {
    const auto asked = Clock::now();
    auto lease = co_await lido::asio::async_acquire(pool, 30s, use_awaitable);
    tally.waits.push_back((Clock::now() - asked).count());
    const auto result = co_await lido::asio::async(*lease).exec(statement);
    if (result.one<int>() != 1) std::abort();
    ++tally.cycles;
  }
  tally.ended = Clock::now();
}

void play(const char* url, std::size_t tasks, std::size_t slots, double seconds) {
  lido::postgres::Pool pool{url,
                            {.pool_size = slots, .max_overflow = 0, .min_idle = cold ? 0 : slots, .pool_timeout = 30s}};
  if (!cold) pool.wait_until_ready(30s);
  boost::asio::io_context context;
  std::vector<Tally> tallies(tasks);
  const auto begun = Clock::now();
  const double used = benchmark::processor_ns();
  const auto ends = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{seconds});
  for (Tally& tally : tallies) co_spawn(context, run(pool, ends, tally), boost::asio::detached);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(std::thread::hardware_concurrency(), 1U); ++i)
    threads.emplace_back([&context] { context.run(); });
  for (std::thread& each : threads) each.join();
  const std::chrono::duration<double> lasted = Clock::now() - begun;
  std::printf("{\"seconds\": %.6f, \"processor\": %.6f, \"ended\": [", lasted.count(),
              (benchmark::processor_ns() - used) / 1e9);
  const char* comma = "";
  for (const Tally& tally : tallies)
    std::printf("%s%.6f", std::exchange(comma, ","), std::chrono::duration<double>{tally.ended - begun}.count());
  std::printf("], \"cycles\": [");
  comma = "";
  for (const Tally& tally : tallies)
    std::printf("%s%llu", std::exchange(comma, ","), static_cast<unsigned long long>(tally.cycles));
  std::printf("], \"waits\": [");
  comma = "";
  for (const Tally& tally : tallies)
    for (const std::int64_t wait : tally.waits)
      std::printf("%s%lld", std::exchange(comma, ","), static_cast<long long>(wait));
  std::printf("]}\n");
  std::fflush(stdout);
}

}  // namespace

int main(int, char** argv) {
  std::size_t tasks = 0, slots = 0, held = 0, steps = 0, sleep = 0;
  double seconds = 0;
  while (std::scanf("%zu %zu %zu %zu %zu %lf", &tasks, &slots, &held, &steps, &sleep, &seconds) == 6)
    play(argv[1], tasks, slots, seconds);
}
