// What became of it: each caller, and the state of the pool over time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <lido/facts.hpp>

#include "workload.hpp"

namespace lab {

enum class Fate : std::uint8_t { served, timed_out, refused, failed };

/// One caller. In seconds; `came` since the beginning.
struct Caller {
  double came = 0, waited = 0, held = 0;
  Fate fate = Fate::served;
};

/// The pool at one moment.
struct Look {
  double at = 0;
  lido::PoolCounts counts;
};

/// The value below which `part` of them lie, from 0 to 1; 0 of none. Sorts them.
inline double percentile(std::vector<double>& values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double place = std::ceil(part * static_cast<double>(values.size())) - 1;
  return values[static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(values.size() - 1)))];
}

struct Outcome {
  PoolSettings pool;
  double lasted = 0;  ///< seconds in which callers came
  double ended = 0;   ///< when the last of them was gone
  std::vector<Caller> callers;
  std::vector<Look> looks;
  bool interrupted = false;
};

struct Summary {
  std::size_t callers = 0, served = 0, timed_out = 0, refused = 0, failed = 0;
  std::size_t in_time = 0;                                       ///< answered within a second
  double per_second = 0;                                         ///< served
  double mean_wait = 0, p50 = 0, p90 = 0, p99 = 0, longest = 0;  ///< of those who were served
  double busy = 0;                                               ///< connections, on average
  double utilisation = 0;                                        ///< of the connections that there may be
};

inline Summary summary(const Outcome& outcome) {
  Summary all;
  std::vector<double> waits;
  double held = 0, waited = 0;
  for (const Caller& caller : outcome.callers) {
    ++all.callers;
    if (caller.fate == Fate::timed_out) ++all.timed_out;
    if (caller.fate == Fate::refused) ++all.refused;
    if (caller.fate == Fate::failed) ++all.failed;
    held += caller.held;
    if (caller.fate != Fate::served) continue;
    ++all.served;
    if (caller.waited + caller.held <= 1) ++all.in_time;
    waits.push_back(caller.waited);
    waited += caller.waited;
  }
  all.p50 = percentile(waits, 0.5);
  all.p90 = percentile(waits, 0.9);
  all.p99 = percentile(waits, 0.99);
  all.longest = percentile(waits, 1);
  if (all.served > 0) all.mean_wait = waited / static_cast<double>(all.served);
  if (outcome.ended > 0) {
    all.per_second = static_cast<double>(all.served) / outcome.ended;
    all.busy = held / outcome.ended;
    all.utilisation = all.busy / static_cast<double>(outcome.pool.size + outcome.pool.overflow);
  }
  return all;
}

}  // namespace lab
