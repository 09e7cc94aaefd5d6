// Which size to take, in words.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "outcome.hpp"

namespace lab {

/// A span as a person writes it: 36 ms, 1.2 s.
inline std::string words(double seconds) {
  char text[32];
  if (seconds == 0) return "0";
  if (seconds < 0.001)
    std::snprintf(text, sizeof text, "%.2f ms", seconds * 1e3);
  else if (seconds < 1)
    std::snprintf(text, sizeof text, "%.3g ms", seconds * 1e3);
  else
    std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}
inline std::string number(double value, int digits = 1) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

struct Result {
  Outcome outcome;
  Summary summary;
};

struct Advice {
  std::optional<std::size_t> size;
  std::vector<std::string> reasons;
};

// Above this waits grow fast with each caller more, as any queue's do: they go with 1 / (1 - utilisation).
constexpr double busiest = 0.8;

/// What speaks against it; empty: nothing.
inline std::string too_small(const Summary& summary, double wanted_wait) {
  if (summary.timed_out + summary.refused > 0)
    return std::to_string(summary.timed_out + summary.refused) + " of " + std::to_string(summary.callers) +
           " callers get none";
  if (summary.p99 > wanted_wait)
    return "one wait of 100 is longer than " + words(summary.p99) + ", and " + words(wanted_wait) + " are wanted";
  if (summary.utilisation > busiest)
    return "each is busy for " + number(summary.utilisation * 100, 0) +
           " % of the time, which leaves nothing for a busier minute";
  return {};
}

/// The smallest of the sizes that were tried which is large enough, and why. Nothing where no sizes were tried.
inline Advice advise(const std::vector<Result>& results, double wanted_wait) {
  Advice advice;
  const Result* before = nullptr;
  for (const Result& result : results) {
    if (result.outcome.pool.sized == 0 || result.summary.callers == 0) continue;
    const Summary& now = result.summary;
    const std::string size = std::to_string(result.outcome.pool.sized);
    const std::string against = too_small(now, wanted_wait);
    if (!against.empty()) {
      before = &result;
      continue;
    }
    advice.size = result.outcome.pool.sized;
    advice.reasons.push_back("Callers are served " + number(now.per_second) +
                             " times a second and hold a connection for " + words(now.busy / now.per_second) +
                             " on average: " + number(now.busy) + " are busy at once (Little's law).");
    advice.reasons.push_back("With " + size + " each is busy for " + number(now.utilisation * 100, 0) +
                             " % of the time, and 99 waits of 100 are over within " + words(now.p99) + ".");
    if (before != nullptr)
      advice.reasons.push_back("With " + std::to_string(before->outcome.pool.sized) + " " +
                               too_small(before->summary, wanted_wait) + ".");
    else
      advice.reasons.emplace_back("No smaller size was tried.");
    return advice;
  }
  if (before != nullptr)
    advice.reasons.push_back("None of the sizes is large enough: with " + std::to_string(before->outcome.pool.sized) +
                             " " + too_small(before->summary, wanted_wait) + ".");
  return advice;
}

}  // namespace lab
