#include <algorithm>
#include <allocation/faults.hpp>
#include <cstdlib>
#include <new>

namespace {

using lido::test::Faults;

bool fails() noexcept {
  const std::uint64_t nth = ++Faults::count;
  return nth == Faults::first || (Faults::repeat && nth > Faults::first);
}

// In front of each block lies whether it was counted.
std::size_t header(std::size_t alignment) noexcept { return std::max(alignment, sizeof(std::max_align_t)); }

void* allocate(std::size_t size, std::size_t alignment) {
  const bool counted = Faults::armed && !Faults::exempt;
  if (counted && fails()) throw std::bad_alloc{};
  const std::size_t front = header(alignment);
  auto* const block = static_cast<char*>(std::aligned_alloc(front, (front + size + front - 1) / front * front));
  if (block == nullptr) throw std::bad_alloc{};
  block[front - 1] = counted ? 1 : 0;
  if (counted) ++Faults::live;
  return block + front;
}

void release(void* memory, std::size_t alignment) noexcept {
  if (memory == nullptr) return;
  char* const user = static_cast<char*>(memory);
  if (*(user - 1) == 1) --Faults::live;
  std::free(user - header(alignment));
}

std::size_t number(std::align_val_t alignment) noexcept { return static_cast<std::size_t>(alignment); }

}  // namespace

// The other forms call these.
void* operator new(std::size_t size) { return allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) { return allocate(size, number(alignment)); }
void operator delete(void* memory) noexcept { release(memory, 1); }
void operator delete(void* memory, std::size_t) noexcept { release(memory, 1); }
void operator delete(void* memory, std::align_val_t alignment) noexcept { release(memory, number(alignment)); }
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  release(memory, number(alignment));
}
