// Memory of what begins and ends all the time, as one operation after the other does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

// Theirs; null where it is not there.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
void __asan_poison_memory_region(const volatile void* first, std::size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void* first, std::size_t size) __attribute__((weak));
}
// NOLINTEND(bugprone-reserved-identifier)

namespace lido::detail {

// Each thread keeps some of the blocks that it frees, each as it is, for what it allocates next. What one thread
// allocates another may free.
class SpareBlocks {
 public:
  static constexpr std::size_t step = 128;
  static constexpr std::size_t kinds = 32;           // a block of the last has 4 KB; larger ones are not kept
  static constexpr std::size_t most = 256 * 1024UL;  // bytes, of all

  // Throws `std::bad_alloc`.
  [[nodiscard]] static void* allocate(std::size_t size) {
    const std::size_t kind = kind_of(size);
    if (kind >= kinds) return ::operator new(size);
    Block* const block = kept_[kind];
    if (block == nullptr) return ::operator new((kind + 1) * step);
    if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(block, (kind + 1) * step);
    kept_[kind] = block->next;
    bytes_ -= (kind + 1) * step;
    return block;
  }
  // With the size that was asked for.
  static void free(void* memory, std::size_t size) noexcept {
    const std::size_t kind = kind_of(size);
    if (kind >= kinds || bytes_ >= most || !keeps()) return ::operator delete(memory);
    kept_[kind] = ::new (memory) Block{kept_[kind]};
    bytes_ += (kind + 1) * step;
    if (__asan_poison_memory_region != nullptr) __asan_poison_memory_region(memory, (kind + 1) * step);
  }

 private:
  struct Block {
    Block* next;
  };
  enum class Thread : std::uint8_t { fresh, keeps, ends };
  struct End {
    End() noexcept { thread_ = Thread::keeps; }
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    ~End() {
      for (std::size_t kind = 0; kind < kinds; ++kind)
        while (kept_[kind] != nullptr) ::operator delete(allocate((kind + 1) * step));
      thread_ = Thread::ends;
    }
  };

  [[nodiscard]] static constexpr std::size_t kind_of(std::size_t size) noexcept { return (size - 1) / step; }
  // Not once this thread ends: nobody would free what is kept then.
  [[nodiscard]] static bool keeps() noexcept {
    if (thread_ == Thread::fresh) see_to_the_end();
    return thread_ == Thread::keeps;
  }
  [[gnu::noinline, gnu::cold]] static void see_to_the_end() noexcept { static const thread_local End end; }

  // They have no destructors, so that they are there for as long as the thread is.
  static inline thread_local constinit std::array<Block*, kinds> kept_{};
  static inline thread_local constinit std::size_t bytes_ = 0;
  static inline thread_local constinit Thread thread_ = Thread::fresh;
};

// An allocator of these.
template <class T>
struct SpareAllocator {
  using value_type = T;
  SpareAllocator() = default;
  template <class Other>
  // NOLINTNEXTLINE(google-explicit-constructor): as of any allocator
  SpareAllocator(const SpareAllocator<Other>& /*other*/) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__)  // of no block
      return std::allocator<T>{}.allocate(count);
    else
      return static_cast<T*>(SpareBlocks::allocate(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if constexpr (alignof(T) > __STDCPP_DEFAULT_NEW_ALIGNMENT__)
      std::allocator<T>{}.deallocate(memory, count);
    else
      SpareBlocks::free(memory, count * sizeof(T));
  }

  template <class Other>
  bool operator==(const SpareAllocator<Other>& /*other*/) const noexcept {
    return true;
  }
};

// The allocator to be used where somebody asks for `Allocator`: who has no wish gets these.
template <class Allocator>
struct RecyclingOf {
  static Allocator of(const Allocator& allocator) noexcept { return allocator; }
};
template <class T>
struct RecyclingOf<std::allocator<T>> {
  static SpareAllocator<T> of(const std::allocator<T>& /*none*/) noexcept { return {}; }
};
template <class Allocator>
[[nodiscard]] auto recycling(const Allocator& allocator) noexcept {
  return RecyclingOf<Allocator>::of(allocator);
}

}  // namespace lido::detail
