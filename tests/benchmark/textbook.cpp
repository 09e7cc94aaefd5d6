// The pool that everybody writes: a mutex, a condition variable and a deque; and one that is fair.
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "harness.hpp"

namespace {

struct Token {
  int number = 0;
};

class Textbook {
 public:
  explicit Textbook(std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i) idle_.push_back(std::make_unique<Token>());
  }

  template <class Work>
  void use(Work work) {
    const Lease lease{*this, acquire(std::chrono::seconds{30})};
    work();
  }

 private:
  class Lease {
   public:
    Lease(Textbook& pool, std::unique_ptr<Token> token) : pool_{pool}, token_{std::move(token)} {}
    ~Lease() { pool_.release(std::move(token_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

   private:
    Textbook& pool_;
    std::unique_ptr<Token> token_;
  };

  std::unique_ptr<Token> acquire(std::chrono::nanoseconds timeout) {
    std::unique_lock lock{mutex_};
    if (!available_.wait_for(lock, timeout, [this] { return !idle_.empty(); })) throw std::runtime_error{"timeout"};
    std::unique_ptr<Token> token = std::move(idle_.front());
    idle_.pop_front();
    return token;
  }
  void release(std::unique_ptr<Token> token) {
    {
      const std::lock_guard lock{mutex_};
      idle_.push_back(std::move(token));
    }
    available_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable available_;
  std::deque<std::unique_ptr<Token>> idle_;
};

// The same with a queue of tickets: whoever comes later is served later.
class Tickets {
 public:
  explicit Tickets(std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i) idle_.push_back(std::make_unique<Token>());
  }

  template <class Work>
  void use(Work work) {
    std::unique_ptr<Token> token = acquire(std::chrono::seconds{30});
    work();
    release(std::move(token));
  }

 private:
  struct Ticket {
    std::condition_variable woken;
    std::unique_ptr<Token> token;
  };

  std::unique_ptr<Token> acquire(std::chrono::nanoseconds timeout) {
    std::unique_lock lock{mutex_};
    if (queue_.empty() && !idle_.empty()) {
      std::unique_ptr<Token> token = std::move(idle_.front());
      idle_.pop_front();
      return token;
    }
    Ticket mine;
    queue_.push_back(&mine);
    if (!mine.woken.wait_for(lock, timeout, [&mine] { return mine.token != nullptr; }))
      throw std::runtime_error{"timeout"};
    return std::move(mine.token);
  }
  void release(std::unique_ptr<Token> token) {
    const std::lock_guard lock{mutex_};
    if (queue_.empty()) return idle_.push_back(std::move(token));
    Ticket& next = *queue_.front();
    queue_.pop_front();
    next.token = std::move(token);
    next.woken.notify_one();  // under the lock: the ticket is gone as soon as its owner sees it
  }

  std::mutex mutex_;
  std::deque<Ticket*> queue_;
  std::deque<std::unique_ptr<Token>> idle_;
};

const benchmark::Registration tickets{"tickets in a queue", "fair", benchmark::measure<Tickets>};
const benchmark::Registration textbook{"mutex + condition variable", "barges", benchmark::measure<Textbook>};

}  // namespace
