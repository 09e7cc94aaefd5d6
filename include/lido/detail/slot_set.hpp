// The slots that may change their state without the lock, and what is known of each; and those that open.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace lido::detail {

// What such a slot was when it was looked at.
enum class SlotLook : std::uint8_t { idle, worn, leased };

// For one thread at a time: walked in the time that those in it take.
class SlotSet {
 public:
  // How many more are known to be leased, or idle and worn.
  struct Change {
    int leased = 0;
    int worn = 0;
  };

  explicit SlotSet(std::size_t slots)
      : words_{std::make_unique<Word[]>((slots + word_size - 1) / word_size)},
        words_count_{(slots + word_size - 1) / word_size} {}

  [[nodiscard]] std::size_t words() const noexcept { return words_count_; }

  // Inline, as is `remove`: each has one caller, and it counts with each change of a state.
  [[gnu::always_inline]] Change add(std::size_t slot, SlotLook seen) noexcept {
    Word& word = words_[slot / word_size];
    word.in |= bit_of(slot);
    if (seen == SlotLook::idle && !is_known(word, slot)) return {};  // mostly
    return {.leased = set(word.leased, bit_of(slot), seen == SlotLook::leased),
            .worn = set(word.worn, bit_of(slot), seen == SlotLook::worn)};
  }
  [[gnu::always_inline]] Change remove(std::size_t slot) noexcept {
    Word& word = words_[slot / word_size];
    word.in &= ~bit_of(slot);
    if (!is_known(word, slot)) return {};
    return {.leased = set(word.leased, bit_of(slot), false), .worn = set(word.worn, bit_of(slot), false)};
  }

  // Looks at those of one word by `look(slot)`, and adds to `looked` how many there are.
  template <class Look>
  Change look(std::size_t number, std::size_t& looked, Look&& look) noexcept {
    Word& word = words_[number];
    const Word before = word;
    if (before.in == 0) return {};
    word.leased = word.worn = 0;
    for (std::uint64_t left = before.in; left != 0; left &= left - 1, ++looked) {
      const SlotLook seen = look(number * word_size + static_cast<std::size_t>(std::countr_zero(left)));
      const std::uint64_t bit = left & (~left + 1);
      if (seen == SlotLook::leased) word.leased |= bit;
      if (seen == SlotLook::worn) word.worn |= bit;
    }
    return {.leased = more(before.leased, word.leased), .worn = more(before.worn, word.worn)};
  }

  // A slot is in here, or is opening, or neither.
  void begin_opening(std::size_t slot) noexcept { words_[slot / word_size].opening |= bit_of(slot); }
  void end_opening(std::size_t slot) noexcept { words_[slot / word_size].opening &= ~bit_of(slot); }
  template <class Function>
  void each_opening(Function&& function) {
    for (std::size_t number = 0; number < words_count_; ++number)
      for (std::uint64_t left = words_[number].opening; left != 0; left &= left - 1)
        function(number * word_size + static_cast<std::size_t>(std::countr_zero(left)));
  }

  // Calls `function(slot)` for each, which may take that one out, until one returns false. Whether none did.
  template <class Function>
  bool each(Function&& function) {
    for (std::size_t number = 0; number < words_count_; ++number)
      if (!each_of(number, function)) return false;
    return true;
  }
  // The same for those of one word.
  template <class Function>
  bool each_of(std::size_t number, Function&& function) {
    for (std::uint64_t left = words_[number].in; left != 0; left &= left - 1)
      if (!function(number * word_size + static_cast<std::size_t>(std::countr_zero(left)))) return false;
    return true;
  }

 private:
  static constexpr std::size_t word_size = 64;

  struct Word {
    std::uint64_t in = 0;
    std::uint64_t leased = 0;  // of those, as is `worn`
    std::uint64_t worn = 0;
    std::uint64_t opening = 0;
  };

  // As anything but idle.
  static bool is_known(const Word& word, std::size_t slot) noexcept {
    return ((word.leased | word.worn) >> (slot % word_size) & 1U) != 0;
  }
  static std::uint64_t bit_of(std::size_t slot) noexcept { return std::uint64_t{1} << (slot % word_size); }
  // By how many there are more now. Mostly nothing has changed, and to count takes long.
  static int more(std::uint64_t before, std::uint64_t now) noexcept {
    return now == before ? 0 : std::popcount(now) - std::popcount(before);
  }
  static int set(std::uint64_t& bits, std::uint64_t bit, bool on) noexcept {
    const bool was = (bits & bit) != 0;
    if (was != on) bits ^= bit;
    return static_cast<int>(on) - static_cast<int>(was);
  }

  std::unique_ptr<Word[]> words_;
  std::size_t words_count_;
};

}  // namespace lido::detail
