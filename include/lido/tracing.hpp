// Follows each acquire and each open from its begin to its end, with something of yours between.
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <lido/pool.hpp>
#include <lido/trace_facts.hpp>

namespace lido {

/// `Tracer` is told of a `Begin` and of its `End`: what `begin` returns is kept meanwhile, and moved into `end`.
template <class Tracer, class Begin, class End>
concept Traces =
    requires(Tracer& tracer, const Begin& begun, const End& ended) { tracer.end(tracer.begin(begun), ended); };

namespace detail {

// What a tracer of the user's has begun, and what it returned.
template <class Tracer, class Begin, class End>
struct TracerSpan : Span<End> {
  TracerSpan(std::shared_ptr<Tracer> told, const Begin& begun)
      : tracer{std::move(told)}, context{tracer->begin(begun)} {}
  void end(const End& ended) override { tracer->end(std::move(context), ended); }

  std::shared_ptr<Tracer> tracer;
  std::decay_t<decltype(std::declval<Tracer&>().begin(std::declval<const Begin&>()))> context;
};

struct Tracing {
  template <class Begin, class End, class Tracer>
  static auto listener(std::string pool, std::shared_ptr<Tracer> tracer) {
    return [pool = std::move(pool), tracer = std::move(tracer)](Spans<End>& spans, const Begin& begun) {
      Begin named = begun;
      named.pool = pool;
      spans.add(std::make_unique<TracerSpan<Tracer, Begin, End>>(tracer, named));
    };
  }

  template <class Pool, class Tracer>
  static void add(Pool& pool, const std::shared_ptr<Tracer>& tracer) {
    auto& core = pool.core();
    if constexpr (Traces<Tracer, OpenBegin, OpenEnd>)
      core.signals().trace_open.add(listener<OpenBegin, OpenEnd>(pool.options().name, tracer));
    if constexpr (Traces<Tracer, AcquireBegin, AcquireEnd>) {
      core.signals().trace_acquire.add(listener<AcquireBegin, AcquireEnd>(pool.options().name, tracer));
      core.trace_acquires();
    }
  }
};

}  // namespace detail

/// From now on tells `tracer` of each begin and each end, of the kinds that it has members for:
///
/// | it has                                                           | and is told of                       |
/// |------------------------------------------------------------------|--------------------------------------|
/// | `T begin(const AcquireBegin&)`, `void end(T, const AcquireEnd&)` | acquires, tries, and those that fail |
/// | `T begin(const OpenBegin&)`, `void end(T, const OpenEnd&)`       | attempts to open                     |
///
/// `T` is any type of yours that can be moved, for instance a span of OpenTelemetry. `begin` is called in the thread
/// that asks; `end` in the one that has the result: of an asynchronous acquire where it is resumed, of an open in the
/// worker. Called by several threads at once, with no lock held; may use the pool. A `begin` that throws is counted
/// (`Statistics::listener_errors`) and has no end; an `end` that throws is counted; neither changes what comes of the
/// acquire. A destructor of `T` must not throw. An acquire that was on its way may have no begin, and so no end; where
/// the pool has ended, `T` is destroyed without an end. A pool without a tracer pays nothing for this; one with a
/// tracer pays an allocation, a lock and two looks at the clock each time. Throws `std::bad_alloc`. Thread-safe.
template <class Connection, class Growth, class Health, class Recycle, class Platform, class Tracer>
void trace(Pool<Connection, Growth, Health, Recycle, Platform>& pool, Tracer tracer) {
  static_assert(Traces<Tracer, AcquireBegin, AcquireEnd> || Traces<Tracer, OpenBegin, OpenEnd>,
                "lido: a tracer needs `T begin(const lido::AcquireBegin&)` and `void end(T, const lido::AcquireEnd&)`, "
                "or the same for `OpenBegin` and `OpenEnd`");
  detail::Tracing::add(pool, std::make_shared<Tracer>(std::move(tracer)));
}

}  // namespace lido
