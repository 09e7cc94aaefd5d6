// As little as a pool can do: a flag a slot, each on its own cache line. One exchange takes it, one store gives it
// back, and a thread begins where it was last. No waiting, no figures, no handle, no growth.
#include <atomic>
#include <cstddef>
#include <memory>

#include "harness.hpp"

namespace {

class Floor {
 public:
  explicit Floor(std::size_t slots) : flags_{std::make_unique<Flag[]>(slots)}, slots_{slots} {}

  template <class Work>
  void use(Work work) {
    thread_local std::size_t last = 0;
    std::size_t index = last < slots_ ? last : 0;
    while (flags_[index].taken.exchange(true, std::memory_order_acquire))
      if (++index == slots_) index = 0;
    last = index;
    work();
    flags_[index].taken.store(false, std::memory_order_release);
  }

 private:
  struct alignas(64) Flag {
    std::atomic<bool> taken{false};
  };
  std::unique_ptr<Flag[]> flags_;
  std::size_t slots_;
};

const benchmark::Registration floor{"floor", "floor", benchmark::measure<Floor>};

}  // namespace
