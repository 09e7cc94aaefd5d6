#include <shared/shared.hpp>

#include <chrono>

namespace shared {

using namespace std::chrono_literals;

void run_out_of_time(Pool& pool) { (void)pool.acquire(0s); }
void ask_a_closed_pool(Pool& pool) { (void)pool.acquire(1s); }
void set_an_impossible_option() {
  const Pool pool{[] { return 0; }, lido::FixedSize{0}};
}
int refuse() { throw Refused{}; }

// The first that is told destroys the second, which has been told by then, whoever tells them.
struct TwoWaiters::State {
  std::unique_ptr<Operation> first, second;
};
TwoWaiters::TwoWaiters(Pool& pool) : state{std::make_unique<State>()} {
  const Callback end_other = [this](const std::exception_ptr&, const Pool::Lease&) {
    ++told;
    state->second.reset();
  };
  const Callback count = [this](const std::exception_ptr&, const Pool::Lease&) { ++told; };
  state->first.reset(new Operation(pool.async_acquire(1h).connect(end_other)));
  state->second.reset(new Operation(pool.async_acquire(1h).connect(count)));
  state->first->start();
  state->second->start();
}
TwoWaiters::~TwoWaiters() = default;

}  // namespace shared
