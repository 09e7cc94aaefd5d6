// A pool that is made of moodycamel's BlockingConcurrentQueue in a few lines. Built with main.cpp.
// name: moodycamel's queue
// kind: barges
// package: libconcurrentqueue-dev
#include <concurrentqueue/blockingconcurrentqueue.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <utility>

#include "../harness.hpp"

namespace {

struct Token {
  int number = 0;
};

class Peer {
 public:
  explicit Peer(std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i) idle_.enqueue(std::make_unique<Token>());
  }

  template <class Work>
  void use(Work work) {
    std::unique_ptr<Token> token;
    if (!idle_.wait_dequeue_timed(token, std::chrono::seconds{30})) throw std::runtime_error{"timeout"};
    work();
    idle_.enqueue(std::move(token));
  }

 private:
  moodycamel::BlockingConcurrentQueue<std::unique_ptr<Token>> idle_;
};

const benchmark::Registration peer{"moodycamel's queue", "barges", benchmark::measure<Peer>};

}  // namespace
