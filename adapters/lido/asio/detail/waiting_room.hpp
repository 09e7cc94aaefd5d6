// What waits outside of Asio, and has to end when its event loop does.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include <boost/asio/execution_context.hpp>

namespace lido::asio::detail {

// One of these belongs to each execution context. A handler that waits at a pool is in no queue of Asio's: if the
// context is destroyed, it is cancelled and destroyed by this, as Asio does with what waits in its own queues. In the
// child of a fork no worker of the pool's will come for it: there it is destroyed as it is, or told so by the context.
class WaitingRoom : public boost::asio::execution_context::service {
 public:
  [[gnu::visibility("default")]] inline static boost::asio::execution_context::id id{};

  class Guest {
   public:
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

   protected:
    Guest() = default;
    ~Guest() = default;

   private:
    friend WaitingRoom;
    // Its context ends: takes it out of whatever it waits for, which has it settled in this thread or another.
    virtual void give_up() noexcept = 0;
    // Its context lives: hands it over to the executor. Not to run it here.
    virtual void deliver() noexcept = 0;
    // Its context ends: destroys it, and with it what it holds.
    virtual void destroy() noexcept = 0;

    Guest* previous_ = nullptr;
    Guest* next_ = nullptr;
    bool stopped_ = false;
    bool settled_ = false;
  };

  // What lives in the context, and goes on without it; guests may wait for it.
  class Resident {
   public:
    Resident(const Resident&) = delete;
    Resident& operator=(const Resident&) = delete;

   protected:
    Resident() = default;
    ~Resident() = default;

   private:
    friend WaitingRoom;
    // It has been taken out. Not while it runs.
    virtual void context_ends() noexcept = 0;
  };

  explicit WaitingRoom(boost::asio::execution_context& context) : boost::asio::execution_context::service{context} {}
  ~WaitingRoom() override { ended_.fetch_add(1, std::memory_order_relaxed); }

  // Where none has ended meanwhile a thread finds the one that it found last without asking the context, which takes a
  // lock. Relaxed: whoever uses a context is ordered behind the end of another in its place.
  static WaitingRoom& of(boost::asio::execution_context& context) {
    struct Found {
      const boost::asio::execution_context* context;
      WaitingRoom* room;
      std::uint64_t ended;
    };
    thread_local constinit Found last{};
    const std::uint64_t ended = ended_.load(std::memory_order_relaxed);
    if (last.context != &context || last.ended != ended)
      last = {&context, &boost::asio::use_service<WaitingRoom>(context), ended};
    return *last.room;
  }

  // False: the context is being destroyed.
  [[nodiscard]] bool enter(Guest& guest) noexcept {
    const std::lock_guard lock{mutex_};
    if (closed_) return false;
    guest.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &guest;
    first_ = &guest;
    return true;
  }

  void move_in(Resident& resident) {
    const std::lock_guard lock{mutex_};
    residents_.insert(&resident);
  }
  // Harmless twice.
  void move_out(Resident& resident) noexcept {
    const std::lock_guard lock{mutex_};
    residents_.erase(&resident);
  }

  // That the context ends, before anybody else hears of it; unless it has gone by then.
  void tell(const std::shared_ptr<Resident>& resident) {
    const std::lock_guard lock{mutex_};
    std::erase_if(told_first_, [](const std::weak_ptr<Resident>& each) { return each.expired(); });
    told_first_.push_back(resident);
  }

  // A guest that waits no more, in any thread; it may be gone afterwards.
  void settle(Guest& guest) noexcept {
    const std::lock_guard lock{mutex_};
    if (closed_) {  // this thread may be nobody's to destroy a handler in
      guest.settled_ = true;
      settled_.notify_all();
      return;
    }
    remove(guest);
    guest.deliver();  // under the lock: the context cannot be gone by now
  }

 private:
  // A pool's worker may be in here at any time: it is kept out while the process forks, and with it out of the context.
  void notify_fork(boost::asio::execution_context::fork_event event) override {
    using Context = boost::asio::execution_context;
    if (event == Context::fork_prepare) {
      mutex_.lock();
      forks_ = true;
      return;
    }
    if (event == Context::fork_child) {
      owner_ = ::getpid();
      while (Guest* const waits = first_) {
        remove(*waits);
        waits->deliver();  // to hear that the pool is the parent's
      }
    }
    if (std::exchange(forks_, false)) mutex_.unlock();
  }
  void shutdown() noexcept override {
    if (owner_ != ::getpid()) return leave_to_parent();
    std::unique_lock lock{mutex_};
    closed_ = true;
    const std::vector<std::weak_ptr<Resident>> told_first = std::move(told_first_);
    lock.unlock();
    for (const std::weak_ptr<Resident>& each : told_first)
      if (const std::shared_ptr<Resident> resident = each.lock()) resident->context_ends();
    lock.lock();
    while (Guest* const waits = find(&Guest::stopped_, false)) {
      waits->stopped_ = true;
      lock.unlock();
      waits->give_up();  // it may be settled meanwhile, but not destroyed
      lock.lock();
    }
    while (!residents_.empty()) {
      Resident* const resident = *residents_.begin();
      residents_.erase(residents_.begin());
      lock.unlock();
      resident->context_ends();
      lock.lock();
    }
    while (first_ != nullptr) {
      if (Guest* const guest = find(&Guest::settled_, true)) {
        remove(*guest);
        lock.unlock();
        guest->destroy();
        lock.lock();
      } else {
        // A worker is at its connection. Bounded, as some C libraries lose wake-ups.
        settled_.wait_for(lock, std::chrono::milliseconds{10});
      }
    }
  }

  // The child of a fork was not told of it, so that the mutex may be locked for ever. It has one thread.
  void leave_to_parent() noexcept {
    closed_ = true;
    for (const std::weak_ptr<Resident>& each : told_first_)
      if (const std::shared_ptr<Resident> resident = each.lock()) resident->context_ends();
    while (Guest* const waits = first_) {
      first_ = waits->next_;  // alone: a thread of the parent may have been removing one
      waits->destroy();
    }
  }

  [[nodiscard]] Guest* find(bool Guest::* what, bool value) const noexcept {
    Guest* guest = first_;
    while (guest != nullptr && guest->*what != value) guest = guest->next_;
    return guest;
  }
  void remove(Guest& guest) noexcept {
    (guest.previous_ != nullptr ? guest.previous_->next_ : first_) = guest.next_;
    if (guest.next_ != nullptr) guest.next_->previous_ = guest.previous_;
  }

  [[gnu::visibility("default")]] static inline std::atomic<std::uint64_t> ended_{0};

  pid_t owner_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable settled_;
  Guest* first_ = nullptr;
  std::vector<std::weak_ptr<Resident>> told_first_;
  std::set<Resident*> residents_;
  bool closed_ = false;
  bool forks_ = false;  // and its mutex is locked for that; owned by whoever forks
};

}  // namespace lido::asio::detail
