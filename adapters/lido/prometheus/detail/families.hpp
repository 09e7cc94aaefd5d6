// The figures of several pools as families of Prometheus metrics.
#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <lido/open_telemetry.hpp>
#include <lido/prometheus/detail/label.hpp>
#include <lido/statistics.hpp>

namespace lido::prometheus::detail {

// Builds the families: each once, with a sample a pool.
class Families {
 public:
  explicit Families(const std::vector<std::pair<std::string, Statistics>>& pools) : pools_{pools} {}

  // A metric for each pool, or with `ShareStatistics` for each share of each pool: none where there are none.
  template <class Figures = Statistics, class Value>
  void gauge(const char* name, const char* help, Value value) {
    add<Figures>(name, help, ::prometheus::MetricType::Gauge,
                 [&](const Figures& figures, ::prometheus::ClientMetric& metric) {
                   metric.gauge.value = static_cast<double>(std::invoke(value, figures));
                 });
  }
  template <class Figures>
  void counter(const char* name, const char* help, std::uint64_t Figures::* member) {
    add<Figures>(name, help, ::prometheus::MetricType::Counter,
                 [&](const Figures& figures, ::prometheus::ClientMetric& metric) {
                   metric.counter.value = static_cast<double>(figures.*member);
                 });
  }
  template <class Figures>
  void histogram(const char* name, const char* help, Histogram Figures::* member) {
    add<Figures>(
        name, help, ::prometheus::MetricType::Histogram,
        [&](const Figures& figures, ::prometheus::ClientMetric& metric) { fill(metric.histogram, figures.*member); });
  }
  // What the conventions have, named as OpenTelemetry's specification translates names for Prometheus: words with `_`
  // between, the unit behind them unless it is an annotation, and `total` behind a counter.
  void open_telemetry() {
    for (const auto& [pool, figures] : pools_) {
      for (const Measurement& one : lido::open_telemetry(figures)) {
        ::prometheus::MetricFamily& family = conventional_family(one);
        ::prometheus::ClientMetric& metric = family.metric.emplace_back();
        for (const auto& [key, value] : one.attributes) metric.label.push_back({underscored(key), value});
        if (one.instrument == Instrument::histogram)
          fill(metric.histogram, one.histogram);
        else
          (one.instrument == Instrument::counter ? metric.counter.value : metric.gauge.value) =
              static_cast<double>(one.value);
      }
    }
  }
  [[nodiscard]] std::vector<::prometheus::MetricFamily> take() { return std::move(families_); }

 private:
  template <class Figures, class Fill>
  void add(const char* name, const char* help, ::prometheus::MetricType type, Fill fill_in) {
    ::prometheus::MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    for (const auto& [pool, figures] : pools_) {
      if constexpr (std::is_same_v<Figures, Statistics>) {
        ::prometheus::ClientMetric& metric = family.metric.emplace_back();
        metric.label = {{"pool", pool}};
        fill_in(figures, metric);
      } else {
        for (const ShareStatistics& share : figures.shares) {
          ::prometheus::ClientMetric& metric = family.metric.emplace_back();
          metric.label = {{"pool", pool}, {"share", label_of(share.name)}};
          fill_in(share, metric);
        }
      }
    }
    if (std::is_same_v<Figures, Statistics> || !family.metric.empty()) families_.push_back(std::move(family));
  }

  static std::string underscored(std::string_view name) {
    std::string text{name};
    std::ranges::replace(text, '.', '_');
    return text;
  }
  ::prometheus::MetricFamily& conventional_family(const Measurement& one) {
    std::string name = underscored(one.name);
    if (one.unit == "s") name += "_seconds";
    if (one.instrument == Instrument::counter) name += "_total";
    const auto known = std::ranges::find(families_, name, &::prometheus::MetricFamily::name);
    if (known != families_.end()) return *known;
    ::prometheus::MetricFamily& family = families_.emplace_back();
    family.name = std::move(name);
    family.help = one.description;
    family.type = one.instrument == Instrument::histogram ? ::prometheus::MetricType::Histogram
                  : one.instrument == Instrument::counter ? ::prometheus::MetricType::Counter
                                                          : ::prometheus::MetricType::Gauge;
    return family;
  }

  static void fill(::prometheus::ClientMetric::Histogram& to, const Histogram& from) {
    const auto seconds = [](std::chrono::duration<double> span) { return span.count(); };
    for (std::size_t i = 0; i < from.counts.size(); ++i) {
      to.sample_count += from.counts[i];
      const bool last = i >= Histogram::finite_buckets;
      to.bucket.push_back(
          {.cumulative_count = to.sample_count,
           .upper_bound = last ? std::numeric_limits<double>::infinity() : seconds(Histogram::bound(i))});
    }
    to.sample_sum = seconds(from.sum);
  }

  const std::vector<std::pair<std::string, Statistics>>& pools_;
  std::vector<::prometheus::MetricFamily> families_;
};

}  // namespace lido::prometheus::detail
