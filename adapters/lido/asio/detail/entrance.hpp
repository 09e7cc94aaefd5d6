// The way into an event loop for new workers, which may come when it has ended.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <lido/asio/detail/fibre.hpp>
#include <lido/asio/detail/waiting_room.hpp>
#include <lido/detail/parker.hpp>
#include <lido/facts.hpp>
#include <lido/worker.hpp>

namespace lido::asio::detail {

// A pool starts workers later, too: the one that keeps time, and all of them in the child of a fork. The loop may have
// ended by then, and its executor with it: one of a strand may not even be destroyed any more.
class Entrance final : private WaitingRoom::Resident {
 public:
  static std::shared_ptr<Entrance> of(const boost::asio::any_io_executor& executor) {
    const std::shared_ptr<Entrance> made{new Entrance{executor}};
    boost::asio::use_service<WaitingRoom>(boost::asio::query(executor, boost::asio::execution::context))
        .tell({made, made.get()});
    return made;
  }
  ~Entrance() = default;

  void start(std::size_t stack, Worker worker) {
    // Once the loop has ended the mutex is left alone: in the child of a fork it might be locked for ever. Before that
    // a thread that is in here uses the loop, as none may during a fork.
    if (open_) {
      const std::lock_guard lock{mutex_};  // the loop does not end meanwhile
      if (open_) return Fibre::start(executor_, stack, std::move(worker));
    }
    std::thread{[worker = std::move(worker)] {
      Bed bed;
      worker(bed);
    }}.detach();
  }

 private:
  // Where a worker rests that has a thread of its own.
  class Bed final : public WorkerParker {
   public:
    bool wait_until(TimePoint deadline) noexcept override { return parker_.park_until(deadline); }
    void wake() noexcept override { parker_.unpark(); }

   private:
    lido::detail::Parker parker_;
  };

  explicit Entrance(boost::asio::any_io_executor executor) : executor_{std::move(executor)} {}
  void context_ends() noexcept override {
    const std::lock_guard lock{mutex_};
    open_ = false;
    executor_ = {};
  }

  std::mutex mutex_;
  boost::asio::any_io_executor executor_;
  std::atomic<bool> open_{true};
};

}  // namespace lido::asio::detail
