// What is done to connections by code of the user's: opening, closing, and asking the policies about them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <lido/detail/listening.hpp>
#include <lido/detail/slot.hpp>
#include <lido/detail/tick_clock.hpp>
#include <lido/events.hpp>
#include <lido/policy.hpp>

namespace lido::detail {

// What became of an attempt to open.
struct OpenOutcome {
  std::exception_ptr failure;  // null: there is a connection
  bool permanent = false;
  std::size_t errors = 0;  // of tracers that threw
};

// Calls the connector, the policies, the listeners and the destructors, in the slots that its callers own. Knows of no
// lock, and of no other connection: what it found is what it returns.
template <class Connection, class Health, class Recycle, class Platform>
class ConnectionOps {
 public:
  // False where no policy can tell one time from another: such a pool reads no clock on its fast path.
  static constexpr bool reads_clock = !always_keeps<Health> || !always_keeps<Recycle>;

  using Slot = detail::Slot<Connection, Platform, reads_clock>;
  using StopToken = typename Platform::StopToken;
  using Connector = std::function<void(Slot&, const OpenInfo&)>;  // makes the connection in its slot
  using OnConnection = Signal<Connection&, const ConnectionInfo&>;

  [[nodiscard]] static TimePoint now() noexcept { return Platform::now(); }

  ConnectionOps(Connector connector, Health health, Recycle recycle)
      : connector_{std::move(connector)}, health_{std::move(health)}, recycle_{std::move(recycle)} {}
  // For the child of a fork: the same user's code, of which nothing goes on.
  ConnectionOps(const ConnectionOps& parent)
      : connector_{parent.connector_}, health_{parent.health_}, recycle_{parent.recycle_}, signals_{parent.signals_} {}
  ConnectionOps& operator=(const ConnectionOps&) = delete;

  [[nodiscard]] Signals<Connection>& signals() noexcept { return signals_; }

  // --- opening and closing ----------------------------------------------------------------------------------------

  // Opens the connection of a slot that is opening. Blocks until the connector returns, which is told to by the
  // deadline, by `end_opens`, and by `stop` where there is one.
  [[nodiscard]] OpenOutcome open(Slot& slot, TimePoint deadline, const StopToken* stop) noexcept {
    if (signals_.trace_open.empty()) return attempt(slot, deadline, stop);
    Spans<OpenEnd> spans;
    spans.begun = Platform::now();
    const OpenBegin begun{.pool = {}, .connection = slot.id.load(std::memory_order_relaxed), .deadline = deadline};
    const bool heard = tell(signals_.trace_open, spans, begun);
    OpenOutcome outcome = attempt(slot, deadline, stop);
    const bool told = end(spans, OpenEnd{.took = Platform::now() - spans.begun, .error = outcome.failure});
    outcome.errors = (heard ? 0U : 1U) + (told ? 0U : 1U);
    return outcome;
  }

  // Closes the connection of a slot that is closing. Blocks for as long as its destructor does. How many of the
  // listeners' call and the destructor threw.
  [[nodiscard]] std::size_t close(Slot& slot) noexcept {
    const TimePoint now = Platform::now();
    ConnectionInfo facts = slot.info(Moment::sweep, now, now);
    facts.close_reason = slot.close_reason;
    const bool heard = tell(signals_.close, slot.connection, facts);
    const bool destroyed = destroy(slot);
    return (heard ? 0U : 1U) + (destroyed ? 0U : 1U);
  }

  // False when the destructor threw.
  static bool destroy(Slot& slot) noexcept {
    try {
      slot.destroy();
      return true;
    } catch (...) {
      return false;
    }
  }

  // From now on each connector is asked to give up.
  void end_opens() noexcept { ending_.request_stop(); }

  // --- the policies -----------------------------------------------------------------------------------------------

  [[nodiscard]] static ConnectionInfo info(const Slot& slot, Moment moment, TimePoint now, Duration allowed) noexcept {
    return slot.info(moment, now, saturating_add(now, allowed));
  }

