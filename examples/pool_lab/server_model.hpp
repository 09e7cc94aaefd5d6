// A server that works on several things at once, and more slowly when it has fewer cores than that.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "arriving.hpp"

namespace lab {

/// Processor sharing: each of `n` gets one core, or its share of them. As all go at one speed, they end in the order of
/// what `work` they had left, and one clock of work done is enough (Kleinrock, "Queueing Systems II", 1976,
/// section 4.4).
class ServerModel {
 public:
  /// `cores`: 0 for more than enough.
  explicit ServerModel(double cores) : cores_{cores} {}

  void stall(bool stalled) { stalled_ = stalled; }
  /// Time passes to `now`.
  void advance(double now) {
    done_ += (now - now_) * speed();
    now_ = now;
  }
  void begin(std::size_t caller, double work) { working_.emplace(done_ + work, caller); }
  /// When the next one ends if nothing changes.
  [[nodiscard]] double next() const {
    if (working_.empty() || stalled_) return never;
    return now_ + std::max(working_.top().first - done_, 0.0) / speed();
  }
  /// Whether one has ended by now; to be taken then.
  [[nodiscard]] bool ended() const {
    constexpr double grain = 1e-9;
    return !working_.empty() && !stalled_ && working_.top().first <= done_ + grain;
  }
  std::size_t take() {
    const std::size_t caller = working_.top().second;
    working_.pop();
    return caller;
  }
  /// All that it works on, which it does no more.
  std::vector<std::size_t> kill() {
    std::vector<std::size_t> all;
    for (; !working_.empty(); working_.pop()) all.push_back(working_.top().second);
    return all;
  }

 private:
  [[nodiscard]] double speed() const {
    if (stalled_) return 0;
    const auto busy = static_cast<double>(working_.size());
    return cores_ == 0 || busy <= cores_ ? 1 : cores_ / busy;
  }

  using Entry = std::pair<double, std::size_t>;
  double cores_, now_ = 0, done_ = 0;
  bool stalled_ = false;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> working_;
};

}  // namespace lab
