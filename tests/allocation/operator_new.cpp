#include <allocation/failing.hpp>

using lido::test::Scarcity;

void* operator new(std::size_t size) {
  if (Scarcity::fails()) throw std::bad_alloc{};
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc{};
  ++Scarcity::balance;
  return memory;
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (Scarcity::fails()) throw std::bad_alloc{};
  const auto to = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(to, (size + to - 1) / to * to);
  if (memory == nullptr) throw std::bad_alloc{};
  ++Scarcity::balance;
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) --Scarcity::balance;
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { operator delete(memory); }
