// Workers of a pool that are no threads of its own: fibres of an event loop, say.
#pragma once

#include <functional>

#include <lido/facts.hpp>

namespace lido {

/// Where a worker rests, made by whoever runs it.
class WorkerParker {
 public:
  WorkerParker() = default;
  WorkerParker(const WorkerParker&) = delete;
  WorkerParker& operator=(const WorkerParker&) = delete;

  /// Holds up the worker that calls it until `wake`, or until `deadline` (`TimePoint::max()`: none); false when the
  /// deadline came first. A `wake` that came before counts, once.
  [[nodiscard]] virtual bool wait_until(TimePoint deadline) noexcept = 0;
  /// From any thread, once for each wait at most. May not touch this any more once `wait_until` could return.
  virtual void wake() noexcept = 0;

 protected:
  ~WorkerParker() = default;
};

/// What a worker does, until its pool has been destroyed. Does not throw.
using Worker = std::function<void(WorkerParker&)>;
/// Sees that a worker is run, once, to its end, and not within this call. Throws where it cannot.
using StartWorker = std::function<void(Worker)>;

}  // namespace lido
