// Makes allocations fail: this program's `operator new` asks here first (faults.cpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lido::test {

struct Faults {
  enum class Mode : std::uint8_t { once, from_then_on };

  // Arms: the `nth` allocation from now on that is not exempt fails, counted from 1.
  static void arm(std::uint64_t nth, Mode mode) noexcept {
    count = 0;
    first = nth;
    repeat = mode == Mode::from_then_on;
    armed = true;
  }
  // Whether one has failed since.
  static bool disarm() noexcept {
    armed = false;
    return count >= first;
  }

  static inline std::atomic<bool> armed{false};
  static inline std::atomic<bool> repeat{false};
  static inline std::atomic<std::uint64_t> first{0};
  static inline std::atomic<std::uint64_t> count{0};
  static inline std::atomic<std::int64_t> live{0};  // made while armed and not exempt, and not freed
  static inline thread_local bool exempt = false;
};

// What is done while it lives is the test's own, and does not fail; or, with `false`, is the pool's again.
class Exempt {
 public:
  explicit Exempt(bool value = true) noexcept : before_{std::exchange(Faults::exempt, value)} {}
  ~Exempt() { Faults::exempt = before_; }
  Exempt(const Exempt&) = delete;
  Exempt& operator=(const Exempt&) = delete;

 private:
  bool before_;
};

}  // namespace lido::test
