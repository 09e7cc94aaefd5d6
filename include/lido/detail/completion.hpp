// Where whoever completes a request meets whoever waits for it or withdraws it.
#pragma once

#include <atomic>
#include <cstdint>

namespace lido::detail {

// The one that comes second to the exchange knows of the other. Acquire and release in each: it also sees all that the
// first did before, the result or what the caller asked for.
template <class Platform>
class Completion {
 public:
  // For the caller: it waits from here on. False: it has been told already.
  [[nodiscard]] bool wait() noexcept {
    auto begun = Phase::starting;
    return phase_.compare_exchange_strong(begun, Phase::waiting, std::memory_order_acq_rel, std::memory_order_acquire);
  }
  // For whoever completes it, once. True: the caller waits, and has to hear of it. False: this was the last access.
  [[nodiscard]] bool tell() noexcept {
    switch (phase_.exchange(Phase::told, std::memory_order_acq_rel)) {
      case Phase::waiting:
        return true;
      case Phase::withdrawn:
        parker_.unpark();
        return false;
      default:  // `wait` will find it told
        return false;
    }
  }
  // For the caller: it is not to hear of it any more. False: it has been told before.
  [[nodiscard]] bool withdraw() noexcept {
    return phase_.exchange(Phase::withdrawn, std::memory_order_acq_rel) != Phase::told;
  }
  // Relaxed: whoever asks is ordered by what it does next.
  [[nodiscard]] bool is_withdrawn() const noexcept {
    return phase_.load(std::memory_order_relaxed) == Phase::withdrawn;
  }
  // After `withdraw`, where somebody is about to tell: until that is over.
  void await() noexcept { parker_.park(); }

 private:
  enum class Phase : std::uint8_t { starting, waiting, told, withdrawn };

  typename Platform::Parker parker_;
  typename Platform::template Atomic<Phase> phase_{Phase::starting};
};

}  // namespace lido::detail
