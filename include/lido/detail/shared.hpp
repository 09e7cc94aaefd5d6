// Freed by whoever comes last.
#pragma once

#include <atomic>
#include <cstddef>

namespace lido::detail {

// Begins with one reference, its maker's.
class Shared {
 public:
  Shared() = default;
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  // Acquire and release: the one that deletes sees all that the others did.
  void drop_reference() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 protected:
  virtual ~Shared() = default;

 private:
  std::atomic<std::size_t> references_{1};
};

// Keeps a shared object for as long as a call needs it, whatever its owner does meanwhile.
class Reference {
 public:
  explicit Reference(Shared& object) noexcept : object_{object} { object_.add_reference(); }
  ~Reference() { object_.drop_reference(); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

 private:
  Shared& object_;
};

}  // namespace lido::detail
