// The begin and the end of an acquire, for tracers.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <source_location>

#include <lido/statistics.hpp>
#include <lido/trace_facts.hpp>

namespace lido::detail {

template <class Monitor, class Ops>
void begin_trace(Monitor& monitor, Ops& ops, Spans<AcquireEnd>& spans, Duration timeout,
                 std::source_location where) noexcept {
  spans.begun = Ops::now();
  if (!ops.tell(ops.signals().trace_acquire, spans, AcquireBegin{.pool = {}, .timeout = timeout, .where = where}))
    monitor.count(&Statistics::listener_errors);
}

// `slot`: what it got, or null.
template <class Monitor, class Ops>
void end_trace(Monitor& monitor, Ops& ops, Spans<AcquireEnd>& spans, const typename Ops::Slot* slot,
               const std::exception_ptr& error) noexcept {
  if (spans.empty()) return;
  const std::uint64_t id = slot == nullptr ? 0 : slot->id.load(std::memory_order_relaxed);
  const AcquireEnd ended{.took = Ops::now() - spans.begun, .connection = id, .error = error};
  if (!ops.end(spans, ended)) monitor.count(&Statistics::listener_errors);
}

}  // namespace lido::detail
