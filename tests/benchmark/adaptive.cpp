// What a size that finds itself gives, beside fixed sizes, on a real PostgreSQL: for a query that computes, for one
// that waits, and for a load that changes from one to the other. Needs the server's programs.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <lido/adaptive_size.hpp>
#include <lido/postgres/pool.hpp>
#include <support/postgres_server.hpp>

using namespace std::chrono_literals;
using lido::Clock;

namespace {

constexpr const char* computes = "select count(*) from generate_series(1, 20000)";
constexpr const char* waits = "select pg_sleep(0.02)";

lido::postgres::Options options(std::size_t size) {
  return {.pool_size = size, .max_overflow = 0, .min_idle = size, .pool_timeout = 30s};
}
lido::postgres::Growth growth(std::size_t size) {
  return {.overflow = {.pool_size = size, .max_overflow = 0, .min_idle = size}};
}
using Adaptive = lido::AdaptiveSize<lido::postgres::Pool, decltype(&growth)>;

struct Row {
  double a_second = 0, query_p99 = 0, answer_p99 = 0;  // the latter in seconds
  std::size_t size = 0;
  std::string why{};
};

double p99(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 99 / 100);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

// So many threads that come again as soon as they are served.
class Load {
 public:
  Load(lido::postgres::Pool& pool, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this, &pool] { run(pool); });
  }
  ~Load() {
    over_ = true;
    for (std::thread& one : threads_) one.join();
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void ask(const char* query) { query_ = query; }
  Row measure(lido::Duration span) {
    {
      const std::scoped_lock lock{mutex_};
      queries_.clear(), answers_.clear();
    }
    std::this_thread::sleep_for(span);
    const std::scoped_lock lock{mutex_};
    return {.a_second = static_cast<double>(answers_.size()) / std::chrono::duration<double>{span}.count(),
            .query_p99 = p99(queries_),
            .answer_p99 = p99(answers_)};
  }

 private:
  void run(lido::postgres::Pool& pool) {
    while (!over_) {
      const auto came = Clock::now();
      auto connection = pool.acquire();
      const auto began = Clock::now();
      connection->exec(query_.load());
      const auto ended = Clock::now();
      connection.release();
      const std::scoped_lock lock{mutex_};
      queries_.push_back(std::chrono::duration<double>{ended - began}.count());
      answers_.push_back(std::chrono::duration<double>{ended - came}.count());
    }
  }

  std::atomic<const char*> query_{computes};
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::vector<double> queries_, answers_;
  std::vector<std::thread> threads_;
};

// What report.py reads.
std::FILE* samples = nullptr;
const char* under = "";

void print(const char* what, const Row& row) {
  std::fprintf(
      samples,
      R"({"case": "%s", "who": "%s", "kind": "%s", "round": 0, "served": %.1f, "query_p99": %.5f, "p99": %.5f})", under,
      what + 2, std::strstr(what, "Adaptive") != nullptr ? "own" : "peer", row.a_second, row.query_p99, row.answer_p99);
  std::fprintf(samples, "\n");
  std::printf("%-32s %4zu  %9.0f  %8.1f  %8.1f  %s\n", what, row.size, row.a_second, row.query_p99 * 1e3,
              row.answer_p99 * 1e3, row.why.c_str());
  std::fflush(stdout);
}

Row fixed(const std::string& url, std::size_t size, std::size_t threads, const char* query, lido::Duration span) {
  lido::postgres::Pool pool{url, options(size)};
  Load load{pool, threads};
  load.ask(query);
  load.measure(span / 4);
  Row row = load.measure(span);
  row.size = size;
  return row;
}

void held(const char* what, bool holds) { std::printf("  %s: %s\n", what, holds ? "held" : "NOT held"); }

}  // namespace

int main(int count, char** arguments) {
  const bool quick = count > 1 && std::strcmp(arguments[1], "--quick") == 0;
  const char* const path = count > 1 + quick ? arguments[1 + quick] : "/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out{std::fopen(path, "w"), &std::fclose};
  if (out == nullptr) return 1;
  samples = out.get();
  const lido::Duration span = quick ? 1s : 8s, settling = quick ? 2s : 15s;
  const lido::test::PostgresServer server;
  const std::string url = server.conninfo();
  std::printf("%-32s size  a second  query p99  answer p99, ms\n", under = "40 threads, a query that computes");
  const Row twenty = fixed(url, 20, 40, computes, span);
  print("  fixed", twenty);
  Row found, grown, sixty;
  {
    lido::postgres::Pool pool{url, options(20)};
    Adaptive adaptive{pool, &growth, {.min_size = 1, .max_size = 60}};
    Load load{pool, 40};
    load.measure(settling);
    found = load.measure(span);
    found.size = adaptive.state().size;
    found.why = adaptive.state().reason;
  }
  print("  AdaptiveSize, from 20", found);
  held("it settles at 2 to 4", found.size >= 2 && found.size <= 4);
  held("half of the query's p99", found.query_p99 <= twenty.query_p99 / 2);
  held("as many are served, less 3 %", found.a_second >= 0.97 * twenty.a_second);

  std::printf("%-32s\n", under = "100 threads, pg_sleep(0.02)");
  sixty = fixed(url, 60, 100, waits, span);
  print("  fixed", sixty);
  {
    lido::postgres::Pool pool{url, options(3)};
    Adaptive adaptive{pool, &growth, {.min_size = 1, .max_size = 60}};
    Load load{pool, 100};
    load.ask(waits);
    load.measure(settling);
    grown = load.measure(span);
    grown.size = adaptive.state().size;
    grown.why = adaptive.state().reason;
    print("  AdaptiveSize, from 3", grown);
    held("95 % of what is served with 60", grown.a_second >= 0.95 * sixty.a_second);

    std::printf("100 threads, from one to the other and back\n");
    for (const char* const query : {computes, waits}) {
      const bool fewer = query == computes;
      const auto changed = Clock::now();
      load.ask(query);
      const auto there = [&] { return fewer ? adaptive.state().size <= 5 : adaptive.state().size >= 57; };
      while (!there() && Clock::now() - changed < (quick ? 1s : 30s)) std::this_thread::sleep_for(50ms);
      const double took = std::chrono::duration<double>{Clock::now() - changed}.count();
      std::printf("  %-30s %4zu  after %.1f s\n", fewer ? "to the query that computes" : "to the one that waits",
                  adaptive.state().size, took);
      held("within 10 s", there() && took <= 10);
      if (!quick) load.measure(10s);
    }
  }
}
