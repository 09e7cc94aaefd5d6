// When callers come, and what each brings along.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <vector>

#include "distribution.hpp"
#include "workload.hpp"

namespace lab {

constexpr double never = std::numeric_limits<double>::infinity();

/// The callers of a workload, in the order in which they come. All draws are from the seed, so that two pools meet the
/// same ones.
class Arrivals {
 public:
  Arrivals(const Workload& workload, std::uint64_t seed) : workload_{workload}, gaps_{seed}, holds_{seed + 1} {
    for (std::size_t thread = 0; thread < workload.threads; ++thread) returns_.push(0);
    if (workload.threads == 0) draw_next();
  }

  /// When the next one comes, in seconds from the beginning; `never` when no more do, or when all are served just now.
  [[nodiscard]] double next() const {
    const double at = workload_.threads == 0 ? next_ : returns_.empty() ? never : returns_.top();
    return at < workload_.lasts ? at : never;
  }
  /// That one has come; how long it will have its connection.
  double take() {
    if (workload_.threads == 0)
      draw_next();
    else
      returns_.pop();
    return workload_.hold.draw(holds_);
  }
  /// One of them is gone: a thread comes again.
  void gone(double at) {
    if (workload_.threads > 0) returns_.push(at + workload_.pause.draw(gaps_));
  }

 private:
  // A Poisson process whose rate changes: what is left of a gap is drawn anew, as it has no memory.
  void draw_next() {
    double ends = begun_ + workload_.arrivals[period_].lasts;
    for (;;) {
      const bool last = period_ + 1 == workload_.arrivals.size();
      const double rate = workload_.arrivals[period_].per_second;
      const double at = rate > 0 ? next_ + Distribution::exponential(1 / rate).draw(gaps_) : never;
      if (at < ends || last) {
        next_ = at;
        return;
      }
      next_ = begun_ = ends;
      ends += workload_.arrivals[++period_].lasts;
    }
  }

  const Workload& workload_;
  Random gaps_, holds_;
  double next_ = 0, begun_ = 0;
  std::size_t period_ = 0;
  std::priority_queue<double, std::vector<double>, std::greater<>> returns_;
};

}  // namespace lab
