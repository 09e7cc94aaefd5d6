// How long things take: holds, opens, pauses.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace lab {

using Random = std::mt19937_64;

/// A distribution of spans in seconds: one span for all, an exponential one, a mix of others, or what was recorded.
class Distribution {
 public:
  static Distribution constant(double seconds) { return {Kind::constant, seconds}; }
  static Distribution exponential(double mean) { return {Kind::exponential, mean}; }
  /// `shares` need not add up to one.
  static Distribution mix(std::vector<std::pair<double, Distribution>> parts) {
    Distribution made{Kind::mix, 0};
    for (auto& [share, part] : parts) {
      made.weights_.push_back(share);
      made.parts_.push_back(std::move(part));
    }
    return made;
  }
  /// So many spans up to each bound, and above the one before it; within a bucket all are alike.
  static Distribution histogram(std::vector<double> upper, std::vector<double> counts) {
    Distribution made{Kind::histogram, 0};
    made.upper_ = std::move(upper);
    made.weights_ = std::move(counts);
    return made;
  }

  [[nodiscard]] double mean() const {
    if (kind_ == Kind::constant || kind_ == Kind::exponential) return seconds_;
    const double total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    double sum = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i)
      sum += weights_[i] * (kind_ == Kind::mix ? parts_[i].mean() : (lower(i) + upper_[i]) / 2);
    return total > 0 ? sum / total : 0;
  }
  [[nodiscard]] double draw(Random& random) const {
    if (kind_ == Kind::constant) return seconds_;
    if (kind_ == Kind::exponential) return -seconds_ * std::log1p(-uniform(random));
    double left = uniform(random) * std::accumulate(weights_.begin(), weights_.end(), 0.0);
    std::size_t i = 0;
    for (; i + 1 < weights_.size() && left >= weights_[i]; ++i) left -= weights_[i];
    if (kind_ == Kind::mix) return parts_[i].draw(random);
    return lower(i) + (upper_[i] - lower(i)) * uniform(random);
  }

 private:
  enum class Kind : std::uint8_t { constant, exponential, mix, histogram };
  Distribution(Kind kind, double seconds) : kind_{kind}, seconds_{seconds} {}

  static double uniform(Random& random) { return std::uniform_real_distribution<double>{0, 1}(random); }
  [[nodiscard]] double lower(std::size_t bucket) const { return bucket == 0 ? 0 : upper_[bucket - 1]; }

  Kind kind_;
  double seconds_;
  std::vector<double> weights_, upper_;
  std::vector<Distribution> parts_;
};

}  // namespace lab
