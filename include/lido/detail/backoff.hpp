// When to try again after an open has failed.
#pragma once

#include <cstdint>
#include <exception>
#include <random>
#include <utility>

#include <lido/facts.hpp>

namespace lido::detail {

// Exponential back-off with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): a pause is
// uniform between zero and a cap that doubles with each failure in a row until it is the longest pause. Owned by the
// pool's lock.
class Backoff {
 public:
  Backoff(Duration first, Duration longest, std::uint64_t seed) noexcept
      : first_{first}, longest_{longest}, random_{static_cast<std::minstd_rand::result_type>(seed)} {}

  [[nodiscard]] bool failing() const noexcept { return cap_ > Duration::zero(); }
  // The next attempt begins no sooner.
  [[nodiscard]] TimePoint until() const noexcept { return until_; }
  // The last failure, until an open succeeds.
  [[nodiscard]] const std::exception_ptr& cause() const noexcept { return cause_; }
  [[nodiscard]] bool permanent() const noexcept { return permanent_; }

  void failed(std::exception_ptr cause, bool permanent, TimePoint now) noexcept {
    cap_ = !failing() ? first_ : cap_ > longest_ / 2 ? longest_ : cap_ * 2;
    cause_ = std::move(cause);
    permanent_ = permanent;
    // At the longest the jitter of the earlier pauses has spread the attempts of many pools; a full pause then halves
    // the rate at which a server that is away is asked.
    const Duration::rep least = cap_ == longest_ ? cap_.count() : 0;
    until_ = saturating_add(now, Duration{std::uniform_int_distribution<Duration::rep>{least, cap_.count()}(random_)});
  }
  void succeeded() noexcept {
    cap_ = Duration::zero();
    cause_ = nullptr;
    permanent_ = false;
  }

 private:
  Duration first_;
  Duration longest_;
  Duration cap_{};
  TimePoint until_{};
  std::exception_ptr cause_;
  bool permanent_ = false;
  std::minstd_rand random_;
};

}  // namespace lido::detail
