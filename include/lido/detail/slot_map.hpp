// Which of many slots are worth a look.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace lido::detail {

// What a walk over bits does after one of them.
enum class Walk : std::uint8_t { on, found, home };

// A bit a slot, read and written without the lock. A bit that is set says "look"; one that is not says that nothing is
// there. So whoever makes something of a slot sets its bit afterwards, and whoever looks and finds nothing may clear
// it.
//
// That the two do not cross is what the version in each word is for: setting a bit changes it, also where the bit was
// set. Whoever clears a bit has read the word before it looked at the slot, and exchanges the word for that one alone.
// Either nobody has set a bit since, and whoever is about to does so afterwards; or the exchange fails.
//
// A large map has a second one above it, with a bit a word, by the same rule: a word is what a slot is below.
template <class Platform>
class SlotMap {
 public:
  static constexpr std::size_t bits_a_word = 32;  // and as many of version: one that comes round is not met again

  explicit SlotMap(std::size_t slots)
      : words_{slots}, above_{words_.count > few_words ? words_.count : 0}, small_{words_.count <= few_words} {}

  void set(std::size_t slot) noexcept {
    words_.set(slot);
    if (!small_) above_.set(slot / bits_a_word);
  }
  // For one slot that is looked at elsewhere than in a walk.
  [[nodiscard]] std::uint64_t read(std::size_t slot) const noexcept { return words_.read(slot / bits_a_word); }
  // `seen`: the word as it was read before the slot was found to be nothing. What it is now is left there.
  void clear(std::size_t slot, std::uint64_t& seen) noexcept { words_.clear(slot, seen); }

  // Calls `look(slot, word)` for each bit that is set, from `start` on and round, until one says otherwise. True if it
  // was found.
  template <class Look>
  bool walk(std::size_t start, Look&& look) noexcept {
    if (small_) return words_.walk(start, look) == Walk::found;
    // Of the first word what comes before `start` is looked at last: of a run of slots that were leased one after the
    // other, a search that goes on at its end would come by each.
    const std::size_t first = start / bits_a_word;
    const std::uint32_t from_start = Level::all << (start % bits_a_word);
    const Walk then = above_.walk(first, [&](std::size_t index, std::uint64_t& above) {
      std::uint64_t word = words_.read(index);
      const Walk seen = Level::walk_word(word, index, index == first ? from_start : Level::all, look);
      if (Level::bits(word) == 0) above_.clear(index, above);
      return seen;
    });
    if (then != Walk::on) return then == Walk::found;
    std::uint64_t word = words_.read(first);
    return Level::walk_word(word, first, ~from_start, look) == Walk::found;
  }

 private:
  static constexpr std::size_t few_words = 8;

  struct Level {
    using Word = typename Platform::template Atomic<std::uint64_t>;
    static constexpr std::uint32_t all = ~std::uint32_t{0};
    static constexpr std::uint64_t one_version = std::uint64_t{1} << bits_a_word;

    explicit Level(std::size_t bits)
        : words{std::make_unique<Word[]>((bits + bits_a_word - 1) / bits_a_word)},
          count{(bits + bits_a_word - 1) / bits_a_word} {}

    [[nodiscard]] static std::uint32_t bits(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }
    [[nodiscard]] static std::uint64_t bit_of(std::size_t index) noexcept {
      return std::uint64_t{1} << (index % bits_a_word);
    }
    // Acquire: what is seen of the slot afterwards is no older than the word.
    [[nodiscard]] std::uint64_t read(std::size_t word) const noexcept {
      return words[word].load(std::memory_order_acquire);
    }
    // Release: who sees the word sees what was made of the slot before.
    void set(std::size_t index) noexcept {
      Word& word = words[index / bits_a_word];
      std::uint64_t seen = word.load(std::memory_order_relaxed);
      while (!word.compare_exchange_strong(seen, (seen + one_version) | bit_of(index), std::memory_order_release,
                                           std::memory_order_relaxed)) {
      }
    }
    // A cleared bit tells nobody anything. Acquire for what stands there then, as in `read`.
    void clear(std::size_t index, std::uint64_t& seen) noexcept {
      const std::uint64_t cleared = seen & ~bit_of(index);
      if (words[index / bits_a_word].compare_exchange_strong(seen, cleared, std::memory_order_acquire,
                                                             std::memory_order_acquire))
        seen = cleared;
    }
    template <class Look>
    static Walk walk_word(std::uint64_t& word, std::size_t number, std::uint32_t among, Look&& look) noexcept {
      for (std::uint32_t left = bits(word) & among; left != 0; left &= left - 1) {
        const Walk then = look(number * bits_a_word + static_cast<std::size_t>(std::countr_zero(left)), word);
        if (then != Walk::on) return then;
      }
      return Walk::on;
    }
    template <class Look>
    Walk walk(std::size_t start, Look&& look) noexcept {
      const std::uint32_t from_start = all << (start % bits_a_word);
      for (std::size_t step = 0, at = start / bits_a_word; step <= count; ++step) {
        std::uint64_t word = read(at);
        const std::uint32_t among = step == 0 ? from_start : step == count ? ~from_start : all;
        const Walk then = walk_word(word, at, among, look);
        if (then != Walk::on) return then;
        if (++at == count) at = 0;
      }
      return Walk::on;
    }

    std::unique_ptr<Word[]> words;
    std::size_t count;
  };

  Level words_;
  Level above_;
  bool small_;
};

}  // namespace lido::detail
