// By what a thread is told from all others, those too that have ended.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <thread>

namespace lido::detail {

// The system gives the id of a thread that has ended to another. A number never comes again.
struct ThreadMark {
  static constexpr std::uint64_t nobody = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t number = 0;  // 0: of the thread that asks, which has none yet
  std::thread::id id{};      // none: of the thread that asks, which need not look it up
};

// Visible, as all below: of several libraries that share a pool each would give the same numbers otherwise.
[[gnu::visibility("default")]] inline std::atomic<std::uint64_t> last_thread_number{0};

// What a thread keeps for all pools of one type: one look serves both.
struct ThreadNotes {
  std::size_t last_used = 0;  // the index of a slot, as a hint: any value is right
  std::uint64_t number = 0;   // 0: none yet, as few need one
};
template <class Slot>
[[nodiscard, gnu::visibility("default")]] ThreadNotes& thread_notes() noexcept {
  thread_local constinit ThreadNotes notes;
  return notes;
}
template <class Slot>
[[nodiscard]] std::uint64_t thread_number() noexcept {
  std::uint64_t& number = thread_notes<Slot>().number;
  if (number == 0) number = last_thread_number.fetch_add(1, std::memory_order_relaxed) + 1;
  return number;
}

}  // namespace lido::detail
