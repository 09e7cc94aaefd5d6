// The two stages on which an experiment is played.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "outcome.hpp"
#include "workload.hpp"

namespace lab {

/// Is told, a few times a second, how many seconds of the workload are over; false ends it with what there is so far.
using Progress = std::function<bool(double at, const lido::PoolCounts&)>;

/// Plays it in virtual time, on the pool's own code: minutes take moments. The same seed gives the same outcome, and
/// pools that are compared meet the same callers.
Outcome simulate(const Workload& workload, const PoolSettings& pool, std::uint64_t seed, const Progress& progress);

/// Plays it on a PostgreSQL server; a hold is `pg_sleep`. Throws `InvalidInput` for a workload that needs the
/// simulation, and what the adapter throws when the server cannot be reached at all. Of faults it can do `kill`. With a
/// `record` the figures of the pool go there as a workload.
Outcome play(const Workload& workload, const PoolSettings& pool, const std::string& url, std::uint64_t seed,
             const Progress& progress, std::string* record = nullptr);

}  // namespace lab
