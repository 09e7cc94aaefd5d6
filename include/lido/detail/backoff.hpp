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
      : first_{first}, longest_{longest}, random_{static_cast<std::uint32_t>(seed % std::minstd_rand::modulus)} {}

  [[nodiscard]] bool failing() const noexcept { return cap_ > Duration::zero(); }
  // The next attempt begins no sooner.
  [[nodiscard]] TimePoint until() const noexcept { return until_; }
  // The last failure, until an open succeeds.
  [[nodiscard]] const std::exception_ptr& cause() const noexcept { return cause_; }
  [[nodiscard]] bool permanent() const noexcept { return permanent_; }
  // How many there were, for whoever wants to know of another: two may have the same cause.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

  // A pause counts from the beginning of the attempt that failed. Each of these three returns what was the cause
  // before: to be dropped without the lock.
  std::exception_ptr failed(std::exception_ptr cause, bool permanent, TimePoint begun) noexcept {
    cap_ = !failing() ? first_ : cap_ > longest_ / 2 ? longest_ : cap_ * 2;
    permanent_ = permanent;
    ++failures_;
    // The longest is taken in full: a random one would either ask more often than once in that time, or be longer and
    // find a server that came back later. By then the earlier ones have spread the attempts of many pools.
    const Duration::rep least = cap_ == longest_ ? cap_.count() : 0;
    until_ =
        saturating_add(begun, Duration{std::uniform_int_distribution<Duration::rep>{least, cap_.count()}(random_)});
    return note(std::move(cause));
  }
  // A failure that says nothing about the next attempt.
  std::exception_ptr note(std::exception_ptr cause) noexcept { return std::exchange(cause_, std::move(cause)); }
  std::exception_ptr succeeded() noexcept {
    cap_ = Duration::zero();
    permanent_ = false;
    return note(nullptr);
  }

 private:
  Duration first_;
  Duration longest_;
  Duration cap_{};
  TimePoint until_{};
  std::exception_ptr cause_;
  bool permanent_ = false;
  std::uint64_t failures_ = 0;
  std::minstd_rand random_;
};

}  // namespace lido::detail
