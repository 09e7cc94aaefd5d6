// Calls of a pool's listeners that go on, and their end.
#pragma once

#include <mutex>
#include <thread>

#include <lido/facts.hpp>

namespace lido::detail {

// What listeners capture need not outlive their pool. A lease may, and so may a worker that hangs: they call nobody any
// more. A list of the calls, and not their number, since a pool may end in one of its own listeners, which would wait
// for itself.
template <class Platform>
class Listening {
 public:
  // While it lives, and if it is true, listeners may be called.
  class Call {
   public:
    [[gnu::noinline]] explicit Call(Listening& all) noexcept : all_{all} {
      const std::scoped_lock lock{all_.mutex_};
      allowed_ = !all_.silent_;
      if (!allowed_) return;
      next_ = all_.first_;
      if (next_ != nullptr) next_->link_ = &next_;
      link_ = &all_.first_;
      all_.first_ = this;
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    [[gnu::noinline]] ~Call() {
      if (!allowed_) return;
      typename Platform::Parker* waiting = nullptr;
      {
        const std::scoped_lock lock{all_.mutex_};
        *link_ = next_;
        if (next_ != nullptr) next_->link_ = link_;
        waiting = all_.waiting_;
        all_.waiting_ = nullptr;
      }
      if (waiting != nullptr) waiting->unpark();
    }
    explicit operator bool() const noexcept { return allowed_; }

   private:
    friend class Listening;
    Listening& all_;
    const std::thread::id thread_ = Platform::this_thread();
    Call* next_ = nullptr;
    Call** link_ = nullptr;  // what points here
    bool allowed_ = false;
  };

  // From now on nobody is called. Waits for the calls that go on in other threads, at most until the deadline.
  void silence(TimePoint deadline) noexcept {
    for (;;) {
      typename Platform::Parker parker;
      {
        const std::scoped_lock lock{mutex_};
        silent_ = true;
        if (!called_elsewhere()) return;
        waiting_ = &parker;
      }
      if (parker.park_until(deadline)) continue;
      bool owed = false;
      {
        const std::scoped_lock lock{mutex_};
        owed = waiting_ == nullptr;
        waiting_ = nullptr;
      }
      if (owed) parker.park();  // that call is about to touch it
      return;
    }
  }

 private:
  [[nodiscard]] bool called_elsewhere() const noexcept {
    const Call* call = first_;
    while (call != nullptr && call->thread_ == Platform::this_thread()) call = call->next_;
    return call != nullptr;
  }

  typename Platform::Mutex mutex_;
  Call* first_ = nullptr;
  typename Platform::Parker* waiting_ = nullptr;  // whoever silences
  bool silent_ = false;
};

}  // namespace lido::detail
