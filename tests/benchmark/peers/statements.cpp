// `select 1` through lido's pool, and by threads of which each has a connection of its own. Built with main.cpp.
// name: lido
// kind: own
// does: statements
// package: libpq-dev
// link: -lpq
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include <lido/postgres/pool.hpp>
#include "../harness.hpp"

namespace {

using namespace std::chrono_literals;

std::string url() { return std::getenv("BENCHMARK_URL"); }
const char* const said = std::getenv("BENCHMARK_STATEMENT");
const std::string statement = said == nullptr ? "select 1" : said;
const bool cold = std::getenv("BENCHMARK_COLD") != nullptr;

class Lido {
 public:
  explicit Lido(std::size_t slots)
      : pool_{url(), {.pool_size = slots, .max_overflow = 0, .min_idle = cold ? 0 : slots, .pool_timeout = 30s}} {
    if (!cold) pool_.wait_until_ready(30s);
  }
  template <class Work>
  void use(Work work) {
    auto connection = pool_.acquire();
    work();
    if (connection->exec(statement).one<int>() != 1) std::abort();
  }

 private:
  lido::postgres::Pool pool_;
};

// Asked with as many slots as there are threads.
class OneEach {
 public:
  explicit OneEach(std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i)
      all_.push_back(lido::postgres::Connection::connect(url(), lido::Clock::now() + 30s));
  }
  template <class Work>
  void use(Work work) {
    lido::postgres::Connection& connection = mine();
    work();
    if (connection.exec(statement).one<int>() != 1) std::abort();
  }

 private:
  lido::postgres::Connection& mine() {
    thread_local lido::postgres::Connection& connection = all_.at(next_++);
    return connection;
  }

  std::vector<lido::postgres::Connection> all_;
  std::atomic<std::size_t> next_ = 0;
};

const bool each_wait = benchmark::all_hold = true;
const benchmark::Registration lido_{"lido", "own", benchmark::measure<Lido>};
const benchmark::Registration one_each{"a connection a thread", "none", benchmark::measure<OneEach>};

}  // namespace
