// A queue of callers that is served as often as a test likes.
#pragma once

#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <utility>

#include <support/simulated_pool.hpp>

namespace lido::test {

// Callers that do not block, behind one that has a connection. Each is served when that gives it back, and has it then.
template <class AnyPool>
class ServedQueue {
  using Lease = typename AnyPool::Lease;
  struct Put {
    void operator()(const std::exception_ptr& error, Lease lease) const {
      if (!error) into.push_back(std::move(lease));
    }
    std::deque<Lease>& into;
  };
  using Operation = decltype(std::declval<AnyPool&>().async_acquire(1s).connect(std::declval<Put>()));

 public:
  explicit ServedQueue(AnyPool& pool) : pool_{pool} { held_.push_back(pool_.acquire(1h)); }

  void add(std::size_t callers, Duration patience = 1h) {
    for (; callers > 0; --callers) {
      waiting_.push_back(std::unique_ptr<Operation>{new Operation{pool_.async_acquire(patience).connect(Put{held_})}});
      waiting_.back()->start();
    }
  }
  // So many, one each time that so much has passed.
  void serve(std::size_t callers, Duration each = 1ms) {
    for (; callers > 0; --callers) {
      sim::sleep_for(each);
      Lease last = std::move(held_.front());
      held_.pop_front();
      last.release();
    }
  }
  void give_back() { held_.clear(); }
  // None of them waits any more.
  void leave() { waiting_.clear(); }

 private:
  AnyPool& pool_;
  std::deque<Lease> held_;
  std::deque<std::unique_ptr<Operation>> waiting_;
};

}  // namespace lido::test
