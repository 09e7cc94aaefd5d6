// Who wakes those that rest without an event loop, when their time has come.
#pragma once

#include <unistd.h>

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include <lido/detail/parker.hpp>
#include <lido/facts.hpp>

namespace lido::asio::detail {

// One in each process, which has a thread while anybody is on its list. It is never destroyed, as that thread may be
// there at the end of the program.
class NightWatch {
 public:
  class Sleeper {
   public:
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

   protected:
    Sleeper() = default;
    ~Sleeper() = default;

   private:
    friend NightWatch;
    // Its time has come, and it has been taken off the list. May block.
    virtual void go_on() noexcept = 0;

    NightWatch* with_ = nullptr;  // whose list it is on
    TimePoint due_{};
    Sleeper* previous_ = nullptr;
    Sleeper* next_ = nullptr;
  };

  // This process's: the child of a fork has another, as the thread of its parent's is not there. Throws
  // `std::bad_alloc`, the first time.
  [[gnu::visibility("default")]] static NightWatch& of_this_process() {
    static std::atomic<NightWatch*> current{nullptr};
    NightWatch* known = current.load(std::memory_order_acquire);
    while (known == nullptr || known->owner_ != ::getpid()) {
      std::unique_ptr<NightWatch> made{new NightWatch{known}};
      if (current.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) return *made.release();
    }
    return *known;
  }

  NightWatch(const NightWatch&) = delete;
  NightWatch& operator=(const NightWatch&) = delete;

  // It may go on before this returns. If no thread can be started, that is tried again when the next one comes.
  void add(Sleeper& sleeper, TimePoint due) noexcept {
    const std::lock_guard lock{mutex_};
    sleeper.with_ = this;
    sleeper.due_ = due;
    sleeper.previous_ = nullptr;
    sleeper.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &sleeper;
    first_ = &sleeper;
    if (!manned_)
      man();
    else
      parker_.unpark();
  }
  // Takes it off the list. False: it was not there, and belongs to whoever took it off.
  [[nodiscard]] bool remove(Sleeper& sleeper) noexcept {
    const std::lock_guard lock{mutex_};
    if (sleeper.with_ != this) return false;
    take_off(sleeper);
    if (first_ == nullptr) parker_.unpark();  // its thread may go
    return true;
  }

 private:
  explicit NightWatch(const NightWatch* parents) noexcept : parents_{parents} {}
  ~NightWatch() = default;
  friend std::default_delete<NightWatch>;

  void man() noexcept {
    try {
      std::thread{[this] { keep(); }}.detach();
      manned_ = true;
    } catch (const std::exception&) {
      manned_ = false;
    }
  }
  // The thread. Whoever goes on in it may be held up by a server, and then another one has to keep the time.
  void keep() noexcept {
    std::unique_lock lock{mutex_};
    while (Sleeper* const next = earliest()) {
      if (const TimePoint due = next->due_; Clock::now() < due) {
        lock.unlock();
        parker_.park_until(due);
        lock.lock();
        continue;
      }
      take_off(*next);
      manned_ = false;
      if (first_ != nullptr) man();
      lock.unlock();
      next->go_on();
      lock.lock();
      if (manned_) return;
      manned_ = true;
    }
    manned_ = false;
  }
  // They are few: the workers of pools.
  [[nodiscard]] Sleeper* earliest() const noexcept {
    Sleeper* found = first_;
    for (Sleeper* each = first_; each != nullptr; each = each->next_)
      if (each->due_ < found->due_) found = each;
    return found;
  }
  void take_off(Sleeper& sleeper) noexcept {
    (sleeper.previous_ != nullptr ? sleeper.previous_->next_ : first_) = sleeper.next_;
    if (sleeper.next_ != nullptr) sleeper.next_->previous_ = sleeper.previous_;
    sleeper.with_ = nullptr;
  }

  const pid_t owner_ = ::getpid();
  const NightWatch* const parents_;  // for leak detectors
  lido::detail::Parker parker_;      // of the thread that keeps the time
  std::mutex mutex_;
  Sleeper* first_ = nullptr;
  bool manned_ = false;  // a thread keeps the time
};

}  // namespace lido::asio::detail