  [[nodiscard]] Verdict recycle(Slot& slot, const ConnectionInfo& facts) const noexcept {
    try {
      return recycle_.recycle(slot.connection, facts);
    } catch (...) {
      return Verdict::discard;
    }
  }
  [[nodiscard]] bool healthy(Slot& slot, const ConnectionInfo& facts) const noexcept {
    try {
      return health_.check(slot.connection, facts) == Verdict::keep;
    } catch (...) {
      return false;
    }
  }
  [[nodiscard]] bool recycle_may_block(const Slot& slot, const ConnectionInfo& facts) const noexcept {
    return may_block(recycle_, slot.connection, facts);
  }
  // Until when both surely keep a connection which they keep now, for those who ask the quick clock. The epoch: each
  // time is to be exact.
  [[nodiscard]] TimePoint kept_until(const ConnectionInfo& facts, TimePoint now) const noexcept {
    const Duration span = std::min(keeps_for(health_, facts), keeps_for(recycle_, facts));
    return span < shortest_sure ? TimePoint{} : saturating_add(now, span - tick_clock_lag);
  }
  // Whether what comes before a lease may. `fresh`: the health policy is not asked.
  [[nodiscard]] bool check_may_block(const Slot& slot, const ConnectionInfo& facts, bool fresh) const noexcept {
    return recycle_may_block(slot, facts) || (!fresh && may_block(health_, slot.connection, facts));
  }

  // --- the listeners ----------------------------------------------------------------------------------------------

  // Tells those of an event, while the pool lives. False when one threw.
  template <class Signal, class... Given>
  bool tell(const Signal& signal, Given&&... given) noexcept {
    if (signal.empty()) return true;
    const typename Listening<Platform>::Call call{listening_};
    return !call || signal.emit(given...) == nullptr;
  }
  // The same of a connection that the caller has, as it was at `at`.
  bool tell_of(const OnConnection& signal, Slot& slot, Moment moment, TimePoint at) noexcept {
    return emit(signal, slot, moment, at) == nullptr;
  }
  // Ends what tracers have begun. False when one threw.
  template <class End>
  bool end(Spans<End>& spans, const End& ended) noexcept {
    if (spans.empty()) return true;
    const typename Listening<Platform>::Call call{listening_};
    return !call || spans.end(ended);
  }
  // From now on nobody is told. Waits for the calls that go on in other threads, at most until the deadline.
  void silence(TimePoint deadline) noexcept { listening_.silence(deadline); }

 private:
  // A hundred times what the quick clock lags behind. Where a span is shorter, that would be much of it.
  static constexpr Duration shortest_sure = 100 * tick_clock_lag;

  // Requested as soon as one of two is.
  struct EitherStop {
    struct Pass {
      std::stop_source& source;
      void operator()() const noexcept { source.request_stop(); }
    };
    EitherStop(const std::stop_token& one, const StopToken& other)
        : first{one, Pass{source}}, second{other, Pass{source}} {}

    std::stop_source source;
    std::stop_callback<Pass> first;
    typename Platform::template StopCallback<Pass> second;
  };

  [[nodiscard]] OpenOutcome attempt(Slot& slot, TimePoint deadline, const StopToken* stop) noexcept {
    OpenOutcome outcome;
    bool made = false;
    try {
      std::optional<EitherStop> either;
      if (stop != nullptr && stop->stop_possible()) either.emplace(ending_.get_token(), *stop);
      const OpenInfo info{.deadline = deadline,
                          .id = slot.id.load(std::memory_order_relaxed),
                          .stop = either ? either->source.get_token() : ending_.get_token()};
      connector_(slot, info);
      made = true;
      const TimePoint now = Platform::now();
      if constexpr (reads_clock) slot.kept.until = TimePoint{};
      slot.uses.store(0, std::memory_order_relaxed);
      slot.opened_at.store(now, std::memory_order_relaxed);
      slot.since.store(reads_clock ? now : TimePoint{}, std::memory_order_release);
      slot.checked_at.store(now, std::memory_order_relaxed);
      if (const std::exception_ptr thrown = emit(signals_.connect, slot, Moment::sweep, now))
        std::rethrow_exception(thrown);
    } catch (const PermanentFailure&) {
      outcome = {.failure = std::current_exception(), .permanent = true};
    } catch (...) {
      outcome = {.failure = std::current_exception()};
    }
    if (outcome.failure && made) destroy(slot);
    return outcome;
  }

  // The first exception, or null.
  std::exception_ptr emit(const OnConnection& signal, Slot& slot, Moment moment, TimePoint at) noexcept {
    if (signal.empty()) return nullptr;
    const typename Listening<Platform>::Call call{listening_};
    return call ? signal.emit(slot.connection, slot.info(moment, at, at)) : nullptr;
  }

  const Connector connector_;
  const Health health_;
  const Recycle recycle_;
  Signals<Connection> signals_;
  Listening<Platform> listening_;
  std::stop_source ending_;
};

}  // namespace lido::detail
