// The last events of a pool, in a ring.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <lido/detail/describe.hpp>
#include <lido/recorded_event.hpp>

namespace lido::detail {

// The beginning of what an exception says, without an allocation where it is kept.
class FewWords {
 public:
  FewWords() = default;
  explicit FewWords(std::string_view text) noexcept {
    size_ = std::min(text.size(), text_.size());
    // Whole characters of UTF-8 only.
    if (size_ < text.size())
      while (size_ > 0 && (static_cast<unsigned char>(text[size_]) & 0xC0U) == 0x80U) --size_;
    for (std::size_t at = 0; at < size_; ++at) text_[at] = static_cast<unsigned char>(text[at]) < 0x20 ? ' ' : text[at];
  }
  explicit FewWords(const std::exception_ptr& error) noexcept {
    try {
      *this = FewWords{std::string_view{describe(error)}};
    } catch (...) {
      size_ = 0;
    }
  }
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }
  friend bool operator==(const FewWords& one, const FewWords& other) noexcept { return one.text() == other.text(); }

 private:
  std::array<char, 120> text_{};
  std::size_t size_ = 0;
};

// Written under the pool's lock, which the guard proves, and on slow paths only. Allocates nothing once it is made.
class FlightRecorder {
 public:
  static constexpr std::size_t capacity = 256;

  // One that was written a moment ago is counted once more, so that a thousand time-outs leave what led to them.
  template <class Guard>
  void record(EventKind kind, TimePoint now, const Guard&, std::uint64_t connection = 0,
              CloseReason reason = CloseReason::none, const FewWords& words = {}) noexcept {
    const std::size_t newest = std::min(written_, is_of_the_pool(kind) ? 1 : alike_among);
    for (std::size_t back = 1; connection == 0 && back <= newest; ++back) {
      Entry& before = ring_[(written_ - back) % capacity];
      if (before.kind != kind || before.connection != 0 || !(before.words == words)) continue;
      ++before.times;
      before.last = now;
      return;
    }
    ring_[written_++ % capacity] = {
        .kind = kind, .reason = reason, .at = now, .last = now, .times = 1, .connection = connection, .words = words};
  }

  struct Entry {
    EventKind kind{};
    CloseReason reason{};
    TimePoint at{};
    TimePoint last{};
    std::uint64_t times = 0;
    std::uint64_t connection = 0;
    FewWords words{};
  };
  // The newest `most`, oldest first, into what has room for them.
  template <class Guard>
  void copy(std::vector<Entry>& into, std::size_t most, const Guard&) const noexcept {
    const std::size_t count = std::min({most, written_, capacity, into.capacity()});
    for (std::size_t back = count; back > 0; --back) into.push_back(ring_[(written_ - back) % capacity]);
  }

 private:
  static constexpr std::size_t alike_among = 4;
  // The order of these says in what state the pool is.
  [[nodiscard]] static constexpr bool is_of_the_pool(EventKind kind) noexcept { return kind >= EventKind::invalidated; }
  std::vector<Entry> ring_ = std::vector<Entry>(capacity);
  std::size_t written_ = 0;
};

[[nodiscard]] inline std::vector<RecordedEvent> recorded_events(const std::vector<FlightRecorder::Entry>& entries) {
  std::vector<RecordedEvent> events;
  events.reserve(entries.size());
  for (const FlightRecorder::Entry& entry : entries)
    events.push_back({.kind = entry.kind,
                      .at = entry.at,
                      .last = entry.last,
                      .times = entry.times,
                      .connection = entry.connection,
                      .reason = entry.reason,
                      .words = std::string{entry.words.text()}});
  return events;
}

}  // namespace lido::detail
