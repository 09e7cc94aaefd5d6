// lido as it comes, lido with policies that need a clock, and strictly first come, first served.
#include <chrono>
#include <cstddef>

#include <lido/pool.hpp>
#include "harness.hpp"

namespace {

struct Token {
  int number = 0;
  bool ping(lido::TimePoint) { return true; }
};

template <class Pool>
class Lido {
 public:
  explicit Lido(std::size_t slots) : Lido{slots, lido::PoolOptions{}} {}
  template <class Work>
  void borrow(Work work) {
    const auto lease = pool_.acquire();
    work();
  }

 protected:
  Lido(std::size_t slots, const lido::PoolOptions& options)
      : pool_{[] { return Token{}; }, lido::FixedSize{slots}, {}, {}, options} {
    pool_.wait_until_ready(std::chrono::seconds{10});
  }

 private:
  Pool pool_;
};

using Plain = lido::Pool<Token, lido::FixedSize>;
using Checked = lido::Pool<Token, lido::FixedSize, lido::PingIfIdle, lido::RetireAfter>;

struct Strict : Lido<Plain> {
  explicit Strict(std::size_t slots)
      : Lido{slots, lido::PoolOptions{.barging_limit = std::chrono::milliseconds::zero()}} {}
};

const benchmark::Registration plain{"lido", true, benchmark::measure<Lido<Plain>>};
const benchmark::Registration checked{"lido, PingIfIdle + RetireAfter", true, benchmark::measure<Lido<Checked>>};
const benchmark::Registration strict{"lido, barging_limit = 0", true, benchmark::measure<Strict>};

}  // namespace
