// Freed by whoever comes last.
#pragma once

#include <atomic>
#include <cstddef>

namespace lido::detail {

// Counts those who need one object, which `end` frees. Begins with one reference, its maker's.
class Lifetime {
 public:
  using End = void (*)(void* object) noexcept;

  Lifetime(void* object, End end) noexcept : object_{object}, end_{end} {}
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  void add_reference() noexcept { add_references(1); }
  void add_references(std::size_t count) noexcept { references_.fetch_add(count, std::memory_order_relaxed); }
  // Acquire and release: the one that frees sees all that the others did.
  void drop_reference() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) end_(object_);
  }

 private:
  void* const object_;
  const End end_;
  std::atomic<std::size_t> references_{1};
};

// Keeps an object for as long as a call needs it, whatever its owner does meanwhile.
class Reference {
 public:
  explicit Reference(Lifetime& lifetime) noexcept : lifetime_{lifetime} { lifetime_.add_reference(); }
  ~Reference() { lifetime_.drop_reference(); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

 private:
  Lifetime& lifetime_;
};

}  // namespace lido::detail
