// The simulated machine, whose own allocations do not fail; only those that the real machine makes too.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <allocation/faults.hpp>
#include <lido/testing/platform.hpp>

namespace lido::test {

struct FaultyPlatform : sim::Platform {
  class Mutex {
   public:
    void lock() {
      const Exempt own;
      mutex_.lock();
    }
    void unlock() {
      const Exempt own;
      mutex_.unlock();
    }

   private:
    sim::Mutex mutex_;
  };

  class Parker {
   public:
    bool park_until(TimePoint deadline) {
      const Exempt own;
      return parker_.park_until(deadline);
    }
    void park() { park_until(TimePoint::max()); }
    void unpark() {
      const Exempt own;
      parker_.unpark();
    }

   private:
    sim::Parker parker_;
  };

  class Thread {
   public:
    Thread() = default;
    // The conversion to the function allocates, as `std::thread` does for its state.
    explicit Thread(std::function<void()> body) {
      const Exempt own;
      thread_ = sim::Thread{[body = std::move(body)] {
        body();
        Faults::exempt = true;  // the thread's end
      }};
    }
    [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }
    [[nodiscard]] std::thread::id get_id() const noexcept { return thread_.get_id(); }
    void join() {
      const Exempt own;
      thread_.join();
    }
    void detach() { thread_.detach(); }

   private:
    sim::Thread thread_;
  };

  // The standard one allocates nothing.
  template <class Function>
  class StopCallback {
   public:
    StopCallback(const StopToken& token, Function function) {
      const Exempt own;
      callback_ = std::make_unique<sim::StopCallback<Function>>(token, std::move(function));
    }

   private:
    std::unique_ptr<sim::StopCallback<Function>> callback_;
  };
};

}  // namespace lido::test
