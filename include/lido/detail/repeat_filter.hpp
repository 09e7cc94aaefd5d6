// Keeps a failure that repeats from filling a log.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/facts.hpp>

namespace lido::detail {

/// Lets a failure pass once in a while and counts what it holds back. Failures are told apart by a key, of which it
/// remembers a few: who fails in ever new words gets a line each. Thread-safe.
class RepeatFilter {
 public:
  /// `span` above zero.
  explicit RepeatFilter(Duration span) noexcept : span_{span} {}

  /// Nothing if this one is to be left out; else how many were since the last that passed. Throws `std::bad_alloc`.
  [[nodiscard]] std::optional<std::uint64_t> pass(std::string_view key, TimePoint now) {
    key = key.substr(0, longest_key);
    const std::lock_guard lock{mutex_};
    const auto known = std::ranges::find(failures_, key, &Failure::key);
    if (known == failures_.end()) {
      if (failures_.size() == most) failures_.erase(std::ranges::min_element(failures_, {}, &Failure::next));
      failures_.push_back({.key = std::string{key}, .next = saturating_add(now, span_)});
      return 0;
    }
    if (now < known->next) {
      ++known->left_out;
      return std::nullopt;
    }
    known->next = saturating_add(now, span_);
    return std::exchange(known->left_out, 0);
  }

 private:
  static constexpr std::size_t most = 16;
  static constexpr std::size_t longest_key = 200;
  struct Failure {
    std::string key;
    TimePoint next;  // when it may pass again
    std::uint64_t left_out = 0;
  };

  Duration span_;
  std::mutex mutex_;
  std::vector<Failure> failures_;
};

}  // namespace lido::detail
