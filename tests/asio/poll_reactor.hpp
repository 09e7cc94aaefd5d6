// The smallest event loop: poll(2) and a pipe to wake it. Shows what a reactor needs.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>
#include <support/patience.hpp>

namespace lido::test {

class PollReactor {
 public:
  PollReactor() { static_cast<void>(!::pipe2(bell_, O_CLOEXEC | O_NONBLOCK)); }
  PollReactor(const PollReactor&) = delete;
  PollReactor& operator=(const PollReactor&) = delete;
  ~PollReactor() {
    ::close(bell_[0]);
    ::close(bell_[1]);
  }

  void wait(postgres::Waiter& waiter, int socket, postgres::Need need, TimePoint deadline) {
    const int in = need == postgres::Need::writable ? 0 : POLLIN;
    const int out = need == postgres::Need::readable ? 0 : POLLOUT;
    waits_.push_back({&waiter, socket, static_cast<short>(in | out), deadline});
  }
  void cancel(postgres::Waiter& waiter) noexcept {
    std::erase_if(waits_, [&](const Wait& each) { return each.waiter == &waiter; });
    const std::lock_guard lock{mutex_};
    std::erase(posted_, &waiter);
  }
  void post(postgres::Waiter& waiter) noexcept {
    const std::lock_guard lock{mutex_};
    posted_.push_back(&waiter);
    static_cast<void>(!::write(bell_[1], "", 1));
  }

  /// Waits for one thing, a second at most, and tells whoever waits for it; whether there was one.
  bool run_one() {
    std::vector<pollfd> files{{.fd = bell_[0], .events = POLLIN, .revents = 0}};
    TimePoint first = Clock::now() + std::chrono::seconds{1};
    for (const Wait& each : waits_) {
      files.push_back({.fd = each.socket, .events = each.events, .revents = 0});
      first = std::min(first, each.deadline);
    }
    ::poll(files.data(), files.size(), postgres::detail::milliseconds_until(first, Clock::now()));
    if (char byte = 0; ::read(bell_[0], &byte, 1) == 1) {
      wake_posted();
      return true;
    }
    const TimePoint now = Clock::now();
    for (std::size_t i = 0; i < waits_.size(); ++i) {
      const bool ready = files[i + 1].revents != 0;
      if (!ready && now < waits_[i].deadline) continue;
      postgres::Waiter& waiter = *waits_[i].waiter;
      waits_.erase(waits_.begin() + static_cast<std::ptrdiff_t>(i));
      waiter.wake(ready ? postgres::Wake::ready : postgres::Wake::timed_out);
      return true;
    }
    return false;
  }
  /// Turns until `condition` holds; throws when nothing has come for a minute.
  template <class Condition>
  void run_until(Condition condition) {
    constexpr auto what = "something comes to the loop";
    for (Patience patience{what}; !condition(); patience.check())
      if (run_one()) patience = Patience{what};
  }
  [[nodiscard]] bool idle() const { return waits_.empty(); }

 private:
  struct Wait {
    postgres::Waiter* waiter;
    int socket;
    short events;
    TimePoint deadline;
  };

  void wake_posted() {
    std::unique_lock lock{mutex_};
    if (posted_.empty()) return;  // it was cancelled
    postgres::Waiter& waiter = *posted_.front();
    posted_.erase(posted_.begin());
    lock.unlock();
    waiter.wake(postgres::Wake::stopped);
  }

  int bell_[2] = {-1, -1};
  std::vector<Wait> waits_;
  std::mutex mutex_;
  std::vector<postgres::Waiter*> posted_;
};
static_assert(postgres::Reactor<PollReactor>);

}  // namespace lido::test
