// Keeps a program whose threads run in turns on one processor: there a hand-over costs half of what it does across two.
#pragma once

#ifdef __linux__
#  include <sched.h>
#endif

namespace lido::detail {

/// The calling thread, and those that it starts, while this lives. No more than a hint.
class OneProcessor {
 public:
  OneProcessor() noexcept {
#ifdef __linux__
    if (::sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    pinned_ = ::sched_setaffinity(0, sizeof(here), &here) == 0;
#endif
  }
  ~OneProcessor() {
#ifdef __linux__
    if (pinned_) ::sched_setaffinity(0, sizeof(before_), &before_);
#endif
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

 private:
#ifdef __linux__
  cpu_set_t before_{};
  bool pinned_ = false;
#endif
};

}  // namespace lido::detail
