// The figures of a pool under the names of OpenTelemetry's semantic conventions, for whichever library exports them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/statistics.hpp>

namespace lido {

/// The kind of a metric.
enum class Instrument : std::uint8_t { up_down_counter, counter, histogram };

/// One metric of the conventions, with the attributes of one time series.
/// Source: OpenTelemetry semantic conventions 1.28, "Connection pools" of the database metrics (in development).
struct Measurement {
  std::string_view name;  ///< for instance `db.client.connection.count`
  std::string_view unit;  ///< UCUM: `{connection}`, `{request}`, `{timeout}` or `s`
  std::string_view description;
  Instrument instrument = Instrument::up_down_counter;
  std::vector<std::pair<std::string_view, std::string>> attributes;
  std::uint64_t value = 0;  ///< of all but histograms
  /// With buckets of its own, `Histogram::bound`: the conventions name none for these, and other ones would have to
  /// guess.
  Histogram histogram{};
};

/// `figures` as measurements; one function call at each export is enough: the values are totals. Throws
/// `std::bad_alloc`.
///
/// | metric                 | value                                                                     |
/// |------------------------|---------------------------------------------------------------------------|
/// | `count`, state `idle`  | idle connections                                                          |
/// | `count`, state `used`  | leased ones, and those that the background looks at                       |
/// | `idle.max`, `max`      | the maximum                                                               |
/// | `idle.min`             | the pool size                                                             |
/// | `pending_requests`     | callers in the queue                                                      |
/// | `timeouts`             | acquires that ran out of time                                             |
/// | `create_time`          | how long opens took                                                       |
/// | `wait_time`            | of every acquire, also of those that did not queue: they count as no wait |
/// | `use_time`             | how long leases lasted; empty where no policy needs a clock               |
[[nodiscard]] inline std::vector<Measurement> open_telemetry(const Statistics& figures) {
  std::vector<Measurement> all;
  const auto add = [&](std::string_view name, std::string_view unit, std::string_view description,
                       Instrument instrument) -> Measurement& {
    return all.emplace_back(Measurement{.name = name,
                                        .unit = unit,
                                        .description = description,
                                        .instrument = instrument,
                                        .attributes = {{"db.client.connection.pool.name", figures.name}}});
  };
  for (const auto& [state, connections] : {std::pair{"idle", figures.now.idle},  //
                                           std::pair{"used", figures.now.leased + figures.now.checking}}) {
    Measurement& count =
        add("db.client.connection.count", "{connection}",
            "The number of connections that are currently in state described by the `state` attribute.",
            Instrument::up_down_counter);
    count.attributes.emplace_back("db.client.connection.state", state);
    count.value = connections;
  }
  add("db.client.connection.idle.max", "{connection}", "The maximum number of idle open connections allowed.",
      Instrument::up_down_counter)
      .value = figures.max_size;
  add("db.client.connection.idle.min", "{connection}", "The minimum number of idle open connections allowed.",
      Instrument::up_down_counter)
      .value = figures.pool_size;
  add("db.client.connection.max", "{connection}", "The maximum number of open connections allowed.",
      Instrument::up_down_counter)
      .value = figures.max_size;
  add("db.client.connection.pending_requests", "{request}",
      "The number of current pending requests for an open connection.", Instrument::up_down_counter)
      .value = figures.now.waiting;
  add("db.client.connection.timeouts", "{timeout}",
      "The number of connection timeouts that have occurred trying to obtain a connection from the pool.",
      Instrument::counter)
      .value = figures.timeouts;
  add("db.client.connection.create_time", "s", "The time it took to create a new connection.", Instrument::histogram)
      .histogram = figures.open;
  Measurement& wait = add("db.client.connection.wait_time", "s",
                          "The time it took to obtain an open connection from the pool.", Instrument::histogram);
  wait.histogram = figures.wait;
  wait.histogram.counts.front() += figures.at_once;
  add("db.client.connection.use_time", "s", "The time between borrowing a connection and returning it to the pool.",
      Instrument::histogram)
      .histogram = figures.use;
  return all;
}

}  // namespace lido
