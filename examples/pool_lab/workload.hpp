// What is played: who asks for connections, for how long they have them, on what kind of server, with which pools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "distribution.hpp"

namespace lab {

/// Something in a file or on the command line is not as it should be; `what()` names it and says what was expected.
struct InvalidInput : std::runtime_error {
  InvalidInput(const std::string& field, const std::string& expected)
      : std::runtime_error{field + ": expected " + expected} {}
};

/// Callers that come so often, whatever becomes of those before.
struct Rate {
  double lasts = 0;       ///< seconds
  double per_second = 0;  ///< on average; they come at random
};

enum class Harm : std::uint8_t {
  stall,   ///< nothing is answered
  refuse,  ///< nobody can connect
  kill,    ///< all connections die, once
};
struct Fault {
  double at = 0, lasts = 0;
  Harm harm = Harm::stall;
};

struct Workload {
  std::string name = "workload";
  double lasts = 30;        ///< seconds
  std::size_t threads = 0;  ///< with it callers are as many as these, and each comes again when it has been served
  Distribution pause = Distribution::constant(0);  ///< of a thread between two holds
  std::vector<Rate> arrivals;                      ///< without threads; the last goes on to the end
  Distribution hold = Distribution::exponential(0.02);
  Distribution open = Distribution::constant(0.01);
  double cores = 0;  ///< of the server, which holds share when more of them go on at once; 0: more than enough
  std::vector<Fault> faults;
};

struct PoolSettings {
  std::string name;
  std::size_t size = 10, overflow = 0;
  std::size_t max_waiting = std::numeric_limits<std::size_t>::max();
  double timeout = 30, barging_limit = 0.001;
  std::optional<double> max_standing_wait, fail_fast_after;
  std::size_t sized = 0;  ///< which of the sizes it is, where they are compared; 0: none of them
};

struct Experiment {
  Workload workload;
  std::vector<PoolSettings> pools;
  double wanted_wait = 0.1;  ///< a pool is large enough when 99 waits of 100 are shorter
};

/// Reads an experiment from JSON, in a form of its own (see README.md) or as `lido::LoadRecorder` writes it. `name` is
/// that of the file, for messages. Throws `InvalidInput`.
Experiment parse(const std::string& json, const std::string& name);

}  // namespace lab
