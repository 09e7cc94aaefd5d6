// What a pool throws, each with what an operator needs to act on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/concat.hpp>
#include <lido/facts.hpp>
#include <lido/recorded_event.hpp>

namespace lido {

/// The base of everything that the pool itself throws. What is thrown is visible whatever a program is compiled with,
/// here and below: hidden in each of two libraries, neither would catch what the other throws.
class [[gnu::visibility("default")]] PoolError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A setting is out of its range. Thrown at construction and by `resize`, before anything changed.
class [[gnu::visibility("default")]] InvalidOption : public PoolError {
 public:
  /// `field` as the user wrote it; `expected` says what would have been right.
  InvalidOption(std::string field, std::string_view expected)
      : PoolError{detail::concat({field, ": expected ", expected})}, field_{std::move(field)} {}
  /// The field at fault, for instance `Elastic::max_size`.
  [[nodiscard]] const std::string& field() const noexcept { return field_; }

 private:
  std::string field_;
};

namespace detail {

inline void require_positive(Duration value, const char* field) {
  if (value <= Duration::zero()) throw InvalidOption{field, "a duration above zero"};
}
inline void require_not_negative(Duration value, const char* field) {
  if (value < Duration::zero()) throw InvalidOption{field, "a duration of zero or more"};
}

}  // namespace detail

/// The pool has been closed; no connection will come.
class [[gnu::visibility("default")]] PoolClosed : public PoolError {
 public:
  using PoolError::PoolError;
};

/// The time-out passed while the pool was suspended.
class [[gnu::visibility("default")]] PoolSuspended : public PoolError {
 public:
  using PoolError::PoolError;
};

/// `PoolOptions::max_waiting` callers wait already, or `ShareOptions::max_waiting` of that share.
class [[gnu::visibility("default")]] QueueFull : public PoolError {
 public:
  using PoolError::PoolError;
};

/// The caller's `stop_token` was requested before a connection came.
class [[gnu::visibility("default")]] AcquireCancelled : public PoolError {
 public:
  using PoolError::PoolError;
};

/// The caller would wait for connections that its own thread holds (`PoolOptions::refuse_nested_wait`), or has moved to
/// another since it acquired them.
class [[gnu::visibility("default")]] SelfDeadlock : public PoolError {
 public:
  using PoolError::PoolError;
};

/// Derive a connector's exception from this too when trying again cannot help (a wrong password, an unknown database):
/// callers that have nothing else to wait for get it at once instead of at their deadline.
class [[gnu::visibility("default")]] PermanentFailure {
 public:
  virtual ~PermanentFailure() = default;

 protected:
  PermanentFailure() = default;
  PermanentFailure(const PermanentFailure&) = default;
  PermanentFailure& operator=(const PermanentFailure&) = default;
};

/// What an acquire was doing when its time ran out.
enum class Phase : std::uint8_t {
  waiting,   ///< every connection was leased
  opening,   ///< there was room, and no connection could be opened in time
  checking,  ///< connections were found unfit until no time was left
};

[[nodiscard]] constexpr std::string_view to_string(Phase phase) noexcept {
  switch (phase) {
    case Phase::waiting:
      return "waiting";
    case Phase::opening:
      return "opening";
    case Phase::checking:
      return "checking";
    default:
      return "unknown";
  }
}

/// No connection came in time. Tells a pool that is exhausted (`phase() == Phase::waiting`, and `holders()` says who
/// has what) from a server that cannot be reached (`Phase::opening`). The first line of `what()` ends with the last
/// failed open, if there was one; what is thrown has it as its `std::nested_exception` too.
class [[gnu::visibility("default")]] AcquireTimeout : public PoolError {
 public:
  /// Facts of the time-out.
  AcquireTimeout(const std::string& message, Phase phase, Duration waited, PoolCounts counts,
                 std::shared_ptr<const std::vector<Holder>> holders, std::exception_ptr cause,
                 std::shared_ptr<const std::vector<RecordedEvent>> recent)
      : PoolError{message},
        phase_{phase},
        waited_{waited},
        counts_{counts},
        holders_{std::move(holders)},
        cause_{std::move(cause)},
        recent_{std::move(recent)} {}

  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  /// How long the caller waited.
  [[nodiscard]] Duration waited() const noexcept { return waited_; }
  /// The pool at that moment, or a little later: those whose time is over together are told the same.
  [[nodiscard]] const PoolCounts& counts() const noexcept { return counts_; }
  /// How many holders a time-out tells at most.
  static constexpr std::size_t most_holders = 100;
  /// Whoever had a connection at that moment, at most `most_holders` of them; `Pool::holders` tells all.
  [[nodiscard]] const std::vector<Holder>& holders() const noexcept { return *holders_; }
  /// The last failed open, or null.
  [[nodiscard]] std::exception_ptr cause() const noexcept { return cause_; }
  /// How many events a time-out tells at most.
  static constexpr std::size_t most_recent = 32;
  /// What happened in the pool before, oldest first; `Pool::recent_events` tells more.
  [[nodiscard]] const std::vector<RecordedEvent>& recent() const noexcept { return *recent_; }

 private:
  Phase phase_;
  Duration waited_;
  PoolCounts counts_;
  std::shared_ptr<const std::vector<Holder>> holders_;  // shared, as many may time out at once; never null
  std::exception_ptr cause_;
  std::shared_ptr<const std::vector<RecordedEvent>> recent_;  // likewise
};

/// More comes than the pool can serve, and this caller is refused: so that others are served in time
/// (`PoolOptions::max_standing_wait`), or because its time would have been over before its turn
/// (`PoolOptions::refuse_hopeless`). Trying again at once makes it worse.
class [[gnu::visibility("default")]] Overloaded : public AcquireTimeout {
 public:
  /// Facts of the refusal.
  explicit Overloaded(AcquireTimeout facts, Duration expected_wait = {})
      : AcquireTimeout{std::move(facts)}, expected_wait_{expected_wait} {}

  /// How long its turn would have taken at least. Zero of one that was refused after it had waited.
  [[nodiscard]] Duration expected_wait() const noexcept { return expected_wait_; }

 private:
  Duration expected_wait_;
};

}  // namespace lido
