// Memory that runs out: this program's operator new fails when it is told to.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace lido::test {

// Which allocations fail. Counts those of all threads while it is armed.
class Scarcity {
 public:
  enum class Mode { once, from_then_on };

  static void arm(std::size_t nth, Mode mode) noexcept {
    mode_ = mode;
    seen_ = 0;
    nth_ = nth;
  }
  // Whether any failed.
  static bool disarm() noexcept {
    const std::size_t nth = nth_.exchange(0);
    return seen_ >= nth;
  }
  [[nodiscard]] static bool fails() noexcept {
    const std::size_t nth = nth_;
    if (nth == 0) return false;
    const std::size_t now = ++seen_;
    return mode_ == Mode::once ? now == nth : now >= nth;
  }
  // Allocations less deallocations.
  static inline std::atomic<std::ptrdiff_t> balance{0};

 private:
  static inline std::atomic<std::size_t> nth_{0};
  static inline std::atomic<std::size_t> seen_{0};
  static inline std::atomic<Mode> mode_{Mode::once};
};

}  // namespace lido::test
