// Bytes on their way out, which are written where they are sent from.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace lido::postgres::detail {

/// As a `std::string` that grows, but whoever appends may write into it himself.
class OutBuffer {
 public:
  OutBuffer() = default;
  OutBuffer(const OutBuffer& other) { append(other.view()); }
  OutBuffer(OutBuffer&& other) noexcept { swap(other); }
  OutBuffer& operator=(OutBuffer other) noexcept { return swap(other), *this; }
  ~OutBuffer() = default;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.get(), size_}; }

  /// Where the next is written, with room for that many. Valid until anything else is done.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return bytes_.get() + size_;
  }
  /// What was written there ends here.
  void filled(const char* end) noexcept { size_ = static_cast<std::size_t>(end - bytes_.get()); }
  void append(std::string_view text) {
    char* const to = room(text.size());
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    size_ += text.size();
  }
  void push_back(char c) {
    *room(1) = c;
    ++size_;
  }
  void swap(OutBuffer& other) noexcept {
    bytes_.swap(other.bytes_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }
  /// Down to so many.
  void cut(std::size_t size) noexcept { size_ = size; }

 private:
  [[gnu::cold]] void grow(std::size_t bytes) {
    const std::size_t capacity = std::max(size_ + bytes, 2 * capacity_);
    std::unique_ptr<char[]> larger{new char[capacity]};
    if (size_ > 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace lido::postgres::detail
