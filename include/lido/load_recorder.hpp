// What a pool is asked for, written down, so that it can be played again with other sizes.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <lido/detail/json.hpp>
#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/policy.hpp>
#include <lido/pool.hpp>
#include <lido/statistics.hpp>

namespace lido {

/// Records how many callers a pool has, how long they hold connections and how long these take to open, from the moment
/// at which it is made. `to_json()` is a workload for `examples/pool_lab`. Costs each release a listener's call and one
/// relaxed count. It may end before the pool, which goes on counting for nobody. Thread-safe but for construction,
/// destruction and `sample`.
class LoadRecorder {
 public:
  /// Listens to `pool`, whatever it pools. Throws `std::bad_alloc`.
  template <class Connection, class Growth, class Health, class Recycle, class Platform>
  explicit LoadRecorder(Pool<Connection, Growth, Health, Recycle, Platform>& pool) : before_{pool.statistics()} {
    detail::require_clock<Health, Recycle>();
    begun_ = before_;
    pool.events().on_release([holds = holds_](const auto&, const ConnectionInfo& info) { holds->record(info.held); });
  }
  LoadRecorder(const LoadRecorder&) = delete;
  LoadRecorder& operator=(const LoadRecorder&) = delete;

  /// To be called with the pool's figures, once a second, say: callers are told apart no finer than this, and each call
  /// is kept, in 16 bytes. `span` is the time since the last call, more than 0. Blocks on nothing. Throws
  /// `InvalidOption` or `std::bad_alloc`.
  void sample(const Statistics& now, Duration span) {
    detail::require_positive(span, "LoadRecorder::sample(span)");
    // The figures are of slightly different moments, and whom `close` ended is counted nowhere: there may be fewer than
    // before.
    const std::uint64_t before = asked(before_), after = asked(now);
    arrivals_.push_back({span, after > before ? after - before : 0});
    before_ = now;
  }

  /// What was recorded, as JSON: `name`, `lasts`, `arrivals`, `hold`, `open` (see examples/pool_lab/README.md). Throws
  /// `std::bad_alloc`.
  [[nodiscard]] std::string to_json() const {
    std::string rates, holds_upper, holds, opens_upper, opens;
    double lasts = 0;
    for (const auto& [span, callers] : arrivals_) {
      const double seconds = in_seconds(span);
      lasts += seconds;
      append(rates, R"({"lasts":)" + decimal(seconds) + R"(,"per_second":)" +
                        decimal(static_cast<double>(callers) / seconds) + "}");
    }
    for (std::size_t i = 0; i < holds_->counts.size(); ++i) {
      const std::uint64_t count = holds_->counts[i].load(std::memory_order_relaxed);
      if (count == 0 && (i + 1 == holds_->counts.size() || holds_->counts[i + 1].load(std::memory_order_relaxed) == 0))
        continue;  // but for the one below a bucket, which is its lower bound
      append(holds_upper, decimal(in_seconds(FineHistogram::bound(i))));
      append(holds, std::to_string(count));
    }
    for (std::size_t i = 0; i < Histogram::finite_buckets; ++i) {
      append(opens_upper, decimal(in_seconds(Histogram::bound(i))));
      append(opens, std::to_string(before_.open.counts[i] - begun_.open.counts[i]));
    }
    const bool opened = before_.opened > begun_.opened;
    return R"({"name":)" + detail::json_string(before_.name) + R"(,"lasts":)" + decimal(lasts) + R"(,"arrivals":[)" +
           rates + R"(],"hold":{"upper":[)" + holds_upper + R"(],"counts":[)" + holds + "]}" +
           (opened ? R"(,"open":{"upper":[)" + opens_upper + R"(],"counts":[)" + opens + "]}" : "") + "}";
  }

 private:
  // Sixteen buckets for each power of two of microseconds, so that none is wider than a sixteenth of what it holds; the
  // layout of HdrHistogram (Gil Tene).
  struct FineHistogram {
    static constexpr std::size_t buckets = 464;  // up to 71 minutes
    std::array<std::atomic<std::uint64_t>, buckets> counts{};

    void record(Duration span) noexcept { counts[bucket(span)].fetch_add(1, std::memory_order_relaxed); }
    [[nodiscard]] static std::size_t bucket(Duration span) noexcept {
      constexpr std::int64_t most = (std::int64_t{1} << 32) - 1;
      const std::int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(span).count();
      const auto value = static_cast<std::size_t>(us < 0 ? 0 : us > most ? most : us);  // 32 bits suffice
      const int shift = value < 32 ? 0 : static_cast<int>(std::bit_width(value)) - 5;
      return static_cast<std::size_t>(shift) * 16 + (value >> shift);
    }
    [[nodiscard]] static Duration bound(std::size_t bucket) noexcept {
      const std::size_t shift = bucket < 32 ? 0 : bucket / 16 - 1;
      return std::chrono::microseconds{static_cast<std::int64_t>((bucket - shift * 16 + 1) << shift)};
    }
  };
  struct Arrivals {
    Duration span;
    std::uint64_t callers;
  };

  // Everybody who has come so far, whatever became of them.
  [[nodiscard]] static std::uint64_t asked(const Statistics& now) noexcept {
    return now.acquired + now.timeouts + now.cancelled + now.rejected + now.shed + now.hopeless + now.failed_fast +
           now.now.waiting;
  }
  [[nodiscard]] static double in_seconds(Duration span) noexcept { return std::chrono::duration<double>{span}.count(); }
  // With a point, whatever the locale of the program has in its place.
  [[nodiscard]] static std::string decimal(double value) {
    constexpr int digits = 6;
    std::array<char, 64> text{};
    const auto written = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, digits);
    return {text.data(), written.ec == std::errc{} ? written.ptr : text.data()};
  }
  static void append(std::string& list, const std::string& next) {
    if (!list.empty()) list += ',';
    list += next;
  }

  Statistics begun_, before_;
  std::vector<Arrivals> arrivals_;
  std::shared_ptr<FineHistogram> holds_ = std::make_shared<FineHistogram>();
};

}  // namespace lido
